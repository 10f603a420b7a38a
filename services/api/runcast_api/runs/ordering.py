"""In which order runs are listed, and where a page of each order ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast_api.http import pagination
from runcast_server.errors import Invalid

_NEED = """CASE r.attention->>'kind' WHEN 'permission' THEN 1 WHEN 'question' THEN 2 WHEN 'plan' THEN 3
    WHEN 'error' THEN 4 WHEN 'budget' THEN 5 WHEN 'idle' THEN 6
    ELSE CASE WHEN r.status IN ('completed', 'failed', 'cancelled') THEN 8 ELSE 7 END END"""
"""Who needs a person most: what waits for an answer, then what stopped, then the idle, the working, the
ended."""


_Read = Callable[[Any], Any]
_CREATED: tuple[str, _Read] = ("r.created_at", pagination.moment)
_SORTS: Mapping[str, tuple[tuple[str, _Read], ...]] = {
    "created_at": (_CREATED,),
    "updated_at": (("r.updated_at", pagination.moment),),
    "number": (("r.number", pagination.whole),),
    "attention": ((_NEED, pagination.whole), _CREATED),
}
"""The expressions of each order, and how their values are read from a cursor. The id follows them all."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of runs: by one of `created_at`, `updated_at`, `number` and `attention`, then by id."""

    name: str
    is_descending: bool = False

    @classmethod
    def parse(cls, text: str | None) -> Order:
        """`name`, or `-name` for the reverse; None: newest first. Raises `Invalid`."""
        if text is None:
            return NEWEST
        name = text.removeprefix("-")
        if name not in _SORTS:
            names = ", ".join(_SORTS)
            raise Invalid.of("query.sort", f"runs are sorted by {names}, with - in front reversed")
        return cls(name, text.startswith("-"))

    @property
    def _terms(self) -> tuple[tuple[str, _Read], ...]:
        return (*_SORTS[self.name], ("r.id", UUID))

    @property
    def columns(self) -> str:
        """The order's values as columns of each row, for `place_of`."""
        return ", ".join(f"{term} AS place_{n}" for n, (term, _) in enumerate(self._terms))

    @property
    def clause(self) -> str:
        """What stands behind ORDER BY."""
        direction = "DESC" if self.is_descending else "ASC"
        return ", ".join(f"{term} {direction}" for term, _ in self._terms)

    def after(self, size: int) -> str:
        """The condition of what comes after a place, whose values stand for `{0}`, `{1}` …"""
        terms = ", ".join(term for term, _ in self._terms)
        values = ", ".join(f"{{{n}}}" for n in range(size))
        return f"({terms}) {'<' if self.is_descending else '>'} ({values})"

    def place_of(self, row: Mapping[str, Any]) -> list[Any]:
        """A row's place in the order, as JSON."""
        values = [row[f"place_{n}"] for n in range(len(self._terms))]
        return [value if isinstance(value, int) else str(value) for value in values]

    def read_place(self, packed: Sequence[Any]) -> list[Any]:
        """The values that `place_of` packed. Raises `Invalid` for others."""
        return pagination.read_each(packed, [read for _, read in self._terms])


NEWEST = Order("created_at", is_descending=True)
