"""Regular expressions that callers search logs with, run by RE2: linear in the text, bounded in memory."""

from __future__ import annotations

from collections.abc import Callable

import re2

from runcast_server.errors import Invalid

MEMORY_BYTES = 4 * 1024 * 1024
"""The memory that an expression may take."""
NUL_SHOWN = "\u2400"


def compiled(text: str) -> Callable[[str], bool]:
    """What says whether a text matches. Raises `Invalid` for what is no expression, or is too large."""
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.log_errors = False
    try:
        expression = re2.compile(text, options)
    except re2.error as error:
        raise Invalid.of("query.q", _message(error)) from None

    def matches(line: str) -> bool:
        return expression.search(line.replace("\x00", NUL_SHOWN)) is not None

    return matches


def _message(error: Exception) -> str:
    message = error.args[0] if error.args else error
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)
