"""The SDK where there is no `fcntl`, no fork and no signal but a few: Windows and macOS, as far as Linux can
play them. What their standard libraries lack is taken away before `runcast` is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, concurrent.futures, ctypes, http.client, importlib, logging, multiprocessing, os, platform
import shutil, signal, socket, ssl, subprocess, sys, tempfile, typing, urllib.request, uuid, zipfile
system = sys.argv[1]
if system == "win32":
    MODULES = {"fcntl", "termios", "pwd", "grp", "tty", "pty", "resource", "syslog",
               "psutil"}  # the one that is installed here looks for Linux's files
    class Missing:
        def find_spec(self, name, *_):
            if name in MODULES:
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Missing())
    for name in MODULES:
        sys.modules.pop(name, None)
    for name in ("fork", "register_at_fork", "getuid", "geteuid", "O_CLOEXEC", "pread", "fchmod", "setsid",
                 "killpg", "uname", "fork_exec"):
        if hasattr(os, name):
            delattr(os, name)
    for name in [name for name in dir(signal) if name.startswith("SIG") and name not in (
            "SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV", "SIG_DFL", "SIG_IGN")]:
        delattr(signal, name)
sys.platform = system
import runcast
with runcast.RunTracker("here", offline=True, handle_signals=True, capture_output=True) as run:
    run.log("a line")
    run.emit("spec", "half", percent=50)
    run.artifact("notes", "text")
    run.lines("stdout", ["output"])
    with run.span("search"):
        print("printed")
with runcast.RunTracker("here", offline=True) as again:
    again.log("another")
assert again.key == "here-2", again.key
for name in ("logging", "worker", "runtime", "publisher", "_tracking.feeding"):
    importlib.import_module(f"runcast.{name}")
"""


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_a_run_is_recorded(system: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, system], cwd=tmp_path, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    folder = tmp_path / "runs" / "here"
    text = (folder / "logs.txt").read_text()
    assert [each for each in ("a line", "half", "output", "printed", "search") if each in text] == [
        "a line", "half", "output", "printed", "search",
    ]  # fmt: skip
    assert json.loads((folder / "status.json").read_bytes())["status"] == "completed"
    assert b"could not" not in ran.stderr
