"""Exports hold what the log, the history and the artifacts say, in every format."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runcast_api.artifacts.store import INLINE_BYTES
from runcast_api.exports import content
from runcast_api.exports.running import MOST_AT_ONCE, MOST_OF_ONE_LINK
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

ODD = ["", "plain", "\x1b[31mERROR\x1b[0m", "a \x00 b", "\u2028 \ud7ff \U0010ffff", "x" * 20_000]
DOCUMENT = Path(__file__).parents[2] / "docs" / "export.md"


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as served:
        yield served


async def filled(rest: Rest) -> str:
    """A run with lines, events and artifacts, beside another one."""
    await rest.project()
    run, other = await rest.run(key="nightly", status="running"), await rest.run()
    entries = [{"message": line, "level": "error", "agent_name": "a"} for line in ODD]
    entries += [{"message": f"line {n}", "payload": {"n": n}} for n in range(3_000)]
    await rest.admin.post(f"/runs/{run}/logs", json=entries)
    await rest.admin.post(f"/runs/{other}/logs", json={"message": "of the other"})
    path = f"/runs/{run}/artifacts"
    await rest.admin.post(path, json={"step_name": "idea", "content": {"a": 1}})
    await rest.admin.post(path, json={"step_name": "idea", "content": {"a": 2}})
    for step_name, sent in (("../up", b"\x00\xff"), ("large", b"l" * (INLINE_BYTES + 1))):
        form = {"data": {"step_name": step_name}, "files": {"file": ("f.bin", sent)}}
        made = await rest.admin.post(path, **form)
        assert made.status_code == 201, made.text
    await rest.admin.patch(f"/runs/{run}", json={"status": "completed"})
    return run


async def exported(rest: Rest, path: str, format: str) -> bytes:
    answer = await rest.admin.get(f"{path}/export", params={"format": format})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].startswith("attachment")
    return answer.content


async def log_of(rest: Rest, run: str) -> list[dict[str, Any]]:
    answer = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in answer.content.splitlines()]


async def test_ndjson_holds_the_log_the_events_and_the_artifacts(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "PAGE_ARTIFACTS", 1)
    run = await filled(rest)
    lines = [
        json.loads(x) for x in (await exported(rest, f"/runs/{run}", "ndjson")).split(b"\n")[:-1]
    ]

    def of(kind: str) -> list[dict[str, Any]]:
        return [{k: v for k, v in x.items() if k != "kind"} for x in lines if x["kind"] == kind]

    assert of("log") == await log_of(rest, run)
    history = await rest.events(run_id=run, types="run:created,artifact:created,run:status_changed")
    assert [event for event in of("event") if event in history] == history
    assert all(event["type"] != "agent:log" for event in of("event"))
    artifacts = [x["artifact"] for x in of("artifact")]
    assert [(a["step_name"], a["version"]) for a in artifacts] == [
        ("../up", 1),
        ("idea", 1),
        ("idea", 2),
        ("large", 1),
    ]
    assert (artifacts[0]["content_base64"], artifacts[2]["content"]) == ("AP8=", {"a": 2})
    assert lines[-1] == {"kind": "end", "events": len(of("event")), "lines": len(of("log"))}

    whole = await exported(rest, "/projects/demo", "ndjson")
    everything = [json.loads(x) for x in whole.split(b"\n")[:-1]]
    numbers = [x["id"] for x in everything if x["kind"] in ("log", "event")]
    head = int((await rest.admin.get("/projects/demo")).headers["Runcast-Head"])
    assert numbers == list(range(1, head + 1))


async def test_a_zip_holds_files_that_unpack_beneath_its_folder(rest: Rest, tmp_path: Path) -> None:
    run = await filled(rest)
    with zipfile.ZipFile(io.BytesIO(await exported(rest, f"/runs/{run}", "zip"))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert [name for name in names if name.startswith("/") or ".." in name.split("/")] == []
        text = (await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})).content
        assert archive.read("logs.txt") == text
        logs = [json.loads(line) for line in archive.read("logs.ndjson").splitlines()]
        assert logs == await log_of(rest, run)
        assert json.loads(archive.read("artifacts/idea/v2.json")) == {"a": 2}
        index = {entry["path"]: entry for entry in json.loads(archive.read("artifacts/index.json"))}
        large = next(path for path in index if "large" in path)
        assert archive.read(large) == b"l" * (INLINE_BYTES + 1)
    # What the store has lost costs that artifact alone.
    for file in (tmp_path / "artifacts").rglob("*"):
        if file.is_file():
            file.unlink()
    with zipfile.ZipFile(io.BytesIO(await exported(rest, "/projects/demo", "zip"))) as archive:
        index = {entry["path"]: entry for entry in json.loads(archive.read("artifacts/index.json"))}
        assert [path for path, entry in index.items() if "error" in entry] == [
            path for path in index if "large" in path
        ]
        assert len(archive.read("runs.ndjson").splitlines()) == 2


async def test_parquet_and_ndjson_are_read_by_the_documented_queries(
    rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await filled(rest)
    (tmp_path / "demo.parquet").write_bytes(await exported(rest, "/projects/demo", "parquet"))
    (tmp_path / "nightly.ndjson").write_bytes(await exported(rest, f"/runs/{run}", "ndjson"))
    monkeypatch.chdir(tmp_path)
    queries = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    with duckdb.connect() as connection:
        [(_, agent, errors)] = connection.execute(queries[0]).fetchall()
        assert (agent, errors) == ("a", len(ODD))
        found = connection.execute(queries[1]).fetchall()
        assert [text for _, text in found] == ODD
        rows = connection.execute("SELECT id, message FROM 'demo.parquet' ORDER BY id").fetchall()
        everything = await rest.events(limit=1000)
        assert [row[0] for row in rows][:1000] == [event["id"] for event in everything]
        log = connection.execute(
            "SELECT id, line_number, message, payload FROM 'demo.parquet' WHERE run_id = ? "
            "AND type = 'agent:log' ORDER BY line_number",
            [run],
        ).fetchall()
        assert [(x["id"], x["line_number"], x["message"]) for x in await log_of(rest, run)] == [
            row[:3] for row in log
        ]
        assert json.loads(log[-1][3]) == {"n": 2_999}


async def test_who_may_not_read_gets_no_export_and_places_are_bounded(rest: Rest) -> None:
    await filled(rest)
    stranger = rest.person("stranger")
    for path in ("/runs/nightly/export?project=demo", "/projects/demo/export"):
        assert (await rest.admin.get(path, headers=stranger)).status_code == 404
    assert (await rest.admin.get("/projects/demo/export?format=xml")).status_code == 422
    exports = rest.service.app.state.api.exports  # type: ignore[union-attr]
    exports.number = MOST_AT_ONCE
    refused = await rest.admin.get("/projects/demo/export")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
    exports.number = 0
    assert (await rest.admin.get("/projects/demo/export")).is_success
    assert exports.number == 0
    assert not exports.of_callers
    link = (await rest.admin.post("/projects/demo/share-links", json={})).json()
    guest = {"Authorization": f"Bearer {link['token']}"}
    exports.of_callers[f"share:{link['id']}"] = MOST_OF_ONE_LINK
    assert (await rest.admin.get("/projects/demo/export", headers=guest)).status_code == 429
    assert (await rest.admin.get("/projects/demo/export")).is_success
