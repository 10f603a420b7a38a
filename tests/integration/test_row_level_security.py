"""What the database itself refuses, whatever our code forgets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from runcast._support.ids import uuid7
from runcast_server.auth import access
from runcast_server.auth.principal import Principal, Role
from runcast_server.db import (
    ACCOUNTS_ROLE,
    LOG_ROLE,
    REQUEST_ROLE,
    Database,
    Urls,
    acquire,
    act_as,
    open_database,
)
from runcast_server.process import db_roles
from tests.integration import rest, rows
from tests.integration.test_people import account, anonymous, ok

pytestmark = pytest.mark.anyio

SERVICE_ROLES = (REQUEST_ROLE, LOG_ROLE, ACCOUNTS_ROLE)
WITHOUT_PROJECT = {
    "schema_migrations",
    "ingest_cursor",
    "ingest_leases",
    "ingest_processes",
    "tombstones",
}
"""Tables that hold nothing of anybody: a version, a cursor, who applies which stream, ids that must not be
used again."""

STRANGER = Principal(name="user:stranger", user_id=uuid7())


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url, requests=2, log=2)
    try:
        yield database
    finally:
        await database.close()


async def superuser(url: str, query: str, *arguments: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


TABLES = """
SELECT c.oid::regclass::text AS name, c.relrowsecurity, pg_get_userbyid(c.relowner) AS owner,
       has_any_column_privilege($1, c.oid, 'SELECT') AS is_readable
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""


async def test_service_roles_are_nothing_special_and_own_nothing(database_url: str) -> None:
    found = await superuser(
        database_url,
        """SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
                  rolcanlogin FROM pg_roles WHERE rolname = ANY($1)""",
        SERVICE_ROLES,
    )
    assert {row["rolname"] for row in found} == set(SERVICE_ROLES)
    for row in found:
        assert not any(list(row.values())[1:]), dict(row)
    owned = await superuser(
        database_url,
        """SELECT o.classid::regclass, o.objid FROM pg_shdepend o JOIN pg_roles r ON r.oid = o.refobjid
           WHERE o.deptype = 'o' AND r.rolname = ANY($1)""",
        SERVICE_ROLES,
    )
    assert owned == []


@pytest.mark.parametrize("role", SERVICE_ROLES)
async def test_every_pool_becomes_its_role_as_it_connects(database_url: str, role: str) -> None:
    async with opened(database_url) as database:
        pools = (database.requests, database.log, database.accounts)
        pool = dict(zip(SERVICE_ROLES, pools, strict=True))[role]
        async with acquire(pool) as connection:
            assert await connection.fetchval("SELECT current_user") == role
            assert not await connection.fetchval(
                "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            )


async def test_every_table_is_guarded(database_url: str) -> None:
    tables = await superuser(database_url, TABLES, REQUEST_ROLE)
    unguarded = {row["name"] for row in tables if not row["relrowsecurity"]}
    assert unguarded == WITHOUT_PROJECT


async def test_partitions_are_reached_through_their_tables_alone(database_url: str) -> None:
    reachable = await superuser(
        database_url,
        """SELECT c.oid::regclass, r.rolname FROM pg_class c, pg_roles r
           WHERE c.relispartition AND r.rolname = ANY($1) AND has_table_privilege(
               r.rolname, c.oid, 'SELECT, INSERT, UPDATE, DELETE')""",
        SERVICE_ROLES,
    )
    assert reachable == []


VALUES = {
    "uuid": "gen_random_uuid()",
    "text": "'x'",
    "bytea": "'x'",
    "timestamp with time zone": "now()",
    "date": "now()",
    "json": "'{}'",
    "jsonb": "'{}'",
    "boolean": "false",
    "text[]": "'{}'",
}


async def put_a_row_everywhere(connection: Any) -> None:
    """One row in every table, of whatever makes a row."""
    await connection.execute("SET session_replication_role = replica")
    for check in await connection.fetch(
        """SELECT conrelid::regclass, conname FROM pg_constraint
           WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conparentid = 0
             AND NOT (SELECT relispartition FROM pg_class WHERE oid = conrelid)"""
    ):
        await connection.execute(f"ALTER TABLE {check[0]} DROP CONSTRAINT {check[1]}")
    for table in await connection.fetch(TABLES, REQUEST_ROLE):
        columns = await connection.fetch(
            """SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
               WHERE attrelid = $1::regclass AND attnum > 0 AND attnotnull AND NOT atthasdef
                 AND attidentity = ''""",
            table["name"],
        )
        names = ", ".join(column[0] for column in columns)
        values = ", ".join(VALUES.get(column[1], "1") for column in columns)
        await connection.execute(f"INSERT INTO {table['name']} ({names}) VALUES ({values})")


async def test_a_statement_without_a_caller_fails_instead_of_finding_nothing(
    database_url: str,
) -> None:
    owner = await asyncpg.connect(database_url)
    await put_a_row_everywhere(owner)
    tables = await owner.fetch(TABLES, REQUEST_ROLE)
    await owner.close()
    asked = [row["name"] for row in tables if row["is_readable"] and row["relrowsecurity"]]
    assert len(asked) > 15
    async with opened(database_url) as database:
        for table in asked:
            async with acquire(database.requests) as connection:
                with pytest.raises(asyncpg.PostgresError, match="no acting user") as raised:
                    await connection.fetch(f"SELECT count(*) FROM {table}")
                assert raised.value.sqlstate == "RC001", table
            async with database.acting(STRANGER) as connection:
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_who_acts_does_not_outlive_the_transaction(database_url: str) -> None:
    async with opened(database_url) as database:
        await rows.project(database)
        async with database.acting(rows.ADMIN) as connection:
            assert await connection.fetchval("SELECT count(*) FROM projects") == 1
        async with acquire(database.requests) as connection:
            with pytest.raises(asyncpg.PostgresError, match="no acting user"):
                await connection.fetchval("SELECT count(*) FROM projects")
        async with database.acting(STRANGER) as connection:
            assert await connection.fetchval("SELECT count(*) FROM projects") == 0


async def test_secrets_cannot_be_read_at_all(database_url: str) -> None:
    async with opened(database_url) as database:
        for table, column in (
            ("passwords", "hash"),
            ("sessions", "token_hash"),
            ("api_keys", "token_hash"),
            ("invitations", "token_hash"),
            ("share_links", "token_hash"),
            ("sign_in_links", "token_hash"),
            ("stream_tickets", "token_hash"),
        ):
            async with database.acting(rows.ADMIN) as connection:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT {column} FROM {table}")


async def test_the_audit_log_only_grows(database_url: str) -> None:
    async with opened(database_url) as database:
        for pool in (database.requests, database.log):
            for statement in ("DELETE FROM audit_log", "UPDATE audit_log SET actor = 'x'"):
                async with acquire(pool) as connection:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)


async def test_the_event_log_reads_no_people(database_url: str) -> None:
    async with opened(database_url) as database:
        for table in ("users", "passwords", "sessions", "project_members", "audit_log"):
            async with acquire(database.log) as connection:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT * FROM {table}")


async def person(database: Database, project_id: UUID, role: str) -> Principal:
    user_id = uuid7()
    async with database.changing(rows.ADMIN) as connection:
        await connection.execute("INSERT INTO users (id, name) VALUES ($1, 'p')", user_id)
        await connection.execute(
            "INSERT INTO project_members (project_id, user_id, role) VALUES ($1, $2, $3)",
            project_id,
            user_id,
            role,
        )
    return Principal(name=f"user:{user_id}", user_id=user_id)


WRITES = {
    "rename": "UPDATE projects SET name = 'mine' WHERE id = $1",
    "invite": """INSERT INTO invitations (id, token_hash, login, project_id, role, expires_at)
                 VALUES (gen_random_uuid(), 'x', 'eve@x', $1, 'owner', now())""",
    "key": """INSERT INTO api_keys (id, token_hash, name, project_id, role)
              VALUES (gen_random_uuid(), 'x', 'k', $1, 'owner')""",
    "join": """INSERT INTO project_members (project_id, user_id, role)
               SELECT $1, id, 'owner' FROM users LIMIT 1""",
    "promote": "UPDATE project_members SET role = 'owner' WHERE project_id = $1",
    "delete": "SELECT delete_project($1)",
    "share": """INSERT INTO share_links (id, token_hash, project_id)
                VALUES (gen_random_uuid(), 'x', $1)""",
}


@pytest.mark.parametrize("role", ["editor", "reporter", "viewer", None])
async def test_who_may_not_manage_a_project_changes_nothing_in_it(
    database_url: str, role: str | None
) -> None:
    async with opened(database_url) as database:
        project_id = await rows.project(database)
        caller = STRANGER if role is None else await person(database, project_id, role)
        for name, statement in WRITES.items():
            if role == "editor" and name == "share":
                continue
            assert await touched(database, caller, statement, project_id) == 0, name
        state = await superuser(
            database_url,
            """SELECT p.name, p.deleted_at, (SELECT count(*) FROM project_members WHERE role = 'owner')
               FROM projects p WHERE id = $1""",
            project_id,
        )
        assert tuple(state[0]) == ("p", None, 0)


async def touched(database: Database, caller: Principal, statement: str, project_id: UUID) -> int:
    """How many rows a statement changed; none where it was refused."""
    try:
        async with database.changing(caller) as connection:
            done: str = await connection.execute(statement, project_id)
    except asyncpg.InsufficientPrivilegeError:
        return 0
    return int(done.rpartition(" ")[2])


async def test_a_key_that_is_bound_reads_its_project_only(database_url: str) -> None:
    async with opened(database_url) as database:
        mine, other = await rows.project(database), await rows.project(database)
        key = Principal(name="key:k", key_id=uuid7(), project_id=mine, role=Role.OWNER)
        async with database.acting(key) as connection:
            seen = await connection.fetch("SELECT id FROM projects")
        assert [row["id"] for row in seen] == [mine]
        for statement in WRITES.values():
            assert await touched(database, key, statement, other) == 0


async def test_nobody_makes_himself_an_administrator(database_url: str) -> None:
    async with opened(database_url) as database:
        project_id = await rows.project(database)
        owner = await person(database, project_id, "owner")
        for statement in (
            "UPDATE users SET is_admin = true",
            "INSERT INTO users (id, name, is_admin) VALUES (gen_random_uuid(), '', true)",
            """INSERT INTO api_keys (id, token_hash, name, is_admin)
               VALUES (gen_random_uuid(), 'x', 'k', true)""",
            """INSERT INTO api_keys (id, token_hash, name, is_admin, project_id)
               SELECT gen_random_uuid(), 'x', 'k', true, id FROM projects""",
            """INSERT INTO sign_in_links (token_hash, user_id, expires_at)
               SELECT 'x', id, now() FROM users""",
            """INSERT INTO sessions (id, user_id, token_hash, method, expires_at)
               SELECT gen_random_uuid(), gen_random_uuid(), 'x', 'link', now()""",
        ):
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                async with database.changing(owner) as connection:
                    done = await connection.execute(statement)
                assert done.endswith(" 0"), statement


_OF_PROJECTS = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'project_id'
WHERE c.relrowsecurity AND c.relkind IN ('r', 'p') AND has_any_column_privilege(c.oid, 'SELECT')
"""


async def rows_of(database: Database, caller: Principal) -> dict[str, int]:
    """How many rows of projects the caller sees, by table."""
    async with database.acting(caller) as connection:
        found = {
            name: await connection.fetchval(f"SELECT count(*) FROM {name}")
            for [name] in await connection.fetch(_OF_PROJECTS)
        }
    return {name: number for name, number in found.items() if number}


async def test_without_the_apis_own_checks_the_database_still_refuses(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our checks say yes to everybody; strangers find nothing, and viewers manage nothing."""
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        project = await api.project("demo")
        run = await api.run("demo")
        await api.admin.post(f"/runs/{run}/logs", json={"message": "secret"})
        viewer, viewers = await account(api, "viewer@example.org")
        stranger, strangers = await account(api, "stranger@example.org")
        role = {"role": "viewer"}
        await ok(await api.admin.put(f"/projects/demo/members/{viewer}", json=role))
        monkeypatch.setattr(access, "role_in", lambda *_: Role.OWNER)
        monkeypatch.setattr(access, "require", lambda *_: None)
        client = anonymous(api)
        for path in (
            "/projects/demo",
            "/projects/demo/runs",
            "/projects/demo/members",
            "/projects/demo/keys",
            f"/runs/{run}",
            f"/runs/{run}/logs",
            f"/runs/{run}/artifacts",
            "/projects/demo/events/history",
            "/projects/demo/tasks",
        ):
            answer = await client.get(path, headers=strangers)
            assert answer.status_code == 404, (path, answer.text)
        for path in ("/runs", "/projects"):
            listed = await ok(await client.get(path, headers=strangers))
            assert listed["total"] == 0
        # Each table by itself, whatever our statements join it with.
        database = api.resources.database
        assert await rows_of(database, Principal("x", user_id=UUID(stranger))) == {}
        assert {"runs", "segments"} <= set(await rows_of(database, Principal("x", is_admin=True)))
        for method, path, body in (
            ("POST", f"/runs/{run}/logs", {"message": "x"}),
            ("POST", "/projects/demo/runs", {}),
            ("PATCH", f"/runs/{run}", {"error": "x"}),
            ("DELETE", f"/projects/{project}", None),
            ("POST", "/projects/demo/tasks", {"title": "t"}),
        ):
            answer = await client.request(method, path, json=body, headers=strangers)
            assert answer.status_code in (403, 404), (path, answer.text)
        for method, path, body in (
            ("PATCH", f"/projects/{project}", {"name": "mine"}),
            ("DELETE", f"/projects/{project}", None),
            ("POST", f"/projects/{project}/keys", {"name": "k", "role": "owner"}),
            ("PUT", f"/projects/{project}/members/{viewer}", {"role": "owner"}),
            ("POST", f"/projects/{project}/share-links", {}),
            ("POST", "/invitations", {"email": "eve@example.org", "project": "demo"}),
        ):
            await client.request(method, path, json=body, headers=viewers)
        state = await superuser(
            database_url,
            """SELECT p.name, p.deleted_at, (SELECT role FROM project_members WHERE user_id = $1),
                      (SELECT count(*) FROM api_keys WHERE NOT is_admin),
                      (SELECT count(*) FROM share_links), (SELECT count(*) FROM invitations)
               FROM projects p""",
            UUID(viewer),
        )
        assert tuple(state[0]) == ("demo", None, "viewer", 0, 0, 0)


async def test_services_run_by_a_login_that_is_nothing_but_their_roles(database_url: str) -> None:
    login, with_password = db_roles.SERVICE_LOGIN, f"{db_roles.SERVICE_LOGIN}:a-password"
    service_url = db_roles.as_login(database_url, login).replace(login, with_password, 1)
    for _ in range(2):
        await db_roles.ensure(database_url, Urls(service_url))
    [role] = await superuser(database_url, "SELECT * FROM pg_roles WHERE rolname = $1", login)
    assert role["rolcanlogin"]
    for might in ("rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolbypassrls"):
        assert not role[might], might
    async with opened(service_url) as database:
        project_id = await rows.project(database)
        for pool in (database.requests, database.log):
            async with acquire(pool) as connection, connection.transaction():
                await connection.execute("RESET ROLE; SET LOCAL ROLE NONE")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch("SELECT * FROM projects")
        async with database.acting(rows.ADMIN) as connection:
            assert await connection.fetchval("SELECT id FROM projects") == project_id


async def test_functions_with_their_owners_rights_look_into_temporary_schemas_last(
    database_url: str,
) -> None:
    found = await superuser(
        database_url,
        """SELECT p.oid::regprocedure::text AS name FROM pg_proc p
           WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
             AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%, pg_temp')""",
    )
    assert [row["name"] for row in found] == []


def by_login(url: str, login: str) -> str:
    return db_roles.as_login(url, f"{login}:a-password")


async def test_sql_of_an_attacker_reaches_no_secret_and_changes_nobody(database_url: str) -> None:
    """What `SECURITY.md` says of SQL through a mistake of ours: the SQL is run here."""
    service = by_login(database_url, db_roles.SERVICE_LOGIN)
    accounts = by_login(database_url, db_roles.ACCOUNTS_LOGIN)
    urls = Urls(service, None, accounts)
    await db_roles.ensure(database_url, urls)
    database = await open_database(urls, requests=2, log=2, accounts=2)
    try:
        project_id = await rows.project(database)
        await person(database, project_id, "owner")
        attacks = (
            "SELECT hash FROM passwords",
            "SELECT * FROM password_of('alice@example.org')",
            "SELECT token_hash FROM api_keys",
            "SELECT token_hash FROM sessions",
            "SET ROLE runcast_accounts",
            "SELECT set_config('role', 'runcast_accounts', false)",
            "SET SESSION AUTHORIZATION postgres",
            "CREATE TEMP TABLE project_members (project_id uuid, user_id uuid, role text)",
            "CREATE TABLE mine (id int)",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "COPY (SELECT 1) TO PROGRAM 'id'",
            "SELECT pg_read_file('/etc/passwd')",
            "UPDATE users SET is_admin = true",
            "INSERT INTO users (id, name, is_admin) VALUES (gen_random_uuid(), 'x', true)",
            "UPDATE api_keys SET is_admin = true",
            """INSERT INTO sign_in_links (token_hash, user_id, expires_at)
               SELECT 'x', id, now() + '1 day' FROM users""",
            """INSERT INTO sessions (id, user_id, token_hash, method, expires_at)
               SELECT gen_random_uuid(), id, 'x', 'link', now() + '1 day' FROM users""",
            "INSERT INTO passwords (user_id, hash) SELECT id, 'x' FROM users",
            """INSERT INTO stream_tickets (token_hash, project_id, principal, expires_at)
               SELECT 'x', id, '{"is_admin": true}', now() + '1 day' FROM projects""",
            "SELECT openid_holder(gen_random_uuid(), 'me', 'alice@example.org', '', '')",
            "SELECT accept_invitation('x', NULL, gen_random_uuid(), 'x')",
            "SELECT delete_user(id) FROM users",
            "SELECT forget_ways_in(id) FROM users",
            "DELETE FROM audit_log",
            "UPDATE audit_log SET actor = 'somebody'",
        )
        for pool in (database.requests, database.log):
            for attack in attacks:
                async with acquire(pool) as connection:
                    whole = connection.transaction()
                    await whole.start()
                    try:
                        if pool is database.requests:
                            await act_as(connection, rows.ADMIN)
                        refused = None
                        await connection.execute(attack)
                    except asyncpg.InsufficientPrivilegeError as error:
                        refused = error
                    finally:
                        await whole.rollback()
                assert refused is not None, attack
        for statement in ("UPDATE runs SET name = 'x'", "DELETE FROM runs", "DELETE FROM projects"):
            async with acquire(database.requests) as connection:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
    finally:
        await database.close()
