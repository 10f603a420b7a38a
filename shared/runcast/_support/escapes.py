"""What people see of a line that a terminal would colour.

Agents print escape sequences (ECMA-48: CSI, OSC and the two-character ones). A search looks behind them, in
the text of lines, and in the JSON of their records before these are parsed.
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|\Z)|[ -/]*[0-~])", re.DOTALL
)
# The same in JSON, but for those of `_OBSCURE`. A backslash that is itself escaped is passed over, so that a
# printed "\u001b" stays; a quote ends the text.
_ENCODED = re.compile(r"(\\\\)|\\u001b(?:\[[0-?]*[ !#-/]*[@-~]|[ !#-/]*[0-\[\]-~])")
# Sequences whose end JSON doesn't tell: they hold any text up to a terminator, or what JSON escapes.
_OBSCURE = re.compile(r"\\u001b(?:[\]PX^_]|\[?[ !#-?]*\\)")


def stripped(text: str) -> str:
    """The text without escape sequences."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def folded(encoded: str) -> str:
    """JSON without the escape sequences in its texts, with the differences of case removed. Of a text that
    `is_obscure` more is left than people see, or less."""
    if "\\u001b" in encoded:
        encoded = _ENCODED.sub(r"\1", encoded)
    return encoded.casefold()


def is_obscure(encoded: str) -> bool:
    """Whether JSON has to be parsed before anyone can say what people see of its texts."""
    return "\\u001b" in encoded and _OBSCURE.search(encoded) is not None
