"""Which process has a run: it ends the run, and others that write into the run are its guests.

A process is known by its number and the moment at which it started, on one machine: numbers come again.
"""

import os
import socket
from pathlib import Path
from typing import Any

import orjson

Writer = dict[str, Any]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read(path: Path) -> Writer:
    """The process that the file names; empty where it names none."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def this_process() -> Writer:
    """This process, as `.writer.json` names it."""
    return {"pid": os.getpid(), "started": _started(os.getpid()), "host": _host()}


def is_another_that_lives(writer: Writer) -> bool:
    """Whether it is another process of this machine that still lives. Of another machine's nothing is
    known: it doesn't count."""
    if writer.get("host") != _host():
        return False
    pid = writer.get("pid")
    if not isinstance(pid, int) or pid <= 0 or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return writer.get("started") == _started(pid)


def is_gone(writer: Writer) -> bool:
    """Whether it was a process of this machine that lives no more. Of another machine's, and where none is
    named, nothing is known: it isn't gone."""
    is_ours = isinstance(writer.get("pid"), int) and writer.get("host") == _host()
    return is_ours and writer["pid"] != os.getpid() and not is_another_that_lives(writer)


def _host() -> str:
    try:
        return f"{socket.gethostname()} {_BOOT_ID.read_text()[:8]}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """When the process started, in ticks since the machine's start; None where that isn't told."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rfind(b")") + 2 :].split()
    return fields[19].decode() if len(fields) > 19 and fields[0] not in (b"Z", b"X") else None
