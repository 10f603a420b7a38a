"""Editing an agent's own configuration: as little as possible, and so that it can be taken back whole.

The file as it was lies beside it (`….before-runcast`) until it is restored. A file that can't be read as a
JSON object is left alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from runcast import errors

Json = dict[str, Any]

BACKUP = ".before-runcast"


def read(path: Path) -> tuple[Json, str | None]:
    """What the file holds, and its text; nothing where it isn't there. Raises `InvalidFile`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, None
    except (OSError, UnicodeDecodeError) as error:
        raise errors.InvalidFile(path, str(error)) from error
    try:
        found = _loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise errors.InvalidFile(path, f"it isn't JSON ({error}); it was left alone") from error
    if not isinstance(found, dict):
        raise errors.InvalidFile(path, "it isn't a JSON object; it was left alone")
    return found, text


def _loads(text: str) -> Any:
    """The value of a JSON text that can be written again as it was. Raises `ValueError`, `RecursionError`."""
    return json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)


def _finite(number: str) -> float:
    if not math.isfinite(found := float(number)):
        raise ValueError(f"{number[:20]} is no number that JSON can hold")
    return found


def _once(members: list[tuple[str, Any]]) -> Json:
    """An object. Raises `ValueError` for a name that comes twice: writing it again would lose one of them."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:100]!r} comes twice in an object")
    return found


def in_form_of(settings: Json, text: str | None) -> str:
    """The settings as text, in the form that the file had: its indentation and its last line's end."""
    match = re.search(r'^([ \t]+)"', text or "", re.MULTILINE)
    indent: str | int = (match[1] if match else 2) if text is None or "\n" in text.strip() else 0
    written = json.dumps(settings, indent=indent or None, ensure_ascii=False)
    if not is_unicode(written):  # half an emoji, which JSON can only hold escaped
        written = json.dumps(settings, indent=indent or None)
    ends = "\n" if text is None or text.endswith("\n") else ""
    return written + ends


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def change(path: Path, settings: Json, text: str | None) -> bool:
    """Writes the settings, and keeps the file as it was before our first change. False: nothing to do."""
    if text is not None and json.loads(text or "{}") == settings:
        return False
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    backup = backup_of(target)
    if not backup.exists():
        _write(backup, text if text is not None else "")
    _write(target, in_form_of(settings, text))
    return True


def restore(path: Path, settings: Json, ours: Json, text: str) -> None:
    """Takes our change back: to the very file that was there before, where nothing else was changed since
    (then `settings` is what the backup says), else by writing `settings`."""
    target = path.resolve()
    backup = backup_of(target)
    before = backup.read_text(encoding="utf-8") if backup.exists() else None
    if before is not None and (json.loads(before) if before.strip() else {}) == settings:
        if before:
            _write(target, before)
        else:
            target.unlink()
    elif settings != ours:
        _write(target, in_form_of(settings, text))
    backup.unlink(missing_ok=True)


def was_made_by_us(path: Path) -> bool:
    """Whether there was no such file, or an empty one, before our first change."""
    backup = backup_of(path.resolve())
    return backup.exists() and not backup.read_text(encoding="utf-8").strip()


def backup_of(path: Path) -> Path:
    return path.with_name(path.name + BACKUP)


def _write(path: Path, text: str) -> None:
    """Replaces a file at once, with the rights that it had."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
