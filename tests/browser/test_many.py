"""Much of everything: ten thousand runs, more projects than streams, a clock that is wrong."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.agent import Api
from tests.browser.log_page import expect_live
from tests.browser.watched import OpenPage
from tests.processes import Up, wait_for

RUNS = 10_000
AT_ONCE = 12
HOUR_MS = 3_600_000

SHIFTED_CLOCK = """
(() => {
  const Real = Date, shift = %d;
  class Shifted extends Real {
    constructor(...given) { if (given.length) super(...given); else super(Real.now() + shift); }
    static now() { return Real.now() + shift; }
  }
  globalThis.Date = Shifted;
})();
"""


def _many_runs(server: Up, project: dict[str, Any]) -> None:
    def make(numbers: range) -> None:
        with server.client() as http:
            api = Api(http)
            for n in numbers:
                status = "running" if n % 1000 == 0 else "queued"
                body = {"name": f"Run {n:05}", "agent_name": f"Agent-{n % 7}"}
                api.run(project, **body, status=status)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        shares = (range(first, RUNS + 1, AT_ONCE) for first in range(1, AT_ONCE + 1))
        list(threads.map(make, shares))


def _reaches(page: Page, index: int) -> bool:
    """Scrolls to the end of what is loaded; whether that row is there."""
    page.get_by_test_id("runs").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    page.wait_for_timeout(100)
    return page.locator(f"[data-index='{index}']").count() == 1


@pytest.mark.timeout(400)
def test_ten_thousand_runs_are_listed_scrolled_filtered_and_searched(
    server: Up, api: Api, open_page: OpenPage
) -> None:
    project = api.project("Ten thousand")
    _many_runs(server, project)
    page = open_page("/projects").page
    expect(page.get_by_role("link", name=re.compile("Ten thousand"))).to_be_visible()
    page.goto(page.url.replace("/projects", f"/projects/{project['slug']}"))
    expect(page.get_by_text("10,000 runs")).to_be_visible()
    expect(page.locator("[data-index='0']")).to_be_visible()
    expect_live(page)

    wait_for(lambda: _reaches(page, 799), "the fourth page of runs")
    assert page.locator("[data-index]").count() < 100

    # The very first run is on a page that was never loaded.
    page.get_by_label("Search runs").fill("RUN 00017 agent-3")
    expect(page.get_by_role("link", name=re.compile("Run 00017"))).to_be_visible()
    expect(page.get_by_text("1 run matches")).to_be_visible()
    page.get_by_label("Search runs").fill("agent-3")
    expect(page.get_by_text("1,429 runs match")).to_be_visible()
    page.get_by_label("Status").select_option("running")
    expect(page.get_by_text("1 run matches")).to_be_visible()
    page.get_by_label("Search runs").fill("")
    expect(page.get_by_text("10 runs match")).to_be_visible()
    api.run(project, name="Comes while it is filtered")
    expect(page.get_by_text("Comes while it is filtered")).to_be_visible()
    expect(page.get_by_text("11 runs match")).to_be_visible()

    page.keyboard.press("Control+k")
    page.keyboard.type("run 00023 agent-2")
    page.get_by_role("option", name=re.compile("Run 00023")).click()
    expect(page.get_by_role("heading", name="Run 00023")).to_be_visible()


def test_watch_follows_many_projects_by_one_stream_of_all_tabs(
    server: Up, api: Api, open_page: OpenPage
) -> None:
    projects = [api.project(f"Floor {n}") for n in range(8)]
    runs = {}
    for n, project in enumerate(projects):
        runs[n] = [api.run(project, name=f"Floor {n} agent {each}") for each in range(9)]
    page = open_page("/watch").page
    expect_live(page)
    other = page.context.new_page()
    token = server.credentials["token"]
    other.add_init_script(f"sessionStorage.setItem('runcast.token', '{token}')")
    other.goto(page.url)
    expect_live(other)
    for n in (7, 0):
        api.log(runs[n][0], f"told at once on {n}")
        for tab in (page, other):
            section = tab.get_by_role("region", name=f"Floor {n}", exact=True)
            section.scroll_into_view_if_needed()
            expect(section.get_by_text("9 running")).to_be_visible()
            expect(section.get_by_text(f"told at once on {n}")).to_be_visible()
            expect(section.get_by_text("Updates every 5 s")).to_have_count(0)
    api.change(runs[7][1], status="completed")
    expect(
        other.get_by_role("region", name="Floor 7", exact=True).get_by_text("8 running")
    ).to_be_visible()

    ours = {project["id"] for project in projects}

    def follow() -> list[set[str]]:
        open_now = api.call("GET", "/admin/connections")["connections"]
        followed = [set(each.get("project_ids") or [each["project_id"]]) for each in open_now]
        return [ids for ids in followed if ids & ours]

    assert [ours <= ids for ids in follow()] == [True]
    # The tab that held the stream goes; the other one goes on.
    page.close()
    api.log(runs[3][2], "told to the tab that is left")
    section = other.get_by_role("region", name="Floor 3", exact=True)
    section.scroll_into_view_if_needed()
    expect(section.get_by_text("told to the tab that is left")).to_be_visible()
    wait_for(
        lambda: [ours <= ids for ids in follow()] == [True], "one stream of the tab that is left"
    )
    for runs_of in runs.values():
        for run in runs_of:
            api.change(run, status="completed")


@pytest.mark.parametrize("shift_ms", [HOUR_MS, -HOUR_MS])
def test_a_clock_that_is_an_hour_off_shows_no_age_of_an_hour(
    shift_ms: int, api: Api, open_page: OpenPage
) -> None:
    project = api.project(f"Clock {shift_ms}")
    run = api.run(project, name="On time")
    report = {"stage": "idea", "message": "half", "percent": 50}
    api.call("POST", f"/runs/{run['id']}/progress", json=report)
    opened = open_page("/account")
    opened.page.add_init_script(SHIFTED_CLOCK % shift_ms)
    for path in (
        f"/runs/{run['id']}",
        f"/projects/{project['slug']}",
        f"/watch?project={project['slug']}",
        "/projects",
        "/admin/runtime",
    ):
        opened.page.goto(re.sub(r"/ui/.*", f"/ui{path}", opened.page.url))
        expect(opened.page.get_by_role("heading", level=1)).to_be_visible()
        expect(opened.page.get_by_role("status", name="Loading")).to_have_count(0)
        opened.page.wait_for_timeout(1_200)
        said = opened.page.locator("main").locator("time, .nums").all_inner_texts()
        assert [text for text in said if re.search(r"\d+[dh]\b|-\d", text)] == [], path


def test_admin_pages_show_the_connection(api: Api, open_page: OpenPage) -> None:
    page = open_page("/admin/runtime").page
    expect_live(page)
    for path in ("connections", "rejects", "users", "audit"):
        page.goto(re.sub(r"/ui/.*", f"/ui/admin/{path}", page.url))
        badge = page.get_by_test_id("connection").locator("visible=true")
        expect(badge).to_have_text("Online")
    page.context.set_offline(True)
    expect(badge).to_have_text("Offline, retrying")
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    page.context.set_offline(False)
    expect(badge).to_have_text("Online")
