"""Which methods a path has: what `Allow` names (RFC 9110, section 10.2.1), and what OPTIONS is answered.

Read from the table of operations, so that a path of the hub's, and one with a route per method, is answered
with all of its methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from runcast_server.auth.operations import OPERATIONS

_PLACE = re.compile(r"\{[^}]+\}")


def _templates() -> Iterator[tuple[re.Pattern[str], str]]:
    for name in OPERATIONS:
        method, _, path = name.partition(" ")
        literal = [re.escape(part) for part in _PLACE.split(path)]
        yield re.compile("[^/]+".join(literal)), method


_TEMPLATES = tuple(_templates())
_ORDER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def allowed(path: str) -> list[str]:
    """The methods of this path, in the order in which they are told; none where nothing is served."""
    found = {method for pattern, method in _TEMPLATES if pattern.fullmatch(path)}
    if not found:
        return []
    if "GET" in found:
        found.add("HEAD")
    return [method for method in _ORDER if method in found | {"OPTIONS"}]
