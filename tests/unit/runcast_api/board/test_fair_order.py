"""Whose turn it is, without a database."""

from runcast._support.ids import uuid7
from runcast_api.board.fair_order import Queue, Turns

A, B, C = (uuid7() for _ in range(3))


def test_the_fewest_at_work_come_first_then_who_waited_longest() -> None:
    queues = [Queue(A, 2, 10.0), Queue(B, 1, 30.0), Queue(C, 1, 20.0)]
    assert Turns().in_order(queues) == [C, B, A]


def test_claims_on_their_way_count() -> None:
    turns = Turns()
    queues = [Queue(A, 0, 0.0), Queue(B, 0, 1.0)]
    with turns.taken(A):
        assert turns.in_order(queues) == [B, A]
    assert turns.in_order(queues) == [B, A], "given since the look"


def test_a_claim_that_found_nothing_does_not_count() -> None:
    turns = Turns()
    with turns.taken(A) as withdraw:
        withdraw()
    assert turns.in_order([Queue(A, 0, 0.0), Queue(B, 0, 1.0)]) == [A, B]
    assert turns.settled[A] == 0
