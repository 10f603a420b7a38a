"""What of the API is to go: one table, from which the headers of answers and the OpenAPI document are made.

An operation that another one replaces stays for the whole version of the API, and for `KEPT` at least. From
the day it gets its line here, each of its answers says so: `Deprecation` (RFC 9745), `Sunset` (RFC 8594)
where the day is known, and a `Link` to the description, which marks it `deprecated` and names what to use
instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from types import MappingProxyType
from urllib.parse import parse_qsl

from starlette.types import Scope

KEPT = timedelta(days=180)
"""How long something stays at least after its answers began to say that it will go."""
_PLACE = re.compile(r"\{[^/]+\}")
_DESCRIPTION = (b"link", b'</docs>; rel="deprecation"; type="text/html"')

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Since when something is deprecated, what replaces it, and the day from which it may be gone."""

    since: date
    instead: str
    """What to use, as a reader of the description should be told: an operation, or a parameter."""
    sunset: date | None = None

    def headers(self) -> RawHeaders:
        headers = [(b"deprecation", b"@%d" % _midnight(self.since).timestamp())]
        if self.sunset is not None:
            moment = format_datetime(_midnight(self.sunset), usegmt=True)
            headers.append((b"sunset", moment.encode()))
        return (*headers, _DESCRIPTION)

    def text(self) -> str:
        """For people."""
        goes = f"; it goes on {self.sunset} at the earliest" if self.sunset else ""
        return f"Deprecated since {self.since}{goes}. Use {self.instead}."


DEPRECATED: Mapping[str, Deprecation] = MappingProxyType({})
"""By operation, such as `GET /runs/{run}/status`, or by one's query parameter: `GET /runs?state`."""


class Deprecations:
    """Knows the deprecated requests of one process."""

    def __init__(self, table: Mapping[str, Deprecation]) -> None:
        self._lines = [_line(name, told) for name, told in table.items()]

    def headers(self, scope: Scope) -> RawHeaders:
        """What every answer to this request carries, a refusal too."""
        return next(self._told(scope), ())

    def _told(self, scope: Scope) -> Iterator[RawHeaders]:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        for verb, path, parameter, headers in self._lines:
            if verb != method or not path.fullmatch(scope["path"]):
                continue
            if not parameter or parameter in _names(scope):
                yield headers


def _line(name: str, told: Deprecation) -> tuple[str, re.Pattern[str], str, RawHeaders]:
    verb, _, rest = name.partition(" ")
    template, _, parameter = rest.partition("?")
    literal = [re.escape(part) for part in _PLACE.split(template)]
    return verb, re.compile("[^/]+".join(literal)), parameter, told.headers()


def _names(scope: Scope) -> set[str]:
    query = scope["query_string"].decode("latin-1")
    return {name for name, _ in parse_qsl(query, keep_blank_values=True)}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
