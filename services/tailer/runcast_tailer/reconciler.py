"""What a run directory holds besides lines: its status, its artifacts, its output.zip.

The server is asked what it has, and what is missing is sent; that is repeated until nothing is missing,
so it needs no memory of its own and survives everything. A spool says the status itself; of its
artifacts only those are brought whose content didn't fit into it.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from uuid import UUID

import obstore
import orjson
import structlog
from obstore.exceptions import BaseError
from obstore.store import from_url

from runcast._support import acceptable
from runcast.contract import SPOOL_FILE, TERMINAL_STATUSES
from runcast.errors import InvalidFile
from runcast_tailer.guard import Guard
from runcast_tailer.queries import KnownArtifact, Server
from runcast_tailer.run_directory import RunDirectory
from runcast_tailer.scheduled_tail import WatchedRun
from runcast_tailer.shipper import Shipper

INLINE_BYTES = 512 * 1024
"""Content up to this size goes in the message; more goes to the object store."""
OUTPUT = "output.zip"
_DIGEST = re.compile(r"[0-9a-f]{64}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An artifact's file, with what its manifest says of it."""

    id: UUID
    step_name: str
    media_type: str
    directory: RunDirectory
    path: str
    """Beneath the directory."""
    sha256: str

    def open(self) -> BinaryIO:
        """The file, opened through no link. Raises `OSError`."""
        return os.fdopen(self.directory.open(self.path), "rb")


class Takeover:
    """Compares directories with the server and sends what the server lacks."""

    def __init__(
        self, server: Server, shipper: Shipper, artifacts_url: str, auth: str | None
    ) -> None:
        self._server = server
        self._shipper = shipper
        self._artifacts_url = artifacts_url
        self._auth = auth
        self._guard = Guard("artifact")

    async def bring(self, watched: WatchedRun) -> bool:
        """Sends what is missing; True if nothing was. Raises database errors and `OSError`."""
        [known_run] = await self._server.runs([watched.name])
        watched.learn(known_run)
        run_id, project_id = watched.known.run_id, watched.known.project_id
        if run_id is None or project_id is None:
            return not watched.tails
        if not watched.known.directory_speaks:
            return False  # it may still be said
        is_complete = True
        known = await self._server.artifacts(run_id)
        for found in _missing(watched, known, self._guard):
            is_complete = False
            with self._guard.item(found.path):
                await self._bring_artifact(run_id, project_id, found)
        if self._says_status(watched):
            return is_complete
        await self._bring_status(watched, run_id)
        return False

    def _says_status(self, watched: WatchedRun) -> bool:
        """Whether the server's status is no older than the directory's."""
        state = watched.directory.state
        return (
            state is None
            or SPOOL_FILE in watched.tails
            or watched.known.status == state.status
            or watched.known.status in TERMINAL_STATUSES
        )

    async def _bring_status(self, watched: WatchedRun, run_id: UUID) -> None:
        """Sends the directory's status, after everything that its files say."""
        state = watched.directory.state
        if state is None or not watched.is_drained:
            return
        match state.status:
            case "completed":
                message: dict[str, Any] = {"type": "agent:completed", "data": {}}
            case "failed":
                message = {"type": "agent:failed", "data": {"error": state.error}}
            case status:
                message = {"type": "run:updated", "data": {"status": status}}
        await self._send(run_id, message)

    async def _bring_artifact(self, run_id: UUID, project_id: UUID, found: FoundArtifact) -> None:
        data: dict[str, Any] = {
            "artifact_id": str(found.id),
            "step_name": found.step_name,
            "media_type": found.media_type,
            "filename": acceptable.title(PurePosixPath(found.path).name),
        }
        with found.open() as file:
            size = os.fstat(file.fileno()).st_size
            if size <= INLINE_BYTES:
                data["content_base64"] = base64.b64encode(file.read(INLINE_BYTES)).decode()
            else:
                key = f"{project_id}/{found.id}"
                try:
                    await obstore.put_async(from_url(self._artifacts_url), key, file)
                except (BaseError, ValueError) as error:
                    log.warning("tailer.store_refuses", path=found.path, error=str(error))
                    return
                data |= {"object_key": key, "size": size, "sha256": found.sha256}
        await self._send(run_id, {"type": "artifact:created", "data": data})

    async def _send(self, run_id: UUID, message: dict[str, Any]) -> None:
        message["run_id"] = str(run_id)
        if self._auth is not None:
            message["auth"] = self._auth
        await self._shipper.send(str(run_id), orjson.dumps(message))


def _missing(
    watched: WatchedRun, known: list[KnownArtifact], guard: Guard
) -> Iterator[FoundArtifact]:
    ids = {artifact.id for artifact in known}
    contents = {(artifact.step_name, artifact.sha256) for artifact in known}
    for found in _found(watched, guard):
        if found.id not in ids and (found.step_name, found.sha256) not in contents:
            yield found


def _found(watched: WatchedRun, guard: Guard) -> list[FoundArtifact]:
    """The artifacts of the manifest whose files are there, and output.zip once the run is over."""
    directory = watched.directory
    found: list[FoundArtifact] = []
    for entry in _manifest(directory):
        with guard.item(f"{directory.path}: {entry['path']!r}"):
            found += _entry(directory, entry)
    is_over = directory.state is not None and directory.state.is_terminal
    if OUTPUT in directory.listing.names and is_over and SPOOL_FILE not in watched.tails:
        has_output = any(artifact.path == OUTPUT for artifact in found)
        digest = None if has_output else _digest(directory, OUTPUT)
        if digest is not None:
            own_id = uuid.uuid5(watched.run_id or uuid.NAMESPACE_URL, f"{OUTPUT} {digest}")
            output = (own_id, "output", "application/zip", directory, OUTPUT, digest)
            found.append(FoundArtifact(*output))
    return found


def _manifest(directory: RunDirectory) -> list[dict[str, Any]]:
    """The entries that can be believed. An invalid one is named in a warning, and left out."""
    try:
        entries, complaints = directory.read_artifacts()
    except FileNotFoundError:
        return []
    except (InvalidFile, OSError) as error:
        entries, complaints = [], [str(error)]
    if complaints:
        reason = "; ".join(complaints[:10])
        log.warning("tailer.left_alone", path=str(directory.path), reason=reason)
    return entries


def _entry(directory: RunDirectory, entry: dict[str, Any]) -> Iterator[FoundArtifact]:
    """The artifact of an entry whose file is a regular one beneath the directory, reached through no link."""
    path = os.path.normpath(entry["path"])
    own_id = acceptable.as_uuid(entry["artifact_id"])
    if own_id is None:
        return
    try:
        os.close(directory.open(path))
    except FileNotFoundError:
        return
    is_digest = _DIGEST.fullmatch(entry["sha256"]) is not None
    digest = entry["sha256"] if is_digest else _digest(directory, path)
    if digest is None:
        return
    media_type = entry["media_type"] or mimetypes.guess_type(path)[0] or "text/plain"
    step_name = acceptable.name(entry["step_name"]) or PurePosixPath(path).stem
    found = (own_id, step_name, acceptable.name(media_type) or "", directory, path, digest)
    yield FoundArtifact(*found)


def _digest(directory: RunDirectory, path: str) -> str | None:
    """The content's SHA-256; None for what can't be opened as a regular file of the directory."""
    try:
        with os.fdopen(directory.open(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
