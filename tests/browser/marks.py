"""What the console is measured by: `python -m tests.browser.marks [NAME…]` (`make marks`).

Each mark starts from a server and a browser of its own and prints one line. `soak` takes ten minutes
(RUNCAST_SOAK_MINUTES) and is measured only when it is named.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Response, expect, sync_playwright

from tests import browser as programs
from tests.browser import scene
from tests.browser.agent import Api
from tests.browser.log_page import expect_live, line, log_of
from tests.processes import Up

MILLION = 1_000_000
BATCH = 20_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
SOAK_MINUTES = float(os.environ.get("RUNCAST_SOAK_MINUTES", "10"))


@dataclass(frozen=True)
class Bench:
    """Where it is measured."""

    up: Up
    api: Api
    chromium: Browser

    def page(self) -> Page:
        page = self.chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
        token = self.up.credentials["token"]
        page.add_init_script(f"sessionStorage.setItem('runcast.token', '{token}')")
        return page

    def url(self, path: str) -> str:
        return f"{self.up.url}/ui{path}"


def first_load(bench: Bench) -> str:
    """JavaScript that the first page asks for, before any other page is opened."""
    shown = scene.build(bench.api, "First load")
    scripts: list[Response] = []
    page = bench.page()
    page.on(
        "response",
        lambda got: scripts.append(got) if got.request.resource_type == "script" else None,
    )
    page.goto(bench.url("/watch"))
    expect(page.get_by_role("link", name=str(shown.run["name"]))).to_be_visible()
    sizes = [len(gzip.compress(got.body(), 6)) for got in scripts]
    return f"{sum(sizes) / 1024:,.0f} KiB of JavaScript (gzip) in {len(sizes)} files"


def interactive(bench: Bench) -> str:
    """From the address to a page with its content that answers a key; the browser's cache is empty."""
    shown = scene.build(bench.api, "Interactive")
    taken = {}
    for name, path in (("Watch", "/watch"), ("a run", f"/runs/{shown.run['id']}")):
        page = bench.page()
        started = time.monotonic()
        page.goto(bench.url(path), wait_until="commit")
        expect(page.get_by_role("link", name="Watch")).to_be_visible()
        page.get_by_text("Spec writer").first.wait_for()
        page.keyboard.press("?")
        page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
        taken[name] = time.monotonic() - started
        page.context.close()
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in taken.items())


def fast(bench: Bench) -> str:
    """1,000 lines a second: frames, and the main thread's share."""
    run = bench.api.run(bench.api.project("Fast"))
    page = bench.page()
    page.goto(bench.url(f"/runs/{run['id']}"))
    expect_live(page)
    with _writing(bench, run, lines_per_second=1_000, seconds=14):
        expect(line(page, 1_000)).to_be_attached()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        before, frames, after = _metrics(session), _frames(page, 10_000), _metrics(session)
    taken = after["Timestamp"] - before["Timestamp"]
    busy = (after["TaskDuration"] - before["TaskDuration"]) / taken
    return f"{frames / 10:.0f} frames a second, main thread {busy:.0%} at work"


def million(bench: Bench) -> str:
    """A log of a million lines: opened, walked through, searched."""
    run = bench.api.run(bench.api.project("A million"))
    _fill(bench, run, MILLION)
    page = bench.page()
    page.goto(bench.url("/projects"))
    expect(page.get_by_role("link", name="A million")).to_be_visible()
    started = time.monotonic()
    page.goto(bench.url(f"/runs/{run['id']}"), wait_until="commit")
    line(page, MILLION).wait_for()
    opened = time.monotonic() - started
    for share in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9):
        page.evaluate(
            "(share) => { const log = document.querySelector('.log');"
            " log.scrollTop = share * (log.scrollHeight - log.clientHeight); }",
            share,
        )
        expect(page.locator(".log-waiting")).to_have_count(0)
    found = _searched(page, "step 5 considered")
    rare = _searched(page, "line that is the last one")
    heap = _heap(page)
    return (
        f"open {opened:.2f} s, {heap / 1e6:.0f} MB of heap after a walk, "
        f"first results {found * 1000:.0f} ms after the last key, "
        f"a text that only the last line has {rare:.2f} s"
    )


def soak(bench: Bench) -> str:
    """500 lines a second for minutes: memory and nodes at the start, on the way, at the end."""
    run = bench.api.run(bench.api.project("Soak"))
    page = bench.page()
    page.goto(bench.url(f"/runs/{run['id']}"))
    expect_live(page)
    said = []
    seconds = SOAK_MINUTES * 60
    with _writing(bench, run, lines_per_second=500, seconds=seconds) as written:
        # The first half minute fills what the page keeps of a log.
        for minute in (0.5, *range(1, int(SOAK_MINUTES) + 1)):
            while written.seconds < min(minute * 60, seconds - 1):
                page.wait_for_timeout(500)
            text = f"{minute:g} min: {_heap(page) / 1e6:.1f} MB, {_nodes(page)} nodes"
            sys.stderr.write(f"{text}, line {_last_shown(page):,} of {written.lines:,}\n")
            said.append(text)
    expect(line(page, written.lines)).to_be_in_viewport(timeout=30_000)
    return f"{written.lines:,} lines; {said[0]}; {said[len(said) // 2]}; {said[-1]}"


MARKS: dict[str, Callable[[Bench], str]] = {
    "first-load": first_load,
    "interactive": interactive,
    "fast": fast,
    "million": million,
    "soak": soak,
}


@dataclass
class Written:
    """How far the writer has come."""

    lines: int = 0
    seconds: float = 0.0


@contextmanager
def _writing(
    bench: Bench, run: dict[str, Any], *, lines_per_second: int, seconds: float
) -> Iterator[Written]:
    """Lines at that rate, ten times a second, until so many seconds have passed."""
    written = Written()
    batch = lines_per_second // 10

    def write() -> None:
        started = time.monotonic()
        with bench.up.client() as http:
            api = Api(http)
            while written.seconds < seconds:
                first = written.lines + 1
                api.log(run, *(f"step {n} considered" for n in range(first, first + batch)))
                written.lines += batch
                ahead = written.lines / lines_per_second - (time.monotonic() - started)
                time.sleep(max(0.0, ahead))
                written.seconds = time.monotonic() - started

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        writer.join()


def _fill(bench: Bench, run: dict[str, Any], lines: int) -> None:
    for first in range(1, lines + 1, BATCH):
        numbers = range(first, first + BATCH)
        texts = (f"step {n} considered, and kept for later" for n in numbers)
        body = "\n".join(f'{{"message":"{text}"}}' for text in texts)
        if first + BATCH > lines:
            body = body[: body.rindex("\n")] + '\n{"message":"the line that is the last one"}'
        headers = {"Content-Type": "application/x-ndjson"}
        path = f"/runs/{run['id']}/logs"
        bench.api.call("POST", path, content=body, headers=headers, timeout=120)


def _searched(page: Page, text: str) -> float:
    """Seconds from the last key to the first match shown."""
    field = page.get_by_label("Search the log")
    field.fill("")
    log_of(page).focus()
    started = time.monotonic()
    field.fill(text)
    page.locator("output", has_text="match").filter(has_not_text="No").first.wait_for()
    return time.monotonic() - started


def _metrics(session: CDPSession) -> dict[str, float]:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


def _frames(page: Page, milliseconds: int) -> int:
    frames: int = page.evaluate(
        """(milliseconds) => new Promise((done) => {
             let frames = 0; const start = performance.now();
             const step = () => { frames += 1;
               if (performance.now() - start > milliseconds) done(frames);
               else requestAnimationFrame(step); };
             requestAnimationFrame(step); })""",
        milliseconds,
    )
    return frames


def _heap(page: Page) -> float:
    """Bytes of JavaScript's heap that are in use, garbage apart."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def _nodes(page: Page) -> int:
    count: int = page.evaluate("document.getElementsByTagName('*').length")
    return count


def _last_shown(page: Page) -> int:
    last: int = page.evaluate(
        "Math.max(0, ...[...document.querySelectorAll('.log-row')].map((row) => +row.dataset.line))"
    )
    return last


@contextmanager
def _bench() -> Iterator[Bench]:
    directory = Path(tempfile.mkdtemp(prefix="runcast-marks-"))
    up = Up.at(directory)
    try:
        up.start_ready()
        with Api.of(up) as api, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=programs.chromium(), args=ARGUMENTS
            )
            yield Bench(up, api, chromium)
            chromium.close()
    finally:
        up.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    for name in sys.argv[1:] or [name for name in MARKS if name != "soak"]:
        with _bench() as bench:
            sys.stdout.write(f"{name:<12}{MARKS[name](bench)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
