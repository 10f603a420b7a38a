"""What a model's tokens cost, by the prices that come with the package `genai-prices`: no network is asked.

Prices have tiers by the size of a request, so cost is computed for each request and then added up.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

Counts = Mapping[str, Any]


def cost_of(model: str, counts: Counts) -> float | None:
    """US dollars for this many tokens in this many requests, which are taken to be of one size; None for a
    model without a known price.

    `counts` as in a run's `usage`: `input_tokens` doesn't contain what a cache held, reasoning is part of
    the output.
    """
    # Imported when the first price is asked: its tables take a while to load.
    prices = importlib.import_module("genai_prices")
    requests = max(int(counts["requests"]), 1)
    cached, written = counts["cache_read_tokens"], counts["cache_write_tokens"]
    try:
        usage = prices.Usage(
            input_tokens=round((counts["input_tokens"] + cached + written) / requests),
            output_tokens=round(counts["output_tokens"] / requests),
            cache_read_tokens=round(cached / requests),
            cache_write_tokens=round(written / requests),
        )
        found = prices.calc_price(usage, model_ref=model)
    except (LookupError, ValueError):
        return None
    return float(found.total_price) * requests
