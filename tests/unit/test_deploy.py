"""Containers: what compose and the gateway say about settings and paths is what the servers know."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from runcast_server import settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text()

# Fixed inside the containers, by the image or by the secrets.
FIXED = {
    f"RUNCAST_{name}"
    for name in (
        "HOST",
        "PORT",
        "DATA",
        "DATABASE_URL",
        "DATABASE_SERVICE_URL",
        "DATABASE_REQUESTS_URL",
        "DATABASE_ACCOUNTS_URL",
        "REDIS_URL",
        "RUNS_DIR",
        "TAIL_ROOTS",
        "SECRETS_DIR",
    )
}
# Read by compose and the gateway alone.
COMPOSED = {"RUNCAST_IMAGE", "RUNCAST_BIND", "RUNCAST_SITE", "RUNCAST_PORT", "RUNCAST_MEMORY"}


@pytest.mark.parametrize("name", sorted(settings.names() - FIXED))
def test_every_setting_reaches_the_containers(name: str) -> None:
    assert re.search(rf"^    {name}:", COMPOSE, re.MULTILINE)


def test_compose_names_no_setting_that_nothing_reads() -> None:
    known = settings.names() | COMPOSED | {settings.SECRETS_DIR}
    assert set(re.findall(r"RUNCAST_[A-Z_]+", COMPOSE)) <= known


@pytest.mark.parametrize("name", sorted(COMPOSED))
def test_what_compose_reads_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize(
    ("path", "is_stream"),
    [
        ("/projects/default/events", True),
        ("/events", True),
        ("/runs/01a1f96d-8ec3-7466-abca-9823af903d2d/stream", True),
        ("/projects/default/events/history", False),
        ("/projects/default/runs", False),
        ("/runs/x/logs", False),
    ],
)
def test_the_gateway_sends_streams_to_the_hub(path: str, is_stream: bool) -> None:
    patterns = re.findall(r"path_regexp (?:room )?(\S+)", CADDYFILE)
    assert len(patterns) == 2
    assert all(bool(re.search(pattern, path)) == is_stream for pattern in patterns)


def test_each_server_has_passwords_of_its_own(tmp_path: Path) -> None:
    """Two starts, the second of which changes nothing."""
    environ = os.environ | {"RUNCAST_REDIS_USERS": str(ROOT / "deploy" / "redis-users.acl")}
    made = []
    for _ in range(2):
        script = str(ROOT / "deploy" / "secrets.sh")
        subprocess.run(["sh", script, str(tmp_path)], env=environ, check=True)
        files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        made.append({path.relative_to(tmp_path).as_posix(): path.read_text() for path in files})
    assert made[0] == made[1]
    urls = [
        made[0][f"{server}/runcast_redis_url"] for server in ("api", "hub", "tailer", "migrate")
    ]
    assert len(set(urls)) == 4
    for server in ("api", "hub", "tailer"):
        assert "//runcast_server:" in made[0][f"{server}/runcast_database_url"]
    for server in ("api", "hub", "migrate"):
        login = made[0][f"{server}/runcast_database_requests_url"]
        assert "//runcast_requests_login:" in login
    assert "#{" not in made[0]["redis/users.acl"]
    assert made[0]["passwords/api"] not in made[0]["redis/users.acl"]


def test_passwords_of_the_operator_stand_in_urls_as_they_are(tmp_path: Path) -> None:
    password = "p@ss/w:rd #1? 100%é"
    environ = os.environ | {
        "RUNCAST_REDIS_USERS": str(ROOT / "deploy" / "redis-users.acl"),
        "POSTGRES_PASSWORD": password,
        "REDIS_PASSWORD": password,
    }
    subprocess.run(
        ["sh", str(ROOT / "deploy" / "secrets.sh"), str(tmp_path)], env=environ, check=True
    )
    owner = settings.read(
        database_url=(tmp_path / "migrate/runcast_database_url").read_text(),
        redis_url=(tmp_path / "migrate/runcast_redis_url").read_text(),
    )
    assert unquote(str(urlsplit(owner.postgres.database_url).password)) == password
    assert unquote(str(urlsplit(owner.redis.redis_url).password)) == password
    assert (tmp_path / "postgres/password").read_text() == password


@pytest.mark.parametrize("password", ["plain", "p@ss w:rd"])
def test_a_line_end_in_a_file_is_no_part_of_its_password(tmp_path: Path, password: str) -> None:
    """As an editor leaves it, or `echo`."""
    environ = os.environ | {"RUNCAST_REDIS_USERS": str(ROOT / "deploy" / "redis-users.acl")}
    kept = tmp_path / "postgres" / "password"
    kept.parent.mkdir()
    kept.write_text(f"{password}\n")
    script = str(ROOT / "deploy" / "secrets.sh")
    subprocess.run(["sh", script, str(tmp_path)], env=environ, check=True)
    url = urlsplit((tmp_path / "migrate/runcast_database_url").read_text())
    assert unquote(str(url.password)) == password


def test_each_server_is_given_its_own_secrets(tmp_path: Path) -> None:
    environ = os.environ | {"RUNCAST_REDIS_USERS": str(ROOT / "deploy" / "redis-users.acl")}
    kept, given = tmp_path / "kept", tmp_path / "given"
    kept.mkdir()
    servers = {"postgres", "redis", "migrate", "api", "hub", "tailer"}
    for server in servers:
        (given / server).mkdir(parents=True)
    script = str(ROOT / "deploy" / "secrets.sh")
    subprocess.run(["sh", script, str(kept), str(given)], env=environ, check=True)
    assert {path.name for path in given.iterdir()} == servers
    for server in servers:
        names = {path.name for path in (kept / server).iterdir()}
        assert names
        assert {path.name for path in (given / server).iterdir()} == names


def test_each_container_has_its_own_secrets_and_no_rights_to_spare() -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        mounts = [volume for volume in service.get("volumes", ()) if "secrets" in str(volume)]
        if name == "secrets":
            assert mounts[0] == "secrets:/secrets"
        elif name != "gateway":
            assert mounts == [f"secrets-{name}:/secrets/{name}:ro"]
    assert "noeviction" in services["redis"]["command"]
    assert "--maxmemory" in services["redis"]["command"]
    assert not services["tailer"]["environment"]["RUNCAST_JWT_SECRET"]


def test_the_image_runs_as_nobody_special() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    last_stage = dockerfile[dockerfile.rindex("\nFROM ") :]
    assert "\nUSER runcast\n" in last_stage
    assert not re.search(r"\b(apt-get|gcc|build-essential)\b", dockerfile)
