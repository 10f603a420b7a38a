"""`runcast-hook`: what an agent starts at each of its hooks. It must never harm the agent.

    runcast-hook AGENT [--hold] [--sync] [--event=NAME]      the hook's input on stdin
    runcast-hook codex-notify JSON

It hands the input to the server and prints what that answers. Without a server, with a slow or a wrong one,
it prints nothing, exits with 0, and takes less than a second. With --hold it waits for the answer to a
question, through restarts of the server, until the agent itself ends. `runcast connect` installs this file as
a program that runs with `-I -S`; so it imports nothing but the standard library's smallest parts, and nothing
of ours.
"""

from __future__ import annotations

import _thread
import http.client
import json
import os
import signal
import ssl
import sys
import time
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would cost a tenth of the program's start
    from types import ModuleType
    from typing import Any, NoReturn

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LIMIT_SECONDS = 0.7
CONNECT_SECONDS = 0.3
HELD_SECONDS = 5.0
"""How long a hook that its agent doesn't wait for may take until the server has its question."""
BESIDE = ("claude", "opencode")
"""Agents whose own prompt stands beside a held hook: they don't wait for it."""
WAIT_SECONDS = 50
READ_BYTES = 64 * 1024 * 1024
SENT_BYTES = 900 * 1024
CUT_CHARACTERS = 64 * 1024
PAUSE_SECONDS = 1.0
AWAITED_SECONDS = 60.0
"""How long after its last sign a watcher that was killed still counts."""
DIALECTS = {"codex": "codex-hook", "opencode": "opencode"}


def place() -> str:
    """The file that says where the server is; others of ours lie beside it."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    named = os.environ.get("RUNCAST_AGENTS_CONFIG")
    return named or os.path.join(base, "runcast", "agents.json")


def configuration() -> Any:
    """Where the server is, and with which key: written by `runcast connect`, readable by its owner alone."""
    with open(place(), encoding="utf-8") as file:
        return json.load(file)


def is_watched(agent: str, configured: Any) -> bool:
    """Whether `runcast watch` sends this agent's own records from here to the same project: then the log
    comes from those. A watcher that works holds the file's lock, and one that was killed is waited for, since
    it reads later what is said now; without locks (Windows) none counts."""
    try:
        path = os.path.join(os.path.dirname(place()), "watching.json")
        with open(path, encoding="utf-8") as file:
            if fcntl is None:
                return False
            age = time.time() - os.fstat(file.fileno()).st_mtime
            if not is_locked(file.fileno(), fcntl) and not 0 <= age < AWAITED_SECONDS:
                return False
            known = json.load(file)
        is_same = [where(known), known["project"]] == [where(configured), configured["project"]]
        return is_same and agent in known["agents"]
    except Exception:
        return False


def is_locked(fd: int, locks: ModuleType) -> bool:
    """Whether another process holds the file's lock; takes a shared one that other hooks don't mind."""
    try:
        locks.flock(fd, locks.LOCK_SH | locks.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def where(known: Any) -> str:
    """The server's address, however it was written."""
    return str(known["url"]).rstrip("/")


def request(known: Any, method: str, path: str, body: bytes | None, seconds: float) -> Any:
    """The server's answer as JSON. Raises whatever goes wrong."""
    url = urlsplit(known["url"])
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            url.netloc, timeout=CONNECT_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(seconds)
        headers = {
            "Authorization": "Bearer " + known["token"],
            "Content-Type": "application/json",
            "User-Agent": "runcast-hook",
        }
        if known.get("watched"):
            headers["X-Runcast-Watched"] = "1"
        connection.request(method, url.path.rstrip("/") + path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise ValueError(answer.status)
        return json.loads(data)
    finally:
        connection.close()


def small(raw: bytes) -> bytes:
    """The input, made small enough to be sent: results of tools and long texts are what is large."""
    if len(raw) <= SENT_BYTES:
        return raw
    payload = json.loads(raw)
    payload.pop("tool_response", None)
    raw = json.dumps(payload).encode()
    return raw if len(raw) <= SENT_BYTES else json.dumps(cut(payload)).encode()


def cut(value: Any) -> Any:
    """The value with long texts cut."""
    if isinstance(value, str) and len(value) > CUT_CHARACTERS:
        return value[:CUT_CHARACTERS] + " … [cut]"
    if isinstance(value, dict):
        return {name: cut(each) for name, each in value.items()}
    return [cut(each) for each in value[:1000]] if isinstance(value, list) else value


def held(known: Any, agent: str, question: str, parent: int) -> Any:
    """What to print for a question, once it is closed. Gives up when the agent is gone."""
    dialect = DIALECTS.get(agent, "claude-hook")
    path = f"/questions/{question}?wait_s={WAIT_SECONDS}&as={dialect}"

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    while True:
        try:
            shown = request(known, "GET", path, None, WAIT_SECONDS + 10)
        except ValueError as error:
            if error.args and error.args[0] in (401, 403, 404):
                return None
            time.sleep(PAUSE_SECONDS)
        except Exception:
            time.sleep(PAUSE_SECONDS)
        else:
            if shown["state"] != "open":
                return shown["agent_answer"]


def limited(seconds: float) -> Any:
    """Ends the program after this time, unless the lock that is answered is released before. A thread does
    it: no signal's handler runs while a name is looked up."""
    lock = _thread.allocate_lock()
    lock.acquire()

    def watch() -> None:
        if not lock.acquire(timeout=seconds):
            os._exit(0)

    _thread.start_new_thread(watch, ())
    return lock


def run(arguments: list[str]) -> str | None:
    """What to print, or None."""
    parent = os.getppid()
    agent, *flags = arguments
    is_held = "--hold" in flags
    # The time counts from here on: an agent may leave its end of stdin open.
    limit = limited(LIMIT_SECONDS)
    if agent == "codex-notify":
        agent, raw = "codex", flags[-1].encode()
    else:
        raw = sys.stdin.buffer.read(READ_BYTES)
    seconds = LIMIT_SECONDS
    if is_held and agent in BESIDE and b'"agent_id"' not in raw:
        limit.release()
        seconds = HELD_SECONDS
        limit = limited(seconds)
    known = configuration()
    known["watched"] = is_watched(agent, known)
    query = f"?hold={int(is_held)}&sync={int('--sync' in flags)}"
    within = os.environ.get("RUNCAST_RUN_ID", "")
    if len(within) == 36 and within.replace("-", "").isalnum():
        query += f"&within={within}"
    named = next((flag[8:] for flag in flags if flag.startswith("--event=")), "")
    if named.isalnum():
        query += f"&event={named}"
    answer = request(known, "POST", f"/agents/{agent}/hooks{query}", small(raw), seconds)
    limit.release()
    question = answer.get("question_id")
    if question:
        answer = held(known, agent, question, parent) if is_held else None
    return json.dumps(answer) if answer else None


def main() -> NoReturn:
    """Prints the answer, if there is one; always ends well."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        said = run(sys.argv[1:])
        if said:
            sys.stdout.write(said + "\n")
            sys.stdout.flush()
    except BaseException:
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
