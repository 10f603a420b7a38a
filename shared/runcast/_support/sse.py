"""Server-Sent Events, read from bytes (WHATWG HTML, section 9.2.6).

httpx-sse is not used for this part, because it departs from the standard where our resumption
depends on it: it dispatches a block that holds only an `id` (our heartbeat) as an event, keeps a
byte order mark, reads `retry: +5` and `retry: 1_0`, and holds a block that ends in CR back until
the next bytes come.

Splitting at the byte level is safe: CR and LF never occur inside a UTF-8 sequence.
"""

from dataclasses import dataclass, field

_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Frame:
    """One dispatched event: its type (`message` by default), data, and the last event id.

    `sets_id`: whether the id came with this very block.
    """

    event: str
    data: str
    id: str
    sets_id: bool = field(default=False, compare=False)


class Decoder:
    """Turns a stream's bytes, in any portions, into frames.

    `last_event_id` is what a reconnect sends; it also moves by blocks that dispatch nothing.
    `retry_ms` is the last reconnection time that the server asked for.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._at_start = True
        self._start = b""
        self._after_cr = False
        self._partial: list[bytes] = []
        self._id = last_event_id
        self._sets_id = False
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        """Takes the next bytes; answers the frames that they complete, in order."""
        frames: list[Frame] = []
        for line in self._lines(chunk):
            if line:
                self._field(line.decode("utf-8", "replace"))
            elif frame := self._dispatch():
                frames.append(frame)
        return frames

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._at_start:
            chunk = self._without_mark(chunk)
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        if b"\n" not in chunk and b"\r" not in chunk:
            self._partial.append(chunk)
            return []
        text = b"".join((*self._partial, chunk))
        lines = text.splitlines()
        self._partial = [] if text.endswith((b"\n", b"\r")) else [lines.pop()]
        return lines

    def _without_mark(self, chunk: bytes) -> bytes:
        """The first bytes without a mark; nothing while they may still become one."""
        self._start += chunk
        if len(self._start) < len(_MARK) and _MARK.startswith(self._start):
            return b""
        self._at_start = False
        return self._start.removeprefix(_MARK)

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
                self._sets_id = True
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)

    def _dispatch(self) -> Frame | None:
        self.last_event_id = self._id
        event, data, sets_id = self._event or "message", self._data, self._sets_id
        self._event, self._data, self._sets_id = "", [], False
        return Frame(event, "\n".join(data), self._id, sets_id) if data else None
