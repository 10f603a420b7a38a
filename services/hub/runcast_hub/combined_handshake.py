"""From a request for several projects to a running combined stream.

A first connection is refused whole where one of its projects may not be read, like a stream of that project.
One that resumes isn't: an `EventSource` would give up for ever, for the sake of one project. There the part
that may no longer be read ends, with a `bye` that names it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from runcast_hub import filters, first_frames, positions, run_homes, slots
from runcast_hub.access_cache import Permits
from runcast_hub.combined import Combined, Part
from runcast_hub.filters import Filter
from runcast_hub.gzip import Gzip
from runcast_hub.handshake import close, headers_of, new_connection_id, takes_gzip
from runcast_hub.hub import Hub
from runcast_hub.snapshot import Snapshot, Snapshots
from runcast_hub.stream_auth import Arrival, Arrivals
from runcast_hub.stream_request import (
    MAX_LOG_TAIL_OF_LINKS,
    MAX_PROJECTS,
    CombinedQuery,
    Opening,
    parameters_of,
    parse_combined,
)
from runcast_hub.wire import Gone
from runcast_server import outages
from runcast_server.auth.principal import Principal
from runcast_server.errors import Forbidden, NotFound, Problem, Unavailable
from runcast_server.eventlog import frames
from runcast_server.process.http_protocol import take_outlet

PATH = "/events"
AT_ONCE = 8
"""Projects whose snapshots are held at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorized request: what is opened of each project, and the names of those that may no longer be
    read."""

    principal: Principal
    openings: Sequence[Opening]
    lost: Sequence[str]
    is_complete: bool
    """Whether these are all projects that were asked for."""
    resumes: bool
    headers: tuple[tuple[bytes, bytes], ...]


class CombinedHandshake:
    """Opens the streams of one hub that show several projects."""

    def __init__(
        self, hub: Hub, arrivals: Arrivals, permits: Permits, snapshots: Snapshots
    ) -> None:
        self._hub = hub
        self._arrivals = arrivals
        self._permits = permits
        self._snapshots = snapshots

    async def open(self, scope: Scope, receive: Receive, send: Send) -> Combined:
        """A stream that has its place and its first frames, as `Handshake.open`."""
        hub, asked = self._hub, await self._authorize(scope)
        async with slots.taken(hub.leases, hub.settings, asked.principal, waits=asked.resumes):
            first = await self._snapshots_of(asked.openings[:AT_ONCE])
            await receive()
            headers = [*headers_of(scope), *asked.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            gzip = Gzip(hub.blocks) if takes_gzip(scope) else None
            stream = Combined(
                new_connection_id(hub),
                asked.principal,
                hub.timing,
                take_outlet(scope),
                _positions(asked.openings),
                gzip,
            )
            stream.enter()
            hub.add(stream)
        try:
            await self._begin(stream, asked, first)
        except Gone:
            stream.is_gone = True
        except BaseException:
            await close(hub, self._arrivals, stream, send)
            raise
        return stream

    async def describe(self, scope: Scope, send: Send) -> None:
        """Answers HEAD, as `Handshake.describe`."""
        asked = await self._authorize(scope)
        headers = [*headers_of(scope), *asked.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    # ------------------------------------------------------------------ before the first byte

    async def _authorize(self, scope: Scope) -> Asked:
        arrival = await self._arrivals.of_stream(scope)
        query = parse_combined(parameters_of(scope), Headers(scope=scope).get("last-event-id"))
        wanted = filters.parse(query.common.subscribe_logs)
        if self._hub.is_draining:
            raise Unavailable("this hub is shutting down; connect again")
        found, lost, is_complete = await self._find(arrival, query)
        if arrival.principal.share_id is not None:
            wanted = replace(wanted, is_guest=True)
            log_tail = min(query.common.log_tail, MAX_LOG_TAIL_OF_LINKS)
            query = replace(query, common=replace(query.common, log_tail=log_tail))
        return Asked(
            arrival.principal,
            await self._openings(arrival, query, wanted, found),
            lost,
            is_complete,
            bool(query.positions),
            arrival.headers,
        )

    async def _find(
        self, arrival: Arrival, query: CombinedQuery
    ) -> tuple[dict[UUID, str], list[str], bool]:
        """The projects with the names by which they were asked for, the names that are lost, and whether
        nothing was left out."""
        if query.projects is None:
            ids = await self._permits.visible(arrival.principal, MAX_PROJECTS + 1)
            if arrival.project_id is not None:
                ids = [each for each in ids if each == arrival.project_id]
            if not ids:
                raise NotFound("there is no project that you may read")
            shown = {each: str(each) for each in ids[:MAX_PROJECTS]}
            return shown, [], len(ids) <= MAX_PROJECTS
        answers = await asyncio.gather(
            *(self._permit(arrival, name) for name in query.projects), return_exceptions=True
        )
        found: dict[UUID, str] = {}
        lost: list[str] = []
        refusals: list[BaseException] = []
        for name, answer in zip(query.projects, answers, strict=True):
            if isinstance(answer, UUID):
                found.setdefault(answer, name)
                continue
            refusals.append(answer)
            lost.append(name)
            if not query.positions or not isinstance(answer, Forbidden | NotFound):
                raise answer
        if not found:
            raise refusals[0]
        return found, lost, True

    async def _permit(self, arrival: Arrival, name: str) -> UUID:
        target = await self._permits.project(arrival.principal, name)
        arrival.check(target.project_id)
        return target.project_id

    async def _openings(
        self, arrival: Arrival, query: CombinedQuery, wanted: Filter, found: Mapping[UUID, str]
    ) -> list[Opening]:
        after = positions.numbers(query.positions, found)
        epochs = positions.numbers(query.epochs, found)
        narrowed = await run_homes.narrow(self._hub.database.log, wanted, list(found))
        openings = []
        for project_id in found:
            epoch = epochs.get(project_id)
            own = replace(
                query.common,
                position=after.get(project_id),
                epoch=None if epoch is None else str(epoch),
            )
            openings.append(Opening(arrival.principal, project_id, narrowed[project_id], own))
        return openings

    async def _snapshots_of(self, openings: Sequence[Opening]) -> list[Snapshot | Problem]:
        """What each project is now. A project that was deleted this moment is its own matter. Raises what an
        outage raises."""
        taken = await asyncio.gather(
            *(self._snapshots.take(opening.project_id) for opening in openings),
            return_exceptions=True,
        )
        for one in taken:
            if isinstance(one, BaseException) and not isinstance(one, NotFound):
                raise one
        return [one for one in taken if isinstance(one, Snapshot | NotFound)]

    # ------------------------------------------------------------------ the first frames

    async def _begin(
        self, stream: Combined, asked: Asked, first: Sequence[Snapshot | Problem]
    ) -> None:
        """Begins project by project. Storage that goes away ends the stream."""
        for name in asked.lost:
            said = {"project_id": name, "reason": "revoked"}
            await stream.write(frames.control("bye", said))
        told = {"projects": len(asked.openings), "projects_complete": asked.is_complete}
        try:
            for start in range(0, len(asked.openings), AT_ONCE):
                some = asked.openings[start : start + AT_ONCE]
                snapshots = await self._snapshots_of(some) if start else first
                for opening, snapshot in zip(some, snapshots, strict=True):
                    await self._begin_part(stream, opening, snapshot, told)
                    if stream.is_gone or stream.ending is not None:
                        return
        except outages.ANY:
            stream.end("shutdown")
        if not stream.parts:
            stream.end("deleted")

    async def _begin_part(
        self,
        stream: Combined,
        opening: Opening,
        snapshot: Snapshot | Problem,
        told: Mapping[str, Any],
    ) -> None:
        with contextlib.suppress(NotFound):
            if isinstance(snapshot, Problem):
                raise snapshot
            hub, start = self._hub, opening.start(snapshot)
            max_lag = hub.settings.event_channel_buffer if opening.query.skips_lag else None
            async with hub.rooms.opened(opening.project_id) as room:
                part = Part(stream, room, opening.filter, cursor=start.cursor, max_lag=max_lag)
                stream.add(part)
            await first_frames.begin(hub, stream, part, opening, start, snapshot, told)
            return
        stream.positions.forget(opening.project_id)
        said = {"project_id": str(opening.project_id), "reason": "deleted"}
        await stream.write(frames.control("bye", said))


def _positions(openings: Sequence[Opening]) -> positions.Positions:
    """Where the client says that it stands. The ids of the first projects that begin name the others too:
    a stream that breaks off among its first frames resumes in all of them."""
    made = positions.Positions(opening.project_id for opening in openings)
    for opening in openings:
        if opening.query.position is not None:
            made.reach(opening.project_id, opening.query.position)
    return made
