"""How long a lost subtask waits, and who may move a leased one."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from runcast_api.board import leases
from runcast_server.errors import Conflict

RUN = uuid4()


def test_the_delay_doubles_up_to_five_minutes() -> None:
    assert [leases.delay_seconds(attempt) for attempt in (1, 2, 3, 9, 10, 1000)] == [
        1.0,
        2.0,
        4.0,
        256.0,
        300.0,
        300.0,
    ]


def leased(**members: Any) -> dict[str, Any]:
    return {"worker_id": "w1", "run_id": str(RUN), "lease_expires_at": "later"} | members


@pytest.mark.parametrize(
    ("worker_id", "run_id", "is_person", "has_expired", "may"),
    [
        ("w1", None, False, False, True),
        ("w1", RUN, False, False, True),
        ("w1", uuid4(), False, False, False),
        ("w1", None, False, True, False),
        ("w2", None, False, False, False),
        ("w2", None, True, False, False),
        (None, None, True, False, True),
        (None, None, True, True, True),
        (None, None, False, False, False),
    ],
)
def test_who_may_move_a_leased_subtask(
    worker_id: str | None, run_id: UUID | None, is_person: bool, has_expired: bool, may: bool
) -> None:
    def ask() -> None:
        leases.require_holder(
            leased(),
            has_expired=has_expired,
            worker_id=worker_id,
            run_id=run_id,
            is_person=is_person,
        )

    if may:
        ask()
    else:
        with pytest.raises(Conflict):
            ask()


def test_without_a_lease_anybody_may() -> None:
    leases.require_holder(
        leased(lease_expires_at=None),
        has_expired=False,
        worker_id="w9",
        run_id=None,
        is_person=False,
    )
