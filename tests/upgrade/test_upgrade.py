"""A database of version 0.1 after its upgrade, which was killed several times, answers as it did before, byte
for byte."""

from __future__ import annotations

import asyncio
import difflib
from pathlib import Path

from runcast_server.process import migrate
from tests.conftest import run_sql
from tests.upgrade import answers, dumps, interrupted
from tests.urls import in_database

NAME = "version_0_1"


def test_every_log_page_and_stream_is_as_it_was(
    postgres_url: str, template_database: str, redis_url: str, tmp_path: Path
) -> None:
    """The template is what makes the service roles."""
    run_sql(postgres_url, f"CREATE DATABASE {NAME}")
    url = in_database(postgres_url, NAME)
    try:
        dumps.load(url, NAME)
        interrupted.migrate_without_converting(url)
        asyncio.run(interrupted.convert_with_kills(url))
        migrate.up(url)
        now = asyncio.run(answers.ask_everything(url, redis_url, tmp_path))
    finally:
        run_sql(postgres_url, f"DROP DATABASE {NAME} WITH (FORCE)")
    before = answers.read(NAME)
    assert list(now) == list(before)
    for question, answer in before.items():
        assert now[question] == answer, difference(question, answer, now[question])


def difference(question: str, before: str, now: str) -> str:
    """The first lines that are not the same."""
    lines = list(difflib.unified_diff(before.split("\n"), now.split("\n"), lineterm="", n=0))
    return f"{question}\n" + "\n".join(line[:300] for line in lines[:20])
