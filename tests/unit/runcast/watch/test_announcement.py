"""Hooks know of a watcher that works and sends to their project, and of no other."""

import contextlib
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from runcast._support.server_config import Connection
from runcast.agents import hook
from runcast.cli import watch
from runcast.watch import announcement

HERE = {"url": "http://runs.test/", "project": "app"}
SERVER = Connection("http://runs.test", None)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "runcast" / "agents.json"
    monkeypatch.setenv("RUNCAST_AGENTS_CONFIG", str(place))
    return place.with_name(announcement.NAME)


def test_hooks_are_told_while_the_watcher_works(file: Path) -> None:
    assert not hook.is_watched("claude", HERE)
    with announcement.made(["codex", "claude", "claude"], "http://runs.test", "app"):
        assert hook.is_watched("claude", HERE)
        assert hook.is_watched("codex", HERE)
        assert not hook.is_watched("gemini", HERE)
        assert not hook.is_watched("claude", HERE | {"project": "other"})
        assert not hook.is_watched("claude", HERE | {"url": "http://other.test"})
        assert not hook.is_watched("claude", {"url": "http://runs.test"})
    assert not file.exists()
    assert list(file.parent.iterdir()) == []


def test_what_a_killed_watcher_left_counts_until_it_should_be_back(file: Path) -> None:
    """Its number may be another process's now: here it is this one's."""
    file.parent.mkdir()
    left = {"pid": os.getpid(), "agents": ["claude"], "url": HERE["url"], "project": "app"}
    file.write_text(json.dumps(left))
    assert hook.is_watched("claude", HERE)
    gone = time.time() - hook.AWAITED_SECONDS - 1
    os.utime(file, (gone, gone))
    assert not hook.is_watched("claude", HERE)


def test_a_watcher_that_works_gives_signs_of_life(file: Path) -> None:
    with announcement.made(["claude"], "http://runs.test", "app") as sign:
        os.utime(file, (0, 0))
        sign()
        assert time.time() - file.stat().st_mtime < 60


def test_another_watchers_announcement_stays(file: Path) -> None:
    with contextlib.ExitStack() as second:
        with announcement.made(["claude"], "http://runs.test", "app"):
            second.enter_context(announcement.made(["codex"], "http://runs.test", "app"))
        assert hook.is_watched("codex", HERE)


def test_only_what_is_sent_from_the_agents_own_place_is_announced(file: Path) -> None:
    roots = [(SimpleNamespace(program=name), Path("/")) for name in ("claude", "codex")]
    asked = SimpleNamespace(paths={"codex": [Path("/")]}, project="app")
    with watch._announced(roots, asked, None):
        assert not file.exists()
    with watch._announced(roots, asked, SERVER):
        assert hook.is_watched("claude", HERE)
        assert not hook.is_watched("codex", HERE)
