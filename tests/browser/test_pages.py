"""Each page's main path, with the mouse and with the keyboard, and what axe says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import scene
from tests.browser.agent import Api
from tests.browser.log_page import expect_live, line
from tests.browser.scene import Scene
from tests.browser.watched import OpenPage
from tests.processes import Up

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
PAGES = (
    "/watch",
    "/inbox",
    "/projects",
    "/projects/{project}",
    "/projects/{project}/board",
    "/projects/{project}/settings",
    "/projects/{project}/timeline",
    "/projects/{project}/compare?a=8&b=10",
    "/projects/{project}/runs/10",
    "/runs/{run}",
    "/runs/{run}?tab=artifacts",
    "/runs/{run}?tab=agents",
    "/runs/{run}?tab=details",
    "/admin/runtime",
    "/admin/connections",
    "/admin/rejects",
    "/admin/users",
    "/admin/audit",
    "/account",
    "/runs/01a1f957-0000-7000-8000-000000000000",
)
PHONE_PX = 390
FIRST_PAGE_BYTES = 200 * 1024
"""Its JavaScript, as it goes over the wire."""


@pytest.fixture(scope="module")
def shown(server: Up) -> Scene:
    with Api.of(server) as api:
        return scene.build(api, "Space Blaster")


def address(path: str, shown: Scene) -> str:
    return path.format(project=shown.project["slug"], run=shown.run["id"])


def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2 A and AA."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        """async () => (await axe.run(document, {
             runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] })).violations"""
    )
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"][:3]
    ]


def visit(page: Page, path: str, shown: Scene) -> None:
    """Goes there and waits until it stands still."""
    page.goto(re.sub(r"/ui/.*", f"/ui{address(path, shown)}", page.url))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    page.wait_for_timeout(300)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(theme: str, shown: Scene, open_page: OpenPage) -> None:
    page = open_page("/watch", color_scheme=theme, reduced_motion="reduce").page
    found = {}
    for path in PAGES:
        visit(page, path, shown)
        if complaints := violations(page):
            found[path] = complaints
    assert found == {}


def test_nothing_sticks_out_on_a_phone(shown: Scene, open_page: OpenPage) -> None:
    page = open_page("/watch", viewport={"width": PHONE_PX, "height": 844}).page
    widths = {}
    for path in PAGES:
        visit(page, path, shown)
        widths[path] = page.evaluate("document.querySelector('main').scrollWidth")
    assert {path: width for path, width in widths.items() if width > PHONE_PX} == {}


def test_no_other_host_is_asked(shown: Scene, open_page: OpenPage, server: Up) -> None:
    opened = open_page(address("/runs/{run}?tab=artifacts", shown))
    expect(opened.page.get_by_role("heading", name="Outline", exact=True)).to_be_visible()
    hosts = {
        request.url.split("/")[2] for request in opened.requests if request.url.startswith("http")
    }
    assert hosts == {server.url.split("/")[2]}


def test_the_first_page_is_sent_compressed_and_small(open_page: OpenPage) -> None:
    opened = open_page("/watch")
    expect_live(opened.page)
    scripts = [each for each in opened.requests if each.resource_type == "script"]
    answers = [each.response() for each in scripts]
    sizes = [each.sizes()["responseBodySize"] for each in scripts]
    assert 0 < sum(sizes) <= FIRST_PAGE_BYTES
    plain = [
        size
        for size, answer in zip(sizes, answers, strict=True)
        if answer is not None and "content-encoding" not in answer.all_headers()
    ]
    assert max(plain, default=0) < 2_000


def test_watch_shows_live_runs_and_merges_those_that_are_chosen(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Watched")
    first, second = api.run(project, name="First agent"), api.run(project, name="Second agent")
    page = open_page(f"/watch?project={project['slug']}").page
    expect_live(page)
    api.log(first, "the newest line of the first")
    expect(page.get_by_text("the newest line of the first")).to_be_visible()
    page.get_by_label("Show First agent in the stream").check()
    page.get_by_label("Show Second agent in the stream").check()
    stream = page.get_by_role("region", name="Lines of the selected runs")
    api.log(second, "from the second")
    api.log(first, "from the first")
    expect(stream).to_contain_text("from the second")
    expect(stream).to_contain_text("from the first")
    expect(stream.locator(".log-tag").last).to_have_text("First agent")
    page.get_by_label("Search the stream").fill("from the second")
    expect(stream.locator(".log-row")).to_have_count(1)
    page.get_by_label("Search the stream").fill("")
    api.change(second, status="completed")
    # What ended stays in sight until its time is over or it is dismissed.
    page.get_by_role("button", name="Dismiss Second agent").click()
    expect(page.get_by_role("link", name="Second agent")).to_have_count(0)
    page.get_by_role("link", name="First agent").click()
    expect(page.get_by_role("heading", name="First agent")).to_be_visible()


def test_a_run_is_started_cancelled_and_retried(api: Api, open_page: OpenPage) -> None:
    project = api.project("Started here")
    page = open_page(f"/projects/{project['slug']}").page
    page.get_by_role("button", name="Start a run").first.click()
    page.get_by_label("Name").fill("By hand")
    page.get_by_label("Input").fill('{"prompt": "a shooter"}')
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    expect(page.get_by_text("Queued").first).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled").first).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("link", name="Attempt 2")).to_be_visible()
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text('"a shooter"')).to_be_visible()


def test_an_empty_watch_offers_the_demo_which_asks_and_completes(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Demo here")
    page = open_page(f"/watch?project={project['slug']}").page
    page.get_by_role("button", name="Play a demo run").click()
    expect(page.get_by_role("heading", name="Demo")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/projects/demo-here/runs/1$"))
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    expect(line(page, 12)).to_be_visible()
    expect(page.get_by_label("Steps")).to_contain_text("outline")
    page.get_by_role("region", name="Question").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Completed").first).to_be_visible()
    page.get_by_role("tab", name=re.compile("Artifacts")).click()
    expect(page.get_by_role("heading", name="topic_critic")).to_be_visible()


def test_runs_are_listed_live_filtered_and_searched(api: Api, open_page: OpenPage) -> None:
    project = api.project("Listed")
    run = api.run(project, name="Alpha")
    api.run(project, name="Beta")
    page = open_page(f"/projects/{project['slug']}").page
    expect_live(page)
    expect(page.get_by_text("2 runs")).to_be_visible()
    api.run(project, name="Gamma")
    expect(page.get_by_text("Gamma")).to_be_visible()
    api.change(run, status="failed", error="no")
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_role("link", name=re.compile("Alpha"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("Beta"))).to_have_count(0)
    page.get_by_label("Status").select_option("")
    page.get_by_label("Search runs").fill("bet")
    expect(page.get_by_role("link", name=re.compile("Alpha"))).to_have_count(0)
    expect(page).to_have_url(re.compile("q=bet"))
    # The address has the last word: a link to the whole list shows the whole list.
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_label("Search runs")).to_have_value("")
    expect(page.get_by_text("3 runs", exact=True)).to_be_visible()


def test_artifacts_have_versions_previews_and_a_diff(shown: Scene, open_page: OpenPage) -> None:
    page = open_page(address("/runs/{run}?tab=artifacts", shown)).page
    expect(page.get_by_role("heading", name="Outline", exact=True)).to_be_visible()
    expect(page.get_by_text('"A top-down shooter with gravity wells"')).to_be_visible()
    page.get_by_label("Version of idea").select_option("1")
    expect(page.get_by_text('"A top-down shooter"')).to_be_visible()
    page.get_by_label("Version of idea").select_option("2")
    page.get_by_label("Compare idea with").select_option("1")
    expect(page.get_by_text('+   "levels": 9')).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").last.click()
    assert download.value.suggested_filename == "outline.md"
    assert download.value.path().read_text().startswith("# Outline")


def test_the_board_moves_by_itself_and_shows_logs(api: Api, open_page: OpenPage) -> None:
    made = scene.build(api, "Board")
    page = open_page(f"/projects/{made.project['slug']}/board").page
    expect_live(page)
    card = page.locator(
        "[data-subtask]", has=page.locator("button", has_text="Record inputs and seeds")
    )
    expect(card).to_have_attribute("data-status", "IN_PROGRESS")
    page.get_by_role("region", name="Controller support").get_by_role(
        "button", name="View logs"
    ).click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_text("PLANNER")).to_be_visible()
    expect(panel.get_by_test_id("log")).to_contain_text("considering option 19")
    page.keyboard.press("Escape")

    card.get_by_role("button", name="View logs").click()
    expect(panel.get_by_text("WORKER")).to_be_visible()
    expect(panel.get_by_test_id("log")).to_contain_text("recording frame 59")
    expect(panel.get_by_test_id("log-state")).to_have_text("Streaming")
    subtask = next(each for each in made.task["subtasks"] if each["key"] == "record")
    runs = api.call("GET", f"/projects/{made.project['id']}/active-runs")["runs"]
    run = next(each for each in runs if each["task_id"] == subtask["id"])
    api.change(run, status="completed")
    expect(panel.get_by_test_id("log-state")).to_have_text("Complete")
    page.keyboard.press("Escape")
    api.call("POST", f"/subtasks/{subtask['id']}/complete", json={})
    expect(card).to_have_attribute("data-status", "COMPLETED")


def test_a_card_is_dragged_and_moved_by_keys(api: Api, open_page: OpenPage) -> None:
    made = scene.build(api, "Dragged")
    page = open_page(f"/projects/{made.project['slug']}/board").page
    card = page.locator("[data-subtask]", has=page.locator("button", has_text="Play a file back"))
    expect(card).to_have_attribute("data-status", "PENDING")
    card.drag_to(page.locator("[data-column=progress]").first)
    expect(card).to_have_attribute("data-status", "IN_PROGRESS")
    card.get_by_role("button", name="Play a file back").focus()
    page.keyboard.press("]")
    expect(card).to_have_attribute("data-status", "IN_REVIEW")
    card.get_by_role("button", name="Play a file back").click()
    detail = page.get_by_role("dialog")
    expect(detail.get_by_text("History")).to_be_visible()
    detail.get_by_role("button", name="Complete").click()
    expect(card).to_have_attribute("data-status", "COMPLETED")


def test_subtasks_and_tasks_are_put_in_order(api: Api, open_page: OpenPage) -> None:
    project = api.project("Ordered")
    for title in ("First task", "Second task"):
        subtasks = [{"title": f"{title}: {part}"} for part in ("one", "two", "three")]
        body = {"title": title, "subtasks": subtasks}
        task = api.call("POST", f"/projects/{project['id']}/tasks", json=body)
        api.call("POST", f"/tasks/{task['id']}/activate", json={})
    page = open_page(f"/projects/{project['slug']}/board").page
    expect_live(page)
    lane = page.get_by_role("region", name="First task")
    cards = lane.locator("[data-subtask] [data-grip]")
    expect(cards).to_have_text(["First task: one", "First task: two", "First task: three"])
    lane.locator("[data-subtask]").nth(2).drag_to(lane.locator("[data-subtask]").nth(0))
    expect(cards).to_have_text(["First task: three", "First task: one", "First task: two"])
    cards.nth(0).focus()
    page.keyboard.press("J")
    expect(cards).to_have_text(["First task: one", "First task: three", "First task: two"])
    lanes = page.get_by_test_id("board").get_by_role("heading", level=2)
    expect(lanes).to_have_text(["First task", "Second task"])
    lanes.nth(1).drag_to(lanes.nth(0))
    expect(lanes).to_have_text(["Second task", "First task"])
    page.get_by_role("button", name="More about Second task").focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Move down").press("Enter")
    expect(lanes).to_have_text(["First task", "Second task"])
    page.reload()
    expect(cards).to_have_text(["First task: one", "First task: three", "First task: two"])


def test_the_board_is_edited_and_a_subtask_has_an_address(api: Api, open_page: OpenPage) -> None:
    project = api.project("Edited")
    body = {"title": "Ship", "subtasks": [{"title": "First", "key": "a"}]}
    task = api.call("POST", f"/projects/{project['id']}/tasks", json=body)
    first = task["subtasks"][0]
    page = open_page(f"/projects/{project['slug']}/board?subtask={first['id']}").page
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Title").fill("The very first")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="The very first").last).to_be_visible()
    page.get_by_role("button", name="Skip", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="More about Ship").click()
    page.get_by_role("menuitem", name="Add a subtask").click()
    page.get_by_label("Title").fill("Second")
    page.get_by_label("The very first").check()
    page.get_by_role("button", name="Add", exact=True).click()
    blocked = page.locator("[data-status=BLOCKED]")
    expect(blocked.get_by_label("Blocked by")).to_have_text("The very first")
    page.get_by_role("button", name="More about Ship").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No tasks yet")).to_be_visible()


def test_the_runtime_page_is_live_and_keeps_its_filters(
    shown: Scene, api: Api, open_page: OpenPage
) -> None:
    page = open_page("/admin/runtime").page
    expect(page.get_by_text("1 open")).to_be_visible()
    expect_live(page)
    page.get_by_label("Layer").select_option("tool_runtime")
    expect(page).to_have_url(re.compile("layer=tool_runtime"))
    table = page.get_by_role("table", name="Runtime events")
    expect(table).to_contain_text("TOOL_OK")
    expect(table).not_to_contain_text("RATE_LIMITED")
    page.reload()
    expect(page.get_by_label("Layer")).to_have_value("tool_runtime")
    report = {"agent_type": "coder", "status": "IDLE", "circuit_open": False}
    api.call("PUT", "/workers/worker-b1/status", json=report)
    expect(page.get_by_text("All closed")).to_be_visible()


def test_people_keys_and_links(api: Api, open_page: OpenPage) -> None:
    project = api.project("People")
    page = open_page(f"/projects/{project['slug']}/settings").page
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").last.fill("builder")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Copy it now")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("table", name="API keys")).to_contain_text("builder")
    page.get_by_role("button", name="New webhook").click()
    page.get_by_label("Address").fill("http://127.0.0.1:9/hook")
    page.get_by_role("button", name="Create webhook").click()
    expect(page.get_by_text(re.compile("^whsec_"))).to_be_visible()
    page.keyboard.press("Escape")
    hooks = page.get_by_role("table", name="Webhooks")
    expect(hooks).to_contain_text("http://127.0.0.1:9/hook")
    hooks.get_by_role("button", name="Test").click()
    expect(page.get_by_text("Not delivered")).to_be_visible()
    hooks.get_by_role("button", name="Turn off").click()
    expect(hooks).to_contain_text("off: disabled")
    page.get_by_role("button", name="New link").click()
    page.get_by_role("button", name="Create link").click()
    link = page.get_by_text(re.compile("/ui/share/"))
    expect(link).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Invite").click()
    page.get_by_label("Email").fill("ada@example.test")
    page.get_by_role("button", name="Create invite link").click()
    expect(page.get_by_text(re.compile("/ui/invitations/"))).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("table", name="Pending invitations")).to_contain_text("ada@example")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("button", name="Delete the project")).to_be_disabled()
    page.get_by_label(f"Type {project['slug']} to confirm").fill(project["slug"])
    page.get_by_role("button", name="Delete the project").click()
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()


def test_an_invitation_makes_an_account_that_signs_in_and_out(api: Api, chromium: Browser) -> None:
    project = api.project("Invited")
    body = {"email": "grace@example.test", "project": project["id"], "role": "editor"}
    url = api.call("POST", "/invitations", json=body)["url"]
    page = chromium.new_context().new_page()
    page.goto(url)
    page.get_by_label("Your name").fill("Grace")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("button", name="Grace")).to_be_visible()
    page.get_by_role("link", name="Projects").click()
    expect(page.get_by_role("link", name=re.compile("Invited"))).to_be_visible()
    page.get_by_role("button", name="Grace").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to Runcast")).to_be_visible()
    page.reload()
    page.get_by_label("Email").fill("grace@example.test")
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("button", name="Grace")).to_be_visible()
    page.context.close()


def test_the_printed_link_signs_in_once(server: Up, chromium: Browser) -> None:
    link = re.search(r"http\S+/ui/sign-in#token=\S+", server.said)
    assert link
    page = chromium.new_context().new_page()
    page.goto(link[0])
    expect(page.get_by_role("heading", name="Watch", exact=True)).to_be_visible()
    assert "token" not in page.url
    stored = page.evaluate(
        "JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie"
    )
    assert "r" + "o_" not in stored
    page.context.close()
    page = chromium.new_context().new_page()
    page.goto(link[0])
    expect(page.get_by_role("alert")).to_be_visible()
    page.context.close()


def test_a_share_link_shows_its_run_and_nothing_else(
    shown: Scene, api: Api, chromium: Browser
) -> None:
    path = f"/projects/{shown.project['id']}/share-links"
    url = api.call("POST", path, json={"run_id": shown.run["id"]})["url"]
    page = chromium.new_context().new_page()
    page.goto(url)
    expect(page.get_by_role("heading", name="Spec writer")).to_be_visible()
    expect(line(page, 160)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_role("link", name="Runtime")).to_have_count(0)
    page.context.close()


def test_everything_is_reached_by_keys(shown: Scene, open_page: OpenPage) -> None:
    page = open_page("/watch").page
    expect(page.get_by_role("heading", name="Watch", exact=True)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+k")
    options = page.get_by_role("option")
    expect(options).to_have_count(12)
    for _ in range(11):
        page.keyboard.press("ArrowDown")
    expect(options.last).to_have_attribute("aria-selected", "true")
    expect(options.last).to_be_in_viewport(ratio=1)
    page.keyboard.type("space blaster board")
    expect(page.get_by_role("option", name="Space Blaster board")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/projects/space-blaster/board$"))
    expect(page.get_by_role("heading", name="Board", exact=True)).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("searchbox", name="Search runs")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("Spec writer")
    row = page.get_by_role("link", name=re.compile("Spec writer"))
    expect(row).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("j")
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Spec writer")).to_be_visible()
    expect(line(page, 160)).to_be_visible()
    page.get_by_test_id("log").focus()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Follow the newest lines")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("button", name="Stop following")).to_be_visible()


def test_a_bad_key_is_refused_in_words(chromium: Browser, server: Up) -> None:
    page = chromium.new_context().new_page()
    page.goto(f"{server.url}/ui/")
    page.get_by_role("button", name="Use an API key").click()
    page.get_by_label("API key", exact=True).fill("rc_wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This key isn't valid")
    page.context.close()
