"""What people see of a line that a terminal would colour.

Agents print escape sequences (ECMA-48: CSI, OSC and the two-character ones). A search looks behind them, in
the text of lines, and in the JSON of their records before these are parsed.
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|$)|[ -/]*[0-~])", re.DOTALL
)
# The same in JSON. A backslash that is itself escaped is passed over, so that a printed "\u001b" stays.
_ENCODED = re.compile(
    r"(\\\\)|\\u001b(?:\[[0-?]*[ -/]*[@-~]"
    r'|[\]PX^_](?:(?!\\u001b|\\u0007)[^"\n])*(?:\\u001b\\\\|\\u0007)?'
    r"|\\\\|[ -/]*[0-\[\]-~])"
)


def stripped(text: str) -> str:
    """The text without escape sequences."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def folded(encoded: str) -> str:
    """JSON without the escape sequences in its texts, with the differences of case removed."""
    if "\\u001b" in encoded:
        encoded = _ENCODED.sub(r"\1", encoded)
    return encoded.casefold()
