"""The live connection: a server that goes and comes back, polling only meanwhile, many tabs."""

from __future__ import annotations

import os
import re

from playwright.sync_api import Browser, expect

from tests.browser.agent import Api
from tests.browser.log_page import expect_live, line, read_all
from tests.browser.watched import OpenPage
from tests.processes import Up

POLL_MS = 5_000
TABS = int(os.environ.get("RUNCAST_TEST_TABS", "40"))
"""More than a browser's six connections to a host, and a person's five streams."""


def test_nothing_is_lost_while_the_server_is_away(
    mortal_server: Up, mortal_api: Api, open_page: OpenPage
) -> None:
    api = mortal_api
    run = api.run(api.project("Away"), name="Coder")
    api.log(run, *(f"before {n}" for n in range(200)))
    page = open_page(f"/runs/{run['id']}", at=mortal_server).page
    expect_live(page)
    expect(line(page, 200)).to_be_visible()

    mortal_server.kill()
    badge = page.get_by_test_id("connection").locator("visible=true")
    expect(badge).to_contain_text(re.compile("Reconnecting"))
    expect(page.get_by_test_id("log-state")).to_have_text("Reconnecting…")
    expect(line(page, 200)).to_be_visible()

    mortal_server.start_ready()
    api.log(run, *(f"after {n}" for n in range(300)))
    expect(badge).to_have_text("Live")
    api.log(run, "the end")
    expect(line(page, 501)).to_be_visible()
    assert read_all(page, 501) == api.text(run)


def test_it_polls_only_while_it_is_not_live(
    mortal_server: Up, mortal_api: Api, open_page: OpenPage
) -> None:
    api = mortal_api
    project = api.project("Polling")
    api.run(project, name="First")
    opened = open_page(f"/projects/{project['slug']}", at=mortal_server)
    page, path = opened.page, f"/projects/{project['id']}/runs"
    expect_live(page)
    expect(page.get_by_text("First")).to_be_visible()
    asked = opened.asked(path)
    page.wait_for_timeout(1.7 * POLL_MS)
    assert opened.asked(path) == asked

    mortal_server.kill()
    badge = page.get_by_test_id("connection").locator("visible=true")
    expect(badge).not_to_have_text("Live")
    # The browser's requests are pumped while the page is waited for.
    page.wait_for_timeout(1.7 * POLL_MS)
    assert opened.asked(path) > asked
    expect(page.get_by_text("First")).to_be_visible()

    mortal_server.start_ready()
    expect(badge).to_have_text("Live")
    api.run(project, name="Second")
    expect(page.get_by_text("Second")).to_be_visible()
    page.wait_for_timeout(2_000)
    asked = opened.asked(path)
    page.wait_for_timeout(1.7 * POLL_MS)
    assert opened.asked(path) == asked


def test_all_tabs_share_one_stream(
    chromium: Browser, server: Up, api: Api, open_page: OpenPage
) -> None:
    project = api.project("Many tabs")
    run = api.run(project, name="Shared")
    first = open_page(f"/runs/{run['id']}")
    expect_live(first.page)
    context = first.page.context
    tabs = [first.page]
    for _ in range(TABS - 1):
        tab = context.new_page()
        tab.add_init_script(
            f"sessionStorage.setItem('runcast.token', '{server.credentials['token']}')"
        )
        tab.goto(first.page.url, wait_until="commit")
        tabs.append(tab)
    for tab in tabs:
        expect(tab.get_by_test_id("connection").locator("visible=true")).to_have_text("Live")
    connections = api.call("GET", "/admin/connections")["connections"]
    assert len([each for each in connections if each["project_id"] == project["id"]]) == 1
    api.log(run, "seen by all")
    for tab in tabs:
        expect(line(tab, 1)).to_contain_text("seen by all")

    # The tab that holds the stream goes; another takes over and misses nothing.
    tabs[0].close()
    api.log(run, "seen by those that are left")
    for tab in tabs[1:4]:
        expect(line(tab, 2)).to_contain_text("seen by those that are left")


def test_a_project_deleted_while_it_is_open_is_said_to_be(api: Api, open_page: OpenPage) -> None:
    project = api.project("Short-lived")
    run = api.run(project, name="Last of its kind")
    api.log(run, "kept on the screen")
    listed = open_page(f"/projects/{project['slug']}").page
    shown = open_page(f"/runs/{run['id']}").page
    for page in (listed, shown):
        expect_live(page)
        expect(page.get_by_text("Last of its kind").first).to_be_visible()
    expect(line(shown, 1)).to_be_visible()
    api.call("DELETE", f"/projects/{project['id']}")
    for page in (listed, shown):
        badge = page.get_by_test_id("connection").locator("visible=true")
        expect(badge).to_have_text(re.compile("Deleted|Not here"))
        expect(page.get_by_role("alert")).to_contain_text("This project was deleted.")
        expect(page.get_by_text("Last of its kind").first).to_be_visible()
    expect(line(shown, 1)).to_contain_text("kept on the screen")
    listed.get_by_role("link", name="All projects").click()
    expect(listed.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    expect(listed.get_by_role("link", name=re.compile("Short-lived"))).to_have_count(0)


def test_a_run_that_does_not_exist(open_page: OpenPage) -> None:
    page = open_page("/runs/01a1f957-0000-7000-8000-000000000000").page
    expect(page.get_by_text("Not found")).to_be_visible()


def test_each_of_many_runs_shows_its_newest_line(api: Api, open_page: OpenPage) -> None:
    project = api.project("Two hundred")
    for n in range(200):
        api.run(project, name=f"Agent {n}")
    page = open_page(f"/watch?project={project['slug']}").page
    expect(page.get_by_text("200 running")).to_be_visible()
    runs = api.call("GET", f"/projects/{project['id']}/active-runs")["runs"]
    for run in runs[:40]:
        api.log(run, f"newest of {run['name']}")
    for run in (runs[0], runs[39]):
        expect(page.get_by_text(f"newest of {run['name']}", exact=True)).to_be_visible()
