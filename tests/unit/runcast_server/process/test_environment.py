"""Which errors a wrong environment is told for, and which stay defects."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import asyncpg
import pytest
import redis

from runcast_server.process import environment, launch


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/data/lock"),
            "/data/lock: Permission",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "make room there"),
        (OSError(errno.EROFS, "Read-only file system", "/data"), "a place that can be written"),
        (OSError(errno.EMFILE, "Too many open files"), "LimitNOFILE"),
        (asyncpg.DuplicateTableError("relation exists\nDETAIL: x"), "Postgres refuses: relation"),
        (asyncpg.InterfaceError("connection is closed"), "the connection to Postgres failed"),
        (redis.ResponseError("OOM command not allowed"), "Redis can't be used: OOM"),
        (MemoryError(), "more"),
    ],
)
def test_what_the_environment_is_to_blame_for_is_said_in_one_line(
    error: Exception, says: str
) -> None:
    for each in (error, ExceptionGroup("two", [ValueError("a defect"), error])):
        said = environment.explained(each)
        assert said is not None
        assert says in said
        assert "\n" not in said


@pytest.mark.parametrize("error", [KeyError("x"), OSError("of our own"), RuntimeError("x")])
def test_a_defect_keeps_its_trace(error: Exception) -> None:
    assert environment.explained(error) is None


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(environment.getpass, "getuser", nameless)
    said = environment.explained(PermissionError(errno.EACCES, "Permission denied", "/data"))
    assert said is not None
    assert f"the user {os.geteuid()} " in said


@pytest.mark.parametrize("command", ["up", "migrate"])
def test_a_data_directory_that_is_a_file_ends_a_command_with_a_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a command meets on its way."""

    async def fails(*_: object) -> None:
        (tmp_path / "file" / "data").mkdir(parents=True)

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(launch, "_migrate", fails)
    assert launch.launch(command, {"data": tmp_path / "file", "port": 0}) == 1
    said = capfd.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"runcast: {tmp_path / 'file'}")
    assert "RUNCAST_DATA" in said[0]
