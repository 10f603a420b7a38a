"""How much of a budget is used."""

from __future__ import annotations

import pytest

from runcast_api.usage.budgets import MOST_PERCENT, percent_of

USED = {"input_tokens": 60, "output_tokens": 20, "cache_read_tokens": 0, "cache_write_tokens": 0}


@pytest.mark.parametrize("requests", [8, 10, 30])
def test_a_budget_that_is_met_exactly_is_met(requests: int) -> None:
    """Not missed by what a sum of binary fractions lacks."""
    cost = sum([0.1] * requests)
    used = USED | {"cost_usd": cost}
    assert percent_of({"max_cost_usd": requests / 10}, used) == 100
    assert percent_of({"max_cost_usd": requests / 8}, used) == 80
    assert percent_of({"max_cost_usd": requests / 10 + 0.001}, used) < 100


def test_tokens_count_as_cost_does() -> None:
    used = USED | {"cost_usd": None}
    assert percent_of({"max_tokens": 80}, used) == 100
    assert percent_of({"max_tokens": 80, "max_cost_usd": 1.0}, used) == 100
    assert percent_of({"max_cost_usd": 1.0}, used) == 0, "a cost that isn't known meets nothing"
    assert percent_of({"max_cost_usd": 5e-324}, USED | {"cost_usd": 1e12}) == MOST_PERCENT
