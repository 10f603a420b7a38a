"""Who may have a password hashed, and when: addresses in turn, a bounded number, each attempt one hash."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest
from argon2 import profiles
from pydantic import SecretStr

from runcast_api.accounts import passwords
from runcast_api.accounts.argon2id import Hasher
from runcast_api.accounts.passwords import Passwords
from runcast_server.errors import LimitReached

pytestmark = pytest.mark.anyio

WRONG = SecretStr("not the password")


class Held(Hasher):
    """Keeps each check until it is let go, and notes how many there were and how many at once."""

    def __init__(self) -> None:
        super().__init__(profiles.CHEAPEST)
        self.__dict__.update(go=threading.Semaphore(0), checked=[], at_once=0, most=0)

    def is_of(self, stored: str, plain: str) -> bool:
        state = self.__dict__
        state["at_once"] += 1
        state["most"] = max(state["most"], state["at_once"])
        state["go"].acquire()
        state["at_once"] -= 1
        state["checked"].append(plain)
        return False


async def test_addresses_take_turns_and_few_hashes_are_made_at_once() -> None:
    """Behind twenty attempts of one address, the attempt of another one is among the next to be tried."""
    hasher = Held()
    held = Passwords(hasher=hasher)
    flood = [
        asyncio.create_task(held.is_right(None, SecretStr(f"flood {number}"), "1.1.1.1"))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    another = asyncio.create_task(held.is_right(None, SecretStr("another"), "2.2.2.2"))
    await asyncio.sleep(0)
    hasher.__dict__["go"].release(21)
    assert await asyncio.gather(another, *flood) == [False] * 21
    assert hasher.__dict__["checked"].index("another") <= 2 * passwords.AT_ONCE
    assert hasher.__dict__["most"] <= passwords.AT_ONCE


async def test_only_some_attempts_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING", 3)
    hasher = Held()
    held = Passwords(hasher=hasher)
    waiting = [
        asyncio.create_task(held.is_right(None, WRONG, str(number)))
        for number in range(passwords.AT_ONCE + 3)
    ]
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await held.is_right(None, WRONG, "too late")
    hasher.__dict__["go"].release(len(waiting) + 1)
    await asyncio.gather(*waiting)
    assert not await held.is_right(None, WRONG, "later")


async def test_an_attempt_at_no_account_costs_one_hash_too() -> None:
    hasher = Held()
    held = Passwords(hasher=hasher)
    hasher.__dict__["go"].release(10)
    for stored in (None, "$argon2id$v=19$m=64,t=1,p=1$a$b"):
        before = len(hasher.__dict__["checked"])
        assert not await held.is_right(stored, WRONG, "here")
        assert len(hasher.__dict__["checked"]) == before + 1


async def test_hashing_gives_way_to_everything_else() -> None:
    class Noting(Hasher):
        def is_of(self, stored: str, plain: str) -> bool:
            self.__dict__["niceness"] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            return False

    hasher = Noting(profiles.CHEAPEST)
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await Passwords(hasher=hasher).is_right(None, WRONG, "here")
    gives_way = passwords.NICENESS if sys.platform == "linux" else 0
    assert hasher.__dict__["niceness"] == min(before + gives_way, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
