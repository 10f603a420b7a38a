"""A disk that is full for a while: under an agent's log, and under the SDK's spool.

Where this user may mount one, the run's directory is a small tmpfs that is filled up. And everywhere
`RLIMIT_FSIZE` of the writing process stands for the disk: writes fail, or are cut short to the byte. The
tailer itself writes nothing: its position lies in Postgres.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from tests.acceptance.faults import running
from tests.torture.cluster import Cluster
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(120)

FULL_LINES = 80
"""Lines while the disk is full: more than the last block that was begun still takes."""
TRACKED = """
import sys, time
from runcast import RunTracker

with RunTracker(project="files", run_id=sys.argv[2], runs_dir=sys.argv[1]) as run:
    for number in range(1, 100_000):
        run.log(f"line {number}")
        print(number, flush=True)
        if sys.stdin.readline() != "on\\n":
            break
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(apis=1, hubs=0, tailers=1) as cluster:
        yield cluster


def lines_of(cluster: Cluster, key: str) -> list[str]:
    """The run's lines as they are stored; none before the run is known."""
    headers = {"Authorization": f"Bearer {cluster.token}", "Accept": "text/plain"}
    url = f"{cluster.apis[0].url}/runs/{key}/logs?project=files"
    answer = httpx.get(url, headers=headers, timeout=20)
    return answer.text.splitlines() if answer.status_code == 200 else []


def until(cluster: Cluster, key: str, last: str) -> list[str]:
    """The stored lines, once the line `last` is among them."""
    wait_for(
        lambda: last in lines_of(cluster, key)[-3:],
        f"{last!r} to be stored",
        lambda: str(lines_of(cluster, key)[-3:]),
    )
    return lines_of(cluster, key)


@contextlib.contextmanager
def full_disk(pid: int, size: int) -> Iterator[None]:
    """No file of the process may grow beyond `size`."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of one megabyte at this place. Raises `subprocess.CalledProcessError`, `OSError`."""
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(place)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield
    finally:
        # Whoever has a file of it open keeps it until then.
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def filled_up(place: Path) -> Iterator[None]:
    """No block is left on the file system of this place."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        _write_on(file)
    try:
        yield
    finally:
        ballast.unlink()


def _write_on(file: FileIO) -> NoReturn:
    while True:
        file.write(bytes(4096))


def can_mount() -> bool:
    """Whether this machine and this user may."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            with small_disk(Path(directory, "disk")):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


WAYS = ["limit", *(["tmpfs"] if can_mount() else [])]


@pytest.mark.parametrize("way", WAYS)
def test_a_log_whose_disk_was_full_goes_on_where_it_stopped(cluster: Cluster, way: str) -> None:
    key = f"plain-{way}"
    directory = cluster.runs_dir / key
    with small_disk(directory) if way == "tmpfs" else contextlib.nullcontext():
        _fill_under_an_agent(cluster, directory, way)


def _fill_under_an_agent(cluster: Cluster, directory: Path, way: str) -> None:
    agent = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.file_agent", str(directory), "file-0", "400"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        log = directory / "logs.txt"
        for room in (77, 500, 3):
            grown(log, 2_000)
            limit = log.stat().st_size + room
            with filled_up(directory) if way == "tmpfs" else full_disk(agent.pid, limit):
                stuck(agent.pid, log, 0 if way == "tmpfs" else limit)
        agent.terminate()
        told = json.loads(agent.communicate(timeout=30)[0])
    finally:
        agent.kill()
    assert told["failures"] > 0
    stored = until(cluster, directory.name, log.read_text().splitlines()[-1])
    assert len(stored) == told["lines"]
    assert [int(line.split(":")[1].split("~")[0]) for line in stored] == list(
        range(1, told["lines"] + 1)
    )


def grown(file: Path, by: int) -> None:
    """Waits until the file has grown by so many bytes."""
    start = file.stat().st_size if file.exists() else 0
    wait_for(lambda: file.exists() and file.stat().st_size >= start + by, "the agent to write")


def stuck(agent: int, file: Path, at_least: int) -> None:
    """Waits until the file has a size that it keeps while the agent goes on trying."""
    wait_for(lambda: file.stat().st_size >= at_least, "the agent to write")

    def stands() -> bool:
        size, tries = file.stat().st_size, writes_of(agent)
        wait_for(lambda: writes_of(agent) >= tries + 3, "the agent to try again")
        return file.stat().st_size == size

    wait_for(stands, "the log to stand still")


def writes_of(pid: int) -> int:
    """How often the process has called `write`."""
    counts = Path(f"/proc/{pid}/io").read_text()
    return int(counts.partition("syscw: ")[2].split()[0])


@pytest.mark.parametrize("way", WAYS)
def test_a_spool_whose_disk_was_full_loses_nothing(cluster: Cluster, way: str) -> None:
    """The program goes on; what was recorded before and after is stored once, in order."""
    directory = cluster.runs_dir / f"spooled-{way}"
    with small_disk(directory) if way == "tmpfs" else contextlib.nullcontext():
        _fill_under_a_program(cluster, directory, way)


def _fill_under_a_program(cluster: Cluster, directory: Path, way: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", TRACKED, str(cluster.runs_dir), directory.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    spool = directory / "spool.jsonl"
    number = 0

    def go_on(lines: int) -> None:
        nonlocal number
        for _ in range(lines):
            number = int(program.stdout.readline())  # type: ignore[union-attr]
            program.stdin.write("on\n")  # type: ignore[union-attr]
            program.stdin.flush()  # type: ignore[union-attr]

    try:
        go_on(200)
        for room in (50, 1, 400):
            last_before = number
            limit = spool.stat().st_size + room
            with filled_up(directory) if way == "tmpfs" else full_disk(program.pid, limit):
                go_on(FULL_LINES)
            assert number == last_before + FULL_LINES
            go_on(50)
        program.stdout.readline()
        program.stdin.write("enough\n")
        said, complaints = program.communicate(timeout=30)
    finally:
        program.kill()
    assert program.returncode == 0, complaints
    assert said.splitlines()[-1] == "done"
    stored = [
        line for line in until(cluster, directory.name, f"line {number + 1}") if "line" in line
    ]
    numbers = [int(line.split()[-1]) for line in stored]
    assert numbers == list(range(1, number + 2)), "what the disk didn't take waited in memory"
