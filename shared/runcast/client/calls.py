"""Requests as values, and the two faces that send them.

An endpoint is a plain function that answers a `Call`: what to request, and how to read the answer.
`Endpoint` puts it on both clients: on `Client` it returns the result, on `AsyncClient` an awaitable
of it. So there is one list of endpoints, and nothing kept twice.
"""

import contextlib
import functools
import os
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import httpx
import orjson

from runcast._support import encoding
from runcast.client.subscription import Subscription
from runcast.errors import InvalidName
from runcast.events import Event

Json = dict[str, Any]
Page = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
PageT = TypeVar("PageT", bound=Page)
T_co = TypeVar("T_co", covariant=True)


def read_json(response: httpx.Response) -> Any:
    return response.json() if response.content else None


def read_ndjson(response: httpx.Response) -> list[Json]:
    return [orjson.loads(line) for line in response.content.splitlines() if line]


def read_text(response: httpx.Response) -> str:
    return response.text


def read_bytes(response: httpx.Response) -> bytes:
    return response.content


@dataclass(frozen=True)
class Upload:
    """A file that goes as the multipart part `file`; opened for each attempt."""

    file: Path
    media_type: str


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """A request and the reading of its answer.

    `is_repeatable`: doing it twice is like doing it once even without an `Idempotency-Key`.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    upload: Upload | None = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[httpx.Response], T_co] = read_json
    is_repeatable: bool = False

    def with_params(self, **params: Any) -> "Call[T_co]":
        return replace(self, params={**self.params, **params})

    def with_headers(self, **headers: str) -> "Call[T_co]":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    def arguments(self) -> dict[str, Any]:
        """As httpx's `build_request` takes it; parameters that are None are left out."""
        headers = dict(self.headers)
        content = self.content
        if self.json is not None:
            content = encoding.encode(self.json)
            headers.setdefault("Content-Type", "application/json")
        return {
            "method": self.method,
            "url": self.path,
            "params": {
                name: _written(value) for name, value in self.params.items() if value is not None
            },
            "content": content,
            "data": self.form,
            "headers": headers,
        }


def path(template: str, *parts: str) -> str:
    """`path("/runs/{}", run)`: each part as one segment, whatever it holds.

    Raises `InvalidName` for "." and "..", which every client resolves before it sends them: the request
    would go to another address.
    """
    return template.format(*(_segment(str(part)) for part in parts))


def _segment(part: str) -> str:
    if part in ("", ".", ".."):
        raise InvalidName(f"{part!r} can't be the name of anything here")
    return urllib.parse.quote(encoding.printable(part), safe="")


def given(**fields: Any) -> Json:
    """The fields that were given: None means left out."""
    return {name: value for name, value in fields.items() if value is not None}


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        value = ",".join(str(each) for each in value)
    return encoding.printable(value) if isinstance(value, str) else value


class SyncFace(Protocol):
    def send(self, call: Call[T]) -> T: ...
    def pages(self, call: Call[Page]) -> Iterator[Any]: ...
    def follow(self, subscription: Subscription) -> Iterator[Event]: ...
    def download(self, call: Call[None], target: Path) -> None: ...


class AsyncFace(Protocol):
    async def send(self, call: Call[T]) -> T: ...
    def pages(self, call: Call[Page]) -> AsyncIterator[Any]: ...
    def follow(self, subscription: Subscription) -> AsyncIterator[Event]: ...
    async def download(self, call: Call[None], target: Path) -> None: ...


class Endpoint(Generic[P, T]):
    """An endpoint as a method of both clients."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Endpoint[P, T]": ...
    @overload
    def __get__(self, client: SyncFace, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncFace, owner: type) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._build)
        def send(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.send(self._build(*args, **kwargs))

        return send


class Listing(Generic[P, T]):
    """An endpoint that answers page after page, as an iterator over all entries."""

    def __init__(
        self, build: Callable[P, Call[PageT]], entries: Callable[[PageT], Sequence[T]]
    ) -> None:
        """`entries` says what a page's entries are, for the types alone: they are found by `entries`."""
        self._build: Callable[P, Call[Page]] = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Listing[P, T]": ...
    @overload
    def __get__(self, client: SyncFace, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncFace, owner: type) -> Callable[P, AsyncIterator[T]]: ...

    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._build)
        def iterate(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.pages(self._build(*args, **kwargs))

        return iterate


class Download(Generic[P]):
    """An endpoint whose answer is written to a file, which is given first; it is there whole or not at
    all."""

    def __init__(self, build: Callable[P, Call[None]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Download[P]": ...
    @overload
    def __get__(self, client: SyncFace, owner: type) -> Callable[Concatenate[Path, P], None]: ...
    @overload
    def __get__(
        self, client: AsyncFace, owner: type
    ) -> Callable[Concatenate[Path, P], Awaitable[None]]: ...

    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._build)
        def download(target: Path, *args: P.args, **kwargs: P.kwargs) -> Any:
            return client.download(self._build(*args, **kwargs), target)

        return download


class Stream(Generic[P]):
    """A stream, as an iterator over its events."""

    def __init__(self, build: Callable[P, Subscription]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Stream[P]": ...
    @overload
    def __get__(self, client: SyncFace, owner: type) -> Callable[P, Iterator[Event]]: ...
    @overload
    def __get__(self, client: AsyncFace, owner: type) -> Callable[P, AsyncIterator[Event]]: ...

    def __get__(self, client: Any, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self._build)
        def follow(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.follow(self._build(*args, **kwargs))

        return follow


@contextlib.contextmanager
def draft_of(target: Path) -> Iterator[BinaryIO]:
    """A file beside `target` that takes its place once it is whole, and is removed otherwise."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def following(call: Call[T], page: Page) -> Call[T] | None:
    """The call for the next page; None behind the last. Events are paged by their numbers: a page may be
    empty and still not be the last, where nothing of a long stretch was wanted."""
    if page.get("next_cursor"):
        return call.with_params(cursor=page["next_cursor"])
    after = page.get("next_after")
    if after is not None and after != call.params.get("after"):
        return call.with_params(after=after)
    return None


def entries(page: Page) -> list[Any]:
    """A page's entries, whatever they are called: the answer's one list."""
    return next((value for value in page.values() if isinstance(value, list)), [])
