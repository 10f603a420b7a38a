"""Ends streams whose caller may no longer read what they show.

Streams outlive the moment in which a right was checked. Every few seconds the database is asked about all of
them: keys and links that were revoked or have expired, sessions that were ended, people who were disabled or
are no members any more. Nothing is asked per delivered event.

Streams are grouped by their claim when they open, and the claims are asked about in slices: with 20,000
distinct callers, one question for all of them would hold the event loop, and with it every delivery, for
more than 50 ms each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from runcast_hub.slices import sliced
from runcast_server.auth import claims
from runcast_server.auth.claims import Claim
from runcast_server.db import Database

if TYPE_CHECKING:
    from runcast_hub.subscriber import Subscriber

LOOK_SECONDS = 2.0
"""With what authentication remembers (3 s), a revoked caller is out within 5 s, on every hub."""

log = structlog.get_logger()


class Grounds:
    """The open streams of a hub, by the claims on which they were opened."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._streams: dict[Claim, set[Subscriber]] = {}

    def add(self, subscriber: Subscriber) -> None:
        """Has the stream's claim asked about from now on."""
        self._streams.setdefault(_claim_of(subscriber), set()).add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Forgets a stream; one that isn't known changes nothing."""
        claim = _claim_of(subscriber)
        streams = self._streams.get(claim, set())
        streams.discard(subscriber)
        if not streams:
            self._streams.pop(claim, None)

    async def look(self) -> None:
        """Ends what has lost its ground. While Postgres is away, streams go on as they are."""
        for held in sliced(self._streams):
            for claim in await claims.lost(self._database, held):
                self._end(claim)

    def _end(self, claim: Claim) -> None:
        streams = self._streams.get(claim, set())
        log.info("streams.revoked", number=len(streams), project=str(claim.project_id))
        for subscriber in streams:
            subscriber.end("token_expired" if subscriber.principal.has_expired() else "revoked")


def _claim_of(subscriber: Subscriber) -> Claim:
    return Claim.of(subscriber.principal, subscriber.room.project_id)
