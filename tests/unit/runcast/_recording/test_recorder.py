"""A run's files: what each call writes, and that nothing is torn, whoever writes and dies."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runcast._recording import formats
from runcast._recording.artifacts import Source
from runcast._recording.open_run import open_run
from runcast._recording.recorder import LINE_BYTES, Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    made = open_run(
        tmp_path, run_id="my-run", project="demo", steps=["spec", "zip"], json_logs=True
    )
    made.begin()
    return made


def spool(recorder: Recorder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in recorder.directory.spool.read_bytes().splitlines()]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_the_first_message_holds_what_the_run_is_made_of(recorder: Recorder) -> None:
    [first] = spool(recorder)
    assert first["type"] == "agent:started"
    assert first["project"] == "demo"
    assert first["run_id"] == recorder.run_id
    assert first["data"]["key"] == "my-run"
    assert first["data"]["steps"] == ["spec", "zip"]


def test_progress_is_in_every_file_when_the_call_returns(recorder: Recorder) -> None:
    recorder.progress("spec", "Generating …", percent=10, step=None, total_steps=None)
    [event] = lines_of(recorder.directory.events)
    assert event == {
        "ts": event["ts"],
        "stage": "spec",
        "message": "Generating …",
        "percent": 10,
    }
    assert recorder.directory.read_status()["events"] == [event]
    text = recorder.directory.logs.read_text()
    assert text == f"{event['ts']} [INFO] [spec] (10%) Generating …\n"
    assert lines_of(recorder.directory.json_logs) == [
        {"ts": event["ts"], "level": "INFO", "msg": "[spec] (10%) Generating …"}
    ]
    message = spool(recorder)[-1]
    assert message["type"] == "run:progress"
    assert message["data"]["percent"] == 10


def test_a_log_entry_is_kept_whole(recorder: Recorder) -> None:
    recorder.log("thinking…", level="WARNING", agent_name="Idea", payload={"n": 1})
    message = spool(recorder)[-1]
    assert message["type"] == "agent:log"
    assert message["data"] == {
        "message": "thinking…",
        "level": "warning",
        "agent_name": "Idea",
        "payload": {"n": 1},
        "ts": message["data"]["ts"],
    }
    assert recorder.directory.logs.read_text().endswith(" [WARNING] thinking…\n")


def test_each_call_is_one_line_of_the_spool(recorder: Recorder) -> None:
    recorder.log("two\nlines")
    recorder.progress("zip", "x")
    recorder.update(current_step="zip")
    recorder.lines("stdout", ["a", "b"])
    recorder.artifact("zip", Source({"a": 1}))
    recorder.custom("mine", {"n": 1})
    assert [message["type"] for message in spool(recorder)] == [
        "agent:started",
        "agent:log",
        "run:progress",
        "run:updated",
        "lines",
        "artifact:created",
        "x:mine",
    ]


def test_output_lines_are_numbered_by_source(recorder: Recorder) -> None:
    recorder.lines("stdout", ["é", ""])
    recorder.lines("stderr", ["e"])
    recorder.lines("stdout", ["z"])
    places = [
        (m["source"], m["first_line"], m["first_offset"], m["next_offset"])
        for m in spool(recorder)[1:]
    ]
    assert places == [("stdout", 1, 0, 4), ("stderr", 1, 0, 2), ("stdout", 3, 4, 6)]
    assert recorder.directory.logs.read_text() == "é\n\ne\nz\n"


def test_a_long_line_is_cut_for_the_server_and_whole_in_the_file(recorder: Recorder) -> None:
    line = "é" * LINE_BYTES
    recorder.lines("stdout", ["short", line, "after"])
    [message] = [each for each in spool(recorder) if "flags" in each]
    assert len(message["lines"][0].encode()) <= LINE_BYTES
    assert message["flags"] == {"0": {"cut": {"offset": 6, "length": 2 * LINE_BYTES}}}
    assert spool(recorder)[-1]["next_offset"] == 6 + 2 * LINE_BYTES + 1 + 6
    assert line in recorder.directory.logs.read_text()


def test_a_step_is_stamped_once(recorder: Recorder) -> None:
    recorder.progress("zip", "x")
    stamps = dict(recorder.run["step_timestamps"])
    recorder.update(current_step="spec")
    recorder.update(current_step="zip")
    assert recorder.run["step_timestamps"] == stamps
    assert set(stamps) == {"spec", "zip"}
    assert recorder.directory.read_run()["current_step"] == "zip"


def test_the_end_is_written_with_its_reason_and_the_logs_extent(recorder: Recorder) -> None:
    recorder.lines("stdout", ["x"])
    recorder.finish("failed", error="it broke")
    status = recorder.directory.read_status()
    assert status["status"] == "failed"
    assert status["error"] == "it broke"
    text = recorder.directory.logs.read_bytes()
    assert status["log"] == {"lines": text.count(b"\n"), "bytes": len(text)}
    assert text.endswith(b"[ERROR] Run failed: it broke\n")
    failed, closed = spool(recorder)[-2:]
    assert (failed["type"], failed["data"]) == ("agent:failed", {"error": "it broke"})
    assert (closed["source"], closed["lines"], closed["closed"]["reason"]) == (
        "stdout",
        [],
        "status",
    )


def test_a_second_end_changes_nothing(recorder: Recorder) -> None:
    recorder.finish("completed")
    before = recorder.directory.spool.read_bytes()
    recorder.finish("failed", error="late")
    assert recorder.directory.spool.read_bytes() == before
    assert recorder.directory.read_status()["status"] == "completed"


def test_status_keeps_the_last_thousand_events(recorder: Recorder) -> None:
    for number in range(1_005):
        recorder.progress("spec", str(number))
    events = recorder.directory.read_status()["events"]
    assert [events[0]["message"], events[-1]["message"], len(events)] == ["5", "1004", 1_000]
    assert len(lines_of(recorder.directory.events)) == 1_005


def test_output_zip_becomes_an_artifact(recorder: Recorder) -> None:
    recorder.directory.output.write_bytes(b"PK")
    recorder.finish("completed")
    [entry] = recorder.directory.read_artifacts()
    assert (entry["step_name"], entry["path"], entry["size"]) == ("output", "output.zip", 2)
    assert entry["media_type"] == "application/zip"


def test_artifacts_get_versions_and_a_manifest(recorder: Recorder) -> None:
    first = recorder.artifact("out/line", Source({"title": "…"}))
    second = recorder.artifact("out/line", Source("text"))
    other = recorder.artifact("..", Source(b"\x00"))
    assert [first["version"], second["version"], other["version"]] == [1, 2, 1]
    assert first["path"] == "artifacts/out%2Fline/v1.json"
    assert second["path"] == "artifacts/out%2Fline/v2.txt"
    assert other["path"] == "artifacts/%2E./v1.bin"
    index = formats.read(recorder.directory.artifacts_index, "artifacts/index.json")
    assert index == {"total": 3, "artifacts": [first, second, other]}
    assert (recorder.directory.path / first["path"]).read_text() == '{"title":"…"}'


def test_what_json_does_not_know_is_written_all_the_same(recorder: Recorder) -> None:
    circle: list[Any] = []
    circle.append(circle)
    for payload in (object(), {1: {2}}, circle, "\ud800", float("nan"), 2**100, b"\xff"):
        recorder.log("x\ud800", payload=payload)
    assert len(spool(recorder)) == 8


@pytest.mark.parametrize("kind", ["thread", "fork"])
def test_writers_at_once_tear_nothing(recorder: Recorder, kind: str) -> None:
    def write(writer: int) -> None:
        for number in range(200):
            recorder.lines("stdout", [f"{writer}-{number}"])
            recorder.log(f"entry {writer}-{number}")

    (in_threads if kind == "thread" else in_children)(write)
    recorder.lines("stdout", ["last"])
    messages = [m for m in spool(recorder) if m["type"] == "lines"]
    assert [m["first_line"] for m in messages] == list(range(1, 802))
    offsets = [m["first_offset"] for m in messages[1:]]
    assert offsets == [m["next_offset"] for m in messages[:-1]]
    written = [line for m in messages for line in m["lines"]]
    assert sorted(written) == sorted([f"{w}-{n}" for w in range(4) for n in range(200)] + ["last"])
    assert len(recorder.directory.logs.read_text().splitlines()) == 1_601


def in_threads(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_children(work: Callable[[int], None]) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            work(number)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


def test_a_run_that_was_left_goes_on_behind_a_torn_line(tmp_path: Path) -> None:
    first = open_run(tmp_path, run_id="r", project="demo")
    first.begin()
    first.lines("stdout", ["a"])
    first.progress("idea", "half")
    first.close()
    with first.directory.spool.open("ab") as file:
        file.write(b'{"type":"agent:lo')

    second = open_run(tmp_path, run_id="r", project="other")
    second.begin()
    second.lines("stdout", ["b"])
    assert second.run_id == first.run_id
    assert second.run["project"] == "demo"
    assert second.directory.read_status()["events"][0]["message"] == "half"
    last = json.loads(second.directory.spool.read_bytes().splitlines()[-1])
    assert (last["first_line"], last["first_offset"]) == (2, 2)
    assert second.directory.spool.read_bytes().count(b"agent:started") == 1


def test_a_stopped_holder_of_the_lock_does_not_stop_us_for_ever(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder._file_lock, "seconds", 0.05)
    other = open_run(recorder.directory.path.parent, run_id="my-run")
    with other._writing():
        with pytest.raises(TimeoutError):
            recorder.log("x")
        with pytest.raises(TimeoutError):
            recorder.log("at once")
    recorder.log("y")
    said = [each["data"]["message"] for each in spool(recorder) if each["type"] == "agent:log"]
    assert said == ["x", "at once", "y"]


def test_a_step_that_is_none_of_the_runs_is_told_as_progress(recorder: Recorder) -> None:
    recorder.update(current_step="elsewhere", metadata={"a": 1})
    assert [message["type"] for message in spool(recorder)] == [
        "agent:started",
        "run:progress",
        "run:updated",
    ]
    assert recorder.run["current_step"] == "spec"


def test_a_closed_record_touches_no_file_that_took_its_place(
    recorder: Recorder, tmp_path: Path
) -> None:
    recorder.close()
    with (tmp_path / "another").open("wb") as other:
        with pytest.raises(ValueError, match="closed"):
            recorder.log("x")
        assert other.tell() == 0
    assert (tmp_path / "another").read_bytes() == b""


def test_very_many_lines_are_several_messages(recorder: Recorder) -> None:
    recorder.lines("stdout", [str(number) for number in range(1_050)])
    messages = spool(recorder)[1:]
    assert max(len(message["lines"]) for message in messages) == 100
    assert [line for message in messages for line in message["lines"]] == [
        str(number) for number in range(1_050)
    ]
