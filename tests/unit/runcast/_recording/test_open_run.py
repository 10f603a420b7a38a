"""Which run a name stands for."""

import logging
from pathlib import Path

import pytest

from runcast import errors
from runcast._recording.open_run import open_run
from runcast._support.ids import uuid7


def test_without_a_name_every_run_is_new(tmp_path: Path) -> None:
    first, second = open_run(tmp_path), open_run(tmp_path)
    assert first.run_id != second.run_id
    assert first.directory.path.name == first.run_id
    assert first.run["key"] is None


def test_an_id_is_the_run_and_its_directory(tmp_path: Path) -> None:
    run_id = str(uuid7())
    run = open_run(tmp_path, run_id=run_id.upper())
    assert run.run_id == run_id
    assert run.directory.path == tmp_path / run_id


def test_a_key_names_the_directory(tmp_path: Path) -> None:
    run = open_run(tmp_path, run_id="my-run", project="demo")
    assert run.run["key"] == "my-run"
    assert run.directory.path == tmp_path / "my-run"


@pytest.mark.parametrize("text", ["a b/c", "../../etc", "é", "..", "x" * 200, "team/nightly", ""])
def test_other_names_become_keys_inside_the_directory(tmp_path: Path, text: str) -> None:
    run = open_run(tmp_path, run_id=text)
    assert run.directory.path.parent == tmp_path
    assert run.run["key"] == run.directory.path.name
    assert run.run["key"] != text


def test_two_names_that_look_alike_are_two_runs(tmp_path: Path) -> None:
    assert open_run(tmp_path, run_id="a b").run_id != open_run(tmp_path, run_id="a/b").run_id


def test_a_finished_run_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = open_run(tmp_path, run_id="r")
    first.begin()
    first.finish("completed")
    before = first.directory.spool.read_bytes()
    with caplog.at_level(logging.WARNING):
        second = open_run(tmp_path, run_id="r")
        second.begin()
    assert second.directory.path.name == "r-2"
    assert second.run["key"] == "r-2"
    assert first.directory.spool.read_bytes() == before
    assert "recording as r-2" in caplog.text


def test_an_invalid_record_is_never_overwritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text("{not json")
    run = open_run(tmp_path, run_id="r")
    run.begin()
    assert run.directory.path.name == "r-2"
    assert (tmp_path / "r" / "run.json").read_text() == "{not json"
    assert str(tmp_path / "r" / "run.json") in caplog.text


def test_defaults_are_those_of_an_empty_request(tmp_path: Path) -> None:
    run = open_run(tmp_path).run
    assert (run["phase"], run["current_step"], run["steps"]) == (
        "phase1",
        "idea",
        ["idea", "topic_critic", "outline"],
    )


def test_a_run_that_must_go_on_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.NotResumable, match="no unfinished run"):
        open_run(tmp_path, run_id="absent", resume="must")
    with pytest.raises(errors.NotResumable, match="needs a run_id"):
        open_run(tmp_path, resume="must")
