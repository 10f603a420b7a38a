"""A run's page: one line of head, the log, and all that may be done from there."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.agent import Api
from tests.browser.watched import OpenPage

USAGE = {"input_tokens": 1200, "output_tokens": 300, "requests": 2, "cost_usd": 0.25}


def test_the_log_has_most_of_the_page_and_a_failed_run_opens_at_its_error(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Failures")
    run = api.run(project, name="Nightly", steps=["build", "test"], usage=USAGE)
    api.log(run, *(f"building {n}" for n in range(200)))
    api.log(run, "it broke", level="error", source="stderr")
    api.log(run, *(f"cleaning {n}" for n in range(200)))
    api.log(run, "it broke again", level="error")
    api.log(run, *(f"leaving {n}" for n in range(200)))
    api.change(run, current_step="test")
    api.change(run, status="failed", error="first line\nsecond line")
    page = open_page(
        f"/projects/{project['slug']}/runs/{run['number']}", viewport={"width": 1440, "height": 900}
    ).page
    expect(page.get_by_role("heading", name="Nightly")).to_be_visible()
    assert page.get_by_role("alert").inner_text() == "first line\nsecond line"
    expect(page.locator(".log-selected .log-text")).to_have_text("it broke")
    expect(page.get_by_label("Steps")).to_contain_text("test")
    expect(page.get_by_text("1.5k tokens · $0.250")).to_be_visible()
    assert page.locator(".log").bounding_box()["height"] >= 0.75 * 900
    page.locator(".log").press("e")
    expect(page.locator(".log-selected .log-text")).to_have_text("it broke again")
    tab = page.get_by_role("tab", name="Log")
    tab.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Details")).to_be_focused()
    expect(page.get_by_text("With sub-agents")).to_be_visible()


def test_a_question_is_answered_above_the_log_and_the_sub_agents_are_a_tree(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project("Families")
    run = api.run(project, name="Lead", agent_type="SESSION")
    child = api.run(project, name="Explorer", parent_run_id=run["id"], usage=USAGE)
    api.run(project, name="Grandchild", parent_run_id=child["id"])
    page = open_page(f"/runs/{run['id']}").page
    expect(page.locator(".log")).to_be_visible()
    expect(page.get_by_label("Steps")).to_have_count(0)
    asked = api.call(
        "POST",
        f"/runs/{run['id']}/questions",
        json={"kind": "permission", "title": "Bash: make test", "options": _OPTIONS},
    )
    page.get_by_role("region", name="Question").get_by_role("button", name="Allow").click()
    expect(page.get_by_role("region", name="Question")).to_have_count(0)
    assert api.call("GET", f"/questions/{asked['id']}")["answer"]["option"] == "allow"
    page.get_by_role("tab", name=re.compile("Sub-agents")).click()
    expect(page.get_by_role("link", name="Explorer")).to_be_visible()
    expect(page.get_by_role("link", name="Grandchild")).to_be_visible()
    page.get_by_role("link", name="Grandchild").click()
    expect(page.get_by_role("heading", name="Grandchild")).to_be_visible()


_OPTIONS = [
    {"id": "allow", "label": "Allow", "role": "allow"},
    {"id": "deny", "label": "Deny", "role": "deny"},
]


def test_a_run_is_shared_run_again_with_changes_and_compared(api: Api, open_page: OpenPage) -> None:
    project = api.project("Again")
    run = api.run(project, name="Translate", input={"prompt": "Say hello"})
    api.log(run, "took 1.2s", "same", "one thing")
    api.change(run, status="completed")
    page = open_page(f"/runs/{run['id']}").page
    page.get_by_role("button", name="Share this run").click()
    page.get_by_role("button", name="Create link").click()
    shared = page.get_by_role("dialog").locator("code").inner_text()
    assert "/ui/share/" in shared
    page.keyboard.press("Escape")
    _chosen(page, "Run again with changes…")
    expect(page.get_by_label("Input")).to_have_value("Say hello")
    page.get_by_label("Input").fill("Say goodbye")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Queued").first).to_be_visible()
    newest: dict[str, Any] = api.call("GET", f"/projects/{project['id']}/runs")["runs"][0]
    assert newest["input"] == {"prompt": "Say goodbye"}
    api.change(newest, status="running")
    api.log(newest, "took 3.4s", "same", "another thing")
    _chosen(page, "Compare with…")
    page.get_by_label("Runs to compare with").get_by_role("link").first.click()
    expect(page.get_by_text("2 lines are the same")).to_be_visible()
    expect(page.get_by_label(f"Lines of run {newest['number']}")).to_contain_text("another thing")
    expect(page.get_by_label(f"Lines of run {run['number']}")).to_contain_text("one thing")
    page.get_by_role("link", name="Timeline").click()
    expect(page.get_by_role("link", name=re.compile("Translate, Completed"))).to_be_visible()
    page.get_by_role("button", name="Zoom in").click()
    expect(page.get_by_role("button", name="Reset")).to_be_enabled()


def _chosen(page: Page, item: str) -> None:
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name=item).click()
