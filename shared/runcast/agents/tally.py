"""Adding up tokens: each request to a model once, however often its record comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Counts = tuple[int, int, int, int, int]
"""Input without what a cache held, output, read from the cache, written to it, reasoning."""

FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
LARGE_TOKENS = 100_000
"""A request of more input than this may have another price per token than a smaller one."""
MODELS = 64


class Tally:
    """What a session has used so far, by model. Totals: a report of them may be repeated."""

    def __init__(self) -> None:
        self._totals: dict[str, list[float]] = {}
        self._requests: dict[int, tuple[str, Counts, float | None]] = {}
        self.before_large: Json | None = None
        """The usage before the last large request was added."""
        self.context_tokens: int | None = None
        self.context_window: int | None = None

    def put(
        self, request: object, model: str, counts: Counts, cost_usd: float | None = None
    ) -> bool:
        """Counts a request; one that was counted already is replaced by what is said of it now. Answers
        whether that changed anything."""
        key = hash(request)
        before = self._requests.get(key)
        now = (self._model(model), counts, cost_usd)
        if before == now:
            return False
        if size_of(counts) > LARGE_TOKENS:
            self.before_large = self.usage()
        if before is not None:
            self._add(before, -1)
        self._add(now, 1)
        self._requests[key] = now
        return True

    def replace(self, model: str, counts: Counts, requests: int, cost_usd: float | None) -> None:
        """Sets a model's totals to what the agent says that they are."""
        total = [*counts, requests, cost_usd or 0.0, 0 if cost_usd is None else requests]
        self._totals[self._model(model)] = total

    def restart(self) -> None:
        """Counts from here on; requests that were counted before don't count again."""
        self._totals = {}
        self.before_large = None

    def drop(self, model: str) -> None:
        """Forgets what was counted of a model: a total says it better."""
        self._totals.pop(model, None)

    def usage(self) -> Json:
        """The usage as a run has it."""
        by_model = {model: _shown(total) for model, total in self._totals.items() if total[5] > 0}
        whole = [sum(total[place] for total in self._totals.values()) for place in range(8)]
        shown = _shown(whole)
        for name in ("context_tokens", "context_window"):
            if (value := getattr(self, name)) is not None:
                shown[name] = value
        return shown | {"by_model": by_model}

    def is_empty(self) -> bool:
        return not any(total[5] > 0 for total in self._totals.values())

    def _model(self, model: str) -> str:
        if model in self._totals or len(self._totals) < MODELS - 1:
            return model[:200]
        return "other"

    def _add(self, request: tuple[str, Counts, float | None], sign: int) -> None:
        model, counts, cost_usd = request
        total = self._totals.setdefault(model, [0, 0, 0, 0, 0, 0, 0.0, 0])
        for place, count in enumerate(counts):
            total[place] += sign * count
        total[5] += sign
        if cost_usd is not None:
            total[6] += sign * cost_usd
            total[7] += sign


def _shown(total: list[float]) -> Json:
    shown: Json = {name: max(int(total[place]), 0) for place, name in enumerate(FIELDS)}
    shown["requests"] = int(total[5])
    if total[7] and total[7] == total[5]:  # only where the agent names the cost of every request
        shown |= {"cost_usd": round(max(total[6], 0.0), 9), "cost_by": "agent"}
    return shown


def count(counts: Mapping[str, Any], *names: str) -> int:
    """The first of the members that is a number of tokens; 0 where none is."""
    for name in names:
        value = counts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53:
            return int(value)
    return 0


def size_of(counts: Counts) -> int:
    """All of a request's input, cached or not."""
    return counts[0] + counts[2] + counts[3]
