"""What `runcast watch` costs, and how soon a record is seen.

    python -m bench.watch [--megabytes 1000] [--sessions 500] [--records 60] [--only history,idle,latency]

- history: transcripts of this many megabytes, read with `--since all`; beside them what it costs to read the
  same bytes and parse each record that anybody reads, which no one can go below.
- idle: sessions that sleep, followed for 20 s, as a share of one core.
- latency: from the moment before a record is appended to its line in the project's stream, on a server of its
  own.

The marks: 1 GB in 30 s, less than 1 % of a core, 400 ms at the median.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import orjson
from bench.server import Server, machine, server

from runcast.watch import starting
from runcast.watch.claude_sessions import ClaudeSessions
from runcast.watch.watcher import Watcher

SESSION_BYTES = 20_000_000
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 62.0
"""After this time a session that moved counts as asleep."""
APPEND_SECONDS = 0.3
TIME = "2026-11-26T09:00:00.000Z"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--records", type=int, default=60)
    parser.add_argument("--only", default="history,idle,latency")
    options = parser.parse_args()
    print(machine())
    asked = options.only.split(",")
    if "history" in asked:
        _in_scratch(lambda place: history(place, options.megabytes))
    if "idle" in asked:
        _in_scratch(lambda place: idle(place, options.sessions))
    if "latency" in asked:
        with server() as one:
            _in_scratch(lambda place: latency(place, one, options.records))


def _in_scratch(measure: Callable[[Path], None]) -> None:
    place = Path(tempfile.mkdtemp(prefix="runcast-bench-"))
    try:
        measure(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def record(session: str, kind: str, message: dict[str, object]) -> bytes:
    whole = {
        "parentUuid": None,
        "isSidechain": False,
        "cwd": "/w/app",
        "sessionId": session,
        "version": "2.1.300",
        "type": kind,
        "message": message,
        "uuid": str(uuid.uuid4()),
        "timestamp": TIME,
    }
    return orjson.dumps(whole) + b"\n"


def turn(session: str, words: random.Random) -> list[bytes]:
    """A prompt, and eight calls of a tool with their results and the records that no one reads."""

    def text(size: int) -> str:
        return " ".join(f"{words.getrandbits(40):x}" for _ in range(size // 11))

    found = [record(session, "user", {"role": "user", "content": text(120)})]
    for _ in range(8):
        call = f"toolu_{words.getrandbits(60):x}"
        usage = {"input_tokens": 5, "cache_read_input_tokens": 30_000, "output_tokens": 200}
        head = {
            "id": f"msg_{call}",
            "role": "assistant",
            "model": "claude-sonnet-5",
            "usage": usage,
        }
        given = {"command": text(100), "description": text(40)}
        tool = {"type": "tool_use", "id": call, "name": "Bash", "input": given}
        result = {"type": "tool_result", "tool_use_id": call, "content": text(8000)}
        found += [
            record(session, "assistant", head | {"content": [{"type": "text", "text": text(400)}]}),
            record(session, "assistant", head | {"content": [tool]}),
            record(session, "user", {"role": "user", "content": [result]}),
            *[b'{"type":"progress","data":{"output":"' + text(3000).encode() + b'"}}\n'] * 3,
        ]
    return found


def watcher_of(place: Path) -> Watcher:
    paths = {"claude": [place / "claude"]}
    asked = starting.Asked(place / "runs", agents=["claude"], paths=paths, since_seconds=None)
    return starting.watcher(asked, starting.roots(asked))


def history(place: Path, megabytes: int) -> None:
    words = random.Random(1)
    left = megabytes * 1_000_000
    while left > 0:
        session = str(uuid.UUID(int=words.getrandbits(128)))
        path = place / "claude" / "projects" / "p" / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        turns = b"".join(line for _ in range(8) for line in turn(session, words))
        with path.open("wb") as file:
            for _ in range(max(min(left, SESSION_BYTES) // len(turns), 1)):
                file.write(_renewed(turns))
                left -= len(turns)
    bare = _timed(lambda: bare_parse(place))
    watcher = watcher_of(place)
    ours = _timed(watcher.drain)
    watcher.close()
    print(
        f"history: {megabytes} MB in {ours[0]:.1f} s, {ours[1]:.1f} s of a processor; "
        f"reading and parsing alone {bare[1]:.1f} s: {ours[1] / bare[1]:.2f} times"
    )


def _renewed(turns: bytes) -> bytes:
    """The same records as others: a `uuid` counts once."""
    return turns.replace(b'"uuid":"', b'"uuid":"' + os.urandom(4).hex().encode())


def bare_parse(place: Path) -> None:
    skips = ClaudeSessions().skips
    for path in place.rglob("*.jsonl"):
        with path.open("rb") as file:
            for line in file:
                if not skips(line):
                    orjson.loads(line)


def _timed(what: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.monotonic(), time.process_time()
    what()
    return time.monotonic() - wall, time.process_time() - cpu


def idle(place: Path, sessions: int) -> None:
    words = random.Random(2)
    earlier = time.time() - 600
    for number in range(sessions):
        session = str(uuid.UUID(int=words.getrandbits(128)))
        path = place / "claude" / "projects" / f"p{number % 25}" / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(turn(session, words)[:4]))
        os.utime(path, (earlier, earlier))
    watcher = watcher_of(place)
    watcher.drain()
    _rounds(watcher, SETTLE_SECONDS)
    cpu = time.process_time()
    _rounds(watcher, IDLE_SECONDS)
    share = 100 * (time.process_time() - cpu) / IDLE_SECONDS
    print(f"idle: {sessions} sleeping sessions take {share:.2f} % of a core")


def _rounds(watcher: Watcher, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        watcher.round()
        time.sleep(max(0.25 - (time.monotonic() - began), 0.0))


def latency(place: Path, one: Server, records: int) -> None:
    session = str(uuid.uuid4())
    path = place / "claude" / "projects" / "p" / f"{session}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(record(session, "user", {"role": "user", "content": "sent 0"}))
    arrived: dict[str, float] = {}
    is_ready = threading.Event()
    listener = threading.Thread(
        target=_listen, args=(one, f"claude-{session}", arrived, is_ready), daemon=True
    )
    program = str(Path(sys.executable).with_name("runcast"))
    command = [program, "watch", "claude", "--path", f"claude={place / 'claude'}", "--since", "all"]
    environ = os.environ | {
        "RUNCAST_URL": one.url,
        "RUNCAST_TOKEN": one.token,
        "XDG_CONFIG_HOME": str(place),
    }
    with subprocess.Popen(command, cwd=place, env=environ, stdout=subprocess.DEVNULL) as watching:
        listener.start()
        is_ready.wait(60)
        sent: dict[str, float] = {}
        for number in range(1, records + 1):
            text = f"sent {number}"
            line = record(session, "user", {"role": "user", "content": text})
            with path.open("ab") as file:
                sent[text] = time.monotonic()
                file.write(line)
            time.sleep(APPEND_SECONDS * random.uniform(0.5, 1.5))
        time.sleep(3)
        watching.terminate()
    taken = sorted(1000 * (arrived[text] - at) for text, at in sent.items() if text in arrived)
    print(
        f"latency: {len(taken)} of {records} records were seen, {statistics.median(taken):.0f} ms at the "
        f"median, {taken[int(len(taken) * 0.95)]:.0f} ms at the 95th percentile"
    )


def _listen(one: Server, key: str, arrived: dict[str, float], is_ready: threading.Event) -> None:
    """Notes when each message comes by the run's stream."""
    with one.http() as http:
        while http.get(f"/runs/{key}", params={"project": "default"}).status_code != 200:
            time.sleep(0.1)
        path = f"/runs/{key}/stream"
        with http.stream("GET", path, params={"project": "default"}, timeout=None) as stream:
            is_ready.set()
            for line in stream.iter_lines():
                for text in re.findall(r'"line":"(sent \d+)"', line):
                    arrived.setdefault(text, time.monotonic())


if __name__ == "__main__":
    main()
