"""What is to go says so, in answers and in the description, by one table."""

from datetime import date
from pathlib import Path

import pytest

from runcast_server import deprecations
from runcast_server.auth.operations import OPERATIONS
from runcast_server.deprecations import DEPRECATED, KEPT, Deprecation
from tests.integration import whole

pytestmark = pytest.mark.anyio

LINK = '</docs>; rel="deprecation"; type="text/html"'


def test_the_table_names_what_there_is_and_leaves_time() -> None:
    for name, told in DEPRECATED.items():
        assert name.partition("?")[0] in OPERATIONS
        assert told.instead
        assert told.sunset is None or told.sunset - told.since >= KEPT


async def test_every_answer_of_something_deprecated_says_so(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {
        "GET /runs/{run}/status": Deprecation(
            date(2026, 1, 1), "`GET /runs/{run}`", date(2026, 12, 1)
        ),
        "GET /runs?q": Deprecation(date(2026, 3, 1), "`label`"),
        "GET /events?epoch": Deprecation(date(2026, 3, 1), "nothing"),
    }
    monkeypatch.setattr(deprecations, "DEPRECATED", table)
    async with whole.serving(database_url, redis_url, tmp_path) as server:
        client, admin = server.client, server.admin
        await client.post("/projects", json={"name": "D", "slug": "d"}, headers=admin)
        run = (await client.post("/projects/d/runs", json={}, headers=admin)).json()["id"]
        for method, path, headers, status in (
            ("GET", f"/runs/{run}/status", admin, 200),
            ("HEAD", f"/runs/{run}/status", admin, 200),
            ("GET", f"/runs/{run}/status", {}, 401),
            ("GET", "/runs/absent/status?lst=2", admin, 422),
        ):
            answer = await client.request(method, path, headers=headers)
            told = answer.headers
            assert (answer.status_code, told["deprecation"]) == (status, "@1767225600"), path
            assert (told["sunset"], told["link"]) == ("Tue, 01 Dec 2026 00:00:00 GMT", LINK)
        for path in ("/runs?q=", "/runs?limit=3&%71=x", "/events?projects=d&epoch=x"):
            told = (await client.get(path, headers=admin)).headers
            assert (told["deprecation"], told["link"], "sunset" in told) == (
                "@1772323200",
                LINK,
                False,
            )
        for path in (f"/runs/{run}", "/runs", "/runs?limit=1", f"/runs/{run}/status/", "/health"):
            assert "deprecation" not in (await client.get(path, headers=admin)).headers
        posted = await client.post("/runs?q=1", headers=admin)
        assert "deprecation" not in posted.headers
        paths = (await client.get("/openapi.json")).json()["paths"]
        status = paths["/runs/{run}/status"]["get"]
        assert status["deprecated"] is True
        assert status["description"].endswith(
            "Deprecated since 2026-01-01; it goes on 2026-12-01 at the earliest. Use `GET /runs/{run}`."
        )
        marked = {
            (path, parameter["name"])
            for path, operations in paths.items()
            for operation in operations.values()
            for parameter in operation.get("parameters", ())
            if parameter.get("deprecated")
        }
        assert marked == {("/runs", "q"), ("/events", "epoch")}
