"""The kinds of values that settings have: how each is read, and what is refused, with words for a person.

What is taken here works later, too: a value that only fails once someone signs in, or makes a socket
overflow, is refused at the start.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from runcast._support import redis_url
from runcast_server import postgres_hosts
from runcast_server.redis_access import clients

STORES = ("file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl", "https", "memory")
"""What large artifacts can lie in."""
_REDIS_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_HOST_NAME = re.compile(r"[A-Za-z0-9_.:%-]{1,253}|\[[0-9A-Fa-f:.%]+\]")
_HEADER = re.compile(r"\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+\s*=[^\r\n]*")


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many private keys there are on this curve (FIPS 186-5)."""


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path.expanduser()))
    except RuntimeError:  # pathlib's, for a user that isn't there
        raise ValueError("begins with ~ and names no user of this system with a home") from None


def _paths(value: object) -> object:
    """Without what stands between two separators: an empty path would be the directory of the start."""
    if not isinstance(value, str):
        return value
    return tuple(path for path in value.split(os.pathsep) if path.strip())


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _workers(value: object) -> object:
    return available_cores() if value == "auto" else value


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parts(url: str) -> SplitResult:
    """A URL's parts, with a port that is one. Raises `ValueError`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text may hold a password
        raise ValueError(
            "is no URL: a port is a number up to 65535, and an IPv6 address stands in brackets"
        ) from None
    return parts


def _http_url(url: str) -> str:
    parts = _parts(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https:// and a host")
    if re.search(r"\s", url):
        raise ValueError("has a space in it")
    return url


def _public_url(url: str) -> str:
    parts = _parts(_http_url(url))
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(
            "is what links begin with, and so has no user, no ? and no #: https://runs.example.org"
        )
    return url


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        parts = _parts(origin)  # of web pages, and of applications: `tauri://localhost`
        if not parts.scheme or not parts.netloc or parts.path.strip("/"):
            raise ValueError(f"{origin!r} is no origin: scheme, host and port, without a path")
    return origins


def _networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            network == "*" or ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ValueError(f"{network!r} is no address, network or *") from None
    return networks


def _host(host: str) -> str:
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"{host[:60]!r} is no name or address of a host")
    if re.fullmatch(r"[^:]+:\d+", host):
        raise ValueError(f"{host[:60]!r} names a port, and only a host belongs here")
    return host


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_host(host) for host in hosts)


def _store(url: str) -> str:
    parts = _parts(url)
    if parts.scheme not in STORES:
        raise ValueError("must be a URL that starts with file:///, s3://, gs:// or az://")
    if "://" not in url or not (parts.netloc or parts.path.strip("/")):
        raise ValueError("must name a folder or a bucket")
    return url


def _postgres(url: str) -> str:
    if fault := postgres_hosts.fault(url):
        raise ValueError(fault)
    return url


def _redis(url: str) -> str:
    found = clients.options(redis_url.parse(url))
    for name in _REDIS_FILES & found.keys():
        try:
            with open(found[name], "rb"):
                pass
        except OSError as error:
            raise ValueError(f"{name} names the file {found[name]}: {error.strerror}") from None
    return url


def _push_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < P256_ORDER:
        raise ValueError("isn't a private key of P-256: 32 bytes as base64url")
    return secret


def _contact(text: str) -> str:
    if not re.fullmatch(r"(mailto:[^\s@]+@[^\s@]+|https://\S+)", text):
        raise ValueError("must be mailto: and an address, or a URL that starts with https://")
    return text


def headers(text: str) -> dict[str, str]:
    """Headers as `name=value`, separated by commas. Raises `ValueError`."""
    given = [each for each in text.split(",") if each.strip()]
    if not all(_HEADER.fullmatch(each) for each in given):
        raise ValueError("must be name=value, separated by commas")
    pairs = (each.split("=", 1) for each in given)
    return {name.strip().lower(): value.strip() for name, value in pairs}


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
PathList = Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_paths)]
NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
HostName = Annotated[str, AfterValidator(_host)]
HostList = Annotated[NameList, NoDecode, AfterValidator(_hosts)]
NetworkList = Annotated[NameList, NoDecode, AfterValidator(_networks)]
OriginList = Annotated[NameList, NoDecode, AfterValidator(_origins)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
StoreUrl = Annotated[str, AfterValidator(_store)]
PostgresUrl = Annotated[str, AfterValidator(_postgres)]
RedisUrl = Annotated[str, AfterValidator(_redis)]
Contact = Annotated[str, AfterValidator(_contact)]
PushSecret = Annotated[SecretStr, AfterValidator(_push_secret)]
Workers = Annotated[int, BeforeValidator(_workers), Field(ge=1, le=256)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""How many there may be of something; 0 is none or no limit."""
Days = Annotated[int, Field(ge=1, le=36_500)]
Bytes = Annotated[int, Field(ge=1, lt=2**62)]
"""Also for lines: what fits into a column."""
