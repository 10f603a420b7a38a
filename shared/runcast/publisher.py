"""`Publisher` and `AsyncPublisher`: messages straight into Redis, for workers that have it.

    Publisher("redis://localhost:6379").log(run_id, "thinking…")

The URL names one server, a cluster (`redis+cluster://a,b`) or sentinels (`redis+sentinel://a,b/name`). Each
message goes by `XADD` into the ingest stream of its run and carries an id, so that one that redis-py sends
twice (it retries) counts once.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Self, TypeVar

from runcast import contract, errors
from runcast._recording import messages
from runcast._recording.messages import Message
from runcast._support import encoding, redis_client, redis_url
from runcast._support.server_config import find

R = TypeVar("R")


class Messages(Generic[R]):
    """What can be published. `R` is what calls return: the stream's entry id, or that awaited.

    `project` creates runs that don't exist yet. `streams` is the server's `RUNCAST_INGEST_STREAMS`; without
    it that variable counts here, too. Errors are redis-py's.
    """

    def __init__(
        self,
        send: Callable[[str, bytes], R],
        *,
        project: str | None = None,
        auth: str | None = None,
        streams: int | None = None,
    ) -> None:
        self._send = send
        self._streams = _streams(streams)
        self._named = {
            name: value for name, value in (("project", project), ("auth", auth)) if value
        }

    def publish(self, message: Message) -> R:
        """Any message of `docs/ingest.md`."""
        run = message.get("run_id") or message.get("key")
        stream = contract.INGEST_STREAM
        if isinstance(run, str):
            stream = contract.ingest_stream(run, self._streams)
        return self._send(stream, encoding.encode({**self._named, **message}))

    def started(self, run_id: str, **fields: Any) -> R:
        return self.publish(messages.started(run_id, **fields))

    def completed(self, run_id: str, *, result: Any = None, pr_url: str | None = None) -> R:
        return self.publish(messages.completed(run_id, result=result, pr_url=pr_url))

    def failed(self, run_id: str, error: str, *, will_retry: bool | None = None) -> R:
        return self.publish(messages.failed(run_id, error, will_retry=will_retry))

    def log(self, run_id: str, message: str, **fields: Any) -> R:
        """One entry: `level`, `agent_name`, `event_type`, `payload`, `ts`."""
        return self.publish(messages.log(run_id, message, **fields))

    def lines(
        self, run_id: str, source: str, texts: Sequence[str], *, first_line: int, first_offset: int
    ) -> R:
        return self.publish(
            messages.lines(run_id, source, texts, first_line=first_line, first_offset=first_offset)
        )

    def progress(self, run_id: str, stage: str, message: str, **numbers: Any) -> R:
        return self.publish(messages.progress(run_id, stage, message, **numbers))

    def artifact(self, run_id: str, step_name: str, content: Any) -> R:
        return self.publish(messages.artifact(run_id, step_name, content))

    def event(self, run_id: str, name: str, data: dict[str, Any]) -> R:
        """An event of one's own, `x:<name>`."""
        return self.publish(messages.custom(run_id, name, data))

    def worker_status(self, worker_id: str, **fields: Any) -> R:
        return self.publish(messages.worker_status(worker_id, **fields))

    def runtime_event(self, **fields: Any) -> R:
        return self.publish(messages.runtime_event(**fields))


class Publisher(Messages[str]):
    """Blocking."""

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        project: str | None = None,
        auth: str | None = None,
        streams: int | None = None,
    ) -> None:
        self._redis = redis_client.connect(_url(redis_url))
        super().__init__(self._add, project=project, auth=auth, streams=streams)

    def _add(self, stream: str, message: bytes) -> str:
        entry: Any = self._redis.xadd(stream, {"m": message})
        return str(entry.decode())

    def close(self) -> None:
        redis_client.close(self._redis)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncPublisher(Messages[Awaitable[str]]):
    """For asyncio."""

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        project: str | None = None,
        auth: str | None = None,
        streams: int | None = None,
    ) -> None:
        self._redis = redis_client.connect_async(_url(redis_url))
        super().__init__(self._add, project=project, auth=auth, streams=streams)

    async def _add(self, stream: str, message: bytes) -> str:
        entry: Any = await self._redis.xadd(stream, {"m": message})
        return str(entry.decode())

    async def aclose(self) -> None:
        await redis_client.aclose(self._redis)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _url(given: str | None) -> str:
    """What is given, else the local server's Redis. Raises `NotConfigured`."""
    url = given or find().redis_url
    if not url:
        raise errors.NotConfigured("no Redis is known: give its URL")
    try:
        redis_url.parse(url)
    except ValueError as error:
        raise errors.NotConfigured(f"the URL of Redis {error}") from None
    return url


def _streams(given: int | None) -> int:
    """What is given, else the environment's number. Raises `NotConfigured` for one that can't be."""
    text = str(given if given is not None else os.environ.get("RUNCAST_INGEST_STREAMS") or 1)
    most = contract.MOST_INGEST_STREAMS
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text)
    raise errors.NotConfigured(
        f"the number of ingest streams is from 1 to {most}, and not {text!r}"
    )
