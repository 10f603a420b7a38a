"""An export as a zip, compressed while it is sent (ZIP64, data descriptors: nothing is sought back to).

Of a run: `run.json`, `logs.txt`, `logs.ndjson`, `events.ndjson`, `artifacts/<step>/v<N>.<ext>` and
`artifacts/index.json`. Of a project: `project.json`, `runs.ndjson`, `events.ndjson` with all lines, and
`artifacts/<run>/…`. An artifact whose content can't be read has an `error` in the index; the rest is there.
"""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson

from runcast._recording.artifacts import extension_of, folder_name
from runcast_api.exports import content
from runcast_api.exports.content import Artifact, Source
from runcast_api.exports.sink import Sink
from runcast_api.logs import query
from runcast_server.errors import Unavailable

MEDIA_TYPE = "application/zip"
SUFFIX = ".zip"
PIECE_BYTES = 256 * 1024
"""What is compressed in one go, in a thread."""


async def pieces(source: Source) -> AsyncIterator[bytes]:
    """The export, piece by piece."""
    archive = _Archive()
    if source.run is not None:
        members = [
            ("run.json", _once(source.run)),
            ("logs.txt", content.lines(source, query.as_text)),
            ("logs.ndjson", content.lines(source, query.as_ndjson)),
            ("events.ndjson", _events(source)),
        ]
    else:
        members = [
            ("project.json", _once(source.project)),
            ("runs.ndjson", _runs(source)),
            ("events.ndjson", _events(source)),
        ]
    for name, member in members:
        async for piece in archive.add(name, member):
            yield piece
    async for piece in _artifacts(archive, source):
        yield piece
    yield await asyncio.to_thread(archive.end)


async def _once(value: Any) -> AsyncIterator[bytes]:
    yield orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _ndjson(values: list[dict[str, Any]]) -> bytes:
    return b"".join([orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values])


async def _events(source: Source) -> AsyncIterator[bytes]:
    async for page in content.events(source):
        yield _ndjson(page)


async def _runs(source: Source) -> AsyncIterator[bytes]:
    async for page in content.runs(source):
        yield _ndjson(page)


async def _artifacts(archive: _Archive, source: Source) -> AsyncIterator[bytes]:
    index: list[dict[str, Any]] = []
    async for page in content.runs(source):
        for run in page:
            folder = "artifacts" if source.run else f"artifacts/{run['id']}"
            for artifact in await content.artifacts(source, run["id"]):
                entry = artifact.shown | {"path": _path(folder, artifact)}
                index.append(entry)
                try:
                    async for piece in archive.add(
                        entry["path"], content.content(source, artifact)
                    ):
                        yield piece
                except Unavailable as error:
                    entry["error"] = str(error)
    async for piece in archive.add("artifacts/index.json", _once(index)):
        yield piece


def _path(folder: str, artifact: Artifact) -> str:
    """Safe to unpack: a step's name is one component, whatever it holds."""
    shown = artifact.shown
    extension = extension_of(shown["media_type"])
    return f"{folder}/{folder_name(shown['step_name'])}/v{shown['version']}{extension}"


class _Archive:
    """A zip in the making."""

    def __init__(self) -> None:
        self._sink = Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)
        self._now = datetime.now(UTC).timetuple()[:6]

    async def add(self, name: str, member: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Adds a member; answers the archive's bytes as they come."""
        info = zipfile.ZipInfo(name, self._now)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        with self._zip.open(info, "w", force_zip64=True) as file:
            async for piece in _gathered(member):
                await asyncio.to_thread(file.write, piece)
                yield self._sink.take()
        yield self._sink.take()

    def end(self) -> bytes:
        """The archive's last bytes."""
        self._zip.close()
        return self._sink.take()


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of at least `PIECE_BYTES`, but for the last."""
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
