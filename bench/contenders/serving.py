"""Starting a contender's process, and fetching what it is made of.

What is fetched comes by package name from the registries and stays in `.cache/bench`.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.contenders.contender import NotHere
from bench.machine import SERVER_CPU, allow_many_files, processor

CACHE = Path(__file__).parents[2] / ".cache/bench"
START_SECONDS = 30.0
STOP_SECONDS = 5.0
FETCH_SECONDS = 900.0


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    cpu: int = SERVER_CPU,
) -> Iterator[int]:
    """Runs a command, pinned, until the block ends; yields its pid when it listens on the port."""
    allow_many_files()
    with (directory / "output.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=output,
            preexec_fn=lambda: os.sched_setaffinity(0, processor(cpu)),
        )
    try:
        _wait_until_it_listens(process, port, directory / "output.log")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise NotHere(f"it doesn't start: {log.read_text(errors='replace')[-400:]}")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory for one run of a contender."""
    directory = Path(tempfile.mkdtemp(prefix="runcast-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def program(name: str) -> str:
    """Where a program of this machine is. Raises `NotHere`."""
    found = shutil.which(name)
    if found is None:
        raise NotHere(f"no {name} on this machine")
    return found


def fetched(command: Sequence[str], directory: Path) -> None:
    """Runs a command that fetches or builds. Raises `NotHere` with the end of what it says."""
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"`{' '.join(command[:3])}` took too long") from error
    if done.returncode != 0:
        raise NotHere(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-300:]}")


def go_program(name: str, module: str, version: str, source: Path | None = None) -> str:
    """A program built from a released Go module: its own main package, or the source that uses it."""
    go = program("go")
    directory = CACHE / f"{name}-{version}"
    binary = directory / name
    if binary.exists():
        return str(binary)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "go.mod").unlink(missing_ok=True)
    if source is not None:
        shutil.copy(source, directory / "main.go")
    fetched([go, "mod", "init", f"bench/{name}"], directory)
    fetched([go, "mod", "edit", f"-require={module}@{version}"], directory)
    building = f"{name}.building"
    fetched([go, "build", "-mod=mod", "-o", building, "." if source else module], directory)
    (directory / building).replace(binary)
    return str(binary)
