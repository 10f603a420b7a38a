"""Outputs of a run's steps, as files: `artifacts/<step>/v<N>.<ext>`."""

import base64
import hashlib
import mimetypes
import os
import shutil
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runcast._recording.run_directory import RunDirectory
from runcast._support import encoding
from runcast._support.ids import uuid7

_JSON = "application/json"
_EXTENSIONS = {_JSON: ".json", "text/plain": ".txt", "application/octet-stream": ".bin"}


@dataclass(frozen=True)
class Source:
    """What is kept: a file at `path`, or `content` (bytes, text, or anything JSON).

    `moves=False` leaves a file where it is, which has to be inside the run's directory.
    """

    content: Any = None
    path: Path | None = None
    media_type: str | None = None
    moves: bool = True

    def described(self) -> tuple[str, str]:
        """Media type and file extension (with its dot)."""
        if self.path is not None:
            guessed, _ = mimetypes.guess_type(self.path.name)
            return self.media_type or guessed or "application/octet-stream", self.path.suffix
        if isinstance(self.content, str):
            return self.media_type or "text/plain", ".txt"
        if isinstance(self.content, bytes):
            return self.media_type or "application/octet-stream", ".bin"
        return self.media_type or _JSON, ".json"


def store(directory: RunDirectory, step_name: str, version: int, source: Source) -> dict[str, Any]:
    """Writes the content beneath the run's directory; answers its entry for the manifest."""
    media_type, extension = source.described()
    directory.artifacts.mkdir(exist_ok=True)
    target = directory.artifacts / folder_name(step_name) / f"v{version}{extension}"
    if source.path is not None and not source.moves:
        target = source.path
    else:
        _write(target, source)
    return {
        "artifact_id": str(uuid7()),
        "step_name": step_name,
        "version": version,
        "media_type": media_type,
        "size": target.stat().st_size,
        "sha256": digest(target),
        "path": target.relative_to(directory.path).as_posix(),
    }


def inline(source: Source, size: int, limit: int) -> dict[str, Any]:
    """The content as a message carries it; empty for a file, or beyond `limit` bytes."""
    if source.path is not None or size > limit:
        return {}
    if not isinstance(source.content, (str, bytes)):
        return {"content": source.content}
    text = (
        source.content
        if isinstance(source.content, bytes)
        else source.content.encode(errors="replace")
    )
    return {"content_base64": base64.b64encode(text).decode()}


def folder_name(step_name: str) -> str:
    """A step's name as one safe path component."""
    quoted = urllib.parse.quote(step_name, safe=" ")[:200]
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted or "%"


def _write(target: Path, source: Source) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.tmp")
    if source.path is not None:
        shutil.copyfile(source.path, draft)
    elif isinstance(source.content, bytes):
        draft.write_bytes(source.content)
    elif isinstance(source.content, str):
        draft.write_text(encoding.printable(source.content), encoding="utf-8", newline="")
    else:
        draft.write_bytes(encoding.encode(source.content))
    os.replace(draft, target)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extension_of(media_type: str) -> str:
    """The file extension (with its dot) for a media type."""
    return _EXTENSIONS.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"
