"""The pictures of the console: every page, light and dark, wide and narrow.

`make screenshots` starts a server of its own with something of everything in it, takes them all into
`dist/screenshots/`, and puts those that the documents show into `docs/images/`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
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

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
PAGES = {
    "watch": "/watch",
    "projects": "/projects",
    "runs": "/projects/{project}",
    "board": "/projects/{project}/board",
    "settings": "/projects/{project}/settings",
    "run": "/runs/{run}",
    "artifacts": "/runs/{run}?tab=artifacts",
    "details": "/runs/{run}?tab=details",
    "runtime": "/admin/runtime",
    "connections": "/admin/connections",
    "rejects": "/admin/rejects",
    "users": "/admin/users",
    "audit": "/admin/audit",
    "account": "/account",
}
CHOSEN = (
    "watch-light-wide",
    "run-dark-wide",
    "board-light-wide",
    "runtime-dark-wide",
    "run-light-narrow",
    "artifacts-dark-wide",
)


def main() -> None:
    shutil.rmtree(ALL, ignore_errors=True)
    ALL.mkdir(parents=True)
    directory = Path(tempfile.mkdtemp(prefix="runcast-screenshots-"))
    up = Up.at(directory)
    try:
        up.start_ready()
        with Api.of(up) as api, sync_playwright() as playwright:
            shown = scene.build(api, "Space Blaster")
            chromium = playwright.chromium.launch(
                executable_path=programs.chromium(), args=["--no-sandbox", "--disable-gpu"]
            )
            for name in _taken(chromium, up, shown):
                sys.stdout.write(f"{name}\n")
            chromium.close()
    finally:
        up.cleanup()
        shutil.rmtree(directory, ignore_errors=True)
    SHOWN.mkdir(exist_ok=True)
    for name in CHOSEN:
        shutil.copy(ALL / f"{name}.png", SHOWN)


def _taken(chromium: Browser, up: Up, shown: Scene) -> Iterator[str]:
    for theme, size in product(THEMES, SIZES):
        page = _page(chromium, up, theme, size)
        for name, path in PAGES.items():
            page.goto(
                f"{up.url}/ui{path}".format(project=shown.project["slug"], run=shown.run["id"])
            )
            page.get_by_role("heading", level=1).wait_for()
            page.wait_for_timeout(1_200)
            picture = f"{name}-{theme}-{size}"
            page.screenshot(path=ALL / f"{picture}.png")
            yield picture
        page.context.close()


def _page(chromium: Browser, up: Up, theme: Theme, size: str) -> Page:
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.add_init_script(f"sessionStorage.setItem('runcast.token', '{up.credentials['token']}')")
    return page


if __name__ == "__main__":
    main()
