"""`runcast exec`: the command doesn't notice us, and nothing that it says is lost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.commands import RUNCAST, environment, on_terminal, runcast, terminal_dialogue
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client


def recorded(directory: Path, run: str = "r") -> dict[str, list[str]]:
    """The lines of each source, by the spool."""
    lines: dict[str, list[str]] = {}
    for text in (directory / "runs" / run / "spool.jsonl").read_bytes().splitlines():
        message = json.loads(text)
        if message["type"] == "lines":
            lines.setdefault(message["source"], []).extend(message["lines"])
    return lines


def status(directory: Path, run: str = "r") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "runs" / run / "status.json").read_bytes())
    return found


def script(text: str) -> tuple[str, ...]:
    return ("exec", "--run", "r", "--", sys.executable, "-c", text)


NOISY = r"""
import sys
out, err = sys.stdout.buffer, sys.stderr.buffer
out.write(b"plain\ncolour \x1b[31mred\x1b[0m\n\xff\xfe not text\n"); out.flush()
err.write(b"to stderr\n"); err.flush()
for n in range(101): out.write(b"\r%d%%" % n); out.flush()
out.write(b"\nlast without end"); out.flush()
"""


def test_output_is_byte_for_byte_the_commands(tmp_path: Path) -> None:
    alone = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, check=True)
    ran = runcast(tmp_path, *script(NOISY))
    assert (ran.out, ran.err, ran.code) == (alone.stdout, alone.stderr, 0)
    assert recorded(tmp_path) == {
        "stdout": ["plain", "colour \x1b[31mred\x1b[0m", "�� not text", "100%", "last without end"],
        "stderr": ["to stderr"],
    }
    assert status(tmp_path)["status"] == "completed"


def test_output_passes_while_the_command_runs(tmp_path: Path) -> None:
    program = "print('first'); input(); print('second')"
    with subprocess.Popen(
        [RUNCAST, *script(program)],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        wait_for(lambda: recorded(tmp_path) == {"stdout": ["first"]}, "the line in the spool")
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b"second\n"
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("command", "code", "how", "reason"),
    [
        (["sh", "-c", "exit 0"], 0, "completed", None),
        (["sh", "-c", "exit 3"], 3, "failed", "exit code 3"),
        (["sh", "-c", "kill -9 $$"], 137, "failed", "SIGKILL"),
        (["/nonexistent"], 127, "failed", "/nonexistent: command not found"),
        (["/etc/passwd"], 126, "failed", "/etc/passwd: Permission denied"),
    ],
)
def test_the_exit_code_is_the_commands(
    tmp_path: Path, command: list[str], code: int, how: str, reason: str | None
) -> None:
    assert runcast(tmp_path, "exec", "--run", "r", "--", *command).code == code
    assert (status(tmp_path)["status"], status(tmp_path).get("error")) == (how, reason)
    run = json.loads((tmp_path / "runs" / "r" / "run.json").read_bytes())
    assert run["result"] == {"exit_code": code}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT, signal.SIGALRM, 40]
)
def test_signals_reach_the_command(tmp_path: Path, number: int) -> None:
    program = (
        "import signal, sys, time\n"
        f"signal.signal({number}, lambda n, _: sys.exit(40 + n))\n"
        "print('ready'); time.sleep(60)"
    )
    with subprocess.Popen(
        [RUNCAST, *script(program)],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(20) == 40 + number


def test_a_handler_that_is_not_python_s_is_left_alone(tmp_path: Path) -> None:
    """faulthandler's own cannot be put back."""
    ran = subprocess.run(
        [RUNCAST, *script("print('said')")],
        cwd=tmp_path,
        env=environment() | {"PYTHONFAULTHANDLER": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"said\n", b"")
    assert status(tmp_path)["status"] == "completed"


STOPPED_EARLY = """
import importlib, os, signal, sys
imported = importlib.import_module
def import_module(name, *more):
    if name == "runcast.cli.agent_output":
        os.kill(os.getpid(), int(sys.argv.pop()))
    return imported(name, *more)
importlib.import_module = import_module
import runcast.cli
runcast.cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_first_moments_reaches_the_command(tmp_path: Path, number: int) -> None:
    """That is while we import what listens to it."""
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            STOPPED_EARLY,
            "exec",
            "--run",
            "r",
            "--",
            "sleep",
            "20",
            str(number),
        ],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 128 + number
    name = signal.Signals(number).name
    assert (status(tmp_path)["status"], status(tmp_path)["error"]) == ("cancelled", name)


def test_a_command_is_not_started_that_was_stopped_before(tmp_path: Path) -> None:
    text = (
        "import os, signal\n"
        "import runcast.cli, runcast.tracker\n"
        "def start(tracker):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    tracker._session.begin()\n"
        "runcast.tracker.RunTracker.start = start\n"
        "runcast.cli.main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", text, "exec", "--run", "r", "--", "touch", "started"],
        cwd=tmp_path,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert ended.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "started").exists()
    assert (status(tmp_path)["status"], status(tmp_path)["error"]) == ("cancelled", "SIGTERM")


def test_a_command_that_a_passed_on_signal_ends_is_cancelled(tmp_path: Path) -> None:
    with subprocess.Popen(
        [RUNCAST, *script("import time; print('ready'); time.sleep(60)")],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
    assert (status(tmp_path)["status"], status(tmp_path)["error"]) == ("cancelled", "SIGTERM")


def test_the_last_words_of_a_stopped_command_are_all_passed_on(tmp_path: Path) -> None:
    program = (
        "import os, signal, time\n"
        "def last_words(*_):\n"
        "    data = b'x' * 200_000\n"
        "    while data: data = data[os.write(1, data):]\n"
        "    os._exit(0)\n"
        "signal.signal(15, last_words)\n"
        "print('ready'); time.sleep(60)"
    )
    with subprocess.Popen(
        [RUNCAST, *script(program)],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert len(process.stdout.read()) == 200_000
        assert process.wait(20) == 0


def test_a_stopped_command_whose_reader_takes_nothing_does_not_hold_us(tmp_path: Path) -> None:
    program = "import os; print('ready'); os.write(1, b'x' * 4_000_000)"
    with subprocess.Popen(
        [RUNCAST, *script(program)],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGRTMIN + 6, f"signal {signal.SIGRTMIN + 6}"), (signal.SIGKILL, "SIGKILL")],
)
def test_any_signal_may_end_the_command(tmp_path: Path, number: int, name: str) -> None:
    ran = runcast(tmp_path, *script(f"import os; os.kill(os.getpid(), {int(number)})"))
    assert (ran.code, ran.err) == (128 + number, b"")
    assert (status(tmp_path)["status"], status(tmp_path)["error"]) == ("failed", name)


def test_a_reader_that_goes_away_ends_the_command_as_it_would_alone(tmp_path: Path) -> None:
    line = f"cd {tmp_path} && {RUNCAST} exec --run r -- yes | head -1"
    ended = subprocess.run(["sh", "-c", line], env=environment(), capture_output=True, timeout=30)
    assert ended.stdout == b"y\n"
    wait_for(lambda: status(tmp_path).get("error") == "SIGPIPE", "the end of yes")


def test_a_process_left_behind_does_not_hold_us_and_goes_on(tmp_path: Path) -> None:
    script = "(while [ ! -e go ]; do sleep 0.05; done; echo later; echo last) & echo here"
    with subprocess.Popen(
        [RUNCAST, "exec", "--run", "r", "--", "sh", "-c", script],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        assert process.wait(30) == 0
        (tmp_path / "go").touch()
        assert process.stdout.read() == b"later\nlast\n"


def test_output_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    line = f"{RUNCAST} exec --run r -- echo a > /dev/full"
    ended = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, timeout=30
    )
    assert (ended.returncode, b"No space left" in ended.stderr) == (1, True)


def test_a_shared_output_keeps_its_order_and_can_be_told_apart(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"
    line = f'"{RUNCAST}" exec "$@" -- sh -c "$SCRIPT" 2>&1'
    for options, sources in ((["--run", "r"], {"stdout"}), (["--run", "s", "--split"], None)):
        ended = subprocess.run(
            ["sh", "-c", line, "sh", *options],
            cwd=tmp_path,
            env={**environment(), "SCRIPT": script},
            capture_output=True,
            timeout=30,
            check=True,
        )
        expected = "".join(f"o{n}\ne{n}\n" for n in range(1, 6)).encode()
        if sources is not None:
            assert ended.stdout == expected
        assert sorted(ended.stdout.split()) == sorted(expected.split())
        assert set(recorded(tmp_path, options[1])) == (sources or {"stdout", "stderr"})


def test_stdin_is_the_commands(tmp_path: Path) -> None:
    ended = subprocess.run(
        [RUNCAST, "exec", "--", "cat"],
        cwd=tmp_path,
        env=environment(),
        input=b"a\nb",
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert ended.stdout == b"a\nb"


TERMINAL = (
    "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], tuple(os.get_terminal_size()));"
    "sys.stderr.write('to stderr\\n')"
)


def test_on_a_terminal_the_command_has_one_of_the_same_size(tmp_path: Path) -> None:
    shown = on_terminal(tmp_path, *script(TERMINAL))
    assert b"[True, True, True] (101, 33)\r\n" in shown.out
    assert recorded(tmp_path) == {"stdout": ["[True, True, True] (101, 33)", "to stderr"]}


def test_ctrl_c_on_a_terminal_reaches_the_command(tmp_path: Path) -> None:
    shown = on_terminal(
        tmp_path,
        *script("import time; print('ready'); time.sleep(60)"),
        types=b"\x03",
        after=b"ready",
    )
    assert shown.code == 130
    assert status(tmp_path)["status"] == "cancelled"


def test_what_is_typed_reaches_the_command(tmp_path: Path) -> None:
    shown = on_terminal(
        tmp_path, *script("print('name?'); print('hello', input())"), types=b"Ada\n", after=b"name?"
    )
    assert b"hello Ada" in shown.out


def test_a_job_can_be_stopped_and_go_on(tmp_path: Path) -> None:
    """Ctrl-Z stops the command and us; `fg` continues both, and the keyboard is the command's again."""
    shown = terminal_dialogue(
        tmp_path,
        f"{RUNCAST} exec -q --run r -- cat\n",
        (b"exec -q", b"one\n"),
        (b"one\r\none\r\n", b"\x1a"),
        (b"Stopped", b"echo code $?\n"),
        (b"code 148", b"fg\n"),
        (b"--run r -- cat\r\n", b"two\n"),
        (b"two\r\ntwo\r\n", b"\x04"),
        (b"$ ", b"echo ended $?; exit\n"),
    )
    assert b"ended 0" in shown
    assert status(tmp_path)["status"] == "completed"


def test_a_job_in_the_background_runs_on(tmp_path: Path) -> None:
    shown = terminal_dialogue(
        tmp_path,
        f"{RUNCAST} exec -q --run r -- sh -c 'sleep 0.3; echo from behind' & wait; echo all $?\n",
        (b"all 0", b"exit\n"),
    )
    assert b"from behind\r\n" in shown
    assert b"Stopped" not in shown


def test_a_paste_into_a_busy_program_is_no_deadlock(tmp_path: Path) -> None:
    """The program writes more than a terminal holds while more is typed than it reads."""
    program = (
        "import os, sys, tty; tty.setraw(0); sys.stdout.write('ready'); sys.stdout.flush()\n"
        "for _ in range(60): os.write(1, b'.' * 3000)\n"
        "n = 0\n"
        "while n < 60000: n += len(os.read(0, 65536))\n"
        "print('read', n)"
    )
    shown = on_terminal(tmp_path, *script(program), types=b"x" * 60_000, after=b"ready")
    assert (shown.code, b"read 60000" in shown.out) == (0, True)


def test_a_server_has_the_same_lines(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    program = (
        "import sys\n"
        "for n in range(5000): print('line', n)\n"
        "sys.stderr.write('oops\\n'); sys.exit(4)"
    )
    ran = runcast(
        tmp_path,
        *("exec", "-p", "cli-exec", "--run", "many", "--", sys.executable, "-c", program),
        environ=server_environ,
    )
    assert ran.code == 4
    run = client.get_run("many", project="cli-exec")
    assert (run["status"], run["error"], run["result"]) == (
        "failed",
        "exit code 4",
        {"exit_code": 4},
    )
    entries = list(client.iter_logs(run["id"], limit=1_000))
    assert [entry["line_number"] for entry in entries] == list(range(1, 5_002))
    said = [entry["message"] for entry in entries if entry["source"] == "stdout"]
    assert "".join(f"{line}\n" for line in said) == ran.text
    assert [entry["message"] for entry in entries if entry["source"] == "stderr"] == ["oops"]


def test_cancelling_the_run_stops_its_command(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    command = ("exec", "-p", "cli-exec", "--run", "stop", "--", "sleep", "60")
    with subprocess.Popen(
        [RUNCAST, *command],
        cwd=tmp_path,
        env=environment(server_environ),
        stdin=subprocess.DEVNULL,
    ) as process:
        wait_for(lambda: is_running(client, "stop"), "the run at the server")
        assert (
            runcast(
                tmp_path, "runs", "cancel", "stop", "-p", "cli-exec", environ=server_environ
            ).code
            == 0
        )
        assert process.wait(30) == 128 + signal.SIGTERM
    assert client.get_run("stop", project="cli-exec")["status"] == "cancelled"
    assert status(tmp_path, "stop")["status"] == "cancelled"


def is_running(client: Client, key: str) -> bool:
    found = [run["status"] for run in client.iter_runs("cli-exec", key=key)] if has(client) else []
    return found == ["running"]


def has(client: Client) -> bool:
    return any(project["slug"] == "cli-exec" for project in client.iter_projects())


def test_a_server_that_is_away_changes_nothing_and_what_it_lacks_is_said(tmp_path: Path) -> None:
    environ = {"RUNCAST_URL": "http://127.0.0.1:9", "RUNCAST_TOKEN": "x"}
    ran = runcast(tmp_path, "exec", "--run", "r", "--", "echo", "here", environ=environ)
    assert (ran.out, ran.code) == (b"here\n", 0)
    [said] = ran.err.decode().splitlines()
    assert "not at the server" in said


def test_a_server_that_is_killed_in_the_middle_has_it_all_in_the_end(tmp_path: Path) -> None:
    up = Up.at(tmp_path)
    try:
        up.start_ready()
        program = "import time\nfor n in range(60): print('line', n); time.sleep(0.1)"
        command = [RUNCAST, "exec", "--run", "long", "--", sys.executable, "-c", program]
        with subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            for _ in range(10):
                process.stdout.readline()
            up.kill()
            up.start_ready()
            process.stdout.read()
            assert process.wait(30) == 0
        runcast(tmp_path, "sync", "runs/long")
        with Client(up.url, up.credentials["token"]) as client:
            entries = list(
                client.iter_logs(client.get_run("long", project="default")["id"], limit=1_000)
            )
        assert [entry["message"] for entry in entries] == [f"line {n}" for n in range(60)]
    finally:
        up.cleanup()
        for_sure_ended(tmp_path)


def for_sure_ended(directory: Path) -> None:
    """Embedded servers outlive a killed parent; the test's own must not outlive the test."""
    for name in ("postmaster.pid",):
        for path in (directory / ".runcast").rglob(name):
            pid = int(path.read_text().splitlines()[0])
            os.kill(pid, signal.SIGTERM)
