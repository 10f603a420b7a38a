"""What agents print is text on every page: nothing of it runs, and nothing of it becomes an element."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.agent import Api
from tests.browser.watched import OpenPage

HTML = (
    "<img src=x onerror=\"window.pwned='img'\"><script>window.pwned='script'</script><b id=pwned>"
)
HIDDEN = "\u202egnp.exe"
LINES = (
    HTML,
    '"><svg onload="window.pwned=1">',
    "javascript:window.pwned=1",
    "{{constructor.constructor('window.pwned=1')()}}",
    "\u202egnp.exe \u2066x\u2069",
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m",
    "a\r\nb\u2028c\x00d",
)


def untouched(page: Page) -> None:
    assert page.evaluate("window.pwned") is None
    assert page.locator("#pwned, img[src='x'], svg[onload]").count() == 0
    assert page.title().find("owned") < 0


def test_hostile_lines_names_and_artifacts_are_text_on_every_page(
    api: Api, open_page: OpenPage
) -> None:
    project = api.project(f"Hostile {HTML} {HIDDEN}"[:200])
    called = {"name": HTML, "phase": f"p{HIDDEN}", "agent_type": f"t{HIDDEN}"}
    run = api.run(project, agent_name=f"{HTML} {HIDDEN}", steps=[HIDDEN, "idea"], **called)
    api.change(run, current_step="idea")
    api.change(run, labels={"kind": HIDDEN})
    for line in LINES:
        api.log(run, line, agent_name=line.replace("\x00", "")[:200], payload={line: line})
    progress = {"stage": "idea", "message": f"{HTML} {HIDDEN}"}
    api.call("POST", f"/runs/{run['id']}/progress", json=progress)
    api.call(
        "POST", f"/runs/{run['id']}/artifacts", json={"step_name": "idea", "content": {HTML: HTML}}
    )
    report = {"file": (f"report{HIDDEN}", f"# {HIDDEN}".encode(), "text/markdown")}
    path = f"/runs/{run['id']}/artifacts"
    api.call("POST", path, files=report, data={"step_name": HIDDEN})
    api.call(
        "POST", f"/projects/{project['id']}/keys", json={"name": f"key{HIDDEN}", "role": "viewer"}
    )
    api.change(run, error=f"{HTML} {HIDDEN}")
    slug = project["slug"]
    page = open_page(f"/runs/{run['id']}").page
    expect(page.get_by_text("<img src=x").locator("visible=true").first).to_be_visible()
    untouched(page)
    for path in (
        f"/runs/{run['id']}?tab=artifacts",
        f"/runs/{run['id']}?tab=details",
        f"/projects/{slug}",
        f"/projects/{slug}/settings",
        "/projects",
        "/watch",
    ):
        page = open_page(path).page
        expect(page.get_by_text("<img src=x").locator("visible=true").first).to_be_visible()
        untouched(page)
        # Neither among the words nor in what is read aloud or shown in hints; a choice's own value stays.
        html = re.sub(r' value="[^"]*"', "", page.locator("body").inner_html())
        assert "\u202e" not in html, html[max(0, html.find("\u202e") - 200) :][:300]
        assert "\u202e" not in page.title(), path
