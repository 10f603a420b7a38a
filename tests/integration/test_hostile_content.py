"""Lines, names and artifacts full of what could hurt: they reach terminals, streams and browsers as text."""

from __future__ import annotations

import contextlib
import functools
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from runcast._support import sse
from runcast.cli import output
from tests.commands import Ran, on_terminal, runcast
from tests.conftest import run_sql
from tests.fuzz import world as worlds
from tests.fuzz.world import World
from tests.urls import in_database

HOSTILE = {
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZWNobyBvd25lZA==\x07",
    "answerback": "\x1b[c\x1b[6n\x1bZ\x05",
    "cursor": "\x1b[2J\x1b[1;1H\x1b[3A",
    "alternate screen": "\x1b[?1049h\x1b[?1000h",
    "charset": "\x1b(0\x0e",
    "c1": "\x9b2J\x9d0;owned\x9c",
    "dcs": "\x1bPq#0;2;0;0;0\x1b\\",
    "bidi": "\u202egnp.exe\u2066\u2069",
    "lines": "a\r\nevent: forged\r\ndata: {}\r\n\r\nid: 999\n\n\u2028\u2029\x85",
    "backspaces": "rm -rf /\x08\x08\x08",
    "nul": "a\x00b",
    "colours": "\x1b[31mred\x1b[0m \x1b[38;5;200mpink",
}
ALL = " ".join(HOSTILE.values())


@pytest.fixture(scope="module")
def world(
    postgres_url: str,
    template_database: str,
    redis_server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    run_sql(postgres_url, f"CREATE DATABASE hostile TEMPLATE {template_database}")
    url = in_database(postgres_url, "hostile")
    with worlds.serving(url, redis_server_url, tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.fixture(scope="module")
def run(world: World) -> str:
    return post(world)


@contextlib.contextmanager
def asking(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.url, headers=world.admin, timeout=30) as client:
        yield client


def post(world: World) -> str:
    """A run with every kind of hostile line; its id."""
    with asking(world) as client:
        new = {
            "name": ALL.replace("\x00", "")[:200],
            "agent_name": "\x1b]0;x\x07",
            "status": "running",
        }
        run = client.post("/projects/demo/runs", json=new)
        assert run.status_code == 201, run.text
        for message in HOSTILE.values():
            entry = {
                "message": message,
                "agent_name": "\x1b[2J\u202e",
                "payload": {message: message},
            }
            answer = client.post(f"/runs/{run.json()['id']}/logs", json=entry)
            assert answer.status_code == 201, answer.text
        id = str(run.json()["id"])
        text = ALL.replace("\x00", "")
        name = text[:200]
        option = {"id": name, "label": name, "description": text}
        part = {"id": name, "title": name, "options": [option], "text": True}
        question = {"kind": "choice", "title": name, "body": text, "parts": [part]}
        told: tuple[tuple[str, dict[str, Any]], ...] = (
            (f"/runs/{id}/questions", question),
            (f"/runs/{id}/progress", {"stage": name, "message": text}),
            (f"/runs/{id}/artifacts", {"step_name": name, "content": ALL}),
            ("/projects/demo/tasks", {"title": name, "subtasks": [{"title": name}]}),
        )
        for path, body in told:
            answer = client.post(path, json=body)
            assert answer.status_code == 201, answer.text
        files = {"file": ("log.txt", ALL.replace("\x00", "").encode(), "text/plain")}
        kept = client.post(f"/runs/{id}/artifacts", data={"step_name": "text"}, files=files)
        assert kept.status_code == 201, kept.text
        return id


def test_a_line_makes_no_event_of_its_own(world: World, run: str) -> None:
    with asking(world) as client:
        path = f"/projects/demo/events?last_event_id=0&subscribe_logs={run}"
        with client.stream("GET", path) as answer:
            body = answer.read()
        history = client.get("/projects/demo/events/history", params={"limit": 1000}).json()
    frames = [frame for frame in sse.Decoder().feed(body) if frame.event == "agent:log"]
    assert len(frames) == len(HOSTILE)
    types = {event["type"] for event in history["events"]}
    assert {f.event for f in sse.Decoder().feed(body)} <= types | {"connected", "bye", "gap"}
    for line in body.split(b"\n"):
        assert not line.startswith(b"event: forged")
        assert b"\r" not in line
        assert b"\x1b" not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("logs", "{run}"),
        ("logs", "{run}", "--json"),
        ("runs", "ls", "-p", "demo"),
        ("runs", "show", "{run}"),
        ("runs", "show", "{run}", "--json"),
        ("events", "demo"),
        ("inbox", "-p", "demo"),
        ("tasks", "ls", "-p", "demo"),
        ("artifacts", "ls", "{run}"),
        ("artifacts", "get", "{text}"),
        ("users", "ls"),
    ],
    ids=" ".join,
)
def test_no_command_shows_what_could_command_a_terminal(
    world: World, run: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    environ = {
        "RUNCAST_URL": world.url,
        "RUNCAST_TOKEN": world.admin["Authorization"].removeprefix("Bearer "),
    }
    call = functools.partial(on_terminal, tmp_path, environ=environ)
    with asking(world) as client:
        kept = client.get(f"/runs/{run}/artifacts", params={"step_name": "text"}).json()
    things = {"run": run, "text": kept["artifacts"][0]["id"]}
    shown: Ran = call(*(each.format(**things) for each in arguments))
    assert shown.code == 0, shown
    assert_harmless(shown.out)


def test_json_means_the_same_where_nothing_in_it_commands_a_terminal(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    output.print_json_line({ALL: [ALL, "caf\u00e9"]})
    written = capsysbinary.readouterr().out
    assert_harmless(written)
    assert "caf\u00e9" in written.decode()
    assert orjson.loads(written) == {ALL: [ALL, "caf\u00e9"]}


def test_a_name_that_a_shell_would_evaluate_is_offered_without_it(
    world: World, tmp_path: Path
) -> None:
    """Shells evaluate what is offered behind Tab, zsh twice: what a run is called commands none of them."""
    mark = tmp_path / "mark"
    commands = (f"$(touch {mark})", f"`touch {mark}`", f'"; touch {mark}; "', f"'; touch {mark}; '")
    with asking(world) as client:
        for command in commands:
            for escape in ("", "\\", "\\\\"):
                new = {"key": f"k{abs(hash(escape + command))}", "name": f"{escape}{command}"}
                made = client.post("/projects/demo/runs", json=new)
                assert made.status_code == 201, made.text
    environ = {
        "RUNCAST_URL": world.url,
        "RUNCAST_TOKEN": world.admin["Authorization"].removeprefix("Bearer "),
        "RUNCAST_PROJECT": "demo",
        "_RUNCAST_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "runcast runs show k",
    }
    offered = runcast(tmp_path, environ=environ)
    assert offered.text.count('"k') == len(commands) * 3, offered
    # As zsh's `_arguments` does with `((value:help …))`, in the words that bash and zsh share.
    action = offered.text.partition("((")[2].rpartition("))")[0]
    script = f"eval {shlex.quote(f'ws=( {action} )')}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=20)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert not mark.exists()


def assert_harmless(out: bytes) -> None:
    """Text, line ends, and colours (SGR) that end."""
    text = out.decode()
    rest = text
    while (at := rest.find("\x1b")) >= 0:
        sequence = rest[at : at + 30]
        end = next(i for i, c in enumerate(sequence) if c.isalpha())
        assert sequence[1] == "[", repr(sequence)
        assert sequence[end] == "m", repr(sequence)
        rest = rest[at + end + 1 :]
    for c in "\x00\x05\x07\x08\x0e\x9b\x9c\x9d\x85\u202e\u2066\u2069":
        assert c not in text, repr(c)


ARTIFACTS = [
    ("page.html", "text/html", b"<script>alert(document.cookie)</script>"),
    ("image.svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    ("code.js", "text/javascript", b"alert(1)"),
    ('a"; filename="b.html\r\nX-Evil: 1', "text/html", b"<b>"),
    ("\u202egnp.exe", "application/pdf", b"%PDF"),
]


@pytest.mark.parametrize(("name", "kind", "content"), ARTIFACTS, ids=[a[0][:9] for a in ARTIFACTS])
def test_artifacts_are_files_and_not_pages(
    world: World, name: str, kind: str, content: bytes
) -> None:
    with asking(world) as client:
        made = client.post(
            f"/runs/{world.things['run']}/artifacts",
            data={"step_name": "idea"},
            files={"file": (name, content, kind)},
        )
        assert made.status_code == 201, made.text
        answer = client.get(f"/artifacts/{made.json()['id']}/content")
    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "x-evil" not in answer.headers


def test_the_console_and_the_documentation_run_no_scripts_but_their_own(world: World) -> None:
    with asking(world) as client:
        for path in ("/ui/", "/ui/runs/x", "/docs"):
            policy = client.get(path).headers["content-security-policy"]
            scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
            assert "unsafe" not in scripts
            assert "*" not in scripts
            assert "frame-ancestors 'none'" in policy
            assert "://" not in policy
        page = client.get("/docs").text
        assert "<script" not in page
        assert "http://" not in page.replace("http://127.0.0.1", "")
        assert "POST" in page
        assert "/runs/{run}/logs/redact" in page


def test_the_console_writes_no_html_by_hand() -> None:
    """React escapes text; these are the ways around it."""
    sources = Path(__file__).parents[2]
    for folder in (
        "services/console/src",
        "shared/runcast-js/client/src",
        "shared/runcast-js/react/src",
    ):
        for file in (sources / folder).rglob("*.ts*"):
            if ".test." in file.name:
                continue
            text = file.read_text()
            for way in (
                "innerHTML",
                "dangerouslySetInnerHTML",
                "insertAdjacentHTML",
                "document.write",
                "outerHTML",
                "srcdoc",
                "createContextualFragment",
                "new Function(",
            ):
                assert way not in text, (file, way)
            # One place looks at addresses that someone else chose; the others begin with our own path.
            links = re.findall(r"href=\{(?!`/)", text)
            assert not links or file.name == "Outward.tsx" or all_are_outward(text), file


def all_are_outward(text: str) -> bool:
    """Whether each `href={…}` that names no path of ours is `Outward`'s."""
    elements = re.findall(r"<(\w+)[^<>]*?\bhref=\{(?!`/)", text)
    return set(elements) <= {"Outward"} and len(elements) == len(re.findall(r"href=\{(?!`/)", text))
