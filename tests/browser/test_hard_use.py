"""People who use the console hard: a slow and lossy network, two at one board, fingers, guests of links."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

from playwright.sync_api import Browser, CDPSession, Locator, Page, Route, expect

from tests.browser.agent import Api
from tests.browser.log_page import expect_live, line
from tests.browser.test_pages import violations
from tests.browser.watched import OpenPage
from tests.processes import Up
from tests.waiting import wait_for

LATENCY_MS = 400
MANY = 1_000


def _task(api: Api, project: dict[str, Any], *titles: str) -> dict[str, Any]:
    body = {"title": "Ship", "subtasks": [{"title": title} for title in titles]}
    task: dict[str, Any] = api.call("POST", f"/projects/{project['id']}/tasks", json=body)
    api.call("POST", f"/tasks/{task['id']}/activate", json={})
    return task


def _card(page: Page, title: str) -> Locator:
    return page.locator("[data-subtask]", has=page.get_by_role("button", name=title, exact=True))


def _middle(of: Locator) -> tuple[float, float]:
    box = of.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_every_page_comes_over_a_slow_network_that_loses_requests(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Lossy")
    run = api.run(project, name="Far away")
    api.log(run, *(f"line {n}" for n in range(1, 301)))
    _task(api, project, "First")
    numbers = count()
    page = open_page("/account").page

    def lose(route: Route) -> None:
        """Every third read of the API is lost; each takes its time."""
        page.wait_for_timeout(LATENCY_MS)
        if route.request.method == "GET" and next(numbers) % 3 == 0:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(re.compile(r"//[^/]+/(projects|runs|tasks)\b(?!.*stream)"), lose)
    page.goto(re.sub(r"/ui/.*", f"/ui/projects/{project['slug']}", page.url))
    page.get_by_role("link", name=re.compile("Far away")).click()
    expect(page.get_by_role("heading", name="Far away")).to_be_visible()
    expect(line(page, 300)).to_be_visible()
    page.get_by_role("link", name="Board").click()
    expect(_card(page, "First")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="New task").click()
    page.get_by_label("Title").fill("Second")
    page.get_by_role("button", name="Create").dblclick()
    expect(page.get_by_role("heading", name="Second")).to_have_count(1)
    assert len(api.call("GET", f"/projects/{project['id']}/tasks")["tasks"]) == 2
    page.unroute_all(behavior="ignoreErrors")


def test_two_people_at_one_board_see_the_same_and_neither_undoes_the_other(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Two at once")
    task = _task(api, project, "Contested", "Doomed")
    path = f"/projects/{project['slug']}/board"
    ada, bob = open_page(path).page, open_page(path).page
    for page in (ada, bob):
        expect_live(page)
    # Ada holds the card while Bob completes it: what she then does is refused, and she is told.
    ada.mouse.move(*_middle(_card(ada, "Contested")))
    ada.mouse.down()
    ada.mouse.move(*_middle(ada.locator("[data-column=progress]").first), steps=4)
    _card(bob, "Contested").locator("[data-grip]").focus()
    bob.keyboard.press("]")
    expect(_card(bob, "Contested")).to_have_attribute("data-status", "IN_PROGRESS")
    bob.keyboard.press("]")
    expect(_card(bob, "Contested")).to_have_attribute("data-status", "IN_REVIEW")
    expect(_card(ada, "Contested")).to_have_attribute("data-status", "IN_REVIEW")
    ada.mouse.up()
    expect(
        ada.get_by_text(re.compile("in review subtask can.t move to In progress"))
    ).to_be_visible()
    for page in (ada, bob):
        expect(_card(page, "Contested")).to_have_attribute("data-status", "IN_REVIEW")
    # A sheet whose subtask is deleted elsewhere closes; nothing else of the page goes.
    doomed = next(each for each in task["subtasks"] if each["title"] == "Doomed")
    _card(ada, "Doomed").get_by_role("button").first.click()
    expect(ada.get_by_role("dialog")).to_be_visible()
    api.call("DELETE", f"/subtasks/{doomed['id']}")
    expect(ada.get_by_role("dialog")).to_have_count(0)
    for page in (ada, bob):
        expect(_card(page, "Doomed")).to_have_count(0)
        expect(page.get_by_role("heading", name="Ship")).to_be_visible()


def test_a_pointer_that_rests_on_a_card_moves_nothing_and_skipping_asks(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Resting")
    task = _task(api, project, "Plain")
    page = open_page(f"/projects/{project['slug']}/board").page
    card = _card(page, "Plain")
    card.hover()
    page.keyboard.press("]")
    card.drag_to(page.locator("[data-column=stopped]").first)
    asked = page.get_by_role("dialog", name="Skip Plain?")
    asked.get_by_role("button", name="Cancel").click()
    assert api.call("GET", f"/tasks/{task['id']}")["subtasks"][0]["status"] == "PENDING"
    card.drag_to(page.locator("[data-column=stopped]").first)
    asked.get_by_role("button", name="Skip").click()
    expect(card).to_have_attribute("data-status", "SKIPPED")


def _touch(session: CDPSession, kind: str, *at: float) -> None:
    points = [{"x": at[0], "y": at[1]}] if at else []
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_finger_drags_a_card_once_it_has_rested_and_scrolls_before(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Fingers")
    _task(api, project, *(f"Part {n}" for n in range(30)))
    page = open_page(
        f"/projects/{project['slug']}/board",
        has_touch=True,
        is_mobile=True,
        viewport={"width": 900, "height": 700},
    ).page
    card = _card(page, "Part 1")
    expect(card).to_be_visible()
    session = page.context.new_cdp_session(page)
    board = page.get_by_test_id("board")
    # The board glides on after the finger: a touch that stops it would scroll on.
    board.evaluate("board => { board.onscrollend = () => board.setAttribute('data-still', '') }")
    x, y = _middle(card)
    _touch(session, "touchStart", x, y)
    for step in range(1, 9):
        _touch(session, "touchMove", x, y - 15 * step)
    _touch(session, "touchEnd")
    expect(board).to_have_attribute("data-still", "")
    assert board.evaluate("board => board.scrollTop") > 0
    expect(page.locator("[data-dragged]")).to_have_count(0)
    board.evaluate("board => { board.removeAttribute('data-still'); board.scrollTo(0, 0) }")
    expect(board).to_have_attribute("data-still", "")
    _touch(session, "touchStart", x, y)
    expect(card).to_have_attribute("data-dragged", "")
    to = _middle(page.locator("[data-column=progress]").first)
    _touch(session, "touchMove", to[0], y + 5)
    _touch(session, "touchMove", to[0], y)
    _touch(session, "touchEnd")
    expect(card).to_have_attribute("data-status", "IN_PROGRESS")
    # Dragged to the right, the board has not scrolled that way as well.
    assert board.evaluate("board => board.scrollLeft") == 0
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_board_of_a_thousand_subtasks_draws_what_is_near(api: Api, open_page: OpenPage) -> None:
    project = api.project("Huge board")
    _task(api, project, *(f"Subtask {n}" for n in range(MANY)))
    page = open_page(f"/projects/{project['slug']}/board").page
    expect(_card(page, "Subtask 1")).to_be_visible()
    assert page.locator("[data-subtask]").count() == MANY
    assert page.locator("*").count() < 3 * MANY
    page.locator("[data-grip]").first.focus()
    for _ in range(30):
        page.keyboard.press("j")
    expect(page.locator("[data-grip]:focus")).to_have_text("Subtask 30")
    page.get_by_test_id("board").evaluate("board => board.scrollTo(0, board.scrollHeight)")
    expect(_card(page, f"Subtask {MANY - 1}")).to_be_in_viewport()
    assert page.locator("*").count() < 3 * MANY


def test_guests_of_links_see_what_is_shared_and_are_offered_nothing_else(
    server: Up, api: Api, chromium: Browser
) -> None:
    project = api.project("Shared out")
    run = api.run(project, name="Shown to guests")
    api.log(run, "hello guest")
    _task(api, project, "Seen by all")
    path = f"/projects/{project['id']}/share-links"
    page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(api.call("POST", path, json={})["url"])
    expect(page.get_by_role("heading", name="Shared out")).to_be_visible()
    for name in ("Start a run", "Demo run", "New project", "Invite"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    for name in ("Settings", "Inbox", "Users"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
    page.get_by_role("link", name="Board").click()
    expect(_card(page, "Seen by all")).to_be_visible()
    expect(page.get_by_role("button", name="New task")).to_have_count(0)
    page.get_by_role("link", name="Projects").click()
    expect(page.get_by_role("link", name=re.compile("Shared out"))).to_be_visible()
    expect(page.get_by_role("button", name="New project")).to_have_count(0)
    assert violations(page) == []
    page.context.close()

    page = chromium.new_context().new_page()
    page.goto(api.call("POST", path, json={"run_id": run["id"]})["url"])
    expect(line(page, 1)).to_contain_text("hello guest")
    expect_live(page)
    assert violations(page) == []
    page.goto(f"{server.url}/ui/")
    expect(page.get_by_role("heading", name="Shown to guests")).to_be_visible()
    page.goto(f"{server.url}/ui/share/ro_nothing")
    expect(page.get_by_role("alert")).to_contain_text("This link has expired or was revoked.")
    page.goto(f"{server.url}/ui/invitations/nothing")
    expect(page.get_by_role("alert")).to_contain_text("expired or was already used")
    page.context.close()


def test_a_runs_page_keeps_its_place_from_tab_to_tab_and_follows_its_address(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Places")
    run = api.run(project, name="Long")
    for first in range(0, 3_000, 1_000):
        api.log(run, *(f"module {n}" for n in range(first, first + 1_000)), level="error")
    opened = open_page(f"/projects/{project['slug']}/runs/{run['number']}#L1200")
    page = opened.page
    expect(line(page, 1_200)).to_be_in_viewport()
    page.get_by_label("Level").select_option("error")
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text(run["id"])).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_label("Level")).to_have_value("error")
    assert page.url.endswith("#L1200")
    before = opened.asked(f"/runs/{run['id']}/logs")
    page.get_by_label("Search the log").press_sequentially("module")
    expect(page.get_by_text("3,000 matches")).to_be_visible()
    assert opened.asked(f"/runs/{run['id']}/logs") - before <= 2, "the list stays as it is"
    page.get_by_label("Search the log").fill("")
    page.get_by_label("Level").select_option("")
    page.evaluate("location.hash = '#L120'")
    expect(line(page, 120)).to_be_in_viewport()
    expect(page.locator(".log-selected")).to_have_count(1)
    page.get_by_label("Search the log").evaluate(
        "field => { field.focus(); document.execCommand('insertText', false, 'x'.repeat(10_000_000)) }"
    )
    expect(page.get_by_text("No matches")).to_be_visible()


def test_a_run_that_starts_takes_no_key_from_the_one_that_is_chosen(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Chosen")
    api.run(project, name="Older")
    page = open_page(f"/projects/{project['slug']}").page
    expect_live(page)
    page.keyboard.press("j")
    expect(page.get_by_role("link", name=re.compile("Older"))).to_be_focused()
    api.run(project, name="Newcomer")
    expect(page.get_by_role("link", name=re.compile("Newcomer"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Older")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Start a run").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Start a run")).to_be_visible()


def test_back_and_a_reload_lead_to_where_a_list_was_left_and_a_log_goes_on_following(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Places")
    for n in range(40):
        run = api.run(project, name=f"Run {n}")
    api.log(run, *(f"line {n}" for n in range(1, 301)))
    page = open_page(f"/projects/{project['slug']}", viewport={"width": 1000, "height": 500}).page
    runs = page.get_by_test_id("runs")
    newest = page.get_by_role("link", name=re.compile("Run 39"))
    expect(newest).to_be_visible()
    runs.evaluate("list => { list.scrollTop = 90 }")
    page.get_by_role("link", name=re.compile("Run 37")).click()
    expect(page.get_by_role("heading", name="Run 37")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name=re.compile("Run 37"))).to_be_visible()
    assert runs.evaluate("list => list.scrollTop") == 90
    page.reload()
    wait_for(lambda: runs.evaluate("list => list.scrollTop") == 90, "the place before the reload")

    runs.evaluate("list => { list.scrollTop = 0 }")
    newest.click()
    expect(line(page, 300)).to_be_in_viewport()
    page.get_by_role("tab", name="Details").click()
    api.log(run, *(f"line {n}" for n in range(301, 401)))
    page.get_by_role("tab", name="Log").click()
    expect(line(page, 400)).to_be_in_viewport()


def test_a_phones_menu_takes_the_focus_and_gives_it_back(api: Api, open_page: OpenPage) -> None:
    api.project("On a phone")
    page = open_page("/projects", viewport={"width": 390, "height": 844}).page
    menu = page.get_by_role("button", name="Menu", exact=True)
    menu.click()
    assert page.evaluate("document.activeElement.closest('header, nav, div') !== null")
    expect(page.get_by_role("link", name="Watch")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Watch")).to_have_count(0)
    expect(menu).to_be_focused()


def test_at_200_percent_and_without_motion_all_of_a_run_is_in_reach(
    api: Api, open_page: OpenPage
) -> None:
    run = api.run(api.project("Large"), name="With a name that is long enough to be cut somewhere")
    api.log(run, *(f"line {n}" for n in range(100)))
    page = open_page(
        f"/runs/{run['id']}", viewport={"width": 640, "height": 400}, reduced_motion="reduce"
    ).page
    expect(line(page, 100)).to_be_in_viewport()
    assert page.evaluate("document.querySelector('main').scrollWidth") <= 640
    assert page.locator(".log").bounding_box()["height"] >= 120
    expect(page.get_by_role("button", name="Cancel")).to_be_in_viewport()
    assert page.evaluate("document.getAnimations().length") == 0
