"""Whose run a directory is, and what of its files is believed."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runcast._support.ids import uuid7
from runcast_tailer.run_directory import RunDirectory

STAMP = "2026-01-31T10:00:00+00:00"
RUN_ID = uuid7()


def run_json(**more: Any) -> str:
    run = {
        "id": str(RUN_ID), "key": "my-run", "project": "demo", "status": "running", "steps": ["a"],
        "step_timestamps": {}, "created_at": STAMP, "updated_at": STAMP,
    }  # fmt: skip
    return json.dumps(run | more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-run"
    folder.mkdir()
    return folder


def test_a_directory_without_run_json_is_named_by_its_own_name(
    folder: Path, tmp_path: Path
) -> None:
    name = RunDirectory(folder).run_name("default")
    assert name is not None
    assert (name.project, name.run_id, name.key) == ("default", None, "my-run")
    by_id = RunDirectory(tmp_path / str(RUN_ID)).run_name("default")
    assert by_id is not None
    assert (by_id.run_id, by_id.key) == (RUN_ID, None)


def test_run_json_names_project_id_and_key(folder: Path) -> None:
    (folder / "run.json").write_text(run_json(name="N", agent_type=None))
    name = RunDirectory(folder).run_name("default")
    assert name is not None
    assert (name.project, name.run_id, name.key) == ("demo", RUN_ID, "my-run")
    assert name.address() == {
        "project": "demo", "run_id": str(RUN_ID), "key": "my-run", "run": {"name": "N", "steps": ["a"]},
    }  # fmt: skip


def test_a_name_that_no_run_can_have_is_left_alone(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "not a key").run_name("default") is None
    assert RunDirectory(tmp_path / ("x" * 129)).run_name("default") is None


@pytest.mark.parametrize("content", ["[]", "{", '{"id": 1}', ""])
def test_an_invalid_run_json_is_not_believed(folder: Path, content: str) -> None:
    (folder / "run.json").write_text(content)
    name = RunDirectory(folder).run_name("default")
    assert name is not None
    assert name.run_id is None


def test_a_directory_with_a_spool_is_fed_from_it_alone(folder: Path) -> None:
    directory = RunDirectory(folder)
    for file in ("logs.txt", "events.jsonl", "logs.jsonl"):
        (folder / file).write_text("")
    directory.refresh(0.0)
    assert directory.sources() == ["logs.txt", "events.jsonl"]
    (folder / "spool.jsonl").write_text("")
    assert directory.refresh(1.0)
    assert directory.sources() == ["spool.jsonl"]


def test_status_json_is_read_as_it_is_swapped(folder: Path) -> None:
    directory = RunDirectory(folder)
    status = {
        "run_id": "my-run", "status": "running", "created_at": STAMP, "updated_at": STAMP, "events": [],
    }  # fmt: skip
    for now, more in enumerate(
        [{}, {"status": "failed", "error": "e", "log": {"lines": 3, "bytes": 42}}]
    ):
        draft = folder / "draft"
        draft.write_text(json.dumps(status | more))
        draft.rename(folder / "status.json")
        assert directory.refresh(float(now))
    assert directory.state is not None
    assert directory.state.is_terminal
    assert (directory.state.error, directory.state.log_size) == ("e", (3, 42))
    (folder / "status.json").write_text("{")
    directory.refresh(9.0)
    assert directory.state.status == "failed"


def test_the_id_of_another_run_in_a_directory_named_by_id(tmp_path: Path) -> None:
    folder = tmp_path / str(UUID(int=7))
    folder.mkdir()
    (folder / "run.json").write_text(run_json(key=None))
    name = RunDirectory(folder).run_name("default")
    assert name is not None
    assert (name.run_id, name.key) == (RUN_ID, None)
