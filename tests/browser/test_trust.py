"""What people rely on: a search that finds what `grep` finds, rights that are kept, plain http."""

from __future__ import annotations

import random
import re
from contextlib import closing

import pytest
from playwright.sync_api import Browser, BrowserType, Page, expect

from tests import browser as programs
from tests.browser.agent import Api
from tests.browser.conftest import ARGUMENTS
from tests.browser.watched import OpenPage
from tests.processes import Up

WORDS = ("module", "ERROR in src/levels/997.ts", "✓ needle", "ünïcödé", "🚀 launch", "downloading")


def _lines(seed: int, count: int) -> list[tuple[str, str]]:
    """Coloured, redrawn and non-ASCII lines with a level, as agents print them."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        word = chance.choice(WORDS)
        colour = chance.choice(("", "\x1b[31m", "\x1b[1;33m"))
        middle = word[: len(word) // 2] + colour + word[len(word) // 2 :]
        made.append((f"{number} {middle}\x1b[0m", chance.choice(("info", "warning", "error"))))
    return made


@pytest.mark.parametrize(
    ("text", "level"),
    [("ERROR in src/levels/997.ts", ""), ("module", "error"), ("✓ needle", "warning")],
)
def test_a_search_shows_exactly_the_lines_that_grep_finds(
    text: str, level: str, api: Api, open_page: OpenPage
) -> None:
    run = api.run(api.project("Grep"))
    lines = _lines(17, 2_000)
    entries = [{"message": message, "level": each} for message, each in lines]
    api.call("POST", f"/runs/{run['id']}/logs", json=entries)
    page = open_page(f"/runs/{run['id']}").page
    page.locator(".log-row").first.wait_for()
    if level:
        page.get_by_label("Level").select_option(level)
    page.get_by_label("Search the log").fill(text)
    page.get_by_label("Only matches").check()
    escapes = re.compile(r"\x1b\[[0-9;]*m")
    wanted = [
        number
        for number, (message, each) in enumerate(lines, 1)
        if text.lower() in escapes.sub("", message).lower() and level in ("", each)
    ]
    footer = page.get_by_text(f"{len(wanted):,} of 2,000 lines")
    expect(footer).to_be_visible()
    expect(page.get_by_text(f"{len(wanted):,} matches")).to_be_visible()
    page.locator(".log").press("Home")
    expect(page.locator(".log-row").first).to_have_attribute("data-line", str(wanted[0]))
    shown = page.locator(".log-row").evaluate_all("rows => rows.map(row => +row.dataset.line)")
    assert shown == wanted[: len(shown)]
    marks = page.locator(".log-row").first.locator("mark").all_inner_texts()
    assert "".join(marks).lower() == text.lower()


@pytest.mark.parametrize("role", ["viewer", "reporter", "editor"])
def test_only_what_the_server_allows_is_offered(role: str, api: Api, open_page: OpenPage) -> None:
    project = api.project(f"As {role}")
    body = {"title": "Ship", "subtasks": [{"title": "First", "key": "a"}]}
    api.call("POST", f"/projects/{project['id']}/tasks", json=body)
    run = api.run(project, name="Under way")
    path = f"/projects/{project['id']}/keys"
    key = api.call("POST", path, json={"name": role, "role": role})["token"]
    page = open_page(f"/runs/{run['id']}", token=key).page
    expect(page.locator(".log")).to_be_visible()
    edits, reports = role == "editor", role != "viewer"
    expect(page.get_by_role("button", name="Cancel")).to_have_count(int(reports))
    expect(page.get_by_role("button", name="Share this run")).to_have_count(int(edits))
    page.get_by_role("button", name="More actions").click()
    again = page.get_by_role("menuitem", name="Run again with changes…")
    expect(again).to_have_count(int(reports))
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Board").click()
    expect(page.get_by_role("heading", name="Ship")).to_be_visible()
    expect(page.get_by_role("button", name="New task")).to_have_count(int(reports))
    more = page.get_by_role("button", name="More about Ship")
    expect(more).to_have_count(int(reports))
    if reports:
        more.click()
        expect(page.get_by_role("menuitem", name="Delete…")).to_have_count(int(edits))


def _on_plain_http(kind: BrowserType, server: Up) -> tuple[Browser, str]:
    """A browser to which the server is a host of the network: no secure context, no clipboard, no locks."""
    port = server.url.rsplit(":", 1)[1]
    rules = "--host-resolver-rules=MAP runcast.test 127.0.0.1"
    return (
        kind.launch(executable_path=programs.chromium(), args=[*ARGUMENTS, rules]),
        f"http://runcast.test:{port}",
    )


def test_on_plain_http_everything_is_copied_and_every_tab_is_live(
    chromium: Browser, server_of_a_network: Up
) -> None:
    server = server_of_a_network
    browser, url = _on_plain_http(chromium.browser_type, server)
    with Api.of(server) as api, closing(browser):
        run = api.run(api.project("Plain"))
        api.log(run, "\x1b[32mgreen\x1b[0m", "plain")
        context = browser.new_context()
        token = server.credentials["token"]
        context.add_init_script(f"sessionStorage['runcast.token'] ??= '{token}'")
        tabs = [context.new_page() for _ in range(3)]
        for tab in tabs:
            tab.goto(f"{url}/ui/runs/{run['id']}")
            expect(tab.locator(".log-row")).to_have_count(2)
        page = tabs[0]
        assert page.evaluate("!isSecureContext && !navigator.clipboard && !navigator.locks")
        page.get_by_role("button", name="Copy the log").click()
        expect(page.get_by_text("Copied 2 lines")).to_be_visible()
        assert _pasted(page) == "green\nplain"
        page.get_by_role("button", name="Share this run").click()
        page.get_by_role("button", name="Create link").click()
        page.get_by_role("dialog").get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied", exact=True)).to_be_visible()
        page.get_by_role("button", name="Close").click()
        assert "/ui/share/" in _pasted(page)
        api.log(run, "live")
        for tab in tabs:
            expect(tab.locator(".log-row")).to_have_count(3)


def _pasted(page: Page) -> str:
    """What is on the clipboard, by pasting it into the search field's neighbour."""
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('textarea'), {id: 'p'}))"
    )
    page.locator("#p").focus()
    page.keyboard.press("Control+v")
    text: str = page.locator("#p").input_value()
    page.evaluate("document.querySelector('#p').remove()")
    return text
