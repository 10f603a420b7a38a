"""`RuntimeEventSink`: calls, fallbacks, retries and breakers of an agent's runtime, for operators.

sink = RuntimeEventSink(worker_id="runner-1")
sink.record("provider_runtime", "CALL", "OK", entity_id="openai/gpt", metadata={"ms": 812})
"""

import atexit
from typing import Any, Self

from runcast import errors
from runcast._support import acceptable, times
from runcast._support.ids import uuid7
from runcast._support.never_raise import Guarded, harmless
from runcast._upload.background import Background, Kept
from runcast.client import admin
from runcast.client.calls import Call
from runcast.client.clients import Client

LAYERS = frozenset(
    {"provider_runtime", "tool_runtime", "model_adapter", "execution", "dispatcher", "worker"}
)
OPERATIONS = frozenset(
    {"CALL", "FALLBACK", "RETRY", "TOOL_CALL", "TOOL_LOOP", "TASK", "HEARTBEAT", "BREAKER"}
)
BATCH = 200
KEPT, MOST_KEPT = 1_000, 1_000_000
METADATA_BYTES = 15 * 1024
REFUSED = frozenset({400, 413, 422})
"""Answers that say that what was sent can't be taken."""
FLUSH_SECONDS = 2.0


class RuntimeEventSink(Guarded):
    """Keeps the last events in memory and sends them, best effort: what can't be sent while more
    than `keep` wait is dropped, and counted in `dropped`. Never raises, never waits."""

    def __init__(
        self,
        *,
        worker_id: str | None = None,
        keep: int = KEPT,
        url: str | None = None,
        token: str | None = None,
        offline: bool = False,
    ) -> None:
        super().__init__()
        self._worker_id = acceptable.name(worker_id)
        known = acceptable.whole(keep, 1, MOST_KEPT)
        self._kept = Kept(KEPT if known is None else known)
        self._sending: list[dict[str, Any]] = []
        self._alone = 0
        self._background: Background | None = None
        if not acceptable.truth(offline):
            self._background = Background(
                "runtime events",
                lambda: Client(url, token, timeout_seconds=10.0),
                self._next_call,
                every_seconds=1.0,
                failed=self._failed,
            )
            self._background.start()
            atexit.register(self.close)

    @property
    def last(self) -> list[dict[str, Any]]:
        """The last events, oldest first, sent or not."""
        return list(self._kept.last)

    @property
    def dropped(self) -> int:
        return self._kept.dropped

    @harmless("record a runtime event")
    def record(
        self,
        layer: str,
        operation: str,
        reason_code: str,
        entity_id: str,
        *,
        task_id: str | None = None,
        persona_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """One event. `layer` and `operation` are those of `LAYERS` and `OPERATIONS`."""
        if layer not in LAYERS or operation not in OPERATIONS:
            raise ValueError(f"no layer {layer!r} with an operation {operation!r}")
        more = acceptable.mapping(metadata, METADATA_BYTES)
        event = {
            "id": str(uuid7()),
            "layer": layer,
            "operation": operation,
            "reason_code": acceptable.reason_code(reason_code),
            "entity_id": acceptable.name(entity_id) or "-",
            "task_id": acceptable.id_or_note("task_id", task_id, more),
            "persona_id": acceptable.id_or_note("persona_id", persona_id, more),
            "worker_id": self._worker_id,
            "metadata": more,
            "occurred_at": times.to_milliseconds(times.now()),
        }
        self._kept.add({name: value for name, value in event.items() if value is not None})
        if self._background is not None:
            self._background.wake()

    def close(self) -> None:
        """Sends what waits, for at most 2 s."""
        if self._background is not None:
            atexit.unregister(self.close)
            self._background.close(FLUSH_SECONDS)
            self._background = None

    def _failed(self, error: errors.RuncastError) -> None:
        """Those that weren't sent wait again. Where the server refuses what they hold, each is sent alone,
        and the one to blame is dropped: it must not keep the others."""
        is_refused = isinstance(error, errors.ApiError) and error.status in REFUSED
        if is_refused and len(self._sending) == 1:
            self._kept.dropped += 1
            return
        if is_refused:
            self._alone = len(self._sending)
        self._kept.put_back(self._sending)

    def _next_call(self) -> Call[Any] | None:
        number = 1 if self._alone > 0 else BATCH
        self._alone = max(self._alone - 1, 0)
        self._sending = self._kept.take(number)
        return admin.add_runtime_events(self._sending) if self._sending else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
