"""The URL of a Redis: one server, a cluster or the sentinels of one.

    redis://[user:password@]host[:port][/database][?option=value]        one server; `rediss://` with TLS
    unix://[user:password@]/path/to/socket                               the same by a socket
    redis+cluster://[user:password@]a[:port],b[:port]                    a cluster, by any of its servers
    redis+sentinel://[user:password@]a[:port],b[:port]/name[/database]   what the sentinels call `name`

Options are redis-py's (`ssl_ca_certs=…`, `protocol=3`), and for sentinels `sentinel_username` and
`sentinel_password`. They count for every connection that is made by the URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)
SERVER_PORT = 6379
SENTINEL_PORT = 26379
ENCODED = "percent-encode special characters of a password: / is %2F, # is %23, ? is %3F, @ is %40, % is %25"
"""What to do about a URL that can't be taken apart."""

Kind = Literal["server", "cluster", "sentinel"]
Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL in its parts. `plain` is one that redis-py understands, of the first host and with all
    options."""

    kind: Kind
    plain: str
    hosts: tuple[Host, ...] = ()
    service: str = ""
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    @property
    def place(self) -> str:
        """Where it points, without its secrets."""
        if self.hosts:
            return ",".join(f"{host}:{port}" for host, port in self.hosts)
        return unquote(urlsplit(self.plain).path)


def parse(url: str) -> RedisUrl:
    """Raises `ValueError`, whose text says what is wrong and never holds a secret."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in SCHEMES:
        expected = ", ".join(f"{name}://" for name in SCHEMES)
        raise ValueError(f"must be a URL that starts with {expected}")
    base, _, kind = scheme.partition("+")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(
            f"has a host in brackets that is no IPv6 address, or a password: {ENCODED}"
        ) from None
    if base == "unix":
        return RedisUrl("server", url)
    _check_end(parts)
    user, at, netloc = parts.netloc.rpartition("@")
    default = SENTINEL_PORT if kind == "sentinel" else SERVER_PORT
    named = netloc.split(",")
    if len(named) > 1 and not all(named):
        raise ValueError("names several servers, and one of them is empty")
    hosts = tuple(_host(text, default) for text in named)
    if kind == "":
        if len(hosts) > 1:
            raise ValueError(
                f"names several servers: write {base}+cluster:// for a cluster, "
                f"{base}+sentinel://…/name for sentinels"
            )
        _check_database(parts.path.strip("/"))
        return RedisUrl("server", url, hosts)
    host, port = hosts[0]
    shown = f"[{host}]" if ":" in host else host
    netloc = f"{user}{at}{shown}:{port}"
    if kind == "cluster":
        if parts.path.strip("/") not in ("", "0"):
            raise ValueError("names a database, and a cluster has only database 0")
        plain = urlunsplit((base, netloc, "", parts.query, ""))
        return RedisUrl("cluster", plain, hosts)
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("must end with the name that the sentinels know, like /mymaster")
    _check_database(database)
    options = dict(parse_qsl(parts.query))
    name, password = options.pop("sentinel_username", None), options.pop("sentinel_password", None)
    plain = urlunsplit((base, netloc, f"/{database}" if database else "", urlencode(options), ""))
    return RedisUrl("sentinel", plain, hosts, unquote(service), name, password)


def _check_database(text: str) -> None:
    """Raises `ValueError`: redis-py takes what is no number for database 0, and `1/2` for 12."""
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("names a database that is no number from 0, as in redis://host:6379/0")


def _check_end(parts: SplitResult) -> None:
    """Raises `ValueError` where a password that isn't encoded ended the host."""
    if parts.fragment or "@" in parts.path:
        raise ValueError(f"has a # or an @ behind its host: {ENCODED}")
    try:
        parse_qsl(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(f"has options that aren't name=value&name=value ({ENCODED})") from None


def _host(text: str, default: int) -> Host:
    """A host with its port. An IPv6 address stands in brackets."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"has a host in brackets that is none: {ENCODED}")
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
    if not host:
        host = "localhost"
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        # What stands there may be the beginning of a password with a `/`, so it isn't shown.
        raise ValueError(f"has a port that is no number from 1 to 65535 ({ENCODED})")
    return unquote(host), int(port) if port else default
