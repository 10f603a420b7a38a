"""`Client` and `AsyncClient`: the few lines that do I/O for endpoints, pages and streams."""

import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from runcast._support import server_config
from runcast._support.fork_safety import no_fork
from runcast.client.calls import Call, Page, draft_of, entries, following
from runcast.client.endpoints import Endpoints
from runcast.client.exchange import Outcome, Patience, exchange, failure, problem
from runcast.client.quiet import AsyncHttpClient, HttpClient
from runcast.client.subscription import Subscription
from runcast.events import Event

T = TypeVar("T")


@functools.cache
def tls() -> ssl.SSLContext:
    """The TLS settings of all clients of this process, made once.

    A caller that starts a thread that talks to a server calls this first: a child that is forked while
    another thread makes one would wait for OpenSSL's lock for ever."""
    return httpx.create_ssl_context()


class _Settings:
    """What both clients are made from. Raises `NotConfigured` where no server is known."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_seconds: float = 30.0,
        patience: Patience | None = None,
    ) -> None:
        self.connection = server_config.find(url, token)
        self.patience = patience or Patience()
        headers = {"User-Agent": "runcast-python"}
        if self.connection.token:
            headers["Authorization"] = f"Bearer {self.connection.token}"
        self._options: dict[str, Any] = {
            "base_url": self.connection.url,
            "headers": headers,
            "timeout": httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, 10.0)),
            "follow_redirects": True,
            "verify": tls(),
        }

    @property
    def url(self) -> str:
        return self.connection.url


class Client(_Settings, Endpoints):
    """Blocking. Made to be shared by threads; close it, or use it in a `with`."""

    def __init__(self, *args: Any, transport: httpx.BaseTransport | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._http = HttpClient(**self._options, transport=transport)

    def send(self, call: Call[T], patience: Patience | None = None) -> T:
        """Sends a call; repeats it where that is safe. Raises `ApiError` or `Unreachable`."""
        steps = exchange(call, self._http.build_request, patience or self.patience)
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, httpx.Request):
                    outcome = self._request(step)
                else:
                    time.sleep(step)
                    outcome = None
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _request(self, request: httpx.Request) -> Outcome:
        request.extensions["trace"] = no_fork.trace
        try:
            return self._http.send(request)
        except httpx.HTTPError as error:
            return error

    def pages(self, call: Call[Page]) -> Iterator[Any]:
        """All entries of a list, page after page."""
        coming: Call[Page] | None = call
        while coming is not None:
            page = self.send(coming)
            yield from entries(page)
            coming = following(coming, page)

    def follow(self, subscription: Subscription) -> Iterator[Event]:
        while not subscription.is_over:
            cause = None
            try:
                request = self._http.build_request(**subscription.request())
                request.extensions["trace"] = no_fork.trace
                response = self._http.send(request, stream=True)
                try:
                    if subscription.accept(response):
                        for portion in response.iter_bytes():
                            yield from subscription.feed(portion)
                    else:
                        response.read()
                        cause = failure(response)
                finally:
                    response.close()
            except httpx.HTTPError as error:
                cause = failure(error)
            if not subscription.is_over:
                time.sleep(subscription.broken(cause))

    def download(self, call: Call[None], target: Path) -> None:
        """Writes an answer to a file, piece by piece. Raises `ApiError`, `Unreachable`."""
        request = self._http.build_request(**call.arguments())
        request.extensions["trace"] = no_fork.trace
        try:
            response = self._http.send(request, stream=True)
            with contextlib.closing(response):
                if not response.is_success:
                    response.read()
                    raise problem(response)
                with draft_of(target) as file:
                    for portion in response.iter_bytes():
                        file.write(portion)
        except httpx.HTTPError as error:
            raise failure(error) or error from error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Settings, Endpoints):
    """For asyncio. Use it in an `async with`, or `await aclose()`."""

    def __init__(
        self, *args: Any, transport: httpx.AsyncBaseTransport | None = None, **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self._http = AsyncHttpClient(**self._options, transport=transport)

    async def send(self, call: Call[T], patience: Patience | None = None) -> T:
        """Sends a call; repeats it where that is safe. Raises `ApiError` or `Unreachable`."""
        steps = exchange(call, self._http.build_request, patience or self.patience)
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, httpx.Request):
                    outcome = await self._request(step)
                else:
                    await asyncio.sleep(step)
                    outcome = None
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _request(self, request: httpx.Request) -> Outcome:
        try:
            return await self._http.send(request)
        except httpx.HTTPError as error:
            return error

    async def pages(self, call: Call[Page]) -> AsyncIterator[Any]:
        """All entries of a list, page after page."""
        coming: Call[Page] | None = call
        while coming is not None:
            page = await self.send(coming)
            for entry in entries(page):
                yield entry
            coming = following(coming, page)

    async def follow(self, subscription: Subscription) -> AsyncIterator[Event]:
        while not subscription.is_over:
            cause = None
            try:
                request = self._http.build_request(**subscription.request())
                response = await self._http.send(request, stream=True)
                try:
                    if subscription.accept(response):
                        async for portion in response.aiter_bytes():
                            for event in subscription.feed(portion):
                                yield event
                    else:
                        await response.aread()
                        cause = failure(response)
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                cause = failure(error)
            if not subscription.is_over:
                await asyncio.sleep(subscription.broken(cause))

    async def download(self, call: Call[None], target: Path) -> None:
        """Writes an answer to a file, piece by piece. Raises `ApiError`, `Unreachable`."""
        request = self._http.build_request(**call.arguments())
        try:
            response = await self._http.send(request, stream=True)
            async with contextlib.aclosing(response):
                if not response.is_success:
                    await response.aread()
                    raise problem(response)
                with draft_of(target) as file:
                    async for portion in response.aiter_bytes():
                        await asyncio.to_thread(file.write, portion)
        except httpx.HTTPError as error:
            raise failure(error) or error from error

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
