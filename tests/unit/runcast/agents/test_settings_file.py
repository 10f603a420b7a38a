"""Your own configuration files: what can't be written again as it was is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runcast.agents import settings_file
from runcast.agents.hook_entries import entries, with_entries
from runcast.errors import InvalidFile

WANTED = entries("claude", Path("/bin/runcast-hook"), answers=True, control=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "isn't JSON"),
        ('{"hooks": {}, "hooks": {"Stop": []}}', "'hooks' comes twice"),
        ('{"timeout": NaN}', "NaN is no number"),
        ('{"timeout": 1e999}', "1e999 is no number"),
        ("[]", "isn't a JSON object"),
        ("// mine\n{}", "isn't JSON"),
        ("\ufeff{}", "isn't JSON"),
    ],
)
def test_what_cannot_be_written_again_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile, match=reason):
        settings_file.read(path)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("hooks", "name"), [("off", "hooks"), ([], "hooks"), ({"Stop": {"mine": 1}}, "hooks.Stop")]
)
def test_nothing_of_yours_is_replaced_by_an_entry(hooks: object, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        with_entries({"hooks": hooks}, WANTED)
    assert with_entries({"hooks": hooks}, {}) == {"hooks": hooks}, (
        "taking ours away changes nothing"
    )


def test_half_an_emoji_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"name": "\\ud83d", "model": "m"}')
    found, text = settings_file.read(path)
    assert settings_file.change(path, with_entries(found, WANTED), text)
    written, again = settings_file.read(path)
    assert written["name"] == "\ud83d"
    assert again is not None
    settings_file.restore(path, found, written, again)
    assert json.loads(path.read_text()) == found
