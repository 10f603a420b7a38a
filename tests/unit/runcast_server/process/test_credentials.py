"""credentials.json and the lock of a data directory."""

import os
import stat
from pathlib import Path

import pytest

from runcast_server.process import credentials, datadir

WRITTEN = credentials.Credentials("http://127.0.0.1:8000", "rc_x", "redis://:p@127.0.0.1:1/0", 7)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    credentials.write(tmp_path, WRITTEN)
    assert stat.S_IMODE((tmp_path / "credentials.json").stat().st_mode) == 0o600
    assert credentials.read(tmp_path) == WRITTEN


def test_replacing_it_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        credentials.write(tmp_path, WRITTEN)
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"url": "x"}', '{"url":1,"token":2,"redis_url":3,"pid":"x"}']
)
def test_what_cannot_be_understood_counts_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    assert credentials.read(tmp_path) is None


def test_a_second_start_is_told_the_address_of_the_first(tmp_path: Path) -> None:
    running = credentials.Credentials("http://127.0.0.1:8000", "rc_x", "", os.getpid())
    credentials.write(tmp_path, running)
    with (
        datadir.locked(tmp_path),
        pytest.raises(datadir.InUseError, match=r"already running.*http://127\.0\.0\.1:8000"),
        datadir.locked(tmp_path),
    ):
        pass


def test_a_start_that_has_no_address_yet_is_not_named_by_the_last_one(tmp_path: Path) -> None:
    credentials.write(
        tmp_path, credentials.Credentials("http://127.0.0.1:1", "rc_x", "", 2**22 + 1)
    )
    with (
        datadir.locked(tmp_path),
        pytest.raises(datadir.InUseError, match="just starting"),
        datadir.locked(tmp_path),
    ):
        pass


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with datadir.locked(tmp_path / "made"):
            assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
