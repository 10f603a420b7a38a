"""The names that everything shares."""

import json
from pathlib import Path
from typing import get_args

import pytest

from runcast import contract


def test_statuses_are_active_or_terminal() -> None:
    assert not contract.ACTIVE_STATUSES & contract.TERMINAL_STATUSES
    assert set(get_args(contract.Status)) == contract.STATUSES


NAMES = json.loads((Path(__file__).parents[2] / "contract" / "names.json").read_text())
RULES = {"keys": contract.key_fault, "sources": contract.source_fault}


@pytest.mark.parametrize("kind", RULES)
def test_a_name_is_one_plain_name_on_every_system(kind: str) -> None:
    """The same names as the JavaScript client's test."""
    fault = RULES[kind]
    assert {name: fault(name) for name in NAMES[kind]["good"]} == dict.fromkeys(NAMES[kind]["good"])
    assert [name for name in NAMES[kind]["bad"] if fault(name) is None] == []
    assert fault("x" * 128) is None
    assert fault("x" * 201) is not None
