"""Private keys in texts: whole ones, and what a cut left of one."""

from __future__ import annotations

import re

CUE = "PRIVATE KEY"
"""Stands in every text that holds one."""
_NAME = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY = re.compile(rf"-----BEGIN {_NAME}.*?(?:-----END {_NAME}|\Z)", re.DOTALL)
_END = re.compile(rf"-----END {_NAME}")
_WORD = re.compile(r"""[^\s"',]+""")
_ESCAPES = (r"\n", r"\r", r"\t", "\\")
"""What stands for the end of a line in JSON's texts."""
_WHOLE_LINE = 40
"""Characters that a line of a key has at least, but for the last one, and the first one after a cut."""
_LINE = re.compile(r"[^A-Za-z0-9+/=]*(?:[0-9]{1,6}[^A-Za-z0-9+/=]+)?([A-Za-z0-9+/=]+)")
"""A line of a key, with what a listing puts before it."""
_LISTED = re.compile(r"[0-9]{1,6}\W?|\W{1,3}")
"""What a listing puts before a line, as a word of its own."""


def hidden(text: str, mark: str) -> str:
    """The text with the mark in place of each private key. A key without its end goes on to the text's end;
    of one without its beginning the lines before its end are recognised. Linear in the text's length."""
    text = _KEY.sub(mark, text)
    spaced = text
    for escape in _ESCAPES if _END.search(text) else ():
        spaced = spaced.replace(escape, " " * len(escape))
    kept: list[str] = []
    done = 0
    for end in _END.finditer(text):
        kept += (text[done : _first(spaced, done, end.start())], mark)
        done = end.end()
    return "".join(kept) + text[done:] if kept else text


def _first(text: str, start: int, end: int) -> int:
    """Where the lines of a key that ends there begin."""
    first = end
    is_last = True
    for word in reversed(list(_WORD.finditer(text, start, end))):
        line = _LINE.fullmatch(word[0])
        if line is not None and (is_last or len(line[1]) >= _WHOLE_LINE):
            first, is_last = word.start(), False
        elif line is not None and _is_after_a_cut(text, word.start()):
            return word.start()
        elif not _LISTED.fullmatch(word[0]):
            break
    return first


def _is_after_a_cut(text: str, place: int) -> bool:
    """Whether a word is the text's first one, or the first one after the mark of a cut."""
    before = text[max(place - 4, 0) : place].rstrip("\r\n \t\"'")
    return (not before and place <= 4) or before.endswith(("⋯", "…"))
