"""Where large artifacts lie: a folder by default, or S3, GCS, Azure by URL (through obstore)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig

from runcast._support.ids import uuid7
from runcast_server import outages
from runcast_server.errors import ExplainedError, Unavailable

INLINE_BYTES = 1024 * 1024
"""Content up to this size lives in its row."""
PART_BYTES = 5 * 1024 * 1024
CLIENT: ClientConfig = {
    "timeout": "30 seconds",
    "connect_timeout": "5 seconds",
    "allow_http": True,
}
RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}
STORE_ERRORS = (BaseError, OSError, ValueError)

log = structlog.get_logger()


class StoreError(ExplainedError):
    """There can't be a store of artifacts where the settings say."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Content that was taken: in memory up to `INLINE_BYTES`, else under `object_key`."""

    size: int
    sha256: str
    content: bytes | None
    object_key: str | None


class ArtifactStore:
    """Objects by key. What a call raises when the store is away is `Unavailable`."""

    def __init__(self, url: str) -> None:
        """Raises `StoreError` where the URL names no store, or a folder that can't be made."""
        try:
            self._store: ObjectStore = (
                from_url(url, mkdir=True)
                if url.startswith("file:")
                else from_url(url, client_options=CLIENT, retry_config=RETRIES)
            )
        except STORE_ERRORS as error:
            shown = _without_secrets(url)
            raise StoreError(
                f"artifacts can't be kept at {shown}: {outages.line_of(error).replace(url, shown)}. "
                "RUNCAST_ARTIFACTS_URL names where they lie, RUNCAST_DATA where that is unset."
            ) from error

    def intake(self, project_id: UUID) -> Intake:
        """Takes one content, piece by piece."""
        return Intake(self._store, f"{project_id}/{uuid7()}")

    async def read(self, key: str, part: tuple[int, int] | None = None) -> AsyncIterator[bytes]:
        """The content in pieces, or the bytes from the one place to before the other. The first await finds
        out whether it is there."""
        options: GetOptions = {} if part is None else {"range": part}
        with _translated():
            found = await obstore.get_async(self._store, key, options=options)
        return _pieces(found)

    async def delete(self, key: str) -> None:
        """Removes an object; one that isn't there is fine."""
        with _translated(), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def discard(self, key: str) -> None:
        """Removes an object that nothing names. Never raises: this follows another failure."""
        with contextlib.suppress(Unavailable):
            await self.delete(key)


def _without_secrets(url: str) -> str:
    """A store's address without what may stand before the host and after the path."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


async def _pieces(found: Any) -> AsyncIterator[bytes]:
    async for piece in found.stream(min_chunk_size=256 * 1024):
        yield bytes(piece)


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except STORE_ERRORS as error:
        log.warning("artifact_store.failed", error=outages.named(error))
        raise Unavailable("the artifact store can't be reached") from error


class Intake:
    """Content on its way in: hashed as it comes, and sent on to the store once it is large."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._hash = hashlib.sha256()
        self._size = 0
        self._kept = bytearray()
        self._writer: Any = None

    async def write(self, piece: bytes) -> None:
        """Takes the next piece."""
        self._hash.update(piece)
        self._size += len(piece)
        if self._writer is None and len(self._kept) + len(piece) <= INLINE_BYTES:
            self._kept += piece
            return
        with _translated():
            if self._writer is None:
                self._writer = obstore.open_writer_async(
                    self._store, self._key, buffer_size=PART_BYTES
                )
                await self._writer.write(bytes(self._kept))
                self._kept.clear()
            await self._writer.write(piece)

    async def finish(self) -> Stored:
        """The end of the content: from here on it can be read."""
        if self._writer is None:
            return Stored(self._size, self._hash.hexdigest(), bytes(self._kept), None)
        with _translated():
            await self._writer.close()
        return Stored(self._size, self._hash.hexdigest(), None, self._key)

    async def abandon(self) -> None:
        """Takes back what was sent to the store. Never raises: this follows another failure."""
        if self._writer is None:
            return
        self._writer = None
        with contextlib.suppress(FileNotFoundError, *STORE_ERRORS):
            await obstore.delete_async(self._store, self._key)
