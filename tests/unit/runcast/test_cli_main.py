"""The program's outermost line: errors are a sentence and a code."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from runcast import errors
from runcast.cli import exits, main, program


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def fail(**_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(program, "build", lambda _: fail)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def problem(status: int) -> errors.ApiError:
    return errors.from_problem(status, {"title": "No", "errors": [{"field": "a"}]}, None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotConfigured("no server"), exits.UNREACHABLE),
        (errors.Unreachable("refused"), exits.UNREACHABLE),
        (problem(503), exits.UNREACHABLE),
        (problem(401), exits.DENIED),
        (problem(403), exits.DENIED),
        (errors.StreamEnded("revoked"), exits.DENIED),
        (problem(404), exits.NOT_FOUND),
        (problem(409), exits.REFUSED),
        (problem(422), exits.REFUSED),
        (problem(429), exits.REFUSED),
        (errors.InvalidFile("f", "odd"), exits.FAILED),
        (ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn"), exits.USAGE),
        (FileNotFoundError(2, "No such file or directory", "nosuch/x"), exits.FAILED),
        (ExceptionGroup("two", [problem(404), problem(403)]), exits.NOT_FOUND),
    ],
)
def test_an_error_is_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    assert fails_with(monkeypatch, error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("runcast: ")
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])]
)
def test_ctrl_c_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    assert fails_with(monkeypatch, error) == exits.INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["exec -q -- true", "logs x --dir .", "wait x --dir ."])
def test_short_commands_load_little(command: str, tmp_path: Path) -> None:
    """`exec`, `logs` and `wait` start as fast as they can."""
    heavy = ("httpx", "redis", "rich", "pydantic", "importlib.metadata")
    program = (
        "import sys, runcast.cli.program as p; p.run(sys.argv[1:]);"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        cwd=tmp_path,
        env={**os.environ, "RUNCAST_MODE": "offline"},
        capture_output=True,
        check=True,
    )
    assert shown.stdout == b"[]\n"


def test_values_are_checked_as_ever(capfd: pytest.CaptureFixture[str]) -> None:
    assert program.run(["logs", "x", "-n", "many"]) == exits.USAGE
    assert program.run(["exec", "--run"]) == exits.USAGE
    assert program.run(["exec"]) == exits.USAGE
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 3
    assert "'-n': Input should be a valid integer" in said[0]


def test_missing_libraries_are_said_how_to_get(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, ModuleNotFoundError("x", name="uvicorn"))
    assert "pip install 'runcast[embedded]'" in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        fails_with(monkeypatch, ModuleNotFoundError("x", name="runcast_api"))
