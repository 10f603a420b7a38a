"""Idempotency keys of many requests that share a transaction: two statements for all of them.

`idempotency.Once.do` in bulk, with the same promise: the key's row is written in the transaction of the
change, so of two requests with one key the second waits for the first and finds its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from runcast_api.http import idempotency
from runcast_api.http.idempotency import HEADER, KEPT_HOURS, Once
from runcast_api.http.responses import Answer
from runcast_server.db import Connection
from runcast_server.errors import Erased, Invalid, Problem

_CLAIM = f"""
INSERT INTO idempotency_keys (principal, route, key, body_hash)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])
ON CONFLICT (principal, route, key) DO UPDATE
    SET body_hash = excluded.body_hash, status = NULL, body = NULL, created_at = now()
    WHERE idempotency_keys.created_at < now() - interval '{KEPT_HOURS} hours'
RETURNING principal, route, key
"""
_FIRST = """
SELECT principal, route, key, body_hash, status, body FROM idempotency_keys
JOIN unnest($1::text[], $2::text[], $3::text[]) AS n (principal, route, key)
    USING (principal, route, key)
"""
_KEEP = """
UPDATE idempotency_keys i SET status = n.status, body = n.body
FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bytea[])
    AS n (principal, route, key, status, body)
WHERE (i.principal, i.route, i.key) = (n.principal, n.route, n.key)
"""
_FORGET = """
DELETE FROM idempotency_keys i USING unnest($1::text[], $2::text[], $3::text[])
    AS n (principal, route, key)
WHERE (i.principal, i.route, i.key) = (n.principal, n.route, n.key)
"""

Place = tuple[str, str, str]


def _place(once: Once) -> Place:
    return once.principal, once.route, once.key or ""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which of some requests came before, by their place: with the answer or the refusal that they get;
    and which are the same as another one of them, by that one's place."""

    known: dict[int, Answer | Problem] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)

    def fresh(self, number: int) -> list[int]:
        """The places of the requests, of this many, that are to be done."""
        return [
            place for place in range(number) if place not in self.known and place not in self.same
        ]


async def begin(connection: Connection, requests: Sequence[Once]) -> Repeats:
    """Claims the keys of the requests that have one, and finds the repeated ones."""
    keyed: dict[Place, int] = {}
    repeats = Repeats()
    for place, once in sorted(enumerate(requests), key=lambda each: _place(each[1])):
        if once.key is None:
            continue
        first = keyed.setdefault(_place(once), place)
        if first != place and requests[first].body_hash != once.body_hash:
            repeats.known[place] = _other_body()
        elif first != place:
            repeats.same[place] = first
    if keyed:
        hashes = [requests[place].body_hash for place in keyed.values()]
        rows = await connection.fetch(_CLAIM, *zip(*keyed, strict=True), hashes)
        repeated = keyed.keys() - {tuple(row) for row in rows}
        if repeated:
            for row in await connection.fetch(_FIRST, *zip(*repeated, strict=True)):
                place = keyed[row["principal"], row["route"], row["key"]]
                repeats.known[place] = _first_answer(requests[place], row)
    return repeats


def _other_body() -> Problem:
    return Invalid.of(f"header.{HEADER}", "the key was used with another body")


def _first_answer(once: Once, row: dict[str, object]) -> Answer | Problem:
    if row["body_hash"] != once.body_hash:
        return _other_body()
    body, status = row["body"], row["status"]
    assert body is None or isinstance(body, bytes)
    assert isinstance(status, int)
    try:
        return idempotency.kept(body, status)
    except Erased as erased:
        return erased


async def end(connection: Connection, answered: Sequence[tuple[Once, Answer | None]]) -> None:
    """Keeps the answers of requests that `begin` let through; a key without an answer may be used again."""
    kept = [
        (*_place(once), answer.status, orjson.dumps(answer.content))
        for once, answer in answered
        if once.key is not None and answer is not None
    ]
    if kept:
        await connection.execute(_KEEP, *zip(*kept, strict=True))
    forgotten = [
        _place(once) for once, answer in answered if once.key is not None and answer is None
    ]
    if forgotten:
        await connection.execute(_FORGET, *zip(*forgotten, strict=True))
