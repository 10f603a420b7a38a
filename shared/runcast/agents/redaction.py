"""Secrets don't leave the machine: what looks like a token or a private key is replaced by `[redacted]`.

Only known shapes are replaced, and never inside a path or a URL's host. `RUNCAST_REDACT` adds patterns, one a
line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MARK = "[redacted]"
VARIABLE = "RUNCAST_REDACT"
_SHAPES = (
    r"sk-(?:ant-)?[A-Za-z0-9_-]{16,}+",
    r"gh[pousr]_[A-Za-z0-9]{20,}+",
    r"github_pat_[A-Za-z0-9_]{20,}+",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}+",
    r"AIza[A-Za-z0-9_-]{30,}+",
    r"r[cslta]_[A-Za-z0-9_-]{20,}+",
)
_TOKEN = re.compile(rf"(?<![A-Za-z0-9_/.-])(?:{'|'.join(_SHAPES)})(?![A-Za-z0-9_]*[/.][A-Za-z0-9])")
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_SIGNS = (
    *("sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "AKIA", "ASIA", "xox", "AIza"),
    *("rc_", "rs_", "rl_", "rt_", "ra_"),
)
"""One of these stands in every token: looked for first, since most texts hold none."""


_SIGNS_IN_JSON = (b"-----BEGIN ", *(sign.encode() for sign in _SIGNS))


class Redaction:
    """Replaces secrets in texts and in JSON."""

    def __init__(self, extra: str = "") -> None:
        """`extra`: further patterns (Python's `re`), one a line. Raises `ValueError` for one that is none."""
        self._extra: list[re.Pattern[str]] = []
        for line in extra.splitlines():
            if line.strip():
                try:
                    self._extra.append(re.compile(line.strip()))
                except re.error as error:
                    raise ValueError(f"{VARIABLE}: {line.strip()!r}: {error}") from error

    def may_change(self, encoded: bytes) -> bool:
        """Whether texts within this JSON may hold a secret. Most don't, and that is quickly seen."""
        return bool(self._extra) or any(map(encoded.__contains__, _SIGNS_IN_JSON))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if "-----BEGIN " in text:
            text = _PEM.sub(MARK, text)
        if any(sign in text for sign in _SIGNS):
            text = _TOKEN.sub(MARK, text)
        for pattern in self._extra:
            text = pattern.sub(MARK, text)
        return text

    def json(self, value: Any) -> Any:
        """JSON whose texts hold no secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(each) for each in value]
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.json(each) for name, each in value.items()}
        return value
