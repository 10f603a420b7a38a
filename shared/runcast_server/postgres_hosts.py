"""Postgres URLs with one host or several: what they name, and a connection to the first host that serves.

`postgresql://user@one:5432,two:5432/runcast?target_session_attrs=read-write` names two. asyncpg and libpq try
them in their order, but asyncpg gives them all one time-out: a host that answers nothing, as a machine that
lost its power does, then uses it up and the living one is never asked. So each host has its share here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

HOSTS_AT_MOST = 8
CONNECT_SECONDS = 10.0
"""For commands, which a person waits for."""
_PREFERENCES = {"prefer-standby": ("standby", "any")}
_ATTRIBUTES = frozenset({"any", "primary", "standby", "read-write", "read-only", "prefer-standby"})
_ELSEWHERE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it starts, or shuts down
    asyncpg.InsufficientResourcesError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.InternalClientError,
)
"""What another host may do better."""


def fault(url: str) -> str | None:
    """What keeps a URL from being understood; None where nothing does."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("postgresql", "postgres"):
        return "must be a URL that starts with postgresql:// or postgres://"
    found = hosts(url)
    if len(found) > HOSTS_AT_MOST:
        return f"names {len(found)} hosts; {HOSTS_AT_MOST} at most"
    for host in found:
        port = host.rpartition(":")[2] if not host.startswith("/") else ""
        bare = host.startswith("[") and host.endswith("]")
        if ":" in host and not bare and not (port.isdigit() and 0 < int(port) < 65_536):
            return "names a port that is no number from 1 to 65535"
    try:
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        return "has a query that can't be read: it is name=value&name=value"
    wanted = query.get("target_session_attrs", "any")
    if wanted not in _ATTRIBUTES:
        return f"target_session_attrs must be one of {', '.join(sorted(_ATTRIBUTES))}"
    return None


def hosts(url: str) -> list[str]:
    """The hosts of a URL, each with its port where one is named; a directory for a socket."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    if not place:
        query = dict(parse_qsl(parts.query))
        place = query.get("host", "")
        if place and query.get("port") and "," not in place:
            place = f"{place}:{query['port']}"
    return [host.strip() for host in place.split(",") if host.strip()]


def place(url: str) -> str:
    """Where a URL points, without its secrets."""
    return ", ".join(hosts(url)) or urlsplit(url).path.lstrip("/") or "this machine"


def each(url: str) -> list[str]:
    """The URLs of the hosts one by one, in their order."""
    parts = urlsplit(url)
    account, at, place = parts.netloc.rpartition("@")
    if "," in place:
        return [urlunsplit(parts._replace(netloc=f"{account}{at}{host}")) for host in hosts(url)]
    query = dict(parse_qsl(parts.query))
    if "," not in query.get("host", ""):
        return [url]
    named, ports = query["host"].split(","), query.get("port", "").split(",")
    if len(ports) != len(named):
        ports = ports[:1] * len(named)
    one_by_one = zip(named, ports, strict=True)
    return [_with(url, {"host": host, "port": port or None}) for host, port in one_by_one]


async def connect(url: str, *, seconds: float, **options: Any) -> Any:
    """A connection to the first host that takes one and is what `target_session_attrs` asks for, within
    `seconds` for all of them together.

    Raises what asyncpg raises: of a refusal (a wrong password, no such database) at once, as all hosts would
    refuse; else what the last host said.
    """
    attempts = _attempts(url)
    for number, one in enumerate(attempts):
        try:
            return await asyncpg.connect(one, timeout=seconds / len(attempts), **options)
        except _ELSEWHERE:
            if number == len(attempts) - 1:
                raise
    raise AssertionError("a URL names a host")


async def writable(url: str) -> str:
    """The URL of the one host that takes writes, for programs that know one host only. Where the database
    isn't there yet, that of the first host which says so. Raises what `connect` raises."""
    one_by_one = each(url)
    for number, one in enumerate(one_by_one):
        wanted = _with(one, {"target_session_attrs": "read-write" if one != url else None})
        try:
            connection = await asyncpg.connect(wanted, timeout=CONNECT_SECONDS / len(one_by_one))
            await connection.close()
        except asyncpg.InvalidCatalogNameError:
            pass
        except _ELSEWHERE:
            if number == len(one_by_one) - 1:
                raise
            continue
        return _with(one, {"target_session_attrs": None})
    raise AssertionError("a URL names a host")


def with_login(url: str, other: str) -> str:
    """The place of `url` by the login of `other`, where it names none of its own."""
    parts = urlsplit(url)
    if parts.username:
        return url
    account, at, _ = urlsplit(other).netloc.rpartition("@")
    return _with(urlunsplit(parts._replace(netloc=f"{account}{at}{parts.netloc.lstrip('@')}")), {})


def _attempts(url: str) -> Sequence[str]:
    one_by_one = each(url)
    wanted = dict(parse_qsl(urlsplit(url).query)).get("target_session_attrs", "any")
    return [
        _with(one, {"target_session_attrs": preference})
        for preference in _PREFERENCES.get(wanted, (wanted,))
        for one in one_by_one
    ]


def _with(url: str, changes: dict[str, str | None]) -> str:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | changes
    kept = {name: value for name, value in query.items() if value is not None}
    changed = urlunsplit(parts._replace(query=urlencode(kept, safe="/,")))
    # urlunsplit leaves the slashes of an empty place out; libpq asks for them.
    return changed if parts.netloc else f"{parts.scheme}://{changed.partition(':')[2]}"
