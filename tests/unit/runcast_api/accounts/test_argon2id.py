"""Hashes that one thread makes: the library's own, either way around."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import argon2
import pytest
from argon2 import profiles

from runcast_api.accounts.argon2id import Hasher

CHEAP = profiles.CHEAPEST


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_the_library_and_we_check_each_others_hashes(lanes: int) -> None:
    library = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=lanes)
    ours = Hasher(argon2.extract_parameters(library.hash("x")))
    for password in ("päss wörd", "", "x" * 256):
        assert library.verify(ours.hash(password), password)
        assert ours.is_of(library.hash(password), password)
        assert not ours.is_of(library.hash(password), password + "y")


def test_the_costs_are_those_of_the_library() -> None:
    stored = Hasher().hash("a password")
    assert not argon2.PasswordHasher().check_needs_rehash(stored)
    assert stored != Hasher().hash("a password")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "$argon2id$",
        "nothing of the kind",
        "$argon2id$v=19$m=64,t=1,p=1$a$b",
        "$argon2id$v=19$m=64,t=1,p=1$?$!",
        # Of "x", by argon2i.
        "$argon2i$v=19$m=8,t=1,p=1$ZKGjtoXwYl2zFJvdG+KaGw$6OI1NaG1JIMn7OTzqFcOh2YVfj+1TXxnH5rjcnF3iDs",
    ],
)
def test_what_is_no_hash_is_nobodys(stored: str) -> None:
    assert not Hasher(CHEAP).is_of(stored, "x")


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
def test_one_thread_makes_a_hash_of_many_lanes() -> None:
    """Its threads are counted while it works, until it was seen at work."""
    before, most = _threads(), 0
    making = threading.Thread(target=Hasher().hash, args=("a password",))
    making.start()
    while making.is_alive():
        most = max(most, _threads() - before)
    assert most <= 1


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
