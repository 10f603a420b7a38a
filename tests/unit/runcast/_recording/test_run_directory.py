"""The index of runs: ordered, whole, and shared by processes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runcast._recording import formats, run_directory
from runcast.errors import InvalidFile


def run(id: str, created_at: str = "2026-01-01T00:00:00+00:00", **fields: Any) -> dict[str, Any]:
    return {"id": id, "status": "running", "created_at": created_at, **fields}


def test_newest_first_and_ties_by_id(tmp_path: Path) -> None:
    for each in (
        run("b"),
        run("c", "2025-12-31T00:00:00+00:00"),
        run("a"),
        run("d", "2026-01-02T00:00:00+00:00"),
    ):
        run_directory.index_run(tmp_path, each)
    index = formats.read(tmp_path / "index.json", "runs/index.json")
    assert [each["id"] for each in index["runs"]] == ["d", "b", "a", "c"]
    assert index["total"] == 4


def test_a_run_has_one_entry(tmp_path: Path) -> None:
    run_directory.index_run(tmp_path, run("a"))
    run_directory.index_run(tmp_path, run("a", status="completed"))
    index = formats.read(tmp_path / "index.json", "runs/index.json")
    assert [each["status"] for each in index["runs"]] == ["completed"]


def test_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    children = []
    for child_number in range(4):
        child = os.fork()
        if child == 0:
            for number in range(10):
                run_directory.index_run(tmp_path, run(f"{child_number}-{number}"))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert formats.read(tmp_path / "index.json", "runs/index.json")["total"] == 40


def test_an_invalid_index_is_named_and_left(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text('{"total": 1, "runs": [{"id": 1}]}')
    with pytest.raises(InvalidFile, match=r"runs\[0\].id is not str"):
        run_directory.index_run(tmp_path, run("a"))
    assert path.read_text() == '{"total": 1, "runs": [{"id": 1}]}'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "not an object"),
        ("{}", "run_id is missing"),
        (
            '{"run_id": "a", "status": 1, "created_at": "", "updated_at": "", "events": []}',
            "status",
        ),
        (
            '{"run_id": "a", "status": "odd", "created_at": "", "updated_at": "", "events": []}',
            "status is 'odd'",
        ),
        (
            '{"run_id": "a", "status": "failed", "created_at": "", "updated_at": "", "events": [1]}',
            r"events\[0\]",
        ),
    ],
)
def test_what_is_not_a_status_is_said(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "status.json"
    path.write_text(content)
    with pytest.raises(InvalidFile, match=reason):
        formats.read(path, "status.json")


def test_directories_are_found_below_a_root_or_as_the_root(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({}))
    (tmp_path / "other").mkdir()
    (tmp_path / "index.json").write_text("{}")
    assert [each.path.name for each in run_directory.directories(tmp_path)] == ["a", "b"]
    assert [each.path for each in run_directory.directories(tmp_path / "a")] == [tmp_path / "a"]
    assert list(run_directory.directories(tmp_path / "missing")) == []
