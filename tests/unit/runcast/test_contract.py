"""The names that everything shares."""

from typing import get_args

import pytest

from runcast import contract


def test_statuses_are_active_or_terminal() -> None:
    assert not contract.ACTIVE_STATUSES & contract.TERMINAL_STATUSES
    assert set(get_args(contract.Status)) == contract.STATUSES


@pytest.mark.parametrize("text", ["a", "A-1_b.c", "...", ".hidden", "x" * 128])
def test_a_key_names_a_directory(text: str) -> None:
    assert contract.is_key(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a b", "a\n", "é", "x" * 129])
def test_what_a_directory_or_a_url_cannot_carry_is_no_key(text: str) -> None:
    assert not contract.is_key(text)
