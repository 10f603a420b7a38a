"""A stream's position, and what to do when it breaks: the part of the streams that does no I/O.

A client asks `request` how to connect, gives every portion of bytes to `feed`, and tells `broken`
how a connection ended; `broken` says how long to wait before the next, or raises what can't be
mended by waiting.

The position is the event number of the last frame, and also moves with heartbeats. Lines sent as
backfill carry no number; they are told apart by their run and line number, so that nothing comes
twice when a connection breaks in the middle of them.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from runcast import errors, events
from runcast._support.backoff import Backoff
from runcast._support.sse import Decoder, Frame
from runcast.events import Event

CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 30.0
_FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 406, 410, 422})
_FINAL_REASONS = frozenset({"token_expired", "revoked", "deleted"})


class Subscription:
    """One stream over any number of connections.

    `position` is the number of the last event, None before the first. `connected` is the last
    `connected` frame's data.
    """

    def __init__(
        self,
        path: str,
        params: dict[str, Any],
        *,
        position: int | None = None,
        log_tail: int | None = None,
        with_control: bool = False,
        reconnects: bool = True,
    ) -> None:
        self.path = path
        self.position = position
        self.connected: dict[str, Any] = {}
        self.is_over = False
        self._params = params
        self._log_tail = log_tail
        self._with_control = with_control
        self._reconnects = reconnects
        self._backoff = Backoff()
        self._decoder = Decoder()
        self._last_lines: dict[str, int] = {}
        self._farewell: str | None = None

    def request(self) -> dict[str, Any]:
        """The next connection, as httpx's `build_request` takes it."""
        after = self.resumes_after()
        self._decoder = Decoder(after or "")
        self._farewell = None
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        params = dict(self._params)
        if after is not None:
            headers["Last-Event-ID"] = after
        elif self._log_tail is not None:
            params["log_tail"] = self._log_tail
        params["epoch"] = self.epoch()
        heartbeat = float(self.connected.get("heartbeat_s") or HEARTBEAT_SECONDS)
        timeout = httpx.Timeout(CONNECT_SECONDS, read=silence_seconds(heartbeat))
        return {
            "method": "GET",
            "url": self.path,
            "params": {name: value for name, value in params.items() if value is not None},
            "headers": headers,
            "timeout": timeout,
        }

    def resumes_after(self) -> str | None:
        """The position that the next connection names."""
        return None if self.position is None else str(self.position)

    def epoch(self) -> str | None:
        """The history that the position belongs to, where it is known."""
        return self.connected.get("epoch")

    def accept(self, response: httpx.Response) -> bool:
        """Whether the answer's body is the stream. 204 ends it for good (WHATWG HTML, 9.2.3).

        Any other answer is to be read and given to `broken`.
        """
        if response.status_code == 204:
            self.is_over = True
            return False
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if response.is_success and media_type != "text/event-stream":
            raise errors.RuncastError(f"{response.url} is not an event stream ({media_type})")
        return response.is_success

    def feed(self, portion: bytes) -> Iterator[Event]:
        """The events that the bytes complete. The position moves with what was taken from here."""
        for frame in self._decoder.feed(portion):
            event = self._event(frame)
            if event.id is not None:
                self.position = event.id
            if self._is_wanted(event):
                yield event
        if self._decoder.last_event_id.isdigit():
            self.position = int(self._decoder.last_event_id)

    def broken(self, cause: errors.RuncastError | None) -> float:
        """Seconds until the next connection. Raises where waiting mends nothing."""
        if isinstance(cause, errors.ApiError) and cause.status in _FINAL_STATUSES:
            raise cause
        if self._farewell in _FINAL_REASONS:
            raise errors.StreamEnded(str(self._farewell))
        if self._farewell == "complete" or (cause is None and not self._reconnects):
            self.is_over = True
            return 0.0
        if cause is not None and not self._reconnects:
            raise cause
        if self._farewell is not None and self._decoder.retry_ms is not None:
            return self._decoder.retry_ms / 1_000
        return self._backoff.next_seconds(getattr(cause, "retry_after_seconds", None))

    def _event(self, frame: Frame) -> Event:
        try:
            data = orjson.loads(frame.data)
        except ValueError as error:
            raise errors.RuncastError(f"an event that is not JSON: {frame.data[:80]!r}") from error
        is_numbered = frame.sets_id and frame.id.isdigit()
        return Event(frame.event, data, int(frame.id) if is_numbered else None)

    def _is_wanted(self, event: Event) -> bool:
        match event.type:
            case events.AGENT_LOG:
                return self._is_new_line(event)
            case events.CONNECTED:
                self.connected = event.data
                self._backoff.reset()
                if self._log_tail is None and self.position is None:
                    self.position = int(event.data["head"])
            case events.BYE:
                self._farewell = event.data.get("reason", "")
            case events.GAP:
                if event.data.get("reason") == "reset":
                    # Another history: its lines are numbered from 1 again.
                    self._last_lines.clear()
                return True
        return self._with_control or event.type not in events.CONTROL

    def _is_new_line(self, event: Event) -> bool:
        run_id, number = event.data.get("run_id", ""), event.data.get("line_number", 0)
        if number <= self._last_lines.get(run_id, 0):
            return False
        self._last_lines[run_id] = number
        return True


def silence_seconds(heartbeat_seconds: float) -> float:
    """How long a live connection may be silent: two heartbeats, and some more for a busy server."""
    return 2.5 * heartbeat_seconds + 5
