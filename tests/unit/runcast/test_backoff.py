"""How long to wait before trying again."""

import random

from runcast._support.backoff import Backoff


def test_the_wait_grows_and_is_never_longer_than_the_longest() -> None:
    backoff = Backoff(1.0, 30.0)
    waits = [backoff.next_seconds() for _ in range(50)]
    assert all(1.0 <= wait <= 30.0 for wait in waits)
    assert max(waits[10:]) > 5.0
    assert 20.0 <= backoff.next_seconds(at_least=20.0) <= 21.0


def test_random_numbers_of_the_host_program_stay_as_it_has_seeded_them() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    Backoff().next_seconds()
    assert random.random() == expected
