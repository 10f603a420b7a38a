"""What a caller may have read of the server's files: those of his own run's directory, and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from runcast_server.run_ownership import RunDirectories
from runcast_tailer.queries import Server
from tests.integration import rest as api
from tests.integration.rest import Rest

pytestmark = pytest.mark.anyio

SECRET = "OPENAI_API_KEY=sk-victim"


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with api.serving(database_url, redis_url, tmp_path) as served:
        victim = tmp_path / "runs" / "victim"
        victim.mkdir(parents=True)
        (victim / "logs.txt").write_text(f"{SECRET}\n")
        (tmp_path / "runs" / "index.json").write_text(f'{{"runs": ["{SECRET}"]}}')
        (tmp_path / "secret.txt").write_text(SECRET)
        yield served


def identify(directory: Path, id: str | None = None, **said: Any) -> None:
    """Has a directory say whose it is."""
    (directory / "run.json").write_text(json.dumps({"id": id or str(uuid4())} | said))


class Mallory:
    """Somebody who has a project of his own, as everyone may, and a run in it."""

    def __init__(self, rest: Rest, run: str, headers: dict[str, str], directory: Path) -> None:
        self.client = rest.admin
        self.run, self.headers, self.directory = run, headers, directory

    @classmethod
    async def of(cls, rest: Rest, tmp_path: Path, key: str = "mine") -> Mallory:
        headers = rest.person("mallory")
        await rest.admin.post("/projects", json={"name": "own"}, headers=headers)
        made = await rest.admin.post("/projects/own/runs", json={"key": key}, headers=headers)
        directory = tmp_path / "runs" / key
        if not directory.exists():
            directory.mkdir()
            identify(directory, made.json()["id"])
        return cls(rest, made.json()["id"], headers, directory)

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.client.request(
            method, f"/runs/{self.run}{path}", json=body, headers=self.headers
        )


ELSEWHERE = (
    "../index.json",
    "../victim/logs.txt",
    "../../secret.txt",
    "sub/../../victim/logs.txt",
    "/etc/passwd",
    ".",
    "..",
)


async def test_a_tail_follows_files_of_the_runs_own_directory_only(
    rest: Rest, tmp_path: Path
) -> None:
    mallory = await Mallory.of(rest, tmp_path)
    absolute = (str(tmp_path / "runs" / "index.json"), str(tmp_path / "runs" / "victim/logs.txt"))
    for path in (*ELSEWHERE, *absolute):
        answer = await mallory.call("POST", "/tail", {"path": path, "source": "x"})
        assert answer.status_code == 403, (path, answer.text)
    (mallory.directory / "link").symlink_to(tmp_path / "runs" / "victim")
    (mallory.directory / "linked.txt").symlink_to(tmp_path / "secret.txt")
    for path in ("link/logs.txt", "linked.txt"):
        answer = await mallory.call("POST", "/tail", {"path": path})
        assert answer.status_code == 422, (path, answer.text)
    for path in ("agent.log", "sub/second.log", str(mallory.directory / "third.log")):
        answer = await mallory.call("POST", "/tail", {"path": path})
        assert answer.status_code == 200, answer.text
        assert (mallory.directory / answer.json()["path"]) == mallory.directory / path


async def test_where_the_server_keeps_its_files_is_told_to_administrators_alone(
    rest: Rest, tmp_path: Path
) -> None:
    mallory = await Mallory.of(rest, tmp_path)
    elsewhere = str(tmp_path / "runs" / "shared.log")
    await rest.admin.post(f"/runs/{mallory.run}/tail", json={"path": elsewhere})
    await mallory.call("POST", "/tail", {"path": "agent.log"})
    own = (await mallory.call("GET", "/tail")).json()["tails"]
    assert {each["source"]: each["path"] for each in own} == {
        "agent.log": "agent.log",
        "shared.log": None,
    }
    assert str(tmp_path) not in str(own)
    whole = (await rest.admin.get(f"/runs/{mallory.run}/tail")).json()["tails"]
    assert {each["path"] for each in whole} == {elsewhere, str(mallory.directory / "agent.log")}


def claim(path: Path, source: str) -> dict[str, Any]:
    """A message that says of its line that the rest of it lies in that file."""
    found = path.stat()
    return {
        "type": "lines",
        "source": source,
        "first_line": 1,
        "first_offset": 0,
        "next_offset": 5,
        "lines": ["x"],
        "flags": {"0": {"cut": {"offset": 0, "length": 10}}},
        "file": {"device": found.st_dev, "inode": found.st_ino},
    }


async def test_nothing_that_a_reporter_says_makes_a_raw_line_of_another_file(
    rest: Rest, tmp_path: Path
) -> None:
    mallory = await Mallory.of(rest, tmp_path)
    victim = tmp_path / "runs" / "victim" / "logs.txt"
    for source in ("../victim/logs.txt", "..", str(victim), "sub/../../victim/logs.txt"):
        answer = await mallory.call("POST", "/logs", claim(victim, source))
        assert answer.status_code == 422, (source, answer.text)
        assert answer.json()["errors"][0]["field"] == "body.source"
    own = mallory.directory / "logs.txt"
    own.write_text("own and long\n")
    # Not even where it is so: only the tailer has seen it.
    true = mallory.directory / "true.txt"
    true.write_text("own and long\n")
    for file, source in ((victim, "logs.txt"), (own, "other.txt"), (true, "true.txt")):
        answer = await mallory.call("POST", "/logs", claim(file, source))
        assert answer.status_code == 200, answer.text
    for line in (1, 2, 3):
        assert (await mallory.call("GET", f"/logs/{line}/raw")).status_code == 404


async def test_even_the_tailers_word_leads_to_no_other_directory(
    rest: Rest, tmp_path: Path
) -> None:
    """A link that is put there after the tailer has read the file."""
    mallory = await Mallory.of(rest, tmp_path)
    victim = tmp_path / "runs" / "victim" / "logs.txt"
    await rest.tailed(mallory.run, **claim(victim, "logs.txt"))
    for link, target in (("logs.txt", victim), ("", victim.parent)):
        place = mallory.directory / link if link else mallory.directory
        if not link:
            (mallory.directory / "logs.txt").unlink()
            (mallory.directory / "run.json").unlink()
            mallory.directory.rmdir()
        place.symlink_to(target)
        answer = await mallory.call("GET", "/logs/1/raw")
        assert answer.status_code == 404
        assert SECRET not in answer.text


async def test_a_run_has_no_key_that_leads_out_of_its_directory(rest: Rest) -> None:
    await rest.project("demo")
    for key in (".", "..", "con", "run."):
        answer = await rest.admin.post("/projects/demo/runs", json={"key": key})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "body.key"


FORGED: tuple[dict[str, Any], ...] = (
    {"cut": "x"},
    {"cut": True},
    {"cut": {"offset": 1}},
    {"cut": {"offset": -1, "length": 5}},
    {"invalid_utf8": "perhaps"},
    {"lost": 7},
)


async def test_flags_that_say_nothing_sensible_are_refused(rest: Rest) -> None:
    await rest.project("demo")
    run = await rest.run("demo")
    message = {"type": "lines", "source": "s", "first_line": 1, "first_offset": 0, "lines": ["x"]}
    for flags in FORGED:
        answer = await rest.admin.post(f"/runs/{run}/logs", json=message | {"flags": {"0": flags}})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith("body.flags.0")


async def test_no_member_that_a_reporter_chooses_stands_for_one_of_ours(rest: Rest) -> None:
    await rest.project("demo")
    run, other = await rest.run("demo"), await rest.run("demo")
    forged = {"run_id": other, "line_number": 77, "line": "forged", "source": "api", "ts": "x"}
    message = {
        "type": "lines",
        "source": "s",
        "first_line": 1,
        "first_offset": 0,
        "lines": ["one", "two"],
        "flags": {"0": forged | {"invalid_utf8": True}},
        "entries": [{"ts": "never", "payload": forged, "message": "m"} | forged, None],
        "at": "0001-01-01T00:00:00+14:00",
    }
    assert (await rest.admin.post(f"/runs/{run}/logs", json=message)).status_code == 200
    log = (await rest.admin.get(f"/runs/{run}/logs")).json()["logs"]
    assert [(e["run_id"], e["line_number"], e["message"], e["source"]) for e in log] == [
        (run, 1, "one", "s"),
        (run, 2, "two", "s"),
    ]
    assert all(e["ts"].startswith("20") for e in log)
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text == "one\ntwo\n"


async def test_a_line_that_is_too_long_is_cut_and_says_so(rest: Rest) -> None:
    await rest.project("demo")
    run = await rest.run("demo")
    size = 8 * 1024 * 1024
    message = {
        "type": "lines",
        "source": "s",
        "first_line": 1,
        "first_offset": 0,
        "lines": ["a", "x" * size, "b"],
    }
    answer = await rest.admin.post(f"/runs/{run}/logs", json=message)
    assert answer.json()["next_offset"] == size + 5
    [event] = [e for e in await rest.events("demo") if e["data"].get("line_number") == 2]
    assert len(event["data"]["line"]) == 256 * 1024
    assert event["data"]["cut"] == {"length": size}
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text.endswith(f" … [+{size - 256 * 1024} bytes]\nb\n")


async def test_a_run_directory_that_became_a_link_is_not_followed(
    rest: Rest, tmp_path: Path
) -> None:
    """The place of a file is taken step by step, so a swap in between changes nothing."""
    mallory = await Mallory.of(rest, tmp_path)
    (mallory.directory / "run.json").unlink()
    os.rmdir(mallory.directory)
    mallory.directory.symlink_to(tmp_path / "runs" / "victim")
    answer = await mallory.call("POST", "/tail", {"path": "logs.txt"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "said", [None, {"project": "alpha"}, {"project": "alpha", "key": "victim"}]
)
async def test_a_run_of_the_same_key_in_another_project_has_no_part_in_the_directory(
    rest: Rest, tmp_path: Path, said: dict[str, Any] | None
) -> None:
    victim = tmp_path / "runs" / "victim"
    if said is not None:
        identify(victim, **said)
    mallory = await Mallory.of(rest, tmp_path, "victim")
    for path in ("logs.txt", "later.txt"):
        answer = await mallory.call("POST", "/tail", {"path": path, "source": "x"})
        assert answer.status_code == 403, answer.text
    await rest.tailed(mallory.run, **claim(victim / "logs.txt", "logs.txt"))
    answer = await mallory.call("GET", "/logs/1/raw")
    assert (answer.status_code, SECRET in answer.text) == (404, False)
    identify(victim, mallory.run)
    assert (await mallory.call("POST", "/tail", {"path": "logs.txt"})).status_code == 200


async def test_the_tailer_asks_again_whose_the_directory_is(rest: Rest, tmp_path: Path) -> None:
    mallory = await Mallory.of(rest, tmp_path, "coming")
    (mallory.directory / "run.json").unlink()
    mallory.directory.rmdir()
    await mallory.call("POST", "/tail", {"path": "logs.txt", "source": "x"})
    [asked] = await Server(rest.resources.database.log).asked()
    directories = RunDirectories(tmp_path / "runs", (tmp_path / "runs",), "default")
    assert directories.is_beneath_own(Path(asked.path), asked.run)
    for said, is_own in (
        ({"project": "alpha"}, False),
        ({"project": "own"}, True),
        ({"id": mallory.run, "project": "alpha"}, True),
    ):
        assert not asked.is_by_admin
        mallory.directory.mkdir(exist_ok=True)
        identify(mallory.directory, **said)
        assert directories.is_own(asked.run) is is_own
