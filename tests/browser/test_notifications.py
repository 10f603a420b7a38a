"""Notifications are set on the account's page, and what is pushed is shown by the service worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.browser.agent import Api
from tests.processes import Up
from tests.waiting import wait_for

TOLD = {
    "title": "Permission: Bash",
    "body": "login in demo",
    "tag": "t1",
    "url": "http://elsewhere.example/ui/inbox",
    "quiet": False,
    "buttons": [{"action": "allow", "title": "Allow", "path": "/a/ra_x"}],
}
SHOWN = """async () => {
  const registration = await navigator.serviceWorker.ready;
  const shown = await registration.getNotifications();
  return shown.map(({ title, body, tag, actions }) => ({ title, body, tag, actions: actions?.length ?? 0 }));
}"""


@contextmanager
def phone() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An ntfy server's host, and what was published there."""
    got: list[dict[str, Any]] = []

    class Ntfy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ntfy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def signed_in(api: Api, chromium: Browser, project: dict[str, Any]) -> Page:
    body = {"email": "nora@example.test", "project": project["id"], "role": "editor"}
    url = api.call("POST", "/invitations", json=body)["url"]
    page = chromium.new_context(permissions=["notifications"]).new_page()
    page.goto(url)
    page.get_by_label("Your name").fill("Nora")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("button", name="Nora")).to_be_visible()
    return page


def test_a_phone_is_added_tried_told_and_removed(server: Up, api: Api, chromium: Browser) -> None:
    project = api.project("Told")
    page = signed_in(api, chromium, project)
    with phone() as (host, got):
        page.goto(f"{server.url}/ui/account")
        page.get_by_role("button", name="Add a target").click()
        page.get_by_label("Address").fill(f"http://{host}/a/b")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("Doesn't end in one topic", exact=False)).to_be_visible()
        page.get_by_label("Address").fill(f"http://{host}/topic")
        page.get_by_role("button", name="Add", exact=True).click()
        targets = page.get_by_role("table", name="Targets")
        expect(targets).to_contain_text("127.0.0.1/topic")
        targets.get_by_role("button", name="Test").click()
        expect(page.get_by_text("Sent", exact=True)).to_be_visible()
        page.get_by_label("Once it has lasted, in seconds").fill("0")
        page.get_by_label("Quiet from").fill("22:00")
        page.get_by_role("button", name="Save").last.click()
        expect(page.get_by_text("Quiet hours have a beginning and an end")).to_be_visible()
        page.get_by_label("Quiet from").fill("")
        page.get_by_role("button", name="Save").last.click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        run = api.call("POST", f"/projects/{project['id']}/runs", json={"name": "login"})
        question = {"kind": "permission", "title": "Bash"}
        api.call("POST", f"/runs/{run['id']}/questions", json=question)
        wait_for(lambda: len(got) == 2, "the test and the question")
        assert got[1]["message"] == "login in Told"
        targets.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("You are told nothing yet")).to_be_visible()
    shows_what_is_pushed(server, page)
    page.context.close()


def shows_what_is_pushed(server: Up, page: Page) -> None:
    """By the browser's own way to try a push: it takes no push service."""
    devtools = page.context.new_cdp_session(page)
    registered: list[str] = []

    def note(event: dict[str, Any]) -> None:
        registered.extend(one["registrationId"] for one in event["registrations"])

    devtools.on("ServiceWorker.workerRegistrationUpdated", note)
    devtools.send("ServiceWorker.enable")
    page.evaluate("navigator.serviceWorker.register('/ui/push-worker.js', { scope: '/ui/' })")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    for told in (TOLD, TOLD | {"title": "Answered: Allow", "quiet": True, "buttons": []}):
        pushed = {"origin": server.url, "registrationId": registered[0], "data": json.dumps(told)}
        devtools.send("ServiceWorker.deliverPushMessage", pushed)
        wait_for(partial(is_shown, page, told["title"]), "it to be shown")
    [shown] = page.evaluate(SHOWN)
    assert shown == {"title": "Answered: Allow", "body": "login in demo", "tag": "t1", "actions": 0}


def is_shown(page: Page, title: object) -> bool:
    """Whether this is all that the browser shows."""
    return [one["title"] for one in page.evaluate(SHOWN)] == [title]
