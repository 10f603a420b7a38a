"""Settings: read once, named in every complaint, all of them documented."""

import os
from pathlib import Path
from typing import Any

import pytest

from runcast_server import settings

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)


def test_defaults_are_those_of_the_contract() -> None:
    read = settings.read()
    assert (read.process.host, read.process.port) == ("127.0.0.1", 8000)
    assert (read.tailer.tail_project, read.tailer.tail_poll_ms, read.tailer.tail_wait_s) == (
        "default",
        100,
        5,
    )
    assert read.tailer.max_line_bytes == 65_536
    assert (read.hub.sse_heartbeat_interval_s, read.hub.sse_connection_timeout_m) == (30, 60)
    assert (read.hub.sse_max_connections_per_user, read.hub.sse_max_connections_per_key) == (5, 100)
    assert (read.hub.event_channel_buffer, read.hub.hub_memory_mb) == (10_000, 256)
    assert (read.api.run_heartbeat_s, read.api.log_retention_days) == (30, None)
    assert read.auth.project_creation == "anyone"


def test_relative_paths_are_resolved_against_the_start_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNCAST_TAIL_ROOTS", f"logs{os.pathsep}/var/log")
    read = settings.read(data=Path("here"))
    assert read.process.data == tmp_path / "here"
    assert read.tailer.runs_dir == tmp_path / "runs"
    assert read.tailer.roots == (tmp_path / "logs", Path("/var/log"))
    assert read.artifacts_url == (tmp_path / "here" / "artifacts").as_uri()


def test_an_empty_path_is_not_the_directory_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is `/` for many a service, beneath which lies everything."""
    monkeypatch.setenv("RUNCAST_TAIL_ROOTS", f"/var/log{os.pathsep}")
    assert settings.read().tailer.roots == (Path("/var/log"),)


def test_tail_roots_default_to_the_runs_directory() -> None:
    read = settings.read(runs_dir="/elsewhere")
    assert read.tailer.roots == (Path("/elsewhere"),)


def test_a_flag_wins_over_the_environment_and_none_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNCAST_PORT", "9000")
    assert settings.read(port=9001).process.port == 9001
    assert settings.read(port=None).process.port == 9000


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_LOG_RETENTION_DAYS", "")
    assert settings.read().api.log_retention_days is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNCAST_PORT", "eight thousand"),
        ("RUNCAST_PORT", "70000"),
        ("RUNCAST_DATABASE_URL", "mysql://localhost/runcast"),
        ("RUNCAST_REDIS_URL", "localhost:6379"),
        ("RUNCAST_TAIL_POLL_MS", "0"),
        ("RUNCAST_PROJECT_CREATION", "nobody"),
        ("RUNCAST_SSE_MAX_CONNECTIONS_PER_USER", "-1"),
        ("RUNCAST_LOG_RETENTION_DAYS", "for ever"),
        ("RUNCAST_PUBLIC_URL", "runs.example.org"),
        ("RUNCAST_PUBLIC_URL", "http://[::1"),
        ("RUNCAST_TRACES_URL", "http://collector:seventy"),
        ("RUNCAST_TRACES_HEADERS", "Bearer abc"),
        ("RUNCAST_TRACES_SAMPLE", "1.5"),
        ("RUNCAST_CORS_ORIGINS", "https://a.example,b.example"),
        ("RUNCAST_CORS_ORIGINS", "https://a.example/path"),
        ("RUNCAST_TRUSTED_PROXIES", "10.0.0.0/8,gateway"),
        ("RUNCAST_ALLOWED_HOSTS", "https://runs.example.org/"),
        ("RUNCAST_HOST", "a b"),
        ("RUNCAST_ARTIFACTS_URL", "ftp://files/artifacts"),
        ("RUNCAST_ARTIFACTS_URL", "s3://"),
        ("RUNCAST_TAIL_PROJECT", "My Project"),
        ("RUNCAST_SSE_HEARTBEAT_INTERVAL_S", "inf"),
        ("RUNCAST_SSE_HEARTBEAT_INTERVAL_S", "1e308"),
        ("RUNCAST_SESSION_HOURS", "nan"),
        ("RUNCAST_DATABASE_POOL_SIZE", "1000000000000"),
        ("RUNCAST_PORT", "x" * 5_000),
        ("RUNCAST_DATA", "~nobody-of-this-name/data"),
        ("RUNCAST_ARTIFACTS_URL", "s3:bucket"),
        ("RUNCAST_PUBLIC_URL", "https://runs.example.org?a=b"),
        ("RUNCAST_PUBLIC_URL", "https://user:secret@runs.example.org"),
        ("RUNCAST_PUBLIC_URL", "https://runs.example.org/ runcast"),
        ("RUNCAST_HOST", "0.0.0.0:8000"),
        ("RUNCAST_REDIS_URL", "redis://localhost/runcast"),
        ("RUNCAST_REDIS_URL", "redis://localhost/1/2"),
        ("RUNCAST_REDIS_URL", "redis+cluster://a,,b"),
        ("RUNCAST_REDIS_URL", "redis+sentinel://a/main/x"),
    ],
)
def test_what_cannot_be_parsed_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError, match=f"^{name}: ") as raised:
        settings.read()
    assert len(str(raised.value)) < 400
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "origin", ["https://a.example:8443", "tauri://localhost", "chrome-extension://abc"]
)
def test_pages_and_applications_have_origins(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("RUNCAST_CORS_ORIGINS", origin)
    assert settings.read().process.cors_origins == (origin,)


def test_all_complaints_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_PORT", "x")
    monkeypatch.setenv("RUNCAST_HUB_MEMORY_MB", "y")
    with pytest.raises(settings.SettingsError) as raised:
        settings.read()
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()] == [
        "RUNCAST_PORT",
        "RUNCAST_HUB_MEMORY_MB",
    ]


def test_a_complaint_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_DATABASE_URL", "mysql://root:hunter2@localhost/runcast")
    with pytest.raises(settings.SettingsError) as raised:
        settings.read()
    assert "hunter2" not in str(raised.value)


def test_secrets_come_from_files_where_the_environment_lacks_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "runcast_jwt_secret").write_text("from the file\n")
    (tmp_path / "runcast_redis_url").write_text("redis://file/0")
    monkeypatch.setenv(settings.SECRETS_DIR, str(tmp_path))
    monkeypatch.setenv("RUNCAST_REDIS_URL", "redis://environment/0")
    read = settings.read()
    assert read.auth.jwt_secret is not None
    assert read.auth.jwt_secret.get_secret_value() == "from the file"
    assert read.redis.redis_url == "redis://environment/0"


def test_secrets_that_cannot_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "runcast_database_url"
    monkeypatch.setenv(settings.SECRETS_DIR, str(tmp_path))
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(settings.SettingsError, match=r"DATABASE_URL: the file .* than text"):
        settings.read()
    secret.unlink()
    secret.mkdir()
    with pytest.raises(settings.SettingsError, match=r"DATABASE_URL: the file .* Is a directory"):
        settings.read()
    monkeypatch.setenv(settings.SECRETS_DIR, str(tmp_path / "nowhere"))
    with pytest.raises(settings.SettingsError, match=r"RUNCAST_SECRETS_DIR: .* is no directory"):
        settings.read()


def test_misspelt_names_are_found() -> None:
    environ = {"RUNCAST_PROT": "1", "RUNCAST_PORT": "1", "RUNCAST_TOKEN": "rc_", "PATH": "/bin"}
    assert settings.unknown(environ) == ["RUNCAST_PROT"]


@pytest.mark.parametrize("name", sorted(settings.names() | {settings.SECRETS_DIR}))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name.removeprefix(settings.PREFIX)}`" in OPERATIONS.read_text()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:secret@a:1,b:2", "redis+cluster://"),
        ("redis+sentinel://:secret@a", "the name that the sentinels know"),
        ("redis+cluster://:secret@a?sll_ca_certs=x", "not known: sll_ca_certs"),
        ("redis://:secret@a?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
        ("redis://:secret@a:b", "a port that is no number from 1 to 65535"),
        ("redis://:1/secret@a:1", "a # or an @ behind its host"),
        ("redis://:1#secret@a:1", "a # or an @ behind its host"),
        ("redis://:1?secret@a:1", "options that aren't name=value"),
        ("redis://:x[secret@a:1", "percent-encode"),
        ("redis://:x@[secret:1", "percent-encode"),
        ("rediss://:secret@a?ssl_ca_certs=/no/where", "ssl_ca_certs names the file /no/where: No"),
    ],
)
def test_a_redis_url_that_cannot_work_is_explained(url: str, says: str) -> None:
    with pytest.raises(settings.SettingsError) as raised:
        settings.read(redis_url=url)
    assert "RUNCAST_REDIS_URL" in str(raised.value)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"rediss://h?ssl_ca_certs={__file__}&ssl_check_hostname=false&max_connections=7",
        f"rediss+cluster://a,b?ssl_ca_certs={__file__}&protocol=3",
        f"rediss+sentinel://a,b/main?ssl_ca_certs={__file__}&sentinel_password=s",
        "unix:///a.sock?db=3",
    ],
)
def test_options_of_a_redis_url_are_taken(url: str) -> None:
    assert settings.read(redis_url=url).redis.redis_url == url


@pytest.mark.parametrize(
    ("given", "allows"),
    [
        ({"host": "127.0.0.1"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "127.0.0.1", "public_url": "https://runs.example.org"}, False),
        ({"host": "127.0.0.1", "trusted_proxies": ["127.0.0.1"]}, False),
        ({"host": "127.0.0.1", "allowed_hosts": ["runs.example.org"]}, False),
        ({"host": "0.0.0.0", "webhook_private": True}, True),
    ],
)
def test_webhooks_stay_outside_where_others_reach_the_server(
    given: dict[str, Any], allows: bool
) -> None:
    """Behind a gateway on this machine, people elsewhere name the addresses."""
    assert settings.read(**given).allows_private_webhooks is allows
