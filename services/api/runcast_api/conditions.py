"""WHERE clauses that are put together from what a request asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Condition:
    """Parts of a WHERE clause, all of which must hold, and the values of their parameters."""

    parts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, part: str, *values: Any) -> None:
        """Adds a part in which `{0}`, `{1}` … stand for the values."""
        start = len(self.values) + 1
        self.parts.append(part.format(*(f"${start + place}" for place in range(len(values)))))
        self.values += values

    def add_given(self, part: str, value: Any) -> None:
        """Adds a part of one value, unless there is none."""
        if value is not None and value != [] and value != {}:
            self.add(part, value)

    def __str__(self) -> str:
        return " AND ".join(f"({part})" for part in self.parts)
