"""Lines, names and artifacts full of what could hurt: they reach terminals, streams and browsers as text."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runcast._support import sse
from tests.commands import Ran, on_terminal
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
        return str(run.json()["id"])


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
        ("logs", "{run}", "--tail", "5"),
        ("runs", "ls", "-p", "demo"),
        ("runs", "show", "{run}"),
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
    shown: Ran = call(*(each.replace("{run}", run) for each in arguments))
    assert shown.code == 0, shown
    assert_harmless(shown.out)


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
