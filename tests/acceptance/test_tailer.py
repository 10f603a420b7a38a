"""Real files, a real server, real kills: every line arrives once, in order."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.processes import RUNCAST, Up
from tests.waiting import wait_for

LIMITED = (
    "import os, resource, sys;"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256));"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class LimitedUp(Up):
    """`ulimit -n 256; exec runcast up …`."""

    def start(self) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RUNCAST_")}
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self.running = subprocess.Popen(
                [sys.executable, "-c", LIMITED, RUNCAST, *self.arguments],
                cwd=self.directory,
                env={**inherited, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    process = Up.at(tmp_path)
    yield process
    process.cleanup()


def log_of(up: Up, run: str) -> list[str]:
    with up.client() as client:
        answer = client.get(
            f"/runs/{run}/logs", params={"project": "default"}, headers={"Accept": "text/plain"}
        )
    return answer.text.splitlines() if answer.status_code == 200 else []


def has_log(up: Up, run: str, expected: list[str]) -> Callable[[], bool]:
    def check() -> bool:
        try:
            return log_of(up, run) == expected
        except httpx.TransportError:
            return False

    return check


def test_a_server_killed_again_and_again_while_a_file_grows_loses_and_doubles_nothing(
    up: Up,
) -> None:
    texts = [f"{n} a line of the agent" for n in range(30_000)]
    path = up.directory / "runs" / "agent-1" / "logs.txt"
    path.parent.mkdir(parents=True)

    def write() -> None:
        with path.open("a", buffering=1) as file:
            for number, text in enumerate(texts):
                file.write(text + "\n")
                if number % 100 == 0:
                    time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    for seconds in (0.5, 0.9):
        up.start_ready()
        time.sleep(seconds)
        up.kill()
    up.start_ready()
    writer.join()
    wait_for(has_log(up, "agent-1", texts), "all lines", lambda: str(len(log_of(up, "agent-1"))))
    assert up.stop() == 0


def test_a_line_of_ten_megabytes_is_cut_and_can_be_fetched_whole(up: Up) -> None:
    path = up.directory / "runs" / "agent-1" / "logs.txt"
    path.parent.mkdir(parents=True)
    whole = "".join(f"{number:09d}," for number in range(1_000_000))
    path.write_text(f"before\n{whole}\nafter\n")
    up.start_ready()
    wait_for(lambda: len(log_of(up, "agent-1")) == 3, "three lines")
    before, cut, after = log_of(up, "agent-1")
    assert (before, after) == ("before", "after")
    assert cut == f"{whole[:65_536]} … [+{len(whole) - 65_536} bytes]"
    with up.client() as client:
        run = client.get("/projects/default/runs", params={"key": "agent-1"}).json()["runs"][0]
        answer = client.get(f"/runs/{run['id']}/logs/2/raw")
    assert answer.text == whole
    assert up.stop() == 0


def test_a_few_descriptors_lose_nothing(tmp_path: Path) -> None:
    """`ulimit -n 256` and more files than that, all of them growing."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 256
    up = LimitedUp.at(tmp_path)
    runs = [f"run-{number}" for number in range(400)]
    for run in runs:
        path = tmp_path / "runs" / run / "logs.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"one {run}\n")
    try:
        up.start_ready()
        for word in ("two", "three"):
            for run in runs:
                with (tmp_path / "runs" / run / "logs.txt").open("a") as file:
                    file.write(f"{word} {run}\n")
            time.sleep(0.5)
        for run in (runs[0], runs[199], runs[399]):
            expected = [f"{word} {run}" for word in ("one", "two", "three")]
            wait_for(has_log(up, run, expected), f"the lines of {run}")
        wait_for(lambda: lines_of_all_runs(up) == 1_200, "all lines of all runs")
        assert up.stop() == 0
    finally:
        up.cleanup()


def lines_of_all_runs(up: Up) -> int:
    with up.client() as client:
        found = client.get("/projects/default/runs", params={"limit": 1000}).json()["runs"]
    return sum(run["last_line_number"] for run in found)
