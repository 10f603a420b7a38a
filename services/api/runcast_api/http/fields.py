"""Field types that the models share: text that Postgres can hold, and how long it may be."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from runcast import contract


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold NUL characters")
    return text


def _key(text: str) -> str:
    return _without_fault(text, contract.key_fault(text))


def _source(text: str) -> str:
    return _without_fault(text, contract.source_fault(text))


def _without_fault(text: str, fault: str | None) -> str:
    if fault is not None:
        raise ValueError(fault)
    return text


NoNul = AfterValidator(_without_nul)
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul]
"""A short text that goes into a text column."""
LongText = Annotated[str, StringConstraints(max_length=64 * 1024), NoNul]
"""A message for people that goes into a text column."""
Key = Annotated[
    str,
    StringConstraints(pattern=f"^[A-Za-z0-9._-]{{1,{contract.KEY_LENGTH}}}$"),
    AfterValidator(_key),
]
"""A run's key, which names its directory."""
Source = Annotated[
    str,
    StringConstraints(min_length=1, max_length=contract.SOURCE_CHARACTERS),
    AfterValidator(_source),
]
"""The name of a source of lines, which names a file of the run's directory."""
Json = Any
"""Any JSON value."""


class Patch(BaseModel):
    """Changes to a thing. What is absent stays; null empties what may be empty, and is refused by name for
    what may not (`NEVER_NULL`), the same way for everything that can be changed."""

    model_config = ConfigDict(extra="forbid")

    NEVER_NULL: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def not_null(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.field_name in cls.NEVER_NULL:
            raise ValueError("must not be null")
        return value
