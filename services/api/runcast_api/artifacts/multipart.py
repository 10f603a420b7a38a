"""Files sent as multipart/form-data (RFC 7578), passed on piece by piece: nothing is held in memory or on
disk here beyond one piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.message import Message

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError

from runcast_api.artifacts.store import Intake, Stored
from runcast_api.http.problems import BadRequest
from runcast_server.errors import Invalid, TooLarge

FIELD_BYTES = 64 * 1024
"""Form fields beside the file, all together, at most."""
HEADER_BYTES = 8 * 1024
FILE = "file"


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent: the fields by name, and the file as it was stored."""

    fields: dict[str, str]
    stored: Stored
    filename: str | None
    media_type: str


@dataclass(slots=True)
class _Part:
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def disposition(self) -> Message:
        message = Message()
        message["content-disposition"] = self.headers.get("content-disposition", "")
        message["content-type"] = self.headers.get("content-type", "")
        return message

    def parameter(self, name: str) -> str | None:
        value = self.disposition.get_param(name, header="content-disposition")
        if isinstance(value, tuple):
            value = value[2]
        return None if value is None else str(value)


Fields = dict[str, str]


async def receive(
    content_type: str,
    body: AsyncIterator[bytes],
    intake: Intake,
    check: Callable[[Fields], object],
) -> Form:
    """Takes the form's one file in through `intake`, and its fields, which `check` may refuse.

    Raises `BadRequest` for a body that isn't such a form, `Invalid` where there is no file or more than
    one, `TooLarge` for fields that are; what was taken is then abandoned.
    """
    try:
        return await _receive(content_type, body, intake, check)
    except BaseException:
        await intake.abandon()
        raise


async def _receive(
    content_type: str,
    body: AsyncIterator[bytes],
    intake: Intake,
    check: Callable[[Fields], object],
) -> Form:
    reader = _Reader(_boundary(content_type))
    async for chunk in body:
        for piece in reader.feed(chunk):
            await intake.write(piece)
    reader.end()
    if reader.file is None:
        raise Invalid.of("body.file", "the form has no file")
    fields = reader.fields()
    check(fields)
    stored = await intake.finish()
    media_type = reader.file.headers.get("content-type", "application/octet-stream")
    return Form(fields, stored, reader.file.parameter("filename"), media_type)


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not boundary or len(boundary) > 200:
        raise BadRequest("multipart/form-data without a boundary")
    return boundary.encode("latin-1", "replace")


class _Reader:
    """Turns the parser's callbacks into pieces of the file; keeps the fields."""

    def __init__(self, boundary: bytes) -> None:
        self.file: _Part | None = None
        self._part = _Part()
        self._name = self._value = b""
        self._fields: dict[str, bytearray] = {}
        self._size = 0
        self._pieces: list[bytes] = []
        self._is_done = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> list[bytes]:
        """Takes bytes of the body; answers those of the file."""
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise BadRequest(f"not multipart/form-data: {error}") from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def end(self) -> None:
        if not self._is_done:
            raise BadRequest("the form ended early")

    def fields(self) -> Fields:
        try:
            return {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise BadRequest("a form field isn't UTF-8") from None

    def _begin(self) -> None:
        self._part = _Part()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._bound(len(self._name), HEADER_BYTES)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound(len(self._value), HEADER_BYTES)

    def _header_end(self) -> None:
        if len(self._part.headers) < 20:
            name = self._name.decode("latin-1").lower()
            self._part.headers[name] = self._value.decode("utf-8", "replace")
        self._name = self._value = b""

    def _headers_end(self) -> None:
        name = self._part.parameter("name") or ""
        if name == FILE or self._part.parameter("filename") is not None:
            if self.file is not None:
                raise Invalid.of("body.file", "the form has more than one file")
            self.file = self._part
        else:
            self._bound(len(self._fields), 20)
            self._fields[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part is self.file:
            self._pieces.append(data[start:end])
            return
        self._size += end - start
        self._bound(self._size, FIELD_BYTES)
        self._fields[self._part.parameter("name") or ""] += data[start:end]

    def _end(self) -> None:
        self._is_done = True

    def _bound(self, size: int, limit: int) -> None:
        if size > limit:
            raise TooLarge("the form's fields are larger than a form's should be")
