"""Postgres URLs with one host or several: what they name, and a connection to the first host that serves.

`postgresql://user@one:5432,two:5432/runcast?target_session_attrs=read-write` names two. asyncpg and libpq try
them in their order, but asyncpg gives them all one time-out: a host that answers nothing, as a machine that
lost its power does, then uses it up and the living one is never asked. So each host has its share here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from runcast._support.redis_url import ENCODED

HOSTS_AT_MOST = 8
CONNECT_SECONDS = 10.0
"""For commands, which a person waits for."""
_PREFERENCES = {"prefer-standby": ("standby", "any")}
_ATTRIBUTES = frozenset({"any", "primary", "standby", "read-write", "read-only", "prefer-standby"})
_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_ALLOWED = {"target_session_attrs": _ATTRIBUTES, "sslmode": _MODES}
_FILES = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
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
_ONLY_LIBPQ = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "require_auth",
        "requirepeer",
        "sslcertmode",
        "sslcompression",
        "sslcrldir",
        "sslkeylogfile",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""Parameters of libpq (PostgreSQL manual, 32.1.2) that asyncpg doesn't know and would send to the server,
which refuses each of them in its own words."""


def fault(url: str) -> str | None:
    """What keeps a URL from being understood, without its secrets; None where nothing does."""
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may hold the password
        return f"is no URL: an IPv6 address stands in brackets; {ENCODED}"
    if parts.scheme not in ("postgresql", "postgres"):
        return "must be a URL that starts with postgresql:// or postgres://"
    return _fault_of_account(parts) or _fault_of_hosts(hosts(url)) or _fault_of_query(parts.query)


def _fault_of_account(parts: SplitResult) -> str | None:
    """Programs differ in what they take for a password that isn't encoded; a `/` in one ends the host."""
    if parts.fragment or "@" in parts.path:
        return f"has a # or an @ behind its host: {ENCODED}"
    if re.search(r"%(?![0-9A-Fa-f]{2})|[\x00-\x20\x7f]", parts.netloc.rpartition("@")[0]):
        return f"has a space, or a % without two hexadecimal digits, before its host: {ENCODED}"
    if "%00" in f"{parts.netloc}{parts.path}{parts.query}":
        return "has a NUL (%00), which Postgres takes nowhere"
    return None


def _fault_of_hosts(found: Sequence[str]) -> str | None:
    if len(found) > HOSTS_AT_MOST:
        return f"names {len(found)} hosts; {HOSTS_AT_MOST} at most"
    for host in found:
        port = host.rpartition(":")[2] if not host.startswith("/") else ""
        bare = host.startswith("[") and host.endswith("]")
        is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65_536
        if ":" in host and not bare and not is_port:
            return f"names a port that is no number from 1 to 65535 ({ENCODED})"
    return None


def _fault_of_query(text: str) -> str | None:
    try:
        query = dict(parse_qsl(text, strict_parsing=True)) if text else {}
    except ValueError:
        return f"has a query that can't be read: it is name=value&name=value ({ENCODED})"
    if named := sorted(_ONLY_LIBPQ & query.keys()):
        return f"has parameters of libpq that Runcast doesn't take: leave {', '.join(named)} out"
    for name, allowed in _ALLOWED.items():
        if name in query and query[name] not in allowed:
            return f"{name} must be one of {', '.join(sorted(allowed))}"
    for name in _FILES & query.keys():
        try:
            with open(query[name], "rb"):
                pass
        except OSError as error:
            if query[name] != "system":
                return f"{name} names the file {query[name]}: {error.strerror}"
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
