"""The members of what REST answers, frozen: programs of others rely on these names and their order."""

import asyncio
from pathlib import Path

from tests.integration.rest import serving

RUN = [
    "id",
    "number",
    "key",
    "project_id",
    "name",
    "labels",
    "parent_run_id",
    "attention",
    "usage",
    "budget",
    "metrics",
    "aliases",
    "phase",
    "current_step",
    "steps",
    "status",
    "agent_type",
    "agent_name",
    "task_id",
    "attempt",
    "retry_of",
    "error",
    "will_retry",
    "result",
    "pr_url",
    "input",
    "metadata",
    "progress",
    "liveness",
    "last_line_number",
    "step_timestamps",
    "created_at",
    "started_at",
    "finished_at",
    "updated_at",
]
ENTRY = [
    "id",
    "run_id",
    "line_number",
    "ts",
    "level",
    "agent_name",
    "event_type",
    "message",
    "payload",
    "source",
    "source_line",
]
ARTIFACT = [
    "id",
    "run_id",
    "step_name",
    "version",
    "media_type",
    "size",
    "sha256",
    "filename",
    "created_at",
    "content",
]
LOG_EVENT = (
    b'{"run_id":"%s","line_number":1,"line":"m","ts":"2026-01-31T10:00:00.123Z","level":"info",'
)
LOG_EVENT += b'"agent_name":"a","event_type":"e","payload":{"z":1,"a":[null]},"source":"api"}'


def test_shapes(database_url: str, redis_url: str, tmp_path: Path) -> None:
    asyncio.run(_shapes(database_url, redis_url, tmp_path))


async def _shapes(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        run = await rest.run()
        entry = {
            "message": "m",
            "level": "INFO",
            "ts": "2026-01-31T10:00:00.123Z",
            "agent_name": "a",
            "event_type": "e",
            "payload": {"z": 1, "a": [None]},
        }
        made = await rest.admin.post(f"/runs/{run}/logs", json=entry)
        assert list(made.json()) == ENTRY
        history = await rest.admin.get("/projects/demo/events/history?types=agent:log")
        assert list(history.json()) == ["events", "floor", "next_after", "next_before"]
        assert list(history.json()["events"][0]) == ["id", "at", "type", "data"]
        assert LOG_EVENT.replace(b"%s", run.encode()) in history.content
        artifact = await rest.admin.post(
            f"/runs/{run}/artifacts", json={"step_name": "s", "content": 1}
        )
        assert list(artifact.json()) == ARTIFACT
        shown = (await rest.admin.get(f"/runs/{run}")).json()
        assert list(shown) == [*RUN, "artifacts", "usage_total"]
        page = (await rest.admin.get("/projects/demo/runs")).json()
        assert (list(page), list(page["runs"][0])) == (["runs", "total", "next_cursor"], RUN)
        assert list((await rest.admin.get(f"/runs/{run}/logs")).json()) == ["logs", "next_cursor"]
        status = (await rest.admin.get(f"/runs/{run}/status")).json()
        assert list(status) == ["run_id", "status", "created_at", "updated_at", "events"]
