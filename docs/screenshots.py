"""The pictures of the console: every page, light and dark, wide and narrow.

`make screenshots` starts a server of its own with something of everything in it, takes them all into
`dist/screenshots/`, and puts those that the documents show into `docs/images/`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright
from tests import browser as programs
from tests.browser import scene
from tests.browser.agent import Api
from tests.browser.scene import Scene
from tests.processes import Up

ROOT = Path(__file__).parents[1]
ALL = ROOT / "dist/screenshots"
SHOWN = ROOT / "docs/images"

Action = Callable[[Page], None]
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
PAGES = {
    "watch": "/watch",
    "inbox": "/inbox",
    "projects": "/projects",
    "runs": "/projects/{project}",
    "board": "/projects/{project}/board",
    "settings": "/projects/{project}/settings",
    "run": "/runs/{run}",
    "artifacts": "/runs/{run}?tab=artifacts",
    "details": "/runs/{run}?tab=details",
    "failed-run": "/projects/{project}/runs/10",
    "timeline": "/projects/{project}/timeline",
    "compare": "/projects/{project}/compare?a=8&b=10",
    "sub-agents": "/runs/{run}?tab=agents",
    "runtime": "/admin/runtime",
    "connections": "/admin/connections",
    "rejects": "/admin/rejects",
    "users": "/admin/users",
    "audit": "/admin/audit",
    "account": "/account",
}
LOG = "/runs/{run}"


def _in_menu(*items: str) -> Action:
    def act(page: Page) -> None:
        page.locator(".log-row").first.wait_for()
        for item in items:
            page.get_by_role("button", name="Display and download").click()
            page.get_by_role("menuitemradio", name=item).or_(
                page.get_by_role("menuitemcheckbox", name=item)
            ).click()
            page.keyboard.press("Escape")

    return act


def _searched(page: Page) -> None:
    page.get_by_label("Search the log").fill("tests/")
    page.get_by_text("match").first.wait_for()
    page.get_by_label("Search the log").press("Enter")


def _compared(page: Page) -> None:
    page.get_by_label("Compare idea with").select_option("1")


def _chosen_runs(page: Page) -> None:
    for name in ("Spec writer", "Docs writer", "Play tester"):
        page.get_by_label(f"Show {name} in the stream").check()


def _log_beside(page: Page) -> None:
    page.locator(
        "[data-subtask]", has=page.locator("button", has_text="Record inputs")
    ).get_by_role("button", name="View logs").click()
    page.locator(".log-row").first.wait_for()


def _subtask(page: Page) -> None:
    page.get_by_role("button", name="Record inputs and seeds").click()


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("spa")


def _shortcuts(page: Page) -> None:
    page.keyboard.press("?")


def _click(name: str) -> Action:
    return lambda page: page.get_by_role("button", name=name).first.click()


VIEWS: dict[str, tuple[str, Action]] = {
    "log-raw": (LOG, _in_menu("Raw")),
    "log-json-wrapped": (LOG, _in_menu("JSON", "Wrap long lines")),
    "log-search": (LOG, _searched),
    "diff": (f"{LOG}?tab=artifacts", _compared),
    "stream": ("/watch", _chosen_runs),
    "board-log": ("/projects/{project}/board", _log_beside),
    "board-subtask": ("/projects/{project}/board", _subtask),
    "palette": ("/watch", _palette),
    "shortcuts": ("/watch", _shortcuts),
    "new-run": ("/projects/{project}", _click("Start a run")),
    "new-task": ("/projects/{project}/board", _click("New task")),
    "new-webhook": ("/projects/{project}/settings", _click("New webhook")),
    "invite": ("/projects/{project}/settings", _click("Invite")),
    "share-run": (LOG, _click("Share this run")),
    "new-key": ("/projects/{project}/settings", _click("New key")),
    "not-there": ("/runs/01a1f957-0000-7000-8000-000000000000", lambda page: None),
    "empty-runs": ("/projects/{empty}", lambda page: None),
    "empty-board": ("/projects/{empty}/board", lambda page: None),
    "empty-timeline": ("/projects/{empty}/timeline", lambda page: None),
    "empty-watch": ("/watch?project={empty}", lambda page: None),
}
"""What is behind a click."""

CHOSEN = (
    "watch-light-wide",
    "run-dark-wide",
    "board-light-wide",
    "runtime-dark-wide",
    "run-light-narrow",
    "artifacts-dark-wide",
)


def main() -> None:
    if not sys.argv[1:]:
        shutil.rmtree(ALL, ignore_errors=True)
    ALL.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="runcast-screenshots-"))
    up = Up.at(directory)
    try:
        up.start_ready()
        with Api.of(up) as api, sync_playwright() as playwright:
            shown = scene.build(api, "Space Blaster")
            chromium = playwright.chromium.launch(
                executable_path=programs.chromium(), args=["--no-sandbox", "--disable-gpu"]
            )
            for name in _taken(chromium, up, api, shown):
                sys.stdout.write(f"{name}\n")
            chromium.close()
    finally:
        up.cleanup()
        shutil.rmtree(directory, ignore_errors=True)
    SHOWN.mkdir(exist_ok=True)
    for name in CHOSEN:
        shutil.copy(ALL / f"{name}.png", SHOWN)


def _taken(chromium: Browser, up: Up, api: Api, shown: Scene) -> Iterator[str]:
    names = {
        "project": shown.project["slug"],
        "run": shown.run["id"],
        "empty": api.project("Nothing yet")["slug"],
    }
    body = {"run_id": shown.run["id"]}
    link = api.call("POST", f"/projects/{shown.project['id']}/share-links", json=body)["url"]
    for theme, size in product(THEMES, SIZES):
        look = f"{theme}-{size}"
        page = _page(chromium, theme, size)
        for name, url in {"sign-in": f"{up.url}/ui/", "share": link}.items():
            if not _wanted(f"{name}-{look}"):
                continue
            page.goto(url)
            yield _picture(page, f"{name}-{look}")
        page.context.close()
        page = _page(chromium, theme, size, up.credentials["token"])
        for name, path in PAGES.items():
            if not _wanted(f"{name}-{look}"):
                continue
            page.goto(f"{up.url}/ui{path}".format(**names))
            yield _picture(page, f"{name}-{look}")
        for name, (path, act) in VIEWS.items():
            if not _wanted(f"{name}-{look}"):
                continue
            page.goto(f"{up.url}/ui{path}".format(**names))
            page.wait_for_timeout(600)
            act(page)
            yield _picture(page, f"{name}-{look}")
            page.evaluate("localStorage.clear()")
        page.context.close()


def _wanted(name: str) -> bool:
    """All of them, or those that the command line names; `shown` stands for the documents'."""
    named = sys.argv[1:]
    return not named or name in named or ("shown" in named and name in CHOSEN)


def _picture(page: Page, name: str) -> str:
    """Takes it once the page doesn't change."""
    page.wait_for_timeout(1_200)
    page.screenshot(path=ALL / f"{name}.png")
    return name


def _page(chromium: Browser, theme: Theme, size: str, token: str | None = None) -> Page:
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    if token:
        page.add_init_script(f"sessionStorage.setItem('runcast.token', '{token}')")
    return page


if __name__ == "__main__":
    main()
