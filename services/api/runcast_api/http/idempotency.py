"""`Idempotency-Key`: the first answer again, and the change done once.

A key belongs to its caller and route, and is written in the same transaction as the change: either both
are there or neither. Of two requests with one key at the same time, the second waits for the first one's
transaction and then finds its answer. A refused change leaves no key behind; it may be tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import orjson
from fastapi import Request
from starlette.responses import Response

from runcast_api.http.responses import Answer, answer
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Erased, Invalid
from runcast_server.eventlog.log import Change, EventLog, Transaction

KEPT_HOURS = 24
ERASED = "this was done, and what it answered was erased since"
HEADER = "Idempotency-Key"
MAX_KEY = 255

_CLAIM = f"""
INSERT INTO idempotency_keys (principal, route, key, body_hash) VALUES ($1, $2, $3, $4)
ON CONFLICT (principal, route, key) DO UPDATE
    SET body_hash = excluded.body_hash, status = NULL, body = NULL, created_at = now()
    WHERE idempotency_keys.created_at < now() - interval '{KEPT_HOURS} hours'
RETURNING true
"""
_FIRST = """
SELECT body_hash, status, body FROM idempotency_keys
WHERE principal = $1 AND route = $2 AND key = $3
"""
_KEEP = """
UPDATE idempotency_keys SET status = $4, body = $5 WHERE principal = $1 AND route = $2 AND key = $3
"""


@dataclass(frozen=True, slots=True)
class Once:
    """A request's claim to be done once; without a key it is simply done."""

    principal: str
    route: str
    key: str | None
    body_hash: bytes

    def of_body(self, body_hash: bytes, part: int | None = None) -> Once:
        """The same key over another body, or over one part of a body that is taken in parts."""
        key = self.key if self.key is None or part is None else f"{self.key}#{part}"
        return Once(self.principal, self.route, key, body_hash)

    async def commit(
        self, eventlog: EventLog, project_id: UUID, change: Change[Answer]
    ) -> Response:
        """Commits the change with its events, and answers; or answers what was answered first."""
        return render(*await self.run(eventlog, project_id, change))

    async def run(
        self, eventlog: EventLog, project_id: UUID, change: Change[Answer]
    ) -> tuple[Answer, bool, int]:
        """Like `commit`: the answer, whether it is a repeated one, and the head behind the change."""

        async def guarded(transaction: Transaction) -> tuple[Answer, bool]:
            return await self.do(transaction.connection, lambda: change(transaction))

        (given, is_repeat), head = await eventlog.commit_with_head(project_id, guarded)
        return given, is_repeat, head

    async def do(
        self, connection: Connection, change: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """In the caller's transaction: the change's answer and False, or the first one and True.

        Raises `Invalid` where the key came with another body before, `Erased` where the first answer named
        something that was deleted since.
        """
        if self.key is None:
            return await change(), False
        place = (self.principal, self.route, self.key)
        if not await connection.fetchval(_CLAIM, *place, self.body_hash):
            first = await connection.fetchrow(_FIRST, *place)
            if first["body_hash"] != self.body_hash:
                raise Invalid.of(f"header.{HEADER}", "the key was used with another body")
            return kept(first["body"], first["status"]), True
        given = await change()
        await connection.execute(_KEEP, *place, given.status, orjson.dumps(given.content))
        return given, False


def kept(body: bytes | None, status: int) -> Answer:
    """The first answer. Raises `Erased` where it is gone."""
    if body is None:
        raise Erased(ERASED)
    return Answer(orjson.loads(body), status)


def render(given: Answer, is_repeat: bool, head: int | None) -> Response:
    """The answer as it is sent. A repeated one shows an old state, so it names no head."""
    if is_repeat:
        return answer(given.content, status=given.status, headers={"Idempotency-Replayed": "true"})
    return answer(given.content, status=given.status, head=head)


def of_request(request: Request, caller: Principal, body: bytes) -> Once:
    """A request's claim, for handlers that read their parameters themselves. Raises `Invalid`."""
    route = f"{request.method} {request.url.path}?{request.url.query}"
    key = request.headers.get(HEADER)
    if key is not None and len(key) > MAX_KEY:
        raise Invalid.of(f"header.{HEADER}", f"longer than {MAX_KEY} characters")
    return Once(caller.name, route, key, hashlib.sha256(body).digest())
