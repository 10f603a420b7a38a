"""A type checker finds nothing wrong in a right program that uses the SDK, and each mistake of another."""

import re
import subprocess
import sys
from pathlib import Path

RIGHT = """
import logging
from runcast import AsyncRunTracker, Client, RunTracker, current_run, run, step
from runcast.client.answers import Run
from runcast.logging import RuncastHandler

logging.getLogger().addHandler(RuncastHandler(project="demo", labels={"team": "search"}))

@step
def plan(number: int) -> str:
    current = current_run()
    if current is not None:
        current.log("planning", level="info", payload={"n": number})
    return str(number)

@run("nightly", project="demo", job="nightly")
def nightly(number: int) -> str:
    return plan(number)

def main() -> str | None:
    with RunTracker("my-run", steps=["spec"], resume="must", mode="offline") as tracker:
        tracker.emit("spec", "half", percent=50.5)
        with tracker.span("search", kind="tool", input={"q": 1}) as span:
            span.output([1])
        with tracker.child("helper", labels={"a": "b"}) as helper:
            helper.finish("failed", "it broke", result={"exit_code": 1})
        code: int = tracker.exec(["true"])
        sent: bool = tracker.flush(1.0)
        return tracker.url if sent and not code else nightly(1)

async def other() -> None:
    async with AsyncRunTracker() as tracker:
        await tracker.log("x")
        await tracker.finish("cancelled")

with Client() as client:
    runs: list[Run] = client.list_runs("demo")["runs"]
    numbers: list[int] = [each["number"] for each in client.iter_runs("demo")]
"""
WRONG = """
from runcast import Client, RunTracker, step
from runcast.logging import RuncastHandler
run = RunTracker(stepz=["a"])
run.finish("success")
run.finish(exit_code=1)
run.child("x", lables={})
RuncastHandler(nme="x")
RunTracker(resume="maybe")

@step
def number() -> int:
    return 1

text: str = number()
Client().get_run("my-run")["nmae"]
"""
CACHE = Path(__file__).parents[3] / ".mypy_cache" / "programs"
"""Kept between two runs: the first one checks the whole SDK."""
ERRORS = re.compile(r"^wrong\.py:(\d+): error:", re.MULTILINE)


def test_a_program_is_checked(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir",
         str(CACHE), "right.py", "wrong.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "right.py" not in ran.stdout, ran.stdout
    assert [int(line) for line in ERRORS.findall(ran.stdout)] == [4, 5, 6, 7, 8, 9, 15, 16], (
        ran.stdout
    )
