"""The commands that look at runs, with a server and without one."""

import functools
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.commands import RUNCAST, Ran, environment, on_terminal, runcast
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client
from runcast._support.ids import uuid7
from runcast.cli import main

Run = Callable[..., Ran]


@pytest.fixture
def called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """The program called here, which is faster than started. `environ` says what it finds."""

    def call(*arguments: str, environ: Mapping[str, str]) -> Ran:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name in list(os.environ):
                if name.startswith("RUNCAST_"):
                    patch.delenv(name)
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["runcast", *arguments])
            capsysbinary.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        return Ran(int(ended.value.code or 0), *capsysbinary.readouterr())

    return call


@pytest.fixture
def run(called: Run, server_environ: dict[str, str]) -> Run:
    return functools.partial(called, environ=server_environ)


@pytest.fixture
def offline(called: Run) -> Run:
    return functools.partial(called, environ={})


@pytest.fixture
def project(client: Client) -> str:
    slug = f"cli-{str(uuid7())[-12:]}"
    client.create_project(slug, slug=slug)
    return slug


def made(client: Client, project: str, key: str, *messages: str, **fields: Any) -> str:
    """A run with these log entries."""
    made = client.create_run(project, key=key, status="running", **fields)
    if messages:
        client.add_logs(made["id"], [{"message": message} for message in messages])
    return str(made["id"])


def test_a_person_finds_every_command_and_its_example(offline: Run) -> None:
    shown = offline("--help").text
    for name in ("exec", "logs", "events", "runs", "artifacts", "wait", "sync", "demo", "token"):
        assert f" {name} " in shown
        described = offline(name, "--help").text
        assert "Usage:" in described
    for name in ("exec", "logs", "events", "wait", "sync", "demo", "token", "doctor"):
        assert "Example" in offline(name, "--help").text


def test_servers_commands_are_there(offline: Run) -> None:
    shown = offline("--help").text
    assert all(f" {name} " in shown for name in ("up", "api", "hub", "tailer", "migrate"))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nonsense",), 2),
        (("logs",), 2),
        (("logs", "x", "--level", "loud"), 2),
        (("logs", "x", "--grep", "("), 2),
        (("wait", "x", "--timeout", "soon"), 2),
        (("logs", "missing"), 5),
        (("runs", "show", str(uuid7())), 5),
        (("runs", "ls", "-p", "no-such-project"), 5),
        (("sync", "no-such-directory"), 5),
    ],
)
def test_exit_codes_tell_failures_apart(run: Run, arguments: tuple[str, ...], code: int) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (code, b""), ran
    assert b"Traceback" not in ran.err


def test_an_unreachable_server_and_a_wrong_token(tmp_path: Path, local_server: Up) -> None:
    away = {"RUNCAST_URL": "http://127.0.0.1:9"}
    ran = runcast(tmp_path, "runs", "ls", environ=away)
    assert (ran.code, b"127.0.0.1:9" in ran.err) == (3, True)
    wrong = {"RUNCAST_URL": local_server.url, "RUNCAST_TOKEN": "rc_wrong"}
    assert runcast(tmp_path, "runs", "ls", environ=wrong).code == 4


def test_flags_name_the_server_before_the_command_and_behind_it(
    tmp_path: Path, local_server: Up
) -> None:
    token = local_server.credentials["token"]
    flags = ("--url", local_server.url, "--token", token)
    assert runcast(tmp_path, *flags, "token").text == f"{token}\n"
    assert runcast(tmp_path, "token", *flags).text == f"{token}\n"
    assert runcast(tmp_path, "--token", "other", "runs", "ls", *flags).code == 0


@pytest.mark.parametrize("arguments", [("logs",), ("logs", "-f"), ("events", "-f", "--after", "0")])
def test_a_reader_that_goes_away_ends_a_command_without_a_word(
    tmp_path: Path,
    client: Client,
    project: str,
    server_environ: dict[str, str],
    arguments: tuple[str, ...],
) -> None:
    made(client, project, "r", *(f"line {n} {'.' * 500}" for n in range(1_000)))
    command, *flags = arguments
    named = [project, "--logs", "all"] if command == "events" else ["r", "-p", project]
    with subprocess.Popen(
        [RUNCAST, command, *flags, *named],
        cwd=tmp_path,
        env=environment(server_environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


def test_text_is_shown_on_a_terminal_that_lacks_its_letters(
    tmp_path: Path, client: Client, project: str, server_environ: dict[str, str]
) -> None:
    made(client, project, "r", "caf\u00e9 \u4e2d :smile: [bold]x[/bold]", "after")
    environ = {**server_environ, "PYTHONIOENCODING": "latin-1"}
    ran = runcast(tmp_path, "logs", "r", "-p", project, environ=environ)
    assert ran.out == b"caf\xe9 \\u4e2d :smile: [bold]x[/bold]\nafter\n"
    listed = runcast(tmp_path, "events", project, "--type", "agent:log", environ=environ)
    assert b":smile: [bold]x[/bold]" in listed.out


def test_token_reads_the_local_credentials(local_server: Up) -> None:
    ran = runcast(local_server.directory, "token", "--json")
    assert json.loads(ran.out)["token"] == local_server.credentials["token"]


def test_logs_prints_tails_and_filters(run: Run, client: Client, project: str) -> None:
    run_id = made(client, project, "r", *(f"line {n}" for n in range(1_500)))
    client.add_log(run_id, message="careful", level="warning", agent_name="Idea")
    assert len(run("logs", "r", "-p", project).text.splitlines()) == 1_501
    assert run("logs", run_id, "-n", "2").text == "line 1499\n[Idea] careful\n"
    assert len(run("logs", run_id, "-n", "1200").text.splitlines()) == 1_200
    assert run("logs", run_id, "--level", "warning").text == "[Idea] careful\n"
    assert run("logs", run_id, "--grep", "^line 7$").text == "line 7\n"
    assert run("logs", run_id, "--since", "2999-01-01").text == ""
    [entry] = [
        json.loads(line) for line in run("logs", run_id, "-n", "1", "--json").out.splitlines()
    ]
    assert (entry["message"], entry["line_number"], entry["level"]) == ("careful", 1_501, "warning")


def test_following_shows_what_was_and_what_comes_and_ends_with_the_runs(
    tmp_path: Path, client: Client, project: str, server_environ: dict[str, str]
) -> None:
    first = made(client, project, "first", "a1")
    second = made(client, project, "second", "b1")
    with subprocess.Popen(
        [RUNCAST, "logs", "-f", "first", "second", "-p", project],
        cwd=tmp_path,
        env=environment(server_environ),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        shown = {process.stdout.readline(), process.stdout.readline()}
        assert shown == {"first  | a1\n", "second | b1\n"}
        client.add_log(first, message="a2")
        assert process.stdout.readline() == "first  | a2\n"
        client.add_log(second, message="b2")
        assert process.stdout.readline() == "second | b2\n"
        client.update_run(first, status="completed")
        client.update_run(second, status="failed")
        assert process.stdout.read() == ""
        assert process.wait(20) == 0


def test_following_a_run_without_lines_misses_none(
    tmp_path: Path, client: Client, project: str, server_environ: dict[str, str]
) -> None:
    run_id = made(client, project, "quiet")
    with subprocess.Popen(
        [RUNCAST, "logs", "-f", run_id],
        cwd=tmp_path,
        env=environment(server_environ),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        client.add_logs(run_id, [{"message": str(n)} for n in range(100)])
        client.update_run(run_id, status="completed")
        assert process.stdout.read().splitlines() == [str(n) for n in range(100)]


def test_foreign_text_can_not_command_a_terminal(
    tmp_path: Path, client: Client, project: str, server_environ: dict[str, str]
) -> None:
    run_id = made(
        client, project, "evil", "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[6n", name="\x1b[2Jx"
    )
    shown = on_terminal(tmp_path, "logs", run_id, environ=server_environ).out
    assert shown == b"\x1b[31mred\x1b[0m\r\n"
    listed = on_terminal(tmp_path, "runs", "show", run_id, environ=server_environ).out
    assert b"\x1b[2J" not in listed


def test_runs_are_listed_shown_cancelled_and_retried(
    run: Run, client: Client, project: str
) -> None:
    run_id = made(client, project, "r", name="A name")
    assert "A name" in run("runs", "ls", "-p", project).text
    assert "A name" in run("runs", "ls", "-p", project, "--search", "NAME a").text
    assert "A name" not in run("runs", "ls", "-p", project, "-s", "another").text
    page = json.loads(run("runs", "ls", "-p", project, "--json").out)
    assert ([each["key"] for each in page["runs"]], page["total"]) == (["r"], 1)
    assert json.loads(run("runs", "show", "r", "-p", project, "--json").out)["id"] == run_id
    assert run("runs", "cancel", "r", "-p", project).text == "r cancelled\n"
    again = json.loads(run("runs", "retry", "r", "-p", project, "--json").out)
    assert (again["attempt"], again["retry_of"]) == (2, run_id)


def test_a_run_is_exported_whole(tmp_path: Path, run: Run, client: Client, project: str) -> None:
    run_id = made(client, project, "r", "one", "two")
    client.create_artifact(run_id, "outline", {"a": 1})
    client.create_artifact(run_id, "outline", {"a": 2})
    assert run("runs", "export", "r", "-p", project, "-o", "out").text == "out\n"
    assert (tmp_path / "out" / "logs.txt").read_text() == "one\ntwo\n"
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["id"] == run_id
    assert len((tmp_path / "out" / "logs.ndjson").read_bytes().splitlines()) == 2
    kept = tmp_path / "out" / "artifacts" / "outline"
    assert [json.loads((kept / f"v{n}.json").read_bytes()) for n in (1, 2)] == [{"a": 1}, {"a": 2}]
    assert run("runs", "export", "r", "-p", project, "-o", "out.zip").code == 0
    assert (tmp_path / "out.zip").read_bytes()[:2] == b"PK"
    assert run("runs", "export", "--all", "-p", project, "-o", "all.parquet").code == 0
    assert (tmp_path / "all.parquet").read_bytes()[:4] == b"PAR1"
    assert run("runs", "export", "r", "-p", project, "-o", "out.zip").code == 1
    assert run("runs", "export", "none", "-p", project, "-o", "none.ndjson").code != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "out", "out.zip"]


def test_artifacts_are_kept_listed_and_fetched(
    tmp_path: Path, run: Run, client: Client, project: str
) -> None:
    made(client, project, "r")
    (tmp_path / "notes.md").write_text("# notes\n")
    assert run("artifacts", "put", "r", "notes", "notes.md", "-p", project).code == 0
    [kept] = json.loads(run("artifacts", "ls", "r", "-p", project, "--json").out)["artifacts"]
    assert (kept["step_name"], kept["version"]) == ("notes", 1)
    assert run("artifacts", "get", kept["id"]).out == b"# notes\n"


def test_events_are_listed_and_followed(
    tmp_path: Path, run: Run, client: Client, project: str, server_environ: dict[str, str]
) -> None:
    run_id = made(client, project, "r", "line")
    told = run("events", project, "--json").out.splitlines()
    assert "agent:log" not in {json.loads(line)["type"] for line in told}
    everything = run("events", project, "--logs", "all", "--json").out.splitlines()
    listed = [json.loads(line) for line in everything]
    assert [each["id"] for each in listed] == list(range(1, len(listed) + 1))
    with subprocess.Popen(
        [RUNCAST, "events", "-f", project, "--after", "0", "--logs", "all", "--json"],
        cwd=tmp_path,
        env=environment(server_environ),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline()) for _ in listed]
        assert [(each["id"], each["type"]) for each in seen] == [
            (each["id"], each["type"]) for each in listed
        ]
        client.add_log(run_id, message="live")
        assert json.loads(process.stdout.readline())["data"]["line"] == "live"
        process.terminate()


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ({"status": "completed"}, 0),
        ({"status": "failed", "error": "no"}, 1),
        ({"status": "cancelled"}, 130),
        ({"status": "failed", "result": {"exit_code": 7}}, 7),
        ({"status": "failed", "result": {"exit_code": 256}}, 1),
        ({"status": "cancelled", "result": {"exit_code": False}}, 130),
        ({"status": "failed", "result": {"exit_code": 0}}, 1),
    ],
)
def test_wait_exits_as_the_run_did(
    tmp_path: Path,
    run: Run,
    client: Client,
    project: str,
    server_environ: dict[str, str],
    end: dict[str, Any],
    code: int,
) -> None:
    run_id = made(client, project, "r")
    with subprocess.Popen(
        [RUNCAST, "wait", "r", "-p", project], cwd=tmp_path, env=environment(server_environ)
    ) as process:
        client.update_run(run_id, **end)
        assert process.wait(20) == code
    assert run("wait", "r", "-p", project).code == code


def test_wait_gives_up(run: Run, client: Client, project: str) -> None:
    made(client, project, "r")
    assert run("wait", "r", "-p", project, "--timeout", "300ms").code == 124


def test_the_demo_plays_to_its_end(run: Run, client: Client) -> None:
    ran = run("demo", "--interval", "0.02")
    assert (ran.code, len(ran.text.splitlines())) == (0, 12), ran
    newest = client.list_runs("demo", limit=1)["runs"][0]
    kept = {each["step_name"] for each in client.get_run(newest["id"])["artifacts"]}
    assert kept == {"idea", "topic_critic", "outline"}


EXEC = ("exec", "--run")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", {"COMP_WORDS": "runcast wait ni", "COMP_CWORD": "2"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "runcast wait ni"}),
        (
            "fish",
            {
                "_TYPER_COMPLETE_ARGS": "runcast wait ni",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
        ),
    ],
)
def test_a_shell_completes_the_names_of_runs(
    shell: str, words: dict[str, str], tmp_path: Path
) -> None:
    for key in ("nightly", "nice", "other"):
        (tmp_path / "runs" / key).mkdir(parents=True)
        (tmp_path / "runs" / key / "logs.txt").write_text("here\n")
    environ = {**environment(), **words, "_RUNCAST_COMPLETE": f"complete_{shell}"}
    told = subprocess.run([RUNCAST], cwd=tmp_path, env=environ, capture_output=True, check=True)
    assert b"nightly" in told.stdout
    assert b"nice" in told.stdout
    assert b"other" not in told.stdout


def test_directories_are_enough(tmp_path: Path, offline: Run) -> None:
    assert runcast(tmp_path, *EXEC, "one", "--", "sh", "-c", "echo a; echo b; exit 2").code == 2
    assert "failed" in offline("runs", "ls").text
    shown = json.loads(offline("runs", "show", "one", "--json").out)
    assert (shown["status"], shown["result"]) == ("failed", {"exit_code": 2})
    assert offline("logs", "one", "-n", "3").text.splitlines()[:2] == ["a", "b"]
    assert offline("logs", "-f", "one").text.startswith("a\nb\n")
    assert json.loads(offline("runs", "ls", "--json").out)["total"] == 1
    key = json.loads(offline("runs", "ls", "--json").out)["runs"][0]["key"]
    assert json.loads(offline("runs", "ls", "--json", "-s", key.upper()).out)["total"] == 1
    assert json.loads(offline("runs", "ls", "--json", "-s", "nothing").out)["total"] == 0


def test_a_run_is_found_by_what_only_it_has(run: Run, client: Client, project: str) -> None:
    key = f"k{project[-8:]}-one"
    run_id = made(client, project, key, "said")
    number = client.get_run(run_id)["number"]
    for name in (key[:10], run_id[-12:], f"#{number}", str(number), "--last"):
        assert run("logs", name, "-p", project).text == "said\n", name
    found = run("logs", key)
    assert (found.text, f"of project {project}" in found.err.decode()) == ("said\n", True)
    missing = run("runs", "show", "..", "-p", project)
    assert (missing.code, missing.out) == (5, b"")


def test_lists_fit_the_terminal(
    tmp_path: Path, client: Client, project: str, server_environ: dict[str, str]
) -> None:
    client.create_run(project, name="A long name " * 10, status="running")
    environ = {**server_environ, "NO_COLOR": "1"}
    shown = on_terminal(tmp_path, "runs", "ls", "-p", project, environ=environ).out
    rows = shown.decode().splitlines()
    assert len(rows) == 2
    assert max(len(row) for row in rows) <= 101


def test_a_server_that_is_down_is_told_at_once_with_what_to_do(tmp_path: Path) -> None:
    ran = runcast(tmp_path, "logs", "x", environ={"RUNCAST_URL": "http://127.0.0.1:9"})
    assert (ran.code, ran.err.count(b"\n"), b"runcast up" in ran.err) == (3, 1, True)


def test_a_log_without_a_server_is_filtered_and_followed_like_any_other(
    tmp_path: Path, offline: Run
) -> None:
    log = tmp_path / "runs" / "foreign" / "logs.txt"
    log.parent.mkdir(parents=True)
    log.write_text("2020-01-01T00:00:00Z old\n[ERROR] bad\n[INFO] fine\n")
    assert offline("logs", "foreign", "--level", "warning").text == "[ERROR] bad\n"
    assert offline("logs", "foreign", "--since", "1d").text == "[ERROR] bad\n[INFO] fine\n"
    assert offline("logs", "foreign", "-n", "1", "-t").text.endswith("[INFO] fine\n")
    assert offline("runs", "show", "foreign").code == 0
    with subprocess.Popen(
        [RUNCAST, "logs", "-f", "foreign"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)][2] == b"[INFO] fine\n"
        log.write_text("after\n")
        assert process.stdout.readline() == b"after\n"
        log.rename(log.with_suffix(".1"))
        log.write_text("replaced\n")
        assert process.stdout.readline() == b"replaced\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_files_are_followed_by_pattern(
    run: Run, client: Client, project: str, local_server: Up
) -> None:
    """The server's roots are its directory of runs."""
    files = local_server.directory / "runs" / f"plain-{project}"
    files.mkdir(parents=True)
    (files / "a.log").write_text("one\n")
    (files / "b c.log").write_text("two\n")
    followed = run("tail", str(files / "*.log"), "-p", project, "--json")
    told = [json.loads(line) for line in followed.out.splitlines()]
    assert (followed.code, [each["state"] for each in told]) == (0, ["followed", "followed"])
    for each, line in zip(told, ("one", "two"), strict=True):
        wait_for(
            lambda key=each["run"], line=line: client.log_text(key, project=project) == f"{line}\n",
            "the line",
        )
    refused = run("tail", "/etc/passwd", "-p", project)
    assert (refused.code, "TAIL_ROOTS" in refused.text) == (1, True)
    assert run("tail", str(files / "*.nothing"), "-p", project).code == 5


def test_following_a_directory_shows_it_grow(tmp_path: Path, offline: Run) -> None:
    command = [RUNCAST, "exec", "--run", "grows", "--", "sh", "-c", "echo a; sleep 1; echo b"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL):
        status = tmp_path / "runs" / "grows" / "status.json"
        wait_for(status.exists, "the run's directory")
        assert offline("logs", "-f", "grows").text.splitlines()[:2] == ["a", "b"]
    assert offline("wait", "grows").code == 0


def test_waiting_for_a_directory(tmp_path: Path, offline: Run) -> None:
    command = [RUNCAST, *EXEC, "slow", "--", "sh", "-c", "sleep 2; exit 3"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment()):
        wait_for((tmp_path / "runs" / "slow" / "run.json").exists, "the run's directory")
        assert offline("wait", "slow", "--timeout", "100ms").code == 124
        assert offline("wait", "slow").code == 3


def test_the_doctor_names_what_is_not_followed(tmp_path: Path, offline: Run) -> None:
    runs = tmp_path / "runs"
    for name in ("odd name", "nested/inner", "linked", "good"):
        (runs / name).mkdir(parents=True)
    for name in ("odd name/logs.txt", "good/logs.txt", "nested/inner/logs.txt", "loose.log"):
        (runs / name).touch()
    (runs / "linked" / "logs.txt").symlink_to(runs / "good" / "logs.txt")
    findings = json.loads(offline("doctor", "--json").out)["findings"]
    told = " ".join(each["text"] for each in findings if each["about"] == "not followed")
    assert all(name in told for name in ("odd name", "nested", "linked", "loose.log"))
    assert "good:" not in told


def test_the_doctor_names_what_is_wrong(
    tmp_path: Path, run: Run, local_server: Up, server_environ: dict[str, str]
) -> None:
    assert run("doctor").code == 0
    (tmp_path / "runs" / "bad").mkdir(parents=True)
    (tmp_path / "runs" / "bad" / "run.json").write_text("{}")
    (tmp_path / ".runcast").mkdir()
    credentials = tmp_path / ".runcast" / "credentials.json"
    credentials.write_text(json.dumps(local_server.credentials))
    os.chmod(credentials, stat.S_IRUSR | stat.S_IWUSR | stat.S_IROTH)
    ran = run("doctor", "--json")
    assert ran.code == 1
    findings = json.loads(ran.out)["findings"]
    texts = [each["text"] for each in findings if each["state"] != "ok"]
    assert any("bad/run.json: id is missing" in text for text in texts)
    assert any("others may read" in text for text in texts)
    away = runcast(tmp_path, "doctor", environ={"RUNCAST_URL": "http://127.0.0.1:9"})
    assert (away.code, "runcast up" in away.text) == (1, True)
