"""A Node program reports its runs: what it says arrives once and in order, whatever it says and whenever."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.commands import ROOT, node
from tests.cutting import Cutting, cutting
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client
from runcast._support.ids import uuid7

PROGRAM = Path(__file__).parents[1] / "clients" / "recorder.mjs"


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """The client as it is published: compiled."""
    with tempfile.TemporaryDirectory() as folder:
        tsc = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
        package = ROOT / "shared" / "runcast-js" / "client"
        command = [node(), str(tsc), "-p", str(package / "tsconfig.build.json"), "--outDir", folder]
        subprocess.run(command, check=True, timeout=120)
        (Path(folder) / "package.json").write_text('{"type": "module"}')
        yield Path(folder) / "index.js"


@pytest.fixture
def project(client: Client) -> str:
    slug = f"js-{str(uuid7())[-12:]}"
    client.create_project(slug, slug=slug)
    return slug


def start(
    built: Path, part: str, project: str, server: Up, url: str = ""
) -> "subprocess.Popen[str]":
    environ = {
        "RUNCAST_URL": url or server.url,
        "RUNCAST_TOKEN": server.credentials["token"],
        "PROJECT": project,
    }
    command = [node(), str(PROGRAM), built.as_uri(), part]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]", code: int = 0) -> list[dict[str, object]]:
    """What the program printed until its end."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code
    return [json.loads(line) for line in output.splitlines()]


def logged(client: Client, run: str) -> list[str]:
    return [entry["message"] or "" for entry in client.iter_logs(run)]


def test_nothing_that_a_program_can_say_is_refused(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    [made] = said(start(built, "odd", project, local_server))
    assert made["sent"] is True
    assert made["warnings"] == []
    run = client.get_run(str(made["id"]))
    assert run["status"] == "completed"
    assert run["steps"][:2] == ["one", "two"]
    assert run["labels"]["n"] == "5"
    lines = logged(client, run["id"])
    assert len(lines) == 23
    assert lines[0] == "plain"
    assert lines[2] == "\u2400 and \ufffd"
    assert lines[3].endswith("bytes]")
    assert lines[13] == "Error: an error"
    rejects = client.ingest_rejects()["rejects"]
    of_run = [reject for reject in rejects if run["id"] in json.dumps(reject)]
    assert [reject["reason"] + json.dumps(reject)[:1500] for reject in of_run] == []


def test_a_connection_that_is_cut_again_and_again_loses_and_doubles_nothing(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    with cutting(local_server.url) as proxy:
        process = start(built, "many", project, local_server, proxy.url)
        cut_while(process, proxy, client, project)
        [made] = said(process)
    run = str(made["id"])
    assert logged(client, run) == [f"line {number}" for number in range(3_000)]
    assert client.get_run(run)["status"] == "completed"
    sizes = {each["step_name"]: each["size"] for each in client.list_artifacts(run)["artifacts"]}
    assert sizes == {"bytes": 100_000, "large": 200_011}


def cut_while(
    process: "subprocess.Popen[str]", proxy: Cutting, client: Client, project: str
) -> None:
    """Cuts once the run is there, and each time that more of it has arrived."""
    for seen in (-1, 0, 1_000, 2_000):
        wait_for(partial(has_come_further, process, client, project, seen), 60)
        proxy.cut()


def has_come_further(
    process: "subprocess.Popen[str]", client: Client, project: str, seen: int
) -> bool:
    return process.poll() is not None or arrived(client, project) > seen


def arrived(client: Client, project: str) -> int:
    runs = client.list_runs(project)["runs"]
    return int(runs[0]["last_line_number"]) if runs else -1


def test_cancelling_the_run_stops_the_program(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    process = start(built, "cancelled", project, local_server)
    assert process.stdout is not None
    run = json.loads(process.stdout.readline())["id"]
    client.cancel_run(run)
    assert said(process) == [{"thrown": "AbortError"}]
    assert client.get_run(run)["status"] == "cancelled"


def test_a_question_is_answered_from_elsewhere(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    process = start(built, "asks", project, local_server)
    wait_for(lambda: bool(client.list_questions(project=project)["questions"]), 60)
    question = client.list_questions(project=project)["questions"][0]
    client.answer_question(question["id"], option="b")
    [made] = said(process)
    assert (made["state"], made["option"]) == ("answered", "b")


def test_a_program_that_ends_without_a_word_has_failed(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    [made] = said(start(built, "leaves", project, local_server))
    run = client.get_run(str(made["id"]))
    assert run["status"] == "failed"
    assert logged(client, run["id"]) == ["the last word"]


def test_a_program_that_ends_in_this_moment_still_says_its_last_words(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    [made] = said(start(built, "exits", project, local_server), code=3)
    assert logged(client, str(made["id"])) == [f"line {number}" for number in range(600)]
    assert client.get_run(str(made["id"]))["status"] == "failed"
    [made] = said(start(built, "throws", project, local_server), code=1)
    assert logged(client, str(made["id"])) == ["the last word"]
    assert "nobody catches me" in client.get_run(str(made["id"]))["error"]


def test_a_signal_cancels_a_run_that_asked_for_it(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    process = start(built, "signalled", project, local_server)
    assert process.stdout is not None
    run = json.loads(process.stdout.readline())["id"]
    process.send_signal(signal.SIGTERM)
    said(process, code=-signal.SIGTERM)
    assert client.get_run(run)["status"] == "cancelled"
    assert logged(client, run) == ["the last word"]


def test_what_finds_no_room_is_counted_and_said(
    built: Path, project: str, local_server: Up, client: Client
) -> None:
    [made] = said(start(built, "refused", project, local_server))
    lines = logged(client, str(made["id"]))
    assert made["dropped"] == 1_000 - (len(lines) - 1) > 0
    assert lines[-1].startswith(f"{made['dropped']} messages were dropped here")
    assert client.get_run(str(made["id"]))["error"].startswith("Error: why\n")
