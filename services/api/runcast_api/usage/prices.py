"""What a model's tokens cost; no network is asked.

The first of these that knows a model counts: the operator's own file (`PRICES_FILE`), the package
`genai-prices`, and `prices.json` beside this file, for models that the package doesn't know. Prices have
tiers by the size of a request, so cost is computed for each request and then added up.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from runcast_server.price_list import PriceList

Counts = Mapping[str, Any]

_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_LONG_CONTEXT = re.compile(r"\[1m\]\Z")
"""What Claude Code puts behind a model's name."""
_OF_BEDROCK = re.compile(r"\A(?:[a-z]{2,6}\.)?anthropic\.(.+?)(?:-v[0-9]+(?::[0-9]+)?)?\Z")
_VERSION = re.compile(r"(?<=[0-9])\.(?=[0-9])")
_loaded: list[tuple[PriceList | None, PriceList]] = []
"""The lists of this process, once they are loaded."""
_DAY = re.compile(r"[-@]20[0-9]{2}-?[0-9]{2}-?[0-9]{2}\Z")


def cost_of(model: str, counts: Counts) -> float | None:
    """US dollars for this many tokens in this many requests, which are taken to be of one size; None for a
    model without a known price.

    `counts` as in a run's `usage`: `input_tokens` doesn't contain what a cache held, reasoning is part of
    the output.
    """
    requests = max(int(counts["requests"]), 1)
    one = {name: round(counts[name] / requests) for name in _TOKENS}
    for name in _names(model):
        if (cost := _of_one(name, one)) is not None:
            return cost * requests
    return None


def _of_one(model: str, used: Counts) -> float | None:
    theirs, ours = _lists()
    if theirs is not None and (cost := theirs.cost_of(model, used)) is not None:
        return cost
    # Imported when the first price is asked: its tables take a while to load.
    prices = importlib.import_module("genai_prices")
    cached, written = used["cache_read_tokens"], used["cache_write_tokens"]
    usage = prices.Usage(
        input_tokens=used["input_tokens"] + cached + written,
        output_tokens=used["output_tokens"],
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
    try:
        return float(prices.calc_price(usage, model_ref=model).total_price)
    except (LookupError, ValueError):
        return ours.cost_of(model, used)


def load(named: Path | None) -> None:
    """Reads the operator's prices from this file, and those that come with this package: at the start, so
    that a file which is changed later fails no report. Raises `ValueError` as `PriceList.read`."""
    with as_file(files("runcast_api.usage") / "prices.json") as path:
        _loaded[:] = [(PriceList.read(named) if named else None, PriceList.read(path))]


def _lists() -> tuple[PriceList | None, PriceList]:
    """The operator's prices, and those that come with this package."""
    if not _loaded:
        load(None)
    return _loaded[0]


def _names(model: str) -> Iterator[str]:
    """What a model may be called in a list: by its own name, without the name of who serves it, and without
    the day of its making."""
    seen: set[str] = set()
    plain = _LONG_CONTEXT.sub("", model.strip())
    own = plain.rpartition("/")[2]
    of_bedrock = _OF_BEDROCK.match(own)
    own = of_bedrock[1] if of_bedrock else own
    dashed = _VERSION.sub("-", own) if own.startswith("claude") else own
    for name in (plain, own, dashed, _DAY.sub("", dashed)):
        if name and name not in seen:
            seen.add(name)
            yield name
