"""Which server, and with which token."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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

    The file's token goes to the file's server only. Raises `NotConfigured`.
    """
    path = credentials_path(environ, directory)
    local = _local(path)
    asked = url or environ.get("RUNCAST_URL")
    token = token or environ.get("RUNCAST_TOKEN")
    if asked:
        asked = asked.rstrip("/")
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


def credentials_path(
    environ: Mapping[str, str] = os.environ, directory: Path | None = None
) -> Path:
    data = environ.get("RUNCAST_DATA") or ".runcast"
    return (directory or Path()) / data / CREDENTIALS


def _local(path: Path) -> Connection | None:
    """The server that a file names. Another user's file is nobody's: a directory that one happens
    to stand in must not say where one's output goes."""
    try:
        if path.stat().st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            return None
        found = json.loads(path.read_bytes())
        return Connection(
            str(found["url"]).rstrip("/"), str(found["token"]), found.get("redis_url"), str(path)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
