"""`manifest.json` of a backup: what is in it, and what must be true once it is restored."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

from runcast_server.backup.facts import Facts
from runcast_server.errors import ExplainedError

FORMAT = 1
NAME = "manifest.json"
DUMP = "dump"
OBJECTS = "artifacts"


class BackupError(ExplainedError):
    """A backup can't be made or restored. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Object:
    """The content of an artifact that lies in the artifact store. `is_copied`: and in this backup."""

    key: str
    size: int
    sha256: str
    is_copied: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """Times are UTC, ISO 8601; `files` holds the SHA-256 of each file beside the manifest, by path."""

    format: int
    made_at: str
    runcast: str
    postgres: str
    versions: list[str]
    roles: list[str]
    facts: Facts
    objects_url: str
    objects: list[Object]
    files: dict[str, str]


def write(directory: Path, manifest: Manifest) -> None:
    """Writes it whole; a backup without one is none."""
    (directory / NAME).write_bytes(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))


def read(directory: Path) -> Manifest:
    """Raises `BackupError` where there is none, or one that this version can't read."""
    path = directory / NAME
    try:
        said = orjson.loads(path.read_bytes())
        if said["format"] != FORMAT:
            raise BackupError(
                f"{path} has the format {said['format']}; this version reads {FORMAT}"
            )
        return TypeAdapter(Manifest).validate_python(said)
    except OSError as error:
        raise BackupError(f"{directory} is no backup: {NAME}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BackupError(f"{path} can't be read: {where}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} can't be read: {error}") from error


def sums(directory: Path) -> dict[str, str]:
    """The SHA-256 of every file of a backup but its manifest."""
    return {
        path.relative_to(directory).as_posix(): sum_of(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / NAME
    }


def sum_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(directory: Path, manifest: Manifest) -> None:
    """Raises `BackupError` where a file of the backup is missing or was changed."""
    now = sums(directory)
    for name, known in manifest.files.items():
        if name not in now:
            raise BackupError(f"{directory / name} is missing from the backup")
        if now[name] != known:
            raise BackupError(f"{directory / name} isn't as it was written: it is damaged")
