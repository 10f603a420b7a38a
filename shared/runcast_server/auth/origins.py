"""Which pages may make browsers call us, and what our answers tell browsers.

A browser adds cookies to requests that any page makes, and says whose page it was (`Origin`, RFC 6454;
`Sec-Fetch-Site`). Ours may do everything. Pages of `RUNCAST_CORS_ORIGINS` may call with a token, never with
a session's cookie. Those of everybody else change nothing, and their requests lose their cookies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Scope

from runcast.contract import API_VERSION
from runcast_server.auth.principal import SESSION_COOKIE
from runcast_server.errors import Forbidden

HEADERS_SCOPE = "runcast.headers"
"""Where in the scope stands what each answer must carry, unless it says otherwise itself."""
CORS_SCOPE = "runcast.cors"
"""In the scope of requests that an allowed page of another origin makes: that origin."""
STREAM_COOKIES = b"runcast_stream_"
PLAIN_SESSION = SESSION_COOKIE.encode()
"""Over TLS the session's cookie has a prefix; one without may have been set by another host."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = "/a/"
"""Of links that are the authority themselves, and use no cookie: any page may follow one."""
PREFLIGHT_SECONDS = 600

RawHeaders = tuple[tuple[bytes, bytes], ...]

SECURITY: RawHeaders = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
VERSION = (b"runcast-version", API_VERSION.encode())
HSTS = (b"strict-transport-security", b"max-age=31536000")
EXPOSED = (
    b"Runcast-Head, Runcast-Version, Retry-After, Idempotency-Replayed, Content-Disposition, ETag, "
    b"Content-Range, Accept-Ranges, Deprecation, Sunset, Link"
)


class ForeignPage(Forbidden):
    """A page of another site asked for a change."""

    type = "foreign-page"
    title = "Not from this page"


@dataclass(frozen=True, slots=True)
class Origins:
    """The rules of one process."""

    allowed: frozenset[str]
    public: str | None

    @classmethod
    def of(cls, allowed: Sequence[str], public_url: str | None) -> Origins:
        """Origins as browsers write them: scheme, host and port, without a slash."""
        public = origin_of(public_url) if public_url else None
        return cls(frozenset(one.rstrip("/").lower() for one in allowed if one), public)

    def admit(self, scope: Scope) -> None:
        """Prepares the scope: takes away cookies, notes headers. Raises `ForeignPage`."""
        headers = {name: value for name, value in scope["headers"] if name in _ASKED}
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        added = (*SECURITY, VERSION)
        if self._is_https(scope):
            added = (*SECURITY, VERSION, HSTS)
            _keep_cookies(scope, lambda cookie: not cookie.startswith(PLAIN_SESSION))
        if origin in self.allowed:
            _keep_cookies(scope, lambda cookie: cookie.startswith(STREAM_COOKIES))
            scope[CORS_SCOPE] = origin
            added += _cors(origin)
        elif not self._is_own(origin, headers):
            is_open = scope["path"].startswith(OPEN_PATHS)
            if origin and scope["method"] not in SAFE_METHODS and not is_open:
                raise ForeignPage(f"pages of {origin[:100]} may not call this server")
            _keep_cookies(scope, lambda _: False)
        scope[HEADERS_SCOPE] = added

    def _is_own(self, origin: str, headers: dict[bytes, bytes]) -> bool:
        if origin:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            return origin == self.public or _netloc(origin) == host != ""
        site = headers.get(b"sec-fetch-site", b"none")
        # Following a link here is a navigation; SameSite says which cookies come with it.
        return site in (b"none", b"same-origin") or headers.get(b"sec-fetch-mode") == b"navigate"

    def _is_https(self, scope: Scope) -> bool:
        return scope.get("scheme") == "https" or (self.public or "").startswith("https:")


_ASKED = frozenset({b"origin", b"host", b"sec-fetch-site", b"sec-fetch-mode"})


def _netloc(origin: str) -> str:
    """Host and port of an origin; empty for what isn't one ("null", or anything that a program sends)."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """A URL's origin."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks beforehand what an allowed page may do (Fetch, CORS-preflight)."""
    return scope["method"] == "OPTIONS" and CORS_SCOPE in scope


def preflight_headers(scope: Scope) -> RawHeaders:
    """What it is answered: everything that the API knows."""
    return (
        *scope[HEADERS_SCOPE],
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
        (
            b"access-control-allow-headers",
            b"Authorization, Content-Type, Content-Encoding, Last-Event-ID, Idempotency-Key, If-Match, "
            b"If-None-Match, If-Range, Range, Runcast-Version",
        ),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
    )


def with_added(scope: Scope, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's headers, and those of the scope that it doesn't set itself. `Vary` adds up."""
    own = {name.lower() for name, _ in headers} - {b"vary"}
    added: Any = scope.get(HEADERS_SCOPE, ())
    return headers + [pair for pair in added if pair[0] not in own]


def _cors(origin: str) -> RawHeaders:
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    )


def _keep_cookies(scope: Scope, is_kept: Callable[[bytes], bool]) -> None:
    """Leaves only some of the cookies."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in scope["headers"]:
        if name == b"cookie":
            parts = [part.strip() for part in value.split(b";")]
            value = b"; ".join(part for part in parts if is_kept(part))
            if not value:
                continue
        kept.append((name, value))
    scope["headers"] = kept
