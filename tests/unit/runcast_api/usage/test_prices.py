"""Prices: the operator's own before others, by tiers and days; what isn't known has no cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from runcast_api.usage import prices
from runcast_server import settings
from runcast_server.price_list import PriceList

MILLION = 1_000_000


def used(**counts: int) -> dict[str, int]:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return dict.fromkeys(names, 0) | {"requests": 1} | counts


@pytest.fixture(autouse=True)
def _fresh_lists() -> Iterator[None]:
    prices.load(None)
    yield
    prices.load(None)


def written(path: Path, *listed: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"prices": [{"source": "a test", **each} for each in listed]}))
    return path


def test_a_file_of_prices_knows_tiers_caches_and_days(tmp_path: Path) -> None:
    tiers = [
        {"input": 1, "output": 5, "cache_read": 0.1, "cache_write": 2},
        {"above_input_tokens": 1000, "input": 10, "output": 50},
    ]
    path = written(
        tmp_path / "prices.json",
        {"model": "M", "date": "2026-01-01", "tiers": tiers},
        {"model": "m", "date": "2026-11-01", "tiers": [{"input": 2, "output": 2}]},
    )
    listed = PriceList.read(path)
    spring = date(2026, 3, 1)
    small = used(input_tokens=500, output_tokens=100, cache_read_tokens=400, cache_write_tokens=100)
    assert listed.cost_of("m", small, spring) == pytest.approx((500 + 500 + 40 + 200) / MILLION)
    large = used(input_tokens=500, output_tokens=100, cache_read_tokens=501)
    assert listed.cost_of("m", large, spring) == pytest.approx((5000 + 5000 + 5010) / MILLION)
    assert listed.cost_of("m", small, date(2026, 12, 1)) == pytest.approx(2200 / MILLION)
    assert listed.cost_of("m", small, date(2025, 12, 31)) is None, "its day hasn't come"
    assert listed.cost_of("other", small) is None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("no json", "JSON"),
        ('{"prices": [{}]}', "prices.0.model"),
        ('{"price": []}', "prices"),
        (
            '{"prices": [{"model": "m", "source": "s", "date": "2026-01-01", '
            '"tiers": [{"input": -1, "output": 1}]}]}',
            "prices.0.tiers.0.input",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, named: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    monkeypatch.setenv("RUNCAST_PRICES_FILE", str(path))
    with pytest.raises(settings.SettingsError, match="RUNCAST_PRICES_FILE") as refused:
        settings.read()
    assert named in str(refused.value)


def test_the_operators_own_prices_win_and_are_read_at_the_start_alone(tmp_path: Path) -> None:
    million = used(input_tokens=MILLION)
    assert prices.cost_of("our-model", million) is None
    common = prices.cost_of("claude-sonnet-4-5", million)
    assert common is not None
    assert common != pytest.approx(7)
    mine = {"date": "2026-01-01", "tiers": [{"input": 7, "output": 7}]}
    path = written(
        tmp_path / "prices.json",
        {"model": "our-model", **mine},
        {"model": "claude-sonnet-4-5", **mine},
    )
    prices.load(path)
    path.write_text("no json")
    assert prices.cost_of("our-model", million) == pytest.approx(7)
    assert prices.cost_of("claude-sonnet-4-5", million | {"requests": 10}) == pytest.approx(7)
    path.unlink()
    assert prices.cost_of("our-model", million) == pytest.approx(7)


def test_a_model_is_known_by_each_of_its_names() -> None:
    counts = used(input_tokens=1000, output_tokens=1000)
    plain = prices.cost_of("claude-sonnet-4-5", counts)
    assert plain is not None
    for name in (
        "claude-sonnet-4-5-20250929",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic/claude-sonnet-4.5",
        "claude-sonnet-4-5[1m]",
        "vertex/claude-sonnet-4-5@20250929",
    ):
        assert prices.cost_of(name, counts) == pytest.approx(plain), name
    assert prices.cost_of("qwen/qwen3-coder-plus", counts) == pytest.approx(6000 / MILLION)
    for name in ("", " ", "a-model-of-tomorrow", "[1m]", "/", "claude", "." * 200):
        assert prices.cost_of(name, counts) is None, name
