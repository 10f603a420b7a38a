"""A file of prices of models: what a million tokens cost, by the size of a request, from a day on.

    {"prices": [{"model": "qwen3-coder-plus", "source": "the maker's price list", "date": "2026-08-26",
                 "tiers": [{"input": 1, "output": 5, "cache_read": 0.2, "cache_write": 1.25},
                           {"above_input_tokens": 32000, "input": 1.8, "output": 9}]}]}

Dollars. A tier holds for all tokens of a request with more input than it names, cached or not; without prices
of their own, cached tokens cost what others do. Of several prices of a model, the last one counts whose day
has come.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MILLION = 1_000_000
_BYTES = 4 << 20
_Dollars = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Tier(BaseModel):
    """What a million tokens cost in requests with more input than `above_input_tokens`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above_input_tokens: Annotated[int, Field(ge=0)] = 0
    input: _Dollars
    output: _Dollars
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None


class Price(BaseModel):
    """A model's price from a day on, and where it was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=200)]
    source: Annotated[str, Field(min_length=1, max_length=1000)]
    date: date
    tiers: Annotated[list[Tier], Field(min_length=1, max_length=20)]


class _Prices(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prices: Annotated[list[Price], Field(max_length=10_000)]


class PriceList:
    """The prices of a file, by model."""

    def __init__(self, prices: list[Price]) -> None:
        self._prices: dict[str, list[Price]] = {}
        for price in sorted(prices, key=lambda each: each.date):
            self._prices.setdefault(price.model.lower(), []).append(price)

    @classmethod
    def read(cls, path: Path) -> PriceList:
        """The list that the file holds. Raises `ValueError`, which names what is wrong with it."""
        try:
            with path.open("rb") as file:
                content = file.read(_BYTES + 1)
        except OSError as error:
            raise ValueError(f"can't be read: {error.strerror or error}") from error
        if len(content) > _BYTES:
            raise ValueError("is larger than 4 MiB")
        try:
            return cls(_Prices.model_validate_json(content).prices)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error

    def cost_of(
        self, model: str, used: Mapping[str, float], day: date | None = None
    ) -> float | None:
        """US dollars of one request, or None for a model that isn't listed. `used` as in a run's usage:
        `input_tokens` doesn't contain what a cache held. `day`: today unless another is given."""
        day = day or datetime.now(UTC).date()
        listed = [each for each in self._prices.get(model.lower(), ()) if each.date <= day]
        return _cost(listed[-1], used) if listed else None


def _cost(price: Price, used: Mapping[str, Any]) -> float:
    cached, written = used["cache_read_tokens"], used["cache_write_tokens"]
    size = used["input_tokens"] + cached + written
    tiers = sorted(price.tiers, key=lambda each: each.above_input_tokens)
    tier = next((each for each in reversed(tiers) if size > each.above_input_tokens), tiers[0])
    read = tier.input if tier.cache_read is None else tier.cache_read
    write = tier.input if tier.cache_write is None else tier.cache_write
    dollars = used["input_tokens"] * tier.input + cached * read + written * write
    return float(dollars + used["output_tokens"] * tier.output) / MILLION
