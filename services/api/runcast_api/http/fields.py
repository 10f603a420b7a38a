"""Field types that the models share: text that Postgres can hold, and how long it may be."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from runcast.contract import KEY_LENGTH, is_key


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold NUL characters")
    return text


def _key(text: str) -> str:
    if not is_key(text):
        raise ValueError("must not be . or ..")
    return text


NoNul = AfterValidator(_without_nul)
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul]
"""A short text that goes into a text column."""
LongText = Annotated[str, StringConstraints(max_length=64 * 1024), NoNul]
"""A message for people that goes into a text column."""
Key = Annotated[
    str, StringConstraints(pattern=f"^[A-Za-z0-9._-]{{1,{KEY_LENGTH}}}$"), AfterValidator(_key)
]
"""A run's key."""
Json = Any
"""Any JSON value."""
