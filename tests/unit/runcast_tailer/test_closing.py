"""When a log ends, and when it doesn't."""

from pathlib import Path

import pytest
from tests.unit.runcast_tailer.files import World

from runcast.contract import SENTINEL
from runcast_tailer.closing import ABANDONED_SECONDS, Ending, reason


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "logs.txt")
    world.write(b"one\ntwo")
    world.settle()
    return world


def why(world: World, ending: Ending, *, quiet: float = 5.0, silent: float = 5.0) -> str | None:
    follower = world.tail.follower
    return reason(follower, ending, follower.quiet_since + quiet, silent_seconds=silent)


def test_a_run_that_goes_on_keeps_its_log_open(world: World) -> None:
    assert why(world, Ending(False)) is None


def test_a_terminal_status_without_sentinel_closes_the_log_after_a_quiet_moment(
    world: World,
) -> None:
    assert why(world, Ending(True), quiet=0.5) is None
    assert why(world, Ending(True), quiet=1.0) == "status"


def test_bytes_that_the_writer_counted_are_waited_for(world: World) -> None:
    assert why(world, Ending(True, (2, 8)), quiet=2.0) is None
    assert why(world, Ending(True, (2, 8)), quiet=10.0) == "status"
    assert why(world, Ending(True, (1, 4)), quiet=1.0) == "status"


def test_an_agent_that_died_abandons_its_log(world: World) -> None:
    silent = ABANDONED_SECONDS + 1
    assert why(world, Ending(False), quiet=silent, silent=silent) == "abandoned"


def test_a_log_that_was_abandoned_and_grows_again_is_open_again(world: World) -> None:
    world.tail.finish("abandoned", world.now)
    world.settle()
    assert world.sink.committed.closed_reason == "abandoned"
    world.write(b" more\nthree\n")
    world.settle()
    assert world.sink.lines == ["one", "two", " more", "three"]
    assert world.sink.committed.closed_reason is None
    assert why(world, Ending(False)) is None


def test_a_sentinel_closes_the_log_while_the_run_goes_on(world: World) -> None:
    world.write(f"\n{SENTINEL}\n".encode())
    world.settle()
    assert world.sink.committed.closed_reason == "sentinel"
    assert why(world, Ending(True)) is None  # it's closed already


def test_a_sentinel_without_line_end_closes_after_a_quiet_moment(world: World) -> None:
    world.write(f"\n{SENTINEL}".encode())
    world.settle()
    assert why(world, Ending(False)) == "sentinel"
    world.write(b" not quite")
    world.settle()
    assert why(world, Ending(False)) is None


def test_a_log_with_more_to_read_is_not_closed(world: World) -> None:
    world.tail.follower.exhausted = False
    assert why(world, Ending(True)) is None
