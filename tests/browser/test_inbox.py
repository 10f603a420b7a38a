"""The inbox: what agents ask, answered with keys, without a key ever answering what it wasn't meant for."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.agent import Api
from tests.browser.test_pages import violations
from tests.browser.watched import OpenPage
from tests.processes import Up

HIDDEN = "rm -rf build \u202e# harmless"


def ask(api: Api, run: dict[str, Any], **question: Any) -> dict[str, Any]:
    body = {"kind": "permission", "title": "Bash", **question}
    made: dict[str, Any] = api.call("POST", f"/runs/{run['id']}/questions", json=body)
    return made


def state(api: Api, question: dict[str, Any]) -> tuple[str, Any]:
    shown = api.call("GET", f"/questions/{question['id']}")
    return shown["state"], (shown["answer"] or {}).get("option")


def test_questions_are_answered_with_keys(
    mortal_api: Api, mortal_server: Up, open_page: OpenPage
) -> None:
    api = mortal_api
    run = api.run(api.project("Asking"), name="Agent")
    first = ask(api, run, body=HIDDEN, tool={"name": "Bash", "input": {"command": HIDDEN}})
    second = ask(api, run, title="Edit", body="x" * 4_000)
    options = [{"id": name, "label": name.title()} for name in ("utc", "local")]
    third = ask(api, run, kind="choice", title="Which clock?", options=options)
    form = {"properties": {"stage": {"type": "string", "enum": ["dev", "prod"]}}}
    fourth = ask(api, run, kind="form", title="Which stage?", schema=form)
    page = open_page("/inbox", at=mortal_server).page
    cards = page.get_by_role("list").get_by_role("listitem").filter(has=page.get_by_role("heading"))
    expect(cards).to_have_count(4)
    expect(page).to_have_title("(4) Inbox · Runcast")
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", "/ui/icon-waiting.svg")
    expect(cards.first).to_contain_text("<U+202E>")
    expect(cards.nth(1)).to_contain_text("500 characters left out")
    assert violations(page) == []
    api.call("POST", f"/questions/{first['id']}/answer", json={"option": "deny", "text": "no"})
    expect(cards).to_have_count(3)
    page.keyboard.press("y")
    page.keyboard.press("j")
    expect(cards.first).to_have_attribute("aria-current", "true")
    assert state(api, second) == ("open", None), "the key was meant for the one that is gone"
    page.keyboard.press("n")
    expect(cards).to_have_count(2)
    assert state(api, second) == ("answered", "deny")
    page.keyboard.press("j")
    page.keyboard.press("2")
    expect(cards).to_have_count(1)
    assert state(api, third) == ("answered", "local")
    page.get_by_label("stage", exact=True).select_option("dev")
    page.get_by_role("button", name="Answer").click()
    expect(page.get_by_text("No open questions")).to_be_visible()
    assert state(api, fourth)[0] == "answered"
    expect(page).to_have_title("Inbox · Runcast")
