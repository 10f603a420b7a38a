"""Hooks know of a watcher that lives, and of no other."""

import json
from pathlib import Path

import pytest

from runcast.agents import hook
from runcast.watch import announcement


def test_hooks_are_told_while_the_watcher_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "runcast" / "agents.json"
    monkeypatch.setenv("RUNCAST_AGENTS_CONFIG", str(place))
    assert not hook.is_watched("claude")
    announcement.put(["codex", "claude", "claude"])
    assert hook.is_watched("claude")
    assert not hook.is_watched("gemini")
    announcement.take_away()
    assert not hook.is_watched("claude")
    stale = {"pid": 2**22 - 7, "agents": ["claude"]}
    place.with_name(announcement.NAME).write_text(json.dumps(stale))
    assert not hook.is_watched("claude")
    announcement.take_away()
    assert place.with_name(announcement.NAME).exists()
