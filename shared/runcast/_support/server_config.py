"""Which server, and with which token."""

import json
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runcast.errors import NotConfigured

CREDENTIALS = "credentials.json"


@dataclass(frozen=True)
class Connection:
    """`source` says where the URL was found, for people."""

    url: str
    token: str | None
    redis_url: str | None = None
    source: str = "given"


def find(
    url: str | None = None,
    token: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Connection:
    """What is given, else `RUNCAST_URL` and `RUNCAST_TOKEN`, else the local server's
    credentials.json (in `RUNCAST_DATA`, or `.runcast` below `directory`, the current one).

    The file's token goes to the file's server only. Raises `NotConfigured`, also for a URL or a token
    that can't be one; the text never holds the token.
    """
    path = credentials_path(environ, directory)
    local = _local(path)
    asked = url or environ.get("RUNCAST_URL")
    token = _checked_token(token or environ.get("RUNCAST_TOKEN"))
    if asked:
        asked = _checked_url(asked)
        is_local = local is not None and asked == local.url
        source = "given" if url else "RUNCAST_URL"
        return Connection(
            asked, token or (local.token if local and is_local else None), None, source
        )
    if local is None:
        raise NotConfigured(
            f"no server is known: give a URL, set RUNCAST_URL, or start `runcast up` ({path} is not there)"
        )
    return Connection(local.url, token or local.token, local.redis_url, local.source)


def _checked_url(given: Any) -> str:
    """The URL without what people leave at its end."""
    if not isinstance(given, str):
        raise NotConfigured(f"the server's URL is a {type(given).__name__}: give it as a text")
    asked = given.strip().rstrip("/")
    try:
        parts = urllib.parse.urlsplit(asked)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_url = False
    if is_url and asked.isascii() and asked.isprintable() and " " not in asked:
        return asked
    raise NotConfigured(
        f"the server's URL {given[:200]!r} is none: give one like http://localhost:8000"
    )


def _checked_token(given: Any) -> str | None:
    """The token without a line end: files that hold secrets often have one."""
    if given is not None and not isinstance(given, str):
        raise NotConfigured(f"the token is a {type(given).__name__}: give it as a text")
    token = (given or "").strip()
    if not token:
        return None
    if token.isascii() and token.isprintable() and " " not in token:
        return token
    raise NotConfigured("the token holds characters that no token has; it is not sent")


def credentials_path(
    environ: Mapping[str, str] = os.environ, directory: Path | None = None
) -> Path:
    data = environ.get("RUNCAST_DATA") or ".runcast"
    return (directory or Path()) / data / CREDENTIALS


def _local(path: Path) -> Connection | None:
    """The server that a file names. Another user's file is no one's: a directory that one happens
    to stand in must not say where one's output goes."""
    try:
        if _is_foreign(path):
            return None
        found = json.loads(path.read_bytes())
        return Connection(
            str(found["url"]).rstrip("/"), str(found["token"]), found.get("redis_url"), str(path)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_foreign(path: Path) -> bool:
    """Whether the file is another user's. (Windows has no such numbers.)"""
    if not hasattr(os, "geteuid"):
        return False
    return path.stat().st_uid not in (0, os.geteuid()) and os.geteuid() != 0
