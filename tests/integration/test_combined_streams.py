"""Streams over several projects: the promises of single ones, and a position in all of them."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from uuid import UUID, uuid4

import httpx
import pytest

from runcast_hub import combined_handshake, stream_request
from runcast_hub.combined import Combined, Part
from tests.integration import rows, streams
from tests.integration.streams import Reader, Served, stream
from tests.integration.test_stream_rights import change, member
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def projects(served: Served, count: int) -> list[UUID]:
    return [await served.project() for _ in range(count)]


async def join(served: Served, project_id: UUID, user_id: UUID) -> None:
    await change(
        served,
        "INSERT INTO project_members (project_id, user_id, role) VALUES ($1, $2, 'viewer')",
        project_id,
        user_id,
    )


def path_of(project_ids: Sequence[UUID], more: str = "") -> str:
    return f"/events?projects={','.join(map(str, project_ids))}{more}"


def end_of(project_id: UUID) -> str:
    return project_id.hex[-8:]


def seen(reader: Reader, project_id: UUID) -> list[int]:
    """The numbers that came of one project."""
    return [
        frame.id
        for frame in reader.frames
        if frame.event not in ("", "gap")
        and frame.id is not None
        and frame.position.rpartition(",")[2].startswith(end_of(project_id) + ":")
    ]


async def begun(reader: Reader, count: int) -> None:
    """All parts have begun."""
    await reader.until(lambda r: len(r.of("")) >= count)


async def test_several_projects_come_on_one_connection_and_resume_at_any_frame(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 3)
        runs = [await served.run(project_id) for project_id in ids]
        async with stream(served, path_of(ids, "&subscribe_logs=all")) as live:
            await begun(live, 3)
            connected = live.of("connected")
            assert [frame.data["project_id"] for frame in connected] == list(map(str, ids))
            assert {frame.data["connection_id"] for frame in connected} == {
                connected[0].data["connection_id"]
            }
            assert connected[0].data["projects"] == 3
            assert connected[0].data["projects_complete"] is True
            assert [run["id"] for run in connected[1].data["active_runs"]] == [str(runs[1])]
            picked = random.Random(7)
            counts = dict.fromkeys(ids, 0)
            for _ in range(40):
                place = picked.randrange(3)
                if picked.random() < 0.5:
                    await served.emit(ids[place], 2)
                else:
                    await served.lines(ids[place], runs[place], 2)
                counts[ids[place]] += 2
            await live.until(
                lambda r: all(seen(r, one) == list(range(1, n + 1)) for one, n in counts.items())
            )
        shown = [frame for frame in live.frames if frame.event not in ("", "connected")]
        single = {}
        for project_id in ids:
            path = f"/projects/{project_id}/events?subscribe_logs=all&last_event_id=0"
            async with stream(served, path) as reader:
                await reader.until(lambda r, n=counts[project_id]: r.ids == list(range(1, n + 1)))  # type: ignore[misc]
                for frame in reader.frames:
                    single[end_of(project_id), frame.id] = frame.raw
        for frame in shown:
            name = frame.position.rpartition(",")[2].partition(":")[0]
            ours = frame.raw.replace(frame.position.encode(), b"%d" % (frame.id or 0), 1)
            assert ours == single[name, frame.id]
        for stop in (0, 1, len(shown) // 2, len(shown) - 2):
            position = shown[stop].position
            path = path_of(ids, "&subscribe_logs=all")
            async with stream(served, path, last_event_id=position) as back:
                had = {one: _upto(position, one) for one in ids}
                await back.until(
                    lambda r, had=had: all(  # type: ignore[misc]
                        seen(r, one) == list(range(had[one] + 1, counts[one] + 1)) for one in ids
                    )
                )
                told = {frame.data["project_id"]: frame.data for frame in back.of("connected")}
                assert all(told[str(one)]["resumed_from"] == had[one] for one in ids if had[one])


def _upto(position: str, project_id: UUID) -> int:
    """What a position says of one project; 0 where it doesn't name it."""
    found = dict(element.split(":") for element in position.split(","))
    return int(found.get(end_of(project_id), 0))


async def test_positions_by_hand_epochs_and_gaps_name_their_project(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        first, second = await served.project("one"), await served.project("two")
        for project_id in (first, second):
            await served.emit(project_id, 5)
        query = f"/events?projects=one,{second}&last_event_id=one:2,{second}:9"
        async with stream(served, query) as reader:
            await reader.until(lambda r: seen(r, first) == [3, 4, 5] and len(r.of("gap")) == 1)
            [gap] = reader.of("gap")
            assert gap.data["project_id"] == str(second)
            assert (gap.data["reason"], gap.id) == ("ahead_of_head", 5)
            assert gap.position.endswith(f"{end_of(second)}:5")
            await served.emit(second)
            await reader.until(lambda r: seen(r, second) == [6])
        query = f"/events?projects=one,two&last_event_id=one:0,two:1&epoch=one:{rows.EPOCH},two:8"
        async with stream(served, query) as reader:
            await reader.until(lambda r: seen(r, first) == [1, 2, 3, 4, 5])
            [gap] = reader.of("gap")
            assert (gap.data["reason"], gap.data["project_id"]) == ("reset", str(second))
        # What the position doesn't name is live from now.
        async with stream(served, "/events?projects=one,two", last_event_id="one:4") as reader:
            await reader.until(lambda r: seen(r, first) == [5])
            await served.emit(second)
            await reader.until(lambda r: seen(r, second) == [7])


async def test_a_stream_that_breaks_off_while_it_begins_resumes_in_all_projects(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 3)
        for project_id in ids:
            await served.emit(project_id, 3)
        had = ",".join(f"{project_id}:{n}" for n, project_id in enumerate(ids, start=1))
        async with stream(served, path_of(ids), last_event_id=had) as reader:
            await reader.until(lambda r: any(frame.position for frame in r.frames))
        first = next(frame.position for frame in reader.frames if frame.position)
        assert [_upto(first, project_id) for project_id in ids] == [1, 2, 3]


async def test_a_part_that_cannot_be_read_keeps_its_place_in_the_position(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 2)
        async with stream(served, path_of(ids)) as reader:
            await begun(reader, 2)
            await served.emit(ids[1], 2)
            await reader.until(lambda r: seen(r, ids[1]) == [1, 2])
            advance = Part.advance

            async def fails(part: Part) -> None:
                if part.room.project_id == ids[1]:
                    raise ValueError("damaged")
                await advance(part)

            monkeypatch.setattr(Part, "advance", fails)
            [combined] = [s for s in served.hub.subscribers.values() if isinstance(s, Combined)]
            failing = combined.parts[1]
            failing.room.part(failing)
            failing.cursor = 1
            failing.wake()
            await reader.until(lambda r: len(r.of("bye")) == 1)
            assert reader.of("bye")[0].data == {"project_id": str(ids[1]), "reason": "shutdown"}
            monkeypatch.undo()
            await served.emit(ids[0])
            await reader.until(lambda r: seen(r, ids[0]) == [1])
        position = reader.frames[-1].position
        assert _upto(position, ids[0]) == 1
        assert _upto(position, ids[1]) in (1, 2)
        await served.emit(ids[1])
        async with stream(served, path_of(ids), last_event_id=position) as back:
            await back.until(lambda r: seen(r, ids[1])[-1:] == [3])


async def test_a_heartbeat_moves_the_whole_position(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url, sse_heartbeat_interval_s=1) as served:
        ids = await projects(served, 2)
        run_id = await served.run(ids[1])
        async with stream(served, path_of(ids)) as reader:
            await begun(reader, 2)
            await served.lines(ids[1], run_id, 7)
            await served.emit(ids[0])
            wanted = {end_of(ids[0]): "1", end_of(ids[1]): "7"}
            await reader.until(
                lambda r: (
                    r.frames[-1].event == ""
                    and dict(one.split(":") for one in r.frames[-1].position.split(",")) == wanted
                )
            )
            assert reader.frames[-1].raw.startswith(b": hb\nid: ")


async def test_rights_that_are_taken_away_end_one_part_and_say_so(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 3)
        user_id, token = await member(served, ids[0])
        await join(served, ids[1], user_id)
        assert (await streams.refused(served, path_of(ids), token=token))[0] == 403
        async with stream(served, path_of(ids[:2]), token=token) as reader:
            await begun(reader, 2)
            await change(served, "DELETE FROM project_members WHERE project_id = $1", ids[0])
            await reader.until(lambda r: len(r.of("bye")) == 1)
            [bye] = reader.of("bye")
            assert bye.data == {"project_id": str(ids[0]), "reason": "revoked"}
            await served.emit(ids[0])
            await served.emit(ids[1], 2)
            await reader.until(lambda r: seen(r, ids[1]) == [1, 2])
            assert seen(reader, ids[0]) == []
            position = reader.frames[-1].position
            assert end_of(ids[0]) not in position
        # A reconnect isn't refused for the sake of the one; without a position it is.
        async with stream(served, path_of(ids[:2]), token=token, last_event_id=position) as back:
            await back.until(lambda r: len(r.of("bye")) == 1)
            assert back.of("bye")[0].data == {"project_id": str(ids[0]), "reason": "revoked"}
            assert not back.has_ended
        assert (await streams.refused(served, path_of(ids[:2]), token=token))[0] == 403
        async with stream(served, "/events?projects=all", token=token) as all_of_them:
            await begun(all_of_them, 1)
            [only] = all_of_them.of("connected")
            assert only.data["project_id"] == str(ids[1])
            await change(served, "DELETE FROM project_members WHERE user_id = $1", user_id)
            await all_of_them.ended()
            assert [bye.data for bye in all_of_them.of("bye")] == [
                {"project_id": str(ids[1]), "reason": "revoked"},
                {"reason": "revoked"},
            ]


async def test_a_deleted_project_ends_its_part(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 2)
        async with stream(served, path_of(ids)) as reader:
            await begun(reader, 2)
            await change(served, "SELECT delete_project($1)", ids[1])
            await served.resources.bus.delete(ids[1])
            await reader.until(lambda r: len(r.of("bye")) == 1)
            assert reader.of("bye")[0].data == {"project_id": str(ids[1]), "reason": "deleted"}
            await served.emit(ids[0])
            await reader.until(lambda r: seen(r, ids[0]) == [1])


async def test_requests_of_every_kind_of_wrong(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streams.hub(database_url, redis_url, sse_max_connections_per_user=1) as served:
        one = await served.project("one")
        many = ",".join(str(uuid4()) for _ in range(stream_request.MAX_PROJECTS + 1))
        for query, field in (
            ("", "projects"),
            ("projects=", "projects"),
            ("projects=,", "projects"),
            (f"projects={many}", "projects"),
            ("projects=one&last_event_id=7", "last_event_id"),
            ("projects=one&last_event_id=one:-1", "last_event_id"),
            ("projects=one&last_event_id=one:1,one:2", "last_event_id"),
            (f"projects=one&last_event_id={'x:1,' * 300}y:1", "last_event_id"),
            ("projects=one&epoch=x", "epoch"),
            ("projects=one&subscribe_logs=x", "subscribe_logs"),
            ("projects=one&project=one", "query.project"),
        ):
            status, problem = await streams.refused(served, f"/events?{query}")
            assert (status, problem["errors"][0]["field"]) == (422, field), query
        assert (await streams.refused(served, "/events?projects=one,absent"))[0] == 404
        assert (await streams.refused(served, "/events?projects=one", token=""))[0] == 401
        stranger = served.token("stranger")
        assert (await streams.refused(served, "/events?projects=all", token=stranger))[0] == 404
        # It is one connection, however many projects it shows.
        _, token = await member(served, one)
        async with stream(served, "/events?projects=one", token=token) as reader:
            await begun(reader, 1)
            assert (await streams.refused(served, "/events?projects=one", token=token))[0] == 429
        monkeypatch.setattr(combined_handshake, "MAX_PROJECTS", 2)
        for _ in range(2):
            await served.project()
        async with stream(served, "/events?projects=all") as reader:
            await begun(reader, 2)
            assert [frame.data["projects_complete"] for frame in reader.of("connected")] == [
                False,
                False,
            ]


async def test_filters_and_backfill_are_each_project_s_own(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 2)
        runs = [await served.run(project_id) for project_id in ids]
        for project_id, run_id in zip(ids, runs, strict=True):
            await served.lines(project_id, run_id, 5)
        wanted = ",".join(map(str, runs))
        async with (
            stream(served, path_of(ids, f"&subscribe_logs={wanted}&log_tail=2")) as reader,
            httpx.AsyncClient(
                base_url=served.url, headers={"Authorization": f"Bearer {served.admin_key}"}
            ) as client,
        ):
            await begun(reader, 2)
            told = [(f.data["run_id"], f.data["from_line"]) for f in reader.of("backfill")]
            assert told == [(str(run_id), 4) for run_id in runs]
            assert len(reader.of("agent:log")) == 4
            connection = reader.frames[0].data["connection_id"]
            answer = await client.patch(
                f"/connections/{connection}", json={"subscribe_logs": [str(runs[1])]}
            )
            assert answer.json()["effective_after"] == {str(one): 5 for one in ids}
            for project_id, run_id in zip(ids, runs, strict=True):
                await served.lines(project_id, run_id)
                await served.emit(project_id)
            await reader.until(lambda r: seen(r, ids[0]) == [7] and seen(r, ids[1]) == [6, 7])
            [listed] = (await client.get("/connections")).json()["connections"]
            assert listed["project_ids"] == list(map(str, ids))
            assert (listed["project_id"], listed["lag"]) == (None, 0)
            assert listed["subscribe_logs"] == [str(runs[1])]
            assert (await client.delete(f"/connections/{connection}")).status_code == 204
            await reader.ended()
            assert reader.of("bye")[-1].data == {"reason": "revoked"}


async def test_a_slow_client_reads_on_in_each_project_and_loses_nothing(
    database_url: str, redis_url: str
) -> None:
    """Bursts are more than a socket takes, and long frames are cut by nothing else."""
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 3)
        async with stream(served, path_of(ids)) as reader:
            await begun(reader, 3)
            writing = [
                asyncio.create_task(_burst(served, project_id, 12, size))
                for project_id, size in zip(ids, (200_000, 300, 20_000), strict=True)
            ]
            await asyncio.gather(*writing)
            await reader.until(lambda r: all(seen(r, one) == list(range(1, 121)) for one in ids))
            assert not reader.of("gap")
            for before, after in itertools.pairwise(
                [frame.position for frame in reader.frames if frame.event == "x:test"]
            ):
                assert all(_upto(before, one) <= _upto(after, one) for one in ids)


async def _burst(served: Served, project_id: UUID, commits: int, size: int) -> None:
    for _ in range(commits):
        await served.emit(project_id, 10, size=size // 10)


async def test_a_stream_of_many_projects_leaves_nothing_behind(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        ids = await projects(served, 20)
        async with stream(served, path_of(ids)) as reader:
            await begun(reader, 20)
            assert all(len(room.subscribers) == 1 for room in served.hub.rooms)
        await until(lambda: not served.hub.subscribers, "the stream to end")
        assert [room for room in served.hub.rooms if room.subscribers] == []
