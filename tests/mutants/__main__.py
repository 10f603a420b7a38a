"""Applies each mutation to a copy of the product and expects that its test fails there.

python -m tests.mutants [PART]: only those whose description holds this text. A mutation that no test notices,
or whose place isn't there any more, ends it with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants import doors, security, streams
from tests.mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "services/api", "services/hub", "services/tailer", ".")
SECONDS = 400
OK, FAILED = 0, 1
_VERDICTS = {OK: "NOT CAUGHT", FAILED: "caught"}
"""By pytest's exit code. A product that can't be imported proves nothing of the test."""
TEST_SECONDS = 300
"""A test that passes may take so long on a busy machine; one that hangs counts as failed."""


def main() -> int:
    part = " ".join(sys.argv[1:])
    chosen = [
        mutant
        for mutant in [*streams.MUTANTS, *MUTANTS, *security.MUTANTS, *doors.MUTANTS]
        if part in str(mutant)
    ]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="runcast-mutants-") as directory:
        copy = Path(directory) / "product"
        _copy(copy)
        good = {test: _ends(copy, test) == OK for test in dict.fromkeys(m.test for m in chosen)}
        for mutant in chosen:
            verdict = _verdict(copy, mutant) if good[mutant.test] else "fails anyway"
            failed += verdict != "caught"
            sys.stdout.write(f"{verdict:12} {mutant} ({mutant.test.rpartition('/')[2]})\n")
            sys.stdout.flush()
    return 1 if failed else 0


def _copy(copy: Path) -> None:
    """What git knows of the product, or would take, as it is here."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)


def _verdict(copy: Path, mutant: Mutant) -> str:
    file = copy / mutant.file
    good = file.read_text()
    if good.count(mutant.old) != 1:
        return "not found"
    file.write_text(good.replace(mutant.old, mutant.new))
    try:
        return _VERDICTS.get(_ends(copy, mutant.test), "can't be run")
    finally:
        file.write_text(good)


def _ends(copy: Path, test: str) -> int:
    """How the test ends on the product as it is there: pytest's exit code. One that hangs has failed."""
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(copy / package) for package in PACKAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "--timeout",
        str(TEST_SECONDS),
        "-p",
        "no:cacheprovider",
        test,
    ]
    try:
        ran = subprocess.run(command, cwd=copy, env=environ, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return FAILED
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
