"""Entity tags: what an answer's bytes are called, and who has them already (RFC 9110, section 8.8.3)."""

from __future__ import annotations

import hashlib
import re

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")|\*')


def of(body: bytes) -> str:
    """The strong tag of these bytes."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def is_listed(header: str, tag: str, *, weak: bool) -> bool:
    """Whether a header's list of tags names this one, or is `*`. The weak comparison takes `W/"a"` for `"a"`,
    as If-None-Match asks for; the strong one, which is If-Match's, doesn't."""
    for found in _TAG.finditer(header):
        text = found[0]
        if text == "*" or text == tag or (weak and found[1] == tag.removeprefix("W/")):
            return True
    return False
