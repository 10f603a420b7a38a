"""The JSON files of a run's directory: what each must hold to be believed.

Formats as in `docs/files.md`. Unknown fields are kept and ignored.
"""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from runcast.contract import STATUSES
from runcast.errors import InvalidFile

Types = tuple[type, ...]

_TEXT: Types = (str,)
_MAYBE_TEXT: Types = (str, type(None))

RUN: Mapping[str, Types] = {
    "id": _TEXT,
    "key": _MAYBE_TEXT,
    "project": _MAYBE_TEXT,
    "status": _TEXT,
    "steps": (list,),
    "step_timestamps": (dict,),
    "created_at": _TEXT,
    "updated_at": _TEXT,
}
STATUS: Mapping[str, Types] = {
    "run_id": _TEXT,
    "status": _TEXT,
    "created_at": _TEXT,
    "updated_at": _TEXT,
    "events": (list,),
}
PROGRESS: Mapping[str, Types] = {"ts": _TEXT, "stage": _TEXT, "message": _TEXT}
RUNS_INDEX: Mapping[str, Types] = {"total": (int,), "runs": (list,)}
RUN_ENTRY: Mapping[str, Types] = {"id": _TEXT, "status": _TEXT, "created_at": _TEXT}
ARTIFACTS_INDEX: Mapping[str, Types] = {"total": (int,), "artifacts": (list,)}
ARTIFACT_ENTRY: Mapping[str, Types] = {
    "artifact_id": _TEXT,
    "step_name": _TEXT,
    "version": (int,),
    "media_type": _TEXT,
    "size": (int,),
    "sha256": _TEXT,
    "path": _TEXT,
}

_FILES: dict[str, tuple[Mapping[str, Types], str | None, Mapping[str, Types]]] = {
    "run.json": (RUN, None, {}),
    "status.json": (STATUS, "events", PROGRESS),
    "runs/index.json": (RUNS_INDEX, "runs", RUN_ENTRY),
    "artifacts/index.json": (ARTIFACTS_INDEX, "artifacts", ARTIFACT_ENTRY),
}


def check(kind: str, content: Any) -> dict[str, Any]:
    """`content` if it is what a file of this kind holds. Raises `ValueError` naming the field."""
    fields, items, item_fields = _FILES[kind]
    _check_fields(content, fields, "")
    if "status" in fields and content["status"] not in STATUSES:
        raise ValueError(f"status is {content['status']!r}")
    for number, item in enumerate(content[items] if items else ()):
        _check_fields(item, item_fields, f"{items}[{number}].")
    checked: dict[str, Any] = content
    return checked


def read(path: Path, kind: str) -> dict[str, Any]:
    """A file's checked content. Raises `InvalidFile`, or `FileNotFoundError` if it isn't there."""
    return parse(path.read_bytes(), path, kind)


def parse(content: bytes, path: Path, kind: str) -> dict[str, Any]:
    """The checked content of a file that was read from `path`. Raises `InvalidFile`."""
    try:
        return check(kind, orjson.loads(content.removeprefix(codecs.BOM_UTF8)))
    except ValueError as error:
        raise InvalidFile(path, str(error)) from error


def parse_artifacts(content: bytes, path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The entries of an artifacts/index.json that are what they should be, and what is wrong with the others.

    Raises `InvalidFile` for a file that holds no entries.
    """
    try:
        index = orjson.loads(content.removeprefix(codecs.BOM_UTF8))
        _check_fields(index, ARTIFACTS_INDEX, "")
    except ValueError as error:
        raise InvalidFile(path, str(error)) from error
    good: list[dict[str, Any]] = []
    complaints: list[str] = []
    for number, entry in enumerate(index["artifacts"]):
        try:
            _check_fields(entry, ARTIFACT_ENTRY, f"artifacts[{number}].")
            good.append(entry)
        except ValueError as error:
            complaints.append(str(error))
    return good, complaints


def _check_fields(content: Any, fields: Mapping[str, Types], where: str) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{where.rstrip('.') or 'the file'} is not an object")
    for name, types in fields.items():
        if name not in content:
            raise ValueError(f"{where}{name} is missing")
        if not isinstance(content[name], types):
            raise ValueError(f"{where}{name} is not {' or '.join(t.__name__ for t in types)}")
