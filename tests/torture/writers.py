"""Writers: what agents do, through HTTP, through the ingest stream and through files.

Each event carries `~writer:serial~`. A writer remembers which serials it was told are stored, or may
count on (`accepted`), and repeats the others as the contract lets it: with the same idempotency key, the
same message id, or by the file itself. The account at the end compares this with what is stored.
"""

from __future__ import annotations

import asyncio
import random
import re
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from runcast._support import redis_url
from runcast.contract import INGEST_STREAM
from runcast_server import outages
from runcast_server.redis_access import clients

MARK = re.compile(rb"~([a-z]+-\d+):(\d+)~")
BATCH = 400
BEAT_SECONDS = 0.15
REPEAT_SECONDS = 3.0
"""A message on the ingest stream that isn't stored after so long is sent again, and after twice as long once
more: repeats that come faster than they are ingested would only keep the stream from draining."""
LONGEST_REPEAT_SECONDS = 48.0


@dataclass
class Writer:
    """One writer, at `rate` events per second over the whole run: what a fault delays is made up for."""

    name: str
    rate: float
    in_order: bool = True
    attempted: int = 0
    accepted: set[int] = field(default_factory=set)
    repeats: int = 0
    started_at: float = 0.0
    complaints: list[str] = field(default_factory=list)
    """Answers that no fault excuses."""

    def mark(self, serial: int) -> str:
        return f"~{self.name}:{serial}~ something that an agent would say, of the usual length"

    def take(self) -> range:
        """The serials that are due now."""
        due = int((asyncio.get_running_loop().time() - self.started_at) * self.rate)
        first = self.attempted + 1
        self.attempted = min(due, self.attempted + BATCH)
        return range(first, self.attempted + 1)

    async def run(self, stop: asyncio.Event) -> None:
        """Writes until `stop`, then sees to it that everything is stored."""
        self.started_at = asyncio.get_running_loop().time()
        while not stop.is_set():
            if serials := self.take():
                await self.write(serials)
            await asyncio.sleep(BEAT_SECONDS)
        await self.finish()

    async def write(self, serials: range) -> None:
        raise NotImplementedError

    async def finish(self) -> None:
        """Nothing is outstanding when this returns."""


class Http:
    """Requests that are repeated until they are answered, at whichever API answers."""

    def __init__(
        self, token: str, apis: Callable[[], Sequence[str]], chance: random.Random
    ) -> None:
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(5.0)
        )
        self._apis = apis
        self._chance = chance
        self.repeats = 0

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> Any:
        """The JSON of the answer. Raises `RuntimeError` for a refusal that repeating can't mend."""
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                answer = await self._client.request(
                    method,
                    self._chance.choice(self._apis()) + path,
                    headers=headers,
                    json=body,
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 300:
                return answer.json() if answer.content else None
            if answer is not None and answer.status_code not in (429, 500, 502, 503, 504):
                raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            if answer is not None and answer.status_code == 500:
                raise RuntimeError(f"{method} {path}: 500 {answer.text[:300]}")
            self.repeats += 1
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))

    async def close(self) -> None:
        await self._client.aclose()


@dataclass
class HttpWriter(Writer):
    """Log entries, with progress, steps and artifacts between them."""

    http: Http = None  # type: ignore[assignment]
    run_id: str = ""

    async def write(self, serials: range) -> None:
        key = f"{self.name}:{serials[0]}"
        entries = [{"message": self.mark(serial), "level": "info"} for serial in serials]
        try:
            await self.http.send("POST", f"/runs/{self.run_id}/logs", entries, key=key)
            self.accepted.update(serials)
            await self._something_else(serials[-1])
        except RuntimeError as refusal:
            self.complaints.append(str(refusal))

    async def _something_else(self, serial: int) -> None:
        key = f"{self.name}:{serial}:other"
        match serial % 5:
            case 0:
                body = {"stage": "outline", "message": f"at {serial}", "percent": serial % 100}
                await self.http.send("POST", f"/runs/{self.run_id}/progress", body, key=key)
            case 1:
                body = {"step_name": "outline", "content": {"serial": serial}}
                await self.http.send("POST", f"/runs/{self.run_id}/artifacts", body, key=key)
            case 2:
                status = ("running", "awaiting_feedback")[serial // 5 % 2]
                await self.http.send("PATCH", f"/runs/{self.run_id}", {"status": status})


@dataclass
class RedisWriter(Writer):
    """Messages with ids on the ingest stream, sent again until they are seen stored.

    A failover may lose a message that nobody read yet and a repeat may overtake its neighbours, so these
    are not in order; each is stored once.
    """

    url: str = ""
    run_id: str = ""
    stored: Callable[[str], set[int]] = lambda name: set()
    """The serials of a writer that some reader has seen."""
    in_order: bool = False
    _sent_at: dict[int, float] = field(default_factory=dict)
    _sent: Counter[int] = field(default_factory=Counter)
    """How often each message that isn't seen stored was sent."""

    async def run(self, stop: asyncio.Event) -> None:
        self._client = clients.connect(redis_url.parse(self.url), 3.0, clients.never())
        try:
            await super().run(stop)
        finally:
            await self._client.aclose()

    async def write(self, serials: range) -> None:
        now = asyncio.get_running_loop().time()
        seen = self.stored(self.name)
        for serial in [serial for serial in self._sent_at if serial in seen]:
            del self._sent_at[serial]
            self._sent.pop(serial, None)
            self.accepted.add(serial)
        late = [serial for serial, at in self._sent_at.items() if now - at > self._wait(serial)][
            :BATCH
        ]
        self.repeats += len(late)
        self._sent_at.update(dict.fromkeys(serials, 0.0))
        try:
            pipeline = self._client.pipeline(transaction=False)
            for serial in [*late, *serials]:
                pipeline.xadd(INGEST_STREAM, {"m": self._message(serial)})
            await pipeline.execute()
        except outages.REDIS:
            return
        self._sent_at.update(dict.fromkeys([*late, *serials], now))
        self._sent.update([*late, *serials])

    def _wait(self, serial: int) -> float:
        """Seconds until a message is sent again; none before it was sent at all."""
        times = self._sent[serial]
        return min(LONGEST_REPEAT_SECONDS, REPEAT_SECONDS * 2 ** (times - 1)) if times else 0.0

    def _message(self, serial: int) -> bytes:
        return orjson.dumps(
            {
                "type": "agent:log",
                "id": f"{self.name}:{serial}",
                "run_id": self.run_id,
                "data": {"message": self.mark(serial), "level": "info"},
            }
        )

    async def finish(self) -> None:
        while self._sent_at:
            await self.write(range(0))
            await asyncio.sleep(BEAT_SECONDS)


@dataclass
class FileWriter(Writer):
    """The lines that a `file_agent` writes in a process of its own."""

    directory: Path = Path()
    child: subprocess.Popen[bytes] | None = None
    failures: int = 0

    @property
    def log(self) -> Path:
        return self.directory / "logs.txt"

    async def run(self, stop: asyncio.Event) -> None:
        self.child = await asyncio.to_thread(self._start)
        try:
            await stop.wait()
            self.child.terminate()
            said, _ = await asyncio.to_thread(self.child.communicate, None, 60)
        finally:
            self.child.kill()
        told = orjson.loads(said)
        self.attempted, self.failures = told["lines"], told["failures"]
        self.accepted = set(range(1, self.attempted + 1))

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.torture.file_agent"]
        return subprocess.Popen(
            [*command, str(self.directory), self.name, str(self.rate)], stdout=subprocess.PIPE
        )

    def fill_disk(self, room: int) -> int:
        """From now on the log may grow by `room` bytes and no more; answers its size then."""
        assert self.child is not None
        size = self.log.stat().st_size + room
        _, hard = resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE, (size, hard))
        return size

    def empty_disk(self) -> None:
        assert self.child is not None
        _, hard = resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.child.pid, resource.RLIMIT_FSIZE, (hard, hard))
