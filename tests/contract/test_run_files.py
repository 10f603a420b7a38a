"""The files of a run, byte for byte: other programs read them.

`tests/contract/run/` holds what a run with a fixed clock and fixed ids writes. A difference is a
change of the format, to be made on purpose: `docs/files.md` describes it.
"""

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runcast._recording import artifacts, messages, recorder
from runcast._recording import open_run as open_run_module
from runcast._recording.artifacts import Source
from runcast._recording.open_run import open_run
from runcast._support import times

FROZEN = Path(__file__).parent / "run"
FILES = (
    "index.json",
    "my-run/run.json",
    "my-run/status.json",
    "my-run/events.jsonl",
    "my-run/logs.txt",
    "my-run/logs.jsonl",
    "my-run/spool.jsonl",
    "my-run/artifacts/index.json",
    "my-run/artifacts/outline/v1.json",
    "my-run/artifacts/outline/v2.json",
    "my-run/artifacts/notes/v1.txt",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    ids = (uuid.UUID(int=(0x7 << 76) | (0b10 << 62) | number) for number in itertools.count(1))
    start = datetime(2024, 1, 15, 10, 0, tzinfo=UTC)
    ticks = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        for module in (artifacts, messages, open_run_module):
            patch.setattr(module, "uuid7", lambda: next(ids))
        patch.setattr(times, "now", lambda: start + timedelta(milliseconds=250 * next(ticks)))
        write(root)
    return root


def write(root: Path) -> None:
    run: recorder.Recorder = open_run(
        root, run_id="my-run", project="demo", steps=["constraints", "spec"], json_logs=True
    )
    run.begin()
    run.progress("constraints", "Resolving constraints …", percent=0)
    run.progress("spec", "Generating game spec …", percent=10, step=1, total_steps=2)
    run.log("thinking…\nsecond line", agent_name="IdeaGenerator", payload={"n": 1})
    run.lines("stdout", ["plain", "\x1b[31mred\x1b[0m"])
    run.artifact("outline", Source({"title": "…"}))
    run.artifact("outline", Source({"title": "better"}))
    run.artifact("notes", Source("text"))
    run.update(current_step="spec", metadata={"a": 1})
    run.custom("mine", {"n": 1})
    run.finish("failed", error="it broke")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_as_it_was(written: Path, name: str) -> None:
    assert (written / name).read_bytes() == (FROZEN / name).read_bytes()


def test_there_are_no_other_files(written: Path) -> None:
    files = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    private = {".index.lock", ".gitignore", ".writer.json"}
    assert {name for name in files if Path(name).name not in private} == set(FILES)
