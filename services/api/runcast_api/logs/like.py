"""Patterns of SQL's LIKE."""

import re


def containing(text: str) -> str:
    """What matches any text that has this one in it, taken as it stands."""
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
