"""A store of artifacts that can't be opened is named without its secrets."""

import pytest

from runcast_api.artifacts.store import ArtifactStore, StoreError


def test_an_error_shows_no_password_and_no_signature() -> None:
    with pytest.raises(StoreError) as raised:
        ArtifactStore("ftp://ann:hunter2@files.example/artifacts?sig=verysecret")
    said = str(raised.value)
    assert "files.example/artifacts" in said
    assert "hunter2" not in said
    assert "verysecret" not in said
