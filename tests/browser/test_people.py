"""Sessions that end while a page is open, and sign-in at a provider."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.browser.agent import Api
from tests.browser.log_page import expect_live, line, read_all
from tests.browser.watched import OpenPage
from tests.processes import Up

PASSWORD = "correct horse battery staple"


@contextmanager
def _stranger(chromium: Browser) -> Iterator[Page]:
    """A page of somebody who isn't signed in."""
    page = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
    yield page
    page.context.close()


def _member(api: Api, project: dict[str, Any], email: str) -> None:
    new = {"email": email, "name": "Ada", "password": PASSWORD}
    user = api.call("POST", "/admin/users", json=new)
    path = f"/projects/{project['id']}/members/{user['id']}"
    api.call("PUT", path, json={"role": "editor"})


def _sign_in(page: Page, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_session_that_is_ended_while_a_page_is_open_goes_on_where_it_was(
    server: Up, api: Api, chromium: Browser
) -> None:
    project = api.project("Ended session")
    _member(api, project, "ada@session.test")
    run = api.run(project, name="Long run")
    api.log(run, *(f"line {n}" for n in range(1, 121)))
    with _stranger(chromium) as page:
        page.goto(f"{server.url}/ui/runs/{run['id']}#L40-42")
        _sign_in(page, "ada@session.test")
        expect(line(page, 40)).to_be_in_viewport()
        expect_live(page)
        page.evaluate("window.stays = true")
        with httpx.Client(base_url=server.url) as elsewhere:
            login = {"email": "ada@session.test", "password": PASSWORD}
            token = elsewhere.post("/auth/login", json=login).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            assert elsewhere.delete("/auth/sessions", headers=headers).is_success

        ended = page.get_by_role("dialog", name="Your session has ended")
        expect(ended).to_be_visible()
        expect(line(page, 40)).to_be_attached()
        api.log(run, "written meanwhile")

        _sign_in(page, "ada@session.test")
        expect(ended).to_have_count(0)
        expect_live(page)
        expect(line(page, 40)).to_be_in_viewport()
        expect(page.locator(".log-selected")).to_have_count(3)
        api.log(run, "written afterwards")
        assert read_all(page, 122) == api.text(run)
        assert page.evaluate("window.stays")
        assert page.url.endswith("#L40-42")


def test_a_key_that_is_revoked_while_a_page_is_open_says_so(
    api: Api, open_page: OpenPage, server: Up
) -> None:
    project = api.project("Revoked")
    run = api.run(project, name="Watched by a key")
    api.log(run, "loaded before")
    path = f"/projects/{project['id']}/keys"
    key = api.call("POST", path, json={"name": "short", "role": "viewer"})
    page = open_page(f"/runs/{run['id']}", token=key["token"]).page
    expect(line(page, 1)).to_contain_text("loaded before")
    expect_live(page)
    api.call("DELETE", f"/keys/{key['id']}")
    ended = page.get_by_role("dialog", name="Your session has ended")
    expect(ended).to_be_visible()
    expect(line(page, 1)).to_be_attached()
    ended.get_by_role("button", name="Use an API key").click()
    ended.get_by_label("API key", exact=True).fill(server.credentials["token"])
    ended.get_by_role("button", name="Sign in", exact=True).click()
    expect(ended).to_have_count(0)
    expect(page.get_by_role("heading", name="Watched by a key")).to_be_visible()
    expect(line(page, 1)).to_contain_text("loaded before")
    expect_live(page)


def test_a_provider_signs_in_and_leads_back(
    server_with_provider: Up, provider: str, chromium: Browser
) -> None:
    claims = {"sub": "grace", "name": "Grace", "email": "grace@example.org", "email_verified": True}
    httpx.post(f"{provider}/claims", content=json.dumps(claims)).raise_for_status()
    with _stranger(chromium) as page:
        page.goto(f"{server_with_provider.url}/ui/projects?from=a+link#there")
        page.get_by_role("link", name=re.compile("Sign in with 127.0.0.1")).click()
        expect(page.get_by_role("button", name="Grace")).to_be_visible()
        expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
        assert page.url.startswith(f"{server_with_provider.url}/ui/projects?")
        page.reload()
        expect(page.get_by_role("button", name="Grace")).to_be_visible()
