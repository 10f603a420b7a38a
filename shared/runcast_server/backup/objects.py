"""Contents of artifacts that lie in the artifact store, to and from a backup."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from runcast_server.backup.manifest import OBJECTS, BackupError, Object
from runcast_server.backup.programs import Say

STORE_ERRORS = (BaseError, OSError, ValueError)
_NAMED = """
SELECT object_key AS key, size, sha256 FROM artifacts WHERE object_key IS NOT NULL ORDER BY object_key
"""


async def named(connection: Any) -> list[Object]:
    """The objects that the artifacts of this snapshot name."""
    rows = await connection.fetch(_NAMED)
    return [Object(row["key"], row["size"], row["sha256"], False) for row in rows]


async def copy_out(url: str, objects: Sequence[Object], directory: Path, say: Say) -> list[Object]:
    """Copies them; one that isn't there any more, because it was deleted meanwhile, stays uncopied.

    Raises `BackupError` where the store is away, or a content isn't what its artifact says.
    """
    store = _opened(url)
    copied = []
    for number, each in enumerate(objects):
        if number and number % 100 == 0:
            say(f"copied {number:,} of {len(objects):,} artifacts")
        copied.append(await _copied_out(store, each, directory))
    return copied


async def _copied_out(store: ObjectStore, each: Object, directory: Path) -> Object:
    path = _path(directory, each)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = hashlib.sha256()
    with path.open("wb") as file:
        try:
            async for piece in (await obstore.get_async(store, each.key)).stream():
                _append(file, piece)
                said.update(piece)
        except FileNotFoundError:
            path.unlink(missing_ok=True)
            return each
        except STORE_ERRORS as error:
            raise BackupError(f"the artifact store can't be read: {error}") from error
    if said.hexdigest() != each.sha256:
        raise BackupError(f"the artifact {each.key} is damaged in its store: its SHA-256 differs")
    return Object(each.key, each.size, each.sha256, True)


def _append(file: BinaryIO, piece: Any) -> None:
    """Raises `BackupError`: what the copy's disk says isn't the store's error."""
    try:
        file.write(piece)
    except OSError as error:
        raise BackupError(f"the backup can't be written: {error.strerror}") from error


async def copy_in(url: str, objects: Sequence[Object], directory: Path) -> None:
    """Copies those of the backup into the store of this URL. Raises `BackupError`."""
    store = _opened(url)
    for each in objects:
        if each.is_copied:
            try:
                await obstore.put_async(store, each.key, _path(directory, each))
            except STORE_ERRORS as error:
                raise BackupError(f"the artifact store can't be written: {error}") from error


def _path(directory: Path, each: Object) -> Path:
    """Below the backup's own directory, whatever the key says."""
    root = (directory / OBJECTS).resolve()
    path = (root / each.key).resolve()
    if not path.is_relative_to(root):
        raise BackupError(f"the artifact {each.key!r} would lie outside of the backup")
    return path


def _opened(url: str) -> ObjectStore:
    try:
        return from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
    except STORE_ERRORS as error:
        raise BackupError(f"the artifact store can't be opened: {error}") from error
