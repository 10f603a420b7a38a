"""Which server is meant, and whose token goes there."""

import json
import os
from pathlib import Path

import pytest

from runcast._support import server_config
from runcast.errors import NotConfigured


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / ".runcast").mkdir()
    credentials = {
        "url": "http://local:1/",
        "token": "rc_local",
        "redis_url": "redis://r",
        "pid": 1,
    }
    (tmp_path / ".runcast" / "credentials.json").write_text(json.dumps(credentials))
    return tmp_path


def test_the_local_server_by_itself(directory: Path) -> None:
    found = server_config.find(environ={}, directory=directory)
    assert (found.url, found.token, found.redis_url) == ("http://local:1", "rc_local", "redis://r")


def test_what_is_given_comes_first_then_the_environment(directory: Path) -> None:
    environ = {"RUNCAST_URL": "http://env", "RUNCAST_TOKEN": "rc_env"}
    assert server_config.find(environ=environ, directory=directory).url == "http://env"
    found = server_config.find("http://given/", "rc_given", environ=environ, directory=directory)
    assert (found.url, found.token) == ("http://given", "rc_given")


def test_the_local_servers_token_goes_nowhere_else(directory: Path) -> None:
    found = server_config.find("http://elsewhere", environ={}, directory=directory)
    assert found.token is None
    found = server_config.find("http://local:1", environ={}, directory=directory)
    assert found.token == "rc_local"


def test_the_data_directory_may_be_elsewhere(directory: Path, tmp_path: Path) -> None:
    environ = {"RUNCAST_DATA": str(directory / ".runcast")}
    assert server_config.find(environ=environ, directory=tmp_path / "x").url == "http://local:1"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"url": "x"}'])
def test_without_any_server_it_says_so(directory: Path, content: str) -> None:
    (directory / ".runcast" / "credentials.json").write_text(content)
    with pytest.raises(NotConfigured, match="runcast up"):
        server_config.find(environ={}, directory=directory)


def test_another_users_file_says_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = (directory / ".runcast" / "credentials.json").stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner)
    assert server_config.find(environ={}, directory=directory).token == "rc_local"
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    monkeypatch.setattr(
        Path, "stat", lambda _: os.stat_result((0o600, 0, 0, 1, 4_711, 0, 0, 0, 0, 0))
    )
    with pytest.raises(NotConfigured):
        server_config.find(environ={}, directory=directory)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "http://localhost:abc", "ftp://host", "http://", "http://a b", "\0"]
)
def test_what_is_no_url_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotConfigured, match="give one like http://"):
        server_config.find(url, directory=tmp_path, environ={})


def test_a_tokens_line_end_is_not_part_of_it(tmp_path: Path) -> None:
    environ = {"RUNCAST_TOKEN": "rc_secret\n", "RUNCAST_URL": " http://h:1/ \n"}
    found = server_config.find(directory=tmp_path, environ=environ)
    assert (found.url, found.token) == ("http://h:1", "rc_secret")


@pytest.mark.parametrize("token", ["rc_se\ncret", "rc_sécret", "rc se"])
def test_a_token_that_is_none_is_never_shown(tmp_path: Path, token: str) -> None:
    with pytest.raises(NotConfigured) as raised:
        server_config.find("http://h", token, directory=tmp_path, environ={})
    assert token not in str(raised.value)
