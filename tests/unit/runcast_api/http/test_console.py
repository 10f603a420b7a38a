"""The console's files: compressed for callers that take it, and nothing outside of their directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.responses import FileResponse

from runcast_api.http.console import Console


@pytest.fixture
def console(tmp_path: Path) -> Console:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    for name in ("app.js", "app.js.br", "app.js.gz", "plain.js"):
        (tmp_path / "assets" / name).write_text(name)
    return Console(tmp_path)


@pytest.mark.parametrize(
    ("accepted", "sent", "coding"),
    [
        ("", "app.js", None),
        ("gzip", "app.js.gz", "gzip"),
        ("gzip, deflate, br", "app.js.br", "br"),
        ("br;q=0, gzip;q=0.5", "app.js.gz", "gzip"),
        ("brotli", "app.js", None),
    ],
)
def test_an_asset_is_sent_in_the_smallest_coding_that_is_taken(
    console: Console, accepted: str, sent: str, coding: str | None
) -> None:
    response = console.answer("assets/app.js", accepted)
    assert isinstance(response, FileResponse)
    assert Path(response.path).name == sent
    assert response.headers.get("content-encoding") == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.media_type in {"text/javascript", "application/javascript"}


def test_an_asset_without_compressed_copies_is_sent_as_it_is(console: Console) -> None:
    response = console.answer("assets/plain.js", "br, gzip")
    assert "content-encoding" not in response.headers


def test_a_path_that_is_no_file_is_the_page(console: Console) -> None:
    response = console.answer("projects/demo", "br")
    assert isinstance(response, FileResponse)
    assert Path(response.path).name == "index.html"
