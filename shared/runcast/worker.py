"""`Worker`: a worker process reports its status, and that of its circuit breaker.

with Worker("runner-1", agent_type="phase1_reply_runner", breaker=breaker.snapshot) as worker:
    with worker.task(task_id):
        ...
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from runcast._support import acceptable
from runcast._support.fork_renewal import fork_renewal
from runcast._support.never_raise import Guarded, harmless
from runcast._upload.background import Background
from runcast.client import admin
from runcast.client.calls import Call
from runcast.client.clients import Client

INTERVAL_SECONDS = 15.0
FLUSH_SECONDS = 2.0
METADATA_BYTES = 15 * 1024


@dataclass(frozen=True)
class BreakerSnapshot:
    """A circuit breaker, as it stands. An open one makes the worker `DEGRADED`."""

    is_open: bool
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class _Task:
    """A task that the worker is at; the same one may be begun twice."""

    id: Any


class Worker(Guarded):
    """Sends the status every `interval_seconds`, and at start, stop, and a task's begin and end.

    Nothing here raises into the host program or makes it wait: a status that can't be sent is
    replaced by the next. `expect_next_in_s` stands in the metadata, so that a watcher knows by
    when to miss the worker.
    """

    def __init__(
        self,
        worker_id: str,
        agent_type: str,
        *,
        breaker: Callable[[], BreakerSnapshot] | None = None,
        interval_seconds: float = INTERVAL_SECONDS,
        metadata: dict[str, Any] | None = None,
        url: str | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__()
        self.worker_id = acceptable.name(worker_id) or "worker"
        self.agent_type = acceptable.name(agent_type) or "worker"
        self._breaker = breaker
        self._interval_seconds = _interval(interval_seconds)
        self._metadata = acceptable.mapping(metadata)
        self._tasks: list[_Task] = []
        self._status: str | None = None
        self._due: list[Call[Any]] = []
        self._lock = threading.RLock()
        self._background = Background(
            f"worker {self.worker_id}",
            lambda: Client(url, token, timeout_seconds=10.0),
            self._next_call,
            every_seconds=self._interval_seconds,
            tick=self._tick,
        )
        fork_renewal.add(self)

    def renew_after_fork(self) -> None:
        """In a forked child, which reports nothing: the worker is its parent."""
        self._lock = threading.RLock()
        self._due.clear()

    def start(self) -> Self:
        self._change("IDLE")
        self._background.start()
        return self

    def stop(self) -> None:
        """Says `STOPPED`, and waits for that at most 2 s."""
        self._change("STOPPED")
        self._background.close(FLUSH_SECONDS)

    @contextlib.contextmanager
    def task(self, task_id: str | None = None) -> Iterator[None]:
        """The worker is at a task for as long as the block lasts."""
        task = _Task(task_id)
        self._tasks.append(task)
        self._change("RUNNING")
        try:
            yield
        finally:
            self._tasks.remove(task)
            self._change("RUNNING" if self._tasks else "IDLE")

    def report(self, **metadata: Any) -> None:
        """Sends the status now, with more in its metadata."""
        self._metadata.update(metadata)
        self._change(self._status or "IDLE")

    @harmless("report the worker's status")
    def _change(self, status: str) -> None:
        with self._lock:
            self._status = status
            self._note()
        self._background.wake()

    def _note(self) -> None:
        """Has the status told, in a turn of its own. Each change is told; when no one takes them, the newest
        ones are enough."""
        self._due.append(self._call())
        del self._due[:-16]

    def _next_call(self) -> Call[Any] | None:
        with self._lock:
            return self._due.pop(0) if self._due else None

    @harmless("report the worker's status")
    def _tick(self) -> None:
        """An interval is over: the status as it now is, with the breaker's state."""
        with self._lock:
            if self._status is not None and self._status != "STOPPED":
                self._note()

    def _call(self) -> Call[Any]:
        breaker = self._snapshot()
        more = acceptable.mapping(
            {"expect_next_in_s": 2 * self._interval_seconds, **self._metadata}, METADATA_BYTES
        )
        task_id = self._tasks[-1].id if self._tasks else None
        is_degraded = breaker.is_open and self._status != "STOPPED"
        return admin.put_worker_status(
            self.worker_id,
            self.agent_type,
            "DEGRADED" if is_degraded else str(self._status),
            circuit_open=breaker.is_open,
            circuit_reason=None if breaker.reason is None else acceptable.text(breaker.reason),
            current_task_id=acceptable.id_or_note("current_task_id", task_id, more),
            metadata=more,
        )

    @harmless("read the circuit breaker", otherwise=BreakerSnapshot(False))
    def _snapshot(self) -> BreakerSnapshot:
        if self._breaker is None:
            return BreakerSnapshot(False)
        found = self._breaker()  # a host's own may answer anything
        return BreakerSnapshot(acceptable.truth(found.is_open), found.reason)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _interval(given: Any) -> float:
    """A time between two reports; what is none is the usual one."""
    seconds = acceptable.number(given)
    return INTERVAL_SECONDS if seconds is None else min(max(seconds, 0.1), 86_400.0)
