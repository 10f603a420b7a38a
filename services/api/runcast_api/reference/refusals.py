"""Which errors an operation may answer with, and what it needs of its caller."""

from __future__ import annotations

from typing import Any

from runcast_server.auth import operations
from runcast_server.auth.operations import OPERATIONS, READER, Needs
from runcast_server.errors import PROBLEM_MEDIA_TYPE

STATUSES: dict[int, str] = {
    400: "The body can't be read (`unreadable`), or `Runcast-Version` names a version of the API that "
    "this server doesn't speak (`unknown-version`).",
    401: "There is no token, or it is invalid, expired or revoked (`unauthenticated`).",
    403: "The caller lacks the right (`forbidden`), or the request comes from a page of another site "
    "(`foreign-page`).",
    404: "It doesn't exist, or the caller may not know that it does (`not-found`).",
    408: "The body arrives too slowly (`too-slow`).",
    409: "The state doesn't allow it, or a name or id is taken (`conflict`); the question is closed "
    "already (`question-closed`).",
    410: "The request was carried out before, and its result has been deleted or redacted since "
    "(`erased`).",
    412: "`If-Match` names another version than the present one (`precondition-failed`).",
    413: "The body or a part of it is beyond its limit (`too-large`).",
    415: "The body has a `Content-Encoding` other than gzip (`unsupported-coding`).",
    416: "`Range` begins beyond the end (`range-not-satisfiable`).",
    422: "The request can be read but not accepted (`invalid`); `errors` names the fields.",
    429: "Too many requests at once or in too short a time (`limit-reached`), or the project's quota is "
    "used up (`quota-exceeded`). `Retry-After` says when to come back.",
    503: "Postgres, Redis or the artifact store is unavailable or too slow (`unavailable`). "
    "`Retry-After` says when to try again.",
}
"""What each status means, with the types of problems that come with it. docs/errors.md has them all."""

_STATUS_OF = {
    "conflict": 409,
    "precondition-failed": 412,
    "too-large": 413,
    "quota-exceeded": 429,
    "too-slow": 408,
    "range-not-satisfiable": 416,
}
SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`rc_…`), a session (`rs_…`), a share link (`rl_…`) or a JSON Web "
        "Token of your identity provider.",
    },
    "share": {
        "type": "apiKey",
        "in": "query",
        "name": "share",
        "description": "A share link's token, for operations that it covers.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "A stream ticket from `POST /projects/{project}/stream-tickets`: opens one "
        "stream, once. For browsers' `EventSource`, which sends no headers.",
    },
}
_STREAMS = frozenset({"GET /projects/{project}/events", "GET /runs/{run}/stream"})
_PROBES = frozenset({"GET /health", "GET /ready"})


def responses() -> dict[str, Any]:
    """The refusals as components, one for each status."""
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {f"Problem{s}": {"description": t, "content": content} for s, t in STATUSES.items()}


def statuses(name: str, operation: dict[str, Any], special: list[str]) -> list[int]:
    """The statuses of an operation's refusals: from its shape, its needs, and the special ones."""
    if name in _PROBES:
        return []
    needs = OPERATIONS[name]
    given = {(each["in"], each["name"].lower()) for each in operation.get("parameters", ())}
    found = {400, 429, 503, *(_STATUS_OF[each] for each in special)}
    if needs is not operations.ANYBODY:
        found |= {401, 403}
    if any(place == "path" for place, _ in given):
        found.add(404)
    if given or "requestBody" in operation or needs is not operations.ANYBODY:
        found.add(422)
    if "requestBody" in operation:
        found |= {408, 413, 415}
    if ("header", "if-match") in given:
        found.add(412)
    if ("header", "idempotency-key") in given:
        found.add(410)
    return sorted(found)


def security(name: str, needs: Needs) -> list[dict[str, list[str]]]:
    """What opens an operation: nothing, or one of these."""
    if needs is operations.ANYBODY:
        return []
    ways: list[dict[str, list[str]]] = [{"bearer": []}]
    if needs is READER:
        ways.append({"share": []})
    if name in _STREAMS:
        ways.append({"ticket": []})
    return ways


def caller(needs: Needs) -> str:
    """The sentence that says who may call."""
    if needs.role is None:
        return _CALLERS[needs.other]
    sentence = f"Needs the role {needs.role.name.lower()} in the project, or a higher one"
    return sentence + (", or a share link that covers it." if needs.links else ".")


_CALLERS = {
    operations.ANYBODY.other: "Needs no token.",
    operations.A_TOKEN.other: "Needs any valid token.",
    operations.A_PERSON.other: "Needs a person's token.",
    operations.OWNER_OF_ANY.other: "Needs the token of a project owner or an administrator.",
    operations.WORKER.other: "Needs a key with the scope `worker`, or an administrator's token.",
    operations.ADMIN.other: "Needs an administrator's token.",
}
