"""Every program comes out of `runcast exec` as it does alone, whatever its stdio.

`make test` compares each program in one kind of stdio, all kinds in turn; `RUNCAST_TEST_EXPLORE=1`
compares all of them in all kinds.
"""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.commands import RUNCAST, environment
from tests.transparency.kinds import KINDS, Seen, Start
from tests.transparency.programs import PROGRAMS, Program

AT_ONCE = 4
EXPLORES = bool(os.environ.get("RUNCAST_TEST_EXPLORE"))


def chosen(kind: str) -> Sequence[Program]:
    """Of all programs those that this kind is tried with; together the kinds have every one."""
    place, number = list(KINDS).index(kind), len(KINDS)
    programs = PROGRAMS if EXPLORES else PROGRAMS[place::number]
    return [each for each in programs if not (each.detaches and kind.startswith("terminal"))]


def seen(kind: str, program: Program, directory: Path, *, wrapped: bool) -> Seen:
    directory.mkdir(parents=True)
    (directory / "unmarked").write_text("echo script $1 $2\n")
    (directory / "unmarked").chmod(0o755)
    runs = str(directory.parent / "runs")
    before = (RUNCAST, "exec", "-q", "--offline", "--runs-dir", runs, "--") if wrapped else ()
    environ = {**environment(), "LARGE": "x" * 100_000, "LC_ALL": "C.UTF-8"}
    return KINDS[kind](Start((*before, *program.argv), directory, environ, program.reads))


def difference(kind: str, program: Program, directory: Path) -> str | None:
    """How the program differs under `exec`, if it does."""
    work = directory / "work"
    found = []
    for wrapped in (False, True):
        # A command that meets EAGAIN alone may lose its output; under `exec` it is to lose nothing.
        given = "pipes" if kind == "slow_nonblocking" and not wrapped else kind
        try:
            found.append(seen(given, program, work, wrapped=wrapped))
        except (FileNotFoundError, PermissionError) as error:
            # What the kernel tells a program that starts another, a shell tells as a code.
            found.append(Seen(127 if isinstance(error, FileNotFoundError) else 126, b""))
        shutil.rmtree(work)
    alone, under = found
    if program.name in ("not found", "a directory", "not executable"):
        return None if alone.code == under.code else f"{program.name}: {alone.code} {under.code}"
    return None if alone == under else f"{program.name}:\n  alone {alone}\n  under {under}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_is_itself_under_exec(kind: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(
            lambda numbered: difference(kind, numbered[1], tmp_path / str(numbered[0])),
            enumerate(chosen(kind)),
        )
        differences = [each for each in found if each is not None]
    assert not differences, "\n".join(differences)
