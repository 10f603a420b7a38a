"""Outputs of a run's steps, as files: `artifacts/<step>/v<N>.<ext>`."""

import base64
import hashlib
import mimetypes
import os
import shutil
import urllib.parse
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runcast._recording.run_directory import RunDirectory
from runcast._support import acceptable, encoding
from runcast._support.ids import uuid7

_JSON = "application/json"
_EXTENSIONS = {_JSON: ".json", "text/plain": ".txt", "application/octet-stream": ".bin"}


@dataclass(frozen=True)
class Source:
    """What is kept: a file or a folder at `path`, or `content` (bytes, text, a `Path`, or anything JSON).

    A folder is kept as a zip archive. `moves=False` leaves a file where it is, which has to be inside
    the run's directory.
    """

    content: Any = None
    path: Path | None = None
    media_type: str | None = None
    moves: bool = True

    @classmethod
    def of(
        cls, content: Any, path: str | os.PathLike[str] | None, media_type: str | None
    ) -> "Source":
        """As people hand it over: a `Path` as content is that file."""
        if path is None and isinstance(content, os.PathLike):
            path, content = content, None
        found = None if path is None else Path(os.fsdecode(path))
        if isinstance(content, str):
            content = encoding.as_text(content)
        elif isinstance(content, (bytearray, memoryview)):
            content = bytes(content)
        return cls(content, found, acceptable.name(media_type))

    def described(self) -> tuple[str, str]:
        """Media type and file extension (with its dot)."""
        if self.path is not None:
            if self.path.is_dir():
                return self.media_type or "application/zip", ".zip"
            guessed, _ = mimetypes.guess_type(self.path.name)
            kind = self.media_type or guessed or "application/octet-stream"
            return kind, encoding.printable(self.path.suffix)[:40]
        if isinstance(self.content, str):
            return self.media_type or "text/plain", ".txt"
        if isinstance(self.content, bytes):
            return self.media_type or "application/octet-stream", ".bin"
        return self.media_type or _JSON, ".json"

    def bytes(self) -> bytes:
        """The content as it is stored, where that isn't a file's."""
        if isinstance(self.content, bytes):
            return self.content
        if isinstance(self.content, str):
            return encoding.printable(self.content).encode()
        return encoding.encode(self.content)


def store(directory: RunDirectory, step_name: str, version: int, source: Source) -> dict[str, Any]:
    """Writes the content beneath the run's directory; answers its entry for the manifest."""
    _, extension = source.described()
    directory.artifacts.mkdir(exist_ok=True)
    target = directory.artifacts / folder_name(step_name) / f"v{version}{extension}"
    if source.path is not None and not source.moves:
        target = source.path
    else:
        _write(target, source)
    return {
        **_entry(step_name, version, source),
        "size": target.stat().st_size,
        "sha256": digest(target),
        "path": target.relative_to(directory.path).as_posix(),
    }


def unstored(step_name: str, version: int, source: Source, limit: int) -> dict[str, Any] | None:
    """The entry of content that no disk takes, if a message can carry it."""
    if source.path is not None or len(content := source.bytes()) > limit:
        return None
    return {
        **_entry(step_name, version, source),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def inline(source: Source, limit: int) -> dict[str, Any]:
    """The content as a message carries it; empty for a file, or beyond `limit` bytes."""
    if source.path is not None or len(content := source.bytes()) > limit:
        return {}
    if not isinstance(source.content, (str, bytes)) and source.media_type is None:
        plain = encoding.decode(content)
        if acceptable.json(plain, limit + 1) == plain:
            return {"content": plain}
    return {"content_base64": base64.b64encode(content).decode()}


def folder_name(step_name: str) -> str:
    """A step's name as one safe path component, of a length that every file system takes."""
    quoted = urllib.parse.quote(step_name, safe=" ")
    if len(quoted) > 200:
        quoted = f"{quoted[:180]}~{hashlib.sha256(step_name.encode()).hexdigest()[:16]}"
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted or "%"


def next_version(directory: RunDirectory, step_name: str, known: list[dict[str, Any]]) -> int:
    """The version behind those that are in the manifest or on the disk."""
    listed = len([entry for entry in known if entry["step_name"] == step_name])
    folder = directory.artifacts / folder_name(step_name)
    numbers = [_number(each.stem) for each in folder.glob("v*")] if folder.is_dir() else []
    return max([listed, *numbers]) + 1


def _number(stem: str) -> int:
    digits = stem[1:].partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def _entry(step_name: str, version: int, source: Source) -> dict[str, Any]:
    return {
        "artifact_id": str(uuid7()),
        "step_name": step_name,
        "version": version,
        "media_type": source.described()[0],
    }


def _write(target: Path, source: Source) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.tmp")
    try:
        if source.path is None:
            draft.write_bytes(source.bytes())
        elif source.path.is_dir():
            _pack(source.path, draft)
        elif source.path.exists() and not source.path.is_file():
            raise OSError(f"{source.path} is no regular file")  # a pipe or a device has no end
        else:
            shutil.copyfile(source.path, draft)
        os.replace(draft, target)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _pack(folder: Path, draft: Path) -> None:
    """The folder's regular files as a zip archive; links aren't followed."""
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                archive.write(path, path.relative_to(folder).as_posix())


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extension_of(media_type: str) -> str:
    """The file extension (with its dot) for a media type."""
    return _EXTENSIONS.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"
