"""What a run has used, added up by model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "requests",
)
MAX_MODELS = 64


@dataclass(slots=True)
class Sum:
    """Totals since the run began. `input_tokens` is without what was read from or written to a cache."""

    by_model: dict[str, dict[str, int]] = field(default_factory=dict)
    cost_usd: float | None = None
    context_window: int | None = None
    context_tokens: int | None = None

    def add(self, model: str, counts: Mapping[str, int]) -> None:
        """Adds what one or more requests have used."""
        held = self._of(model)
        for name, value in counts.items():
            held[name] += value

    def replace(self, model: str, counts: Mapping[str, int]) -> None:
        """Sets a model's totals; those that aren't given stay."""
        self._of(model).update(counts)

    def _of(self, model: str) -> dict[str, int]:
        name = model[:200]
        if name not in self.by_model and len(self.by_model) >= MAX_MODELS:
            name = next(reversed(self.by_model))
        return self.by_model.setdefault(name, dict.fromkeys(COUNTS, 0))

    def total(self) -> Json:
        """As a run's `usage`. A model without a name is in the totals alone."""
        totals: Json = {
            name: sum(counts[name] for counts in self.by_model.values()) for name in COUNTS
        }
        named = {model: dict(counts) for model, counts in self.by_model.items() if model}
        if len(named) == len(self.by_model):
            totals["by_model"] = named
        if self.cost_usd is not None:
            totals |= {"cost_usd": self.cost_usd, "cost_by": "agent"}
        if self.context_tokens is not None:
            totals["context_tokens"] = self.context_tokens
        if self.context_window is not None:
            totals["context_window"] = self.context_window
        return totals
