"""The second table: each credential against each thing that it must not reach, tried for real.

The columns are ways to what belongs to the project Alpha or to the server: a file of the server, a row, a key
of Redis, an object of the store. Each cell is a function that does what an attacker would, and says what it
got; the test names every cell that got something. What tokens reach by each endpoint is `test_reach`'s.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import redis
import redis.asyncio

from runcast.contract import INGEST_STREAM, TAILER_STREAM
from runcast_server.db import Urls
from runcast_server.errors import Unauthenticated
from runcast_server.process import db_roles
from runcast_tailer import service as tailer_service
from tests.integration import whole
from tests.integration.test_directories import run_json
from tests.integration.test_files_of_others import ELSEWHERE, claim
from tests.integration.test_redis_users import SERVERS, as_user, users
from tests.integration.test_row_level_security import by_login
from tests.integration.whole import Whole
from tests.waiting import until

pytestmark = pytest.mark.anyio

__all__ = ["users"]

SECRET = "sk-of-alpha-and-of-nobody-else"
PROOF = "a secret that neither knows"
LARGE = SECRET * 40_000
"""The content of an artifact that lies in the object store."""
TABLES = ("runs", "artifacts", "tasks", "segments", "api_keys", "share_links", "project_members")


@dataclass
class World:
    """The server, with Alpha's secret wherever a project can hold one, and Beta beside it."""

    served: Whole
    redis_url: str
    runs_dir: Path
    alpha: dict[str, str]
    beta_run: str
    beta_owner: str

    async def ask(self, token: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
        answer = await self.served.client.request(
            method, path, json=body, headers={"Authorization": f"Bearer {token}"}
        )
        return answer.status_code, answer.text

    async def secrets(self, token: str, *paths: str) -> list[str]:
        """Those of the paths whose answer tells the secret."""
        return [path for path in paths if SECRET in (await self.ask(token, "GET", path))[1]]


Cell = Callable[[World, str], Awaitable[list[Any]]]


async def file_by_tail(world: World, token: str) -> list[Any]:
    """Has files of others followed into a run of its own, and reads that run's log."""
    theirs = world.runs_dir / "theirs" / "logs.txt"
    paths = (*ELSEWHERE, "../theirs/logs.txt", str(theirs), "linked.txt", "link/logs.txt")
    asked = [(world.beta_run, path) for path in paths] + [(world.alpha["run"], "logs.txt")]
    accepted = []
    for number, (run, path) in enumerate(asked):
        body = {"path": path, "source": f"s{number}"}
        status, _ = await world.ask(token, "POST", f"/runs/{run}/tail", body)
        if status < 400:
            accepted.append(path)
    log = f"/runs/{world.beta_run}/logs"
    return accepted + await world.secrets(token, f"{log}?tail=1000")


async def file_by_raw_line(world: World, token: str) -> list[Any]:
    """Says of its own line that the rest of it lies in a file of others, and asks for the rest."""
    run = world.beta_run
    for source in ("logs.txt", "../theirs/logs.txt", "linked.txt", "link/logs.txt"):
        message = claim(world.runs_dir / "theirs" / "logs.txt", source)
        await world.ask(token, "POST", f"/runs/{run}/logs", message)
    told = [f"/runs/{run}/logs/{number}/raw" for number in range(1, 5)]
    return await world.secrets(token, *told, f"/runs/{world.alpha['run']}/logs/1/raw")


async def object_by_artifact(world: World, token: str) -> list[Any]:
    """Makes artifacts that name Alpha's object, and asks for that object by every address."""
    key = world.alpha["object_key"]
    reached: list[Any] = []
    for more in ({"object_key": key}, {"filename": f"../{key}"}, {"id": world.alpha["artifact"]}):
        body = {"step_name": "idea", "content": {"$ref": key}} | more
        status, text = await world.ask(token, "POST", f"/runs/{world.beta_run}/artifacts", body)
        if status < 300:
            path = f"/artifacts/{json.loads(text)['id']}/content"
            reached += await world.secrets(token, path)
    by_id = world.alpha["artifact"]
    names = (by_id, key, key.replace("/", "%2f"), f"..%2f{key}", f"{by_id}/../../{key}")
    return reached + await world.secrets(token, *[f"/artifacts/{name}/content" for name in names])


async def row_by_sql(world: World, token: str) -> list[Any]:
    """Reads the tables as the API does for this caller, without one check of the API's."""
    resources, found = world.served.resources, []
    try:
        caller = await world.served.principal(token)
    except Unauthenticated:
        return []
    async with resources.database.acting(caller) as connection:
        for table in TABLES:
            rows = await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE project_id = $1", UUID(world.alpha["project"])
            )
            found += [(table, rows)] if rows else []
    return found


async def key_of_redis(world: World, token: str) -> list[Any]:
    """Shows the token to Redis in place of each user's password, and names Alpha's keys where a name goes."""
    reached: list[Any] = []
    for user in SERVERS:
        async with redis.asyncio.Redis.from_url(world.redis_url) as client:
            with contextlib.suppress(redis.exceptions.AuthenticationError):
                await client.execute_command("AUTH", user, token)
                reached.append(user)
    stream = f"runcast:{{{world.alpha['project']}}}:stream"
    paths = (f"/projects/{stream}", f"/projects/{stream}/events/history", f"/runs/{stream}/logs")
    return reached + await world.secrets(token, *paths)


TOKENS_CELLS: dict[str, Cell] = {
    "a file, by tail": file_by_tail,
    "a file, by a raw line": file_by_raw_line,
    "an object, by an artifact": object_by_artifact,
    "a row, by SQL": row_by_sql,
    "a key of Redis": key_of_redis,
}


async def tokens(served: Whole, beta_run: str) -> dict[str, str]:
    """One of each token that is good for Beta, or good for nothing any more, or for nothing yet."""
    keys, links = "/projects/beta/keys", "/projects/beta/share-links"
    found = {}
    for role in ("viewer", "reporter", "editor", "owner"):
        found[f"{role} key"] = (await served.make(keys, {"name": role, "role": role}))["token"]
    found["owner, a person"] = await person(served, "owner")
    worker = {"name": "w", "role": "reporter", "scopes": ["worker"]}
    found["worker scope key"] = (await served.make(keys, worker))["token"]
    old = await served.make("/projects/alpha/keys", {"name": "old", "role": "owner"})
    await served.make(f"/keys/{old['id']}/rotate", {"overlap_s": 0})
    found["rotated key of Alpha's owner"] = old["token"]
    found["link to Beta"] = (await served.make(links, {}))["token"]
    found["link to a run of Beta"] = (await served.make(links, {"run_id": beta_run}))["token"]
    invited = {"email": "new@example.org", "project": "beta", "role": "owner"}
    found["invitee"] = (await served.make("/invitations", invited))["token"]
    return found


async def person(served: Whole, role: str) -> str:
    """The session of a member of Beta."""
    email = f"{role}@example.org"
    user = await served.make("/admin/users", {"email": email, "name": role})
    await served.make(f"/projects/beta/members/{user['id']}", {"role": role}, "PUT")
    login = {"token": user["sign_in_link"]["token"], "cookie": False}
    session = await served.client.post("/auth/login-link", json=login)
    token: str = session.json()["token"]
    return token


@contextlib.asynccontextmanager
async def world(
    database_url: str, redis_url: str, data: Path, **given: Any
) -> AsyncIterator[World]:
    """The server with a tailer beside it, and what there is to reach."""
    runs_dir = data / "runs"
    (runs_dir / "theirs").mkdir(parents=True)
    (data / "secret.txt").write_text(f"{SECRET}\n")
    async with whole.serving(
        database_url, redis_url, data, tail_project="files", **given
    ) as served:
        alpha = await furnished(served, data)
        await served.make("/projects", {"name": "beta"})
        beta_run = (await served.make("/projects/beta/runs", {"key": "own"}))["id"]
        own = runs_dir / "own"
        own.mkdir()
        (own / "run.json").write_text(run_json(id=beta_run, key="own", project="beta"))
        (own / "link").symlink_to(runs_dir / "theirs")
        (own / "linked.txt").symlink_to(runs_dir / "theirs" / "logs.txt")
        async with tailer_service.build(served.resources).running():
            key = {"name": "owner", "role": "owner"}
            owner = (await served.make("/projects/beta/keys", key))["token"]
            yield World(served, redis_url, runs_dir, alpha, beta_run, owner)


async def furnished(served: Whole, data: Path) -> dict[str, str]:
    project = (await served.make("/projects", {"name": "alpha"}))["id"]
    run = (await served.make("/projects/alpha/runs", {"key": "theirs", "input": SECRET}))["id"]
    theirs = data / "runs" / "theirs"
    (theirs / "run.json").write_text(run_json(id=run, key="theirs", project="alpha"))
    (theirs / "logs.txt").write_text(f"{SECRET}\n")
    await served.make(f"/runs/{run}/logs", {"message": SECRET})
    large = {"step_name": "idea", "content": LARGE}
    artifact = (await served.make(f"/runs/{run}/artifacts", large))["id"]
    await served.make("/projects/alpha/tasks", {"title": SECRET})
    await served.make("/projects/alpha/share-links", {})
    async with served.resources.database.log.acquire() as connection:
        key = await connection.fetchval(
            "SELECT object_key FROM artifacts WHERE id = $1", UUID(artifact)
        )
    assert key
    return {"project": project, "run": run, "artifact": artifact, "object_key": key}


def told(reached: dict[tuple[str, str], list[Any]]) -> str:
    """The cells that reached something, a line each."""
    return "\n".join(f"{who} reached {what}: {got}" for (who, what), got in reached.items() if got)


async def test_no_token_reaches_a_file_a_row_a_key_or_an_object(
    database_url: str, redis_url: str, users: redis.Redis, tmp_path: Path
) -> None:
    async with world(database_url, redis_url, tmp_path) as around:
        reached = {
            (who, what): await attempt(around, token)
            for who, token in (await tokens(around.served, around.beta_run)).items()
            for what, attempt in TOKENS_CELLS.items()
        }
        admin = around.served.admin["Authorization"].removeprefix("Bearer ")
        assert not told(reached), told(reached)
        # The attacks are real ones: a caller who may reach a thing does, by the same requests.
        assert await row_by_sql(around, admin)
        assert await object_by_artifact(around, admin)
        assert await file_by_tail(around, admin)


async def redis_files_and_rows(world: World, user: str, stream: str) -> list[Any]:
    """Sends, with a key of Beta's, a line that goes on in Alpha's file, an artifact of Alpha's object, and a
    line of Alpha's run; then reads what became of it as Beta's owner."""
    cut = claim(world.runs_dir / "theirs" / "logs.txt", "linked.txt")
    stolen = {"step_name": "idea", "object_key": world.alpha["object_key"], "size": len(LARGE) + 2}
    own, alpha = {"run_id": world.beta_run}, {"run_id": world.alpha["run"]}
    messages = (
        cut | own,
        cut | own | {"source": "../theirs/logs.txt"},
        {"type": "artifact:created", "data": stolen} | own,
        {"type": "agent:log", "data": {"message": f"forged by {user}"}} | alpha,
    )
    async with as_user(world.redis_url, user) as client:
        proof = {"auth": world.beta_owner}
        sent = [("XADD", stream, "*", "m", json.dumps(message | proof)) for message in messages]
        await permitted(client, *sent)
    owner = world.beta_owner
    last = {"message": f"the last one of {user}"}
    await world.ask(owner, "POST", f"/runs/{world.beta_run}/logs", last)
    await until(lambda: _are_judged(world, stream))
    log = f"/runs/{world.beta_run}/logs"
    assert '"message":"x"' in (await world.ask(owner, "GET", log))[1], "what is its own arrives"
    raw = [f"{log}/{number}/raw" for number in range(1, 8)]
    reached: list[Any] = await world.secrets(owner, f"{log}?tail=1000", *raw)
    _, listed = await world.ask(owner, "GET", f"/runs/{world.beta_run}/artifacts?versions=all")
    for artifact in json.loads(listed)["artifacts"]:
        reached += await world.secrets(owner, f"/artifacts/{artifact['id']}/content")
    alphas = await world.served.make(f"/runs/{world.alpha['run']}/logs", method="GET")
    return reached + [each["message"] for each in alphas["logs"] if "forged" in each["message"]]


async def _are_judged(world: World, stream: str) -> bool:
    """Whether the ingester has read the stream to its end."""
    async with world.served.resources.database.log.acquire() as connection:
        cursor = await connection.fetchval(
            "SELECT last_id FROM ingest_cursor WHERE stream = $1", stream
        )
    with redis.Redis.from_url(world.redis_url) as client:
        last = client.xrevrange(stream, count=1)
    return not last or cursor == last[0][0].decode()


async def redis_keys(world: World, user: str, stream: str) -> list[Any]:
    """Reads Alpha's events and head, forges an event, and looks for what else there is."""
    key = f"runcast:{{{world.alpha['project']}}}"
    commands = (
        ("XRANGE", f"{key}:stream", "-", "+"),
        ("XREAD", "STREAMS", f"{key}:stream", "0"),
        ("SSUBSCRIBE", f"{key}:live"),
        ("SPUBLISH", f"{key}:live", "forged"),
        ("XADD", f"{key}:stream", "*", "a", "forged"),
        ("HGETALL", f"{key}:head"),
        ("DEL", f"{key}:stream"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("ACL", "LIST"),
    )
    async with as_user(world.redis_url, user) as client:
        return await permitted(client, *commands)


async def permitted(client: redis.asyncio.Redis, *commands: tuple[Any, ...]) -> list[Any]:
    """Those of the commands that were not refused."""
    done = []
    for command in commands:
        with contextlib.suppress(redis.exceptions.ResponseError):
            await client.execute_command(*command)
            done.append(command[:2])
    return done


REDIS_CELLS = {
    "a file, a row or an object, by messages": redis_files_and_rows,
    "a key of Redis": redis_keys,
}
STREAM_OF = {"worker": INGEST_STREAM, "tailer": TAILER_STREAM}


async def test_no_password_of_redis_reaches_a_file_a_row_a_key_or_an_object(
    database_url: str, redis_url: str, users: redis.Redis, tmp_path: Path
) -> None:
    """With `INGEST_SECRET`, which neither knows: a key of each project proves what is sent for it."""
    async with world(database_url, redis_url, tmp_path, ingest_secret=PROOF) as around:
        reached = {
            (f"{user}'s password of Redis", what): await attempt(around, user, stream)
            for user, stream in STREAM_OF.items()
            for what, attempt in REDIS_CELLS.items()
        }
        assert not told(reached), told(reached)


ELEVATE = (
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "GRANT pg_read_server_files TO CURRENT_USER",
    "CREATE TABLE mine (id int)",
    "CREATE TEMP TABLE runs (id int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
)
FILES = (
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY (SELECT 1) TO '/tmp/runcast-mine'",
)
SECRETS = (
    "SELECT hash FROM passwords",
    "SELECT token_hash FROM sessions",
    "SELECT token_hash FROM api_keys",
    "SELECT token_hash FROM sign_in_links",
    "SELECT token_hash FROM invitations",
    "SELECT token_hash FROM answer_links",
)
ACCOUNTS = (
    "SET ROLE runcast_accounts",
    "SELECT * FROM password_of('viewer@example.org')",
    "INSERT INTO passwords (user_id, hash) SELECT id, 'x' FROM users",
    "UPDATE users SET is_admin = true",
    "DELETE FROM audit_log",
)
CONTENT = (
    "SET ROLE runcast_log",
    "UPDATE runs SET name = 'x'",
    "DELETE FROM segments",
    "DELETE FROM audit_log",
)
WRITES = (
    "SELECT secret FROM webhooks",
    "SELECT secret FROM notification_targets",
    "SELECT private FROM push_keys",
    "SET ROLE runcast_log",
    "DELETE FROM segments",
    "UPDATE runs SET name = 'x'",
)
LOGIN_CELLS = {
    ("the event log's login", db_roles.SERVICE_LOGIN): (ELEVATE, FILES, SECRETS, ACCOUNTS),
    ("the requests' login", db_roles.REQUESTS_LOGIN): (ELEVATE, FILES, SECRETS, ACCOUNTS, WRITES),
    ("the accounts' login", db_roles.ACCOUNTS_LOGIN): (ELEVATE, FILES, SECRETS, CONTENT),
}
"""The hub has the first two, the API all of them."""


async def test_no_login_of_the_database_reaches_more_than_its_work(database_url: str) -> None:
    logins = (db_roles.SERVICE_LOGIN, db_roles.REQUESTS_LOGIN, db_roles.ACCOUNTS_LOGIN)
    await db_roles.ensure(database_url, Urls(*(by_login(database_url, each) for each in logins)))
    reached: dict[tuple[str, str], list[Any]] = {}
    for (who, login), cells in LOGIN_CELLS.items():
        connection = await asyncpg.connect(by_login(database_url, login))
        try:
            for statement in (statement for cell in cells for statement in cell):
                reached[who, statement] = await taken(connection, statement)
        finally:
            await connection.close()
    assert not told(reached), told(reached)


async def taken(connection: asyncpg.Connection, statement: str) -> list[Any]:
    """What Postgres answers to a statement that it should refuse to this login."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        for setting in ("principal", "user_id", "project_id", "run_id", "role"):
            await connection.execute(f"SET LOCAL runcast.{setting} = ''")
        await connection.execute("SET LOCAL runcast.is_admin = 'on'")
        return [await connection.execute(statement)]
    except asyncpg.InsufficientPrivilegeError:
        return []
    finally:
        await transaction.rollback()
