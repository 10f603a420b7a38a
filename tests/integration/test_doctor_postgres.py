"""`runcast doctor --server` names what is wrong with Postgres, and with nothing wrong says so."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from runcast.cli.doctor_report import PROBLEM, WARNING, Finding
from runcast_server import db
from runcast_server.doctor import checks, postgres
from tests.conftest import run_sql
from tests.torture.programs import free_port
from tests.urls import in_database

Examine = Callable[..., list[Finding]]


@pytest.fixture
def examine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """The findings of the checks of Postgres that aren't `ok`."""
    monkeypatch.setattr(checks, "CHECKS", {"postgres": postgres.check})

    def run(**settings: str) -> list[Finding]:
        for name, value in ({"DATABASE_URL": database_url} | settings).items():
            monkeypatch.setenv(f"RUNCAST_{name}", value)
        return [finding for finding in checks.examine() if finding.state != "ok"]

    return run


def said(findings: list[Finding], state: str = PROBLEM) -> str:
    return "\n".join(f"{f.about}: {f.text}. {f.advice}" for f in findings if f.state == state)


def name_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def test_a_server_that_is_as_it_should_be(examine: Examine) -> None:
    found = examine()
    assert said(found) == ""
    assert all("off" in each.text for each in found), "the tests' server forgets at a power cut"


def test_a_login_that_may_not_become_its_role(
    examine: Examine, database_url: str, postgres_url: str
) -> None:
    run_sql(postgres_url, "CREATE ROLE bare LOGIN")
    try:
        run_sql(database_url, f"GRANT {db.LOG_ROLE} TO bare WITH SET FALSE")
        run_sql(database_url, "GRANT SELECT ON schema_migrations TO bare")
        found = said(examine(DATABASE_URL=database_url.replace("postgres@", "bare@", 1)))
        for role in (db.LOG_ROLE, db.REQUEST_ROLE, db.ACCOUNTS_ROLE):
            assert (
                f"role {role}: the login bare may not become it. as the owner: GRANT {role}"
                in found
            )
    finally:
        run_sql(database_url, "DROP OWNED BY bare")
        run_sql(postgres_url, "DROP ROLE bare")


def test_what_is_missing_in_the_database(examine: Examine, database_url: str) -> None:
    run_sql(
        database_url,
        """DO $$ BEGIN EXECUTE format(
            'DROP TABLE %I', partition_of('runtime_events', now() + interval '1 day')); END $$""",
    )
    run_sql(database_url, "DELETE FROM schema_migrations WHERE version = '20261120100000'")
    found = said(examine())
    assert "runtime_events has no partition for tomorrow" in found
    assert "1 migrations are missing. run `runcast migrate`" in found


def test_an_empty_database_of_another_encoding(examine: Examine, postgres_url: str) -> None:
    run_sql(
        postgres_url,
        "CREATE DATABASE bytes ENCODING SQL_ASCII LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0",
    )
    try:
        found = said(examine(DATABASE_URL=in_database(postgres_url, "bytes")))
    finally:
        run_sql(postgres_url, "DROP DATABASE bytes WITH (FORCE)")
    assert "the database's encoding is SQL_ASCII. make the database with ENCODING 'UTF8'" in found
    assert "schema: there is none. run `runcast migrate`" in found


def test_too_few_connections(examine: Examine, database_url: str, postgres_url: str) -> None:
    assert "a process takes up to 1001. raise max_connections" in said(
        examine(DATABASE_POOL_SIZE="400")
    )
    run_sql(postgres_url, f"ALTER DATABASE {name_of(database_url)} CONNECTION LIMIT 25")
    assert "25 in all" in said(examine(DATABASE_POOL_SIZE="10"))


def test_a_standby(examine: Examine, database_url: str, postgres_url: str) -> None:
    run_sql(
        postgres_url,
        f"ALTER DATABASE {name_of(database_url)} SET default_transaction_read_only = on",
    )
    assert "it is read-only: a standby. name the primary" in said(examine())


def test_an_address_where_nothing_is(examine: Examine) -> None:
    found = examine(DATABASE_URL=f"postgresql://a:secret@127.0.0.1:{free_port()}/none")
    assert "DATABASE_URL: 127.0.0.1:" in said(found)
    assert "secret" not in said(found)


def test_settings_that_nothing_reads(examine: Examine) -> None:
    assert "nothing reads RUNCAST_DATABSE_URL" in said(examine(DATABSE_URL="x"), WARNING)
    found = examine(DATABASE_POOL_SIZE="many")
    assert said(found).startswith("settings: RUNCAST_DATABASE_POOL_SIZE")
