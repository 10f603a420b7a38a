"""Log entries over HTTP: taken in every form, read as windows, whole, and by search."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


@pytest.fixture
async def run(rest: Rest) -> str:
    return await rest.run()


async def lines(rest: Rest, run: str, **query: Any) -> list[str]:
    page = (await rest.admin.get(f"/runs/{run}/logs", params=query)).json()
    return [entry["message"] for entry in page["logs"]]


async def test_one_entry_answers_what_is_stored(rest: Rest, run: str) -> None:
    entry = {
        "agent_name": "IdeaGenerator",
        "event_type": "thinking",
        "payload": {"message": "hm", "n": 1},
        "level": "WARN",
        "ts": "2026-01-31T10:00:00.1234+01:00",
    }
    answer = await rest.admin.post(f"/runs/{run}/logs", json=entry)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": 2,
        "run_id": run,
        "line_number": 1,
        "ts": "2026-01-31T09:00:00.123Z",
        "level": "warning",
        "agent_name": "IdeaGenerator",
        "event_type": "thinking",
        "message": "hm",
        "payload": {"message": "hm", "n": 1},
        "source": "api",
        "source_line": None,
    }
    assert answer.headers["Runcast-Head"] == "2"
    [_, event] = await rest.events()
    assert event["data"] == {
        "run_id": run,
        "line_number": 1,
        "line": "hm",
        "ts": "2026-01-31T09:00:00.123Z",
        "level": "warning",
        "agent_name": "IdeaGenerator",
        "event_type": "thinking",
        "payload": {"message": "hm", "n": 1},
        "source": "api",
    }
    [shown] = (await rest.admin.get(f"/runs/{run}/logs")).json()["logs"]
    assert shown == answer.json()


async def test_an_array_is_taken_whole_or_not_at_all(rest: Rest, run: str) -> None:
    taken = await rest.admin.post(
        f"/runs/{run}/logs", json=[{"message": str(n)} for n in range(2500)]
    )
    assert taken.json() == {
        "accepted": 2500,
        "first_line_number": 1,
        "last_line_number": 2500,
    }
    refused = await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "a"}, {"message": 1}])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "body.1.message"
    assert taken.headers["Runcast-Head"] == "2501"
    assert await lines(rest, run, tail=2) == ["2498", "2499"]


async def test_a_stream_is_stored_as_it_comes(rest: Rest, run: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(3000):
            line = b'{"message":"%d"}\n\n' % number
            yield line[:7]
            yield line[7:]

    taken = await rest.admin.post(f"/runs/{run}/logs", content=body(), headers=NDJSON)
    assert (taken.status_code, taken.json()["accepted"]) == (201, 3000)
    assert await lines(rest, run, after_line=2997) == ["2997", "2998", "2999"]


@pytest.mark.parametrize("form", [{}, NDJSON], ids=["array", "stream"])
async def test_entries_sent_again_with_their_key_are_stored_once(
    rest: Rest, run: str, form: dict[str, str]
) -> None:
    """Though they name no time, and the time of the second coming is another."""
    entries = [b'{"message":"%d"}' % number for number in range(3)]
    body = b"\n".join(entries) if form else b"[" + b",".join(entries) + b"]"
    headers = form | {"Idempotency-Key": "once"}
    answers = []
    for _ in range(2):
        answers.append(await rest.admin.post(f"/runs/{run}/logs", content=body, headers=headers))
        await asyncio.sleep(0.002)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert await lines(rest, run) == ["0", "1", "2"]


async def test_a_stream_says_how_far_it_was_good(rest: Rest, run: str) -> None:
    content = b'{"message":"a"}\n{"message":"b"}\n{"message":'
    refused = await rest.admin.post(f"/runs/{run}/logs", content=content, headers=NDJSON)
    assert (refused.status_code, refused.json()["accepted"]) == (400, 2)
    assert "line 3" in refused.json()["detail"]
    assert await lines(rest, run) == ["a", "b"]


async def test_lines_are_numbered_without_holes_whoever_writes(rest: Rest, run: str) -> None:
    await asyncio.gather(
        *(rest.admin.post(f"/runs/{run}/logs", json={"message": str(n)}) for n in range(50)),
        *(
            rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x"}, {"message": "y"}])
            for _ in range(25)
        ),
    )
    page = (await rest.admin.get(f"/runs/{run}/logs?limit=1000")).json()["logs"]
    assert [entry["line_number"] for entry in page] == list(range(1, 101))
    assert [entry["id"] for entry in page] == sorted(entry["id"] for entry in page)


async def test_lines_messages_move_a_cursor(rest: Rest, run: str) -> None:
    def message(first: int, offset: int, *texts: str, **more: Any) -> dict[str, Any]:
        return {
            "type": "lines",
            "source": "stdout",
            "first_line": first,
            "first_offset": offset,
            "lines": list(texts),
        } | more

    async def send(*given: Any, **more: Any) -> dict[str, Any]:
        answer = await rest.admin.post(f"/runs/{run}/logs", json=message(*given, **more))
        assert answer.status_code == 200, answer.text
        cursor: dict[str, Any] = answer.json()
        return cursor

    start = {"source": "stdout", "generation": 1}
    assert await send(1, 0, "a", "bb") == start | {"next_line": 3, "next_offset": 5}
    assert await send(1, 0, "a", "bb") == start | {"next_line": 3, "next_offset": 5}
    assert await send(5, 9, "later") == start | {"next_line": 3, "next_offset": 5}
    assert await send(2, 2, "bb", "c") == start | {"next_line": 4, "next_offset": 7}
    new = await send(1, 0, "again", generation=2)
    assert new == {"source": "stdout", "generation": 2, "next_line": 2, "next_offset": 6}
    assert await lines(rest, run) == ["a", "bb", "c", "again"]


async def test_windows_and_filters(rest: Rest, run: str) -> None:
    entries: list[dict[str, Any]] = [{"message": f"l{n}"} for n in range(1, 11)]
    entries[1]["level"] = entries[3]["level"] = "warning"
    entries[4]["payload"] = {"level": "warning", "agent_name": "a%"}
    entries[6]["agent_name"] = "a%"
    entries[7]["agent_name"] = "ab"
    await rest.admin.post(f"/runs/{run}/logs", json=entries)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"after_line": 2, "before_line": 5}, ["l3", "l4"]),
        ({"before_line": 4, "limit": 2}, ["l2", "l3"]),
        ({"tail": 2}, ["l9", "l10"]),
        ({"after_line": 8}, ["l9", "l10"]),
        ({"q": "L1"}, ["l1", "l10"]),
        ({"q": "1", "tail": 1}, ["l10"]),
        ({"level": "WARN"}, ["l2", "l4"]),
        ({"agent_name": "a%"}, ["l7"]),
        ({"q": "nowhere"}, []),
    ]
    for query, expected in cases:
        assert await lines(rest, run, **query) == expected, query


async def test_pages_by_cursor_reach_every_line(rest: Rest, run: str) -> None:
    entries = [{"message": f"{n}", "level": "error" if n % 3 else "info"} for n in range(100)]
    await rest.admin.post(f"/runs/{run}/logs", json=entries)
    for more in ({}, {"level": "info"}, {"tail": 7}):
        found: list[str] = []
        query: dict[str, Any] = {"limit": 7} | more
        while True:
            page = (await rest.admin.get(f"/runs/{run}/logs", params=query)).json()
            shown = [entry["message"] for entry in page["logs"]]
            found = shown + found if "tail" in more else found + shown
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        expected = range(0, 100, 3) if "level" in more else range(100)
        assert found == [str(number) for number in expected]


async def test_the_whole_log_as_text_and_as_ndjson(rest: Rest, run: str) -> None:
    texts = ["plain", "nul\x00", "é … 🎈", "\x1b[31mred\x1b[0m", ""] + ["x"] * 4500
    await rest.admin.post(
        f"/runs/{run}/logs", json=[{"message": text, "event_type": "e"} for text in texts]
    )
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text == "".join(line.replace("\x00", "\u2400") + "\n" for line in texts)
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    whole = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "application/x-ndjson"})
    entries = [orjson.loads(line) for line in whole.content.splitlines()]
    assert [entry["message"] for entry in entries] == texts
    some = await rest.admin.get(f"/runs/{run}/logs?limit=2", headers={"Accept": "text/plain"})
    assert some.text == "plain\nnul\u2400\n"


async def test_a_whole_log_has_a_version(rest: Rest, run: str) -> None:
    path = f"/runs/{run}/logs"
    await rest.admin.post(path, json=[{"message": "one"}, {"message": "two"}])
    accept = {"Accept": "text/plain"}
    tag = (await rest.admin.get(path, headers=accept)).headers["etag"]
    assert (await rest.admin.get(path, headers=accept)).headers["etag"] == tag
    same = await rest.admin.get(path, headers=accept | {"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    resumed = {"Range": "bytes=4-", "If-Range": tag}
    part = await rest.admin.get(path, headers=accept | resumed)
    assert (part.status_code, part.text, part.headers["etag"]) == (206, "two\n", tag)
    ndjson = await rest.admin.get(path, headers={"Accept": "application/x-ndjson"})
    some = await rest.admin.get(f"{path}?q=one", headers=accept)
    assert len({tag, ndjson.headers["etag"], some.headers["etag"]}) == 3
    await rest.admin.post(f"{path}/redact", json={"from_line": 2, "to_line": 2})
    changed = await rest.admin.get(path, headers=accept | {"If-None-Match": tag})
    assert (changed.status_code, changed.text) == (200, "one\n[redacted]\n")
    assert (await rest.admin.get(path, headers=accept | resumed)).status_code == 200


async def test_a_cut_line_says_what_is_missing(rest: Rest, run: str) -> None:
    message = {
        "type": "lines",
        "source": "s",
        "first_line": 1,
        "first_offset": 0,
        "next_offset": 101,
        "lines": ["abc"],
        "flags": {"0": {"cut": {"offset": 0, "length": 100}}},
    }
    assert (await rest.admin.post(f"/runs/{run}/logs", json=message)).status_code == 200
    text = await rest.admin.get(f"/runs/{run}/logs", headers={"Accept": "text/plain"})
    assert text.text == "abc … [+97 bytes]\n"
    gone = await rest.admin.get(f"/runs/{run}/logs/1/raw")
    assert gone.status_code == 404


async def test_the_whole_of_a_cut_line_is_read_from_its_file(
    rest: Rest, run: str, tmp_path: Path
) -> None:
    file = tmp_path / "runs" / run / "logs.txt"
    file.parent.mkdir(parents=True)
    (file.parent / "run.json").write_bytes(orjson.dumps({"id": run}))
    file.write_bytes(b"first\n" + b"y" * 300_000 + b"\n")
    found = file.stat()
    message: dict[str, Any] = {
        "source": "logs.txt",
        "first_line": 1,
        "first_offset": 0,
        "next_offset": 300_007,
        "lines": ["first", "y" * 10],
        "flags": {"1": {"cut": {"offset": 6, "length": 300_000}}},
        "file": {"device": found.st_dev, "inode": found.st_ino, "fingerprint": ""},
    }
    await rest.tailed(run, **message)
    assert (await rest.admin.get(f"/runs/{run}/logs/1/raw")).text == "first"
    raw = await rest.admin.get(f"/runs/{run}/logs/2/raw")
    assert (raw.status_code, raw.content) == (200, b"y" * 300_000)
    file.rename(file.with_suffix(".old"))
    file.symlink_to("/etc/passwd")
    assert (await rest.admin.get(f"/runs/{run}/logs/2/raw")).status_code == 404


async def test_a_search_tells_how_far_it_has_come(rest: Rest, run: str) -> None:
    entries = [{"message": f"line {n} of\x00 many", "level": "info"} for n in range(2500)]
    await rest.admin.post(f"/runs/{run}/logs", json=entries)

    async def search(**query: Any) -> list[dict[str, Any]]:
        answer = await rest.admin.get(f"/runs/{run}/logs/search", params=query)
        assert answer.status_code == 200, answer.text
        return [orjson.loads(line) for line in answer.content.splitlines()]

    *found, end = await search(q="LINE 24")
    assert [entry["line_number"] for entry in found if "line_number" in entry] == [
        25,
        *range(241, 251),
        *range(2401, 2501),
    ]
    assert end == {"searched_to_line": 2500, "matches": 111, "last_line": 2500, "done": True}
    *found, end = await search(q=r"^line 1\d of", regex=True, from_line=13, level="info")
    assert [entry["line_number"] for entry in found if "line_number" in entry] == list(
        range(13, 21)
    )
    for path in ("logs/search", "logs"):
        refused = await rest.admin.get(f"/runs/{run}/{path}", params={"q": "(", "regex": True})
        assert refused.json()["errors"][0]["field"] == "query.q"


async def test_a_page_and_a_search_take_the_same_filters(rest: Rest) -> None:
    run = await rest.run()
    texts = ["\x1b[31mERROR\x1b[0m in levels", "fine", "ERROR in levels", "error elsewhere"]
    entries = [
        {"message": text, "level": "error", "agent_name": agent}
        for text in texts
        for agent in ("a", "b")
    ]
    await rest.admin.post(f"/runs/{run}/logs", json=entries)
    for query, numbers in (
        ({"q": "error IN", "agent_name": "a"}, [1, 5]),
        ({"q": "^ERR.R in", "regex": True, "agent_name": "b"}, [2, 6]),
        ({"q": "^ERR.R in", "regex": True, "level": "info"}, []),
    ):
        page = await rest.admin.get(f"/runs/{run}/logs", params=query)
        assert [entry["line_number"] for entry in page.json()["logs"]] == numbers
        text = await rest.admin.get(
            f"/runs/{run}/logs", params=query, headers={"Accept": "text/plain"}
        )
        assert len(text.text.splitlines()) == len(numbers)
        found = await rest.admin.get(f"/runs/{run}/logs/search", params=query)
        lines = [orjson.loads(line) for line in found.content.splitlines()]
        assert [line["line_number"] for line in lines if "line_number" in line] == numbers


async def test_a_text_is_found_in_what_people_see_of_odd_lines(rest: Rest) -> None:
    run = await rest.run()
    texts = [
        'er\x1b]0;a "title" \x1b[31m\x07ror',
        'er\x1b"Fror',
        "er\x1b[\\ror",
        "er\x1bP1$r\x1b\\ror",
        "a\x00b",
        "Straße",
        "\u017fave ΟΔΟΣ",
        "the end is an escape\x1b",
        r"a printed \u001b]0;er\x07ror",
    ]
    entries = [{"message": text, "level": "info", "agent_name": "a"} for text in texts]
    await rest.admin.post(f"/runs/{run}/logs", json=entries)
    for text, numbers in (
        ("ERROR", [1, 2, 3, 4]),
        ("a\u2400b", [5]),
        ("strasse", [6]),
        ("SAVE οδοσ", [7]),
        ("end is an escape", [8]),
        (r"\u001b]0;er\x07ror", [9]),
    ):
        query = {"q": text, "level": "info", "agent_name": "a"}
        found = await rest.admin.get(f"/runs/{run}/logs/search", params=query)
        lines = [orjson.loads(line) for line in found.content.splitlines()]
        assert [line["line_number"] for line in lines if "line_number" in line] == numbers, text
