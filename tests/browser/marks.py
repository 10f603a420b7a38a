"""What the console is measured by: `python -m tests.browser.marks [NAME…]` (`make marks`).

Each mark starts from a server and a browser of its own and prints one line. `soak` takes ten minutes
(RUNCAST_SOAK_MINUTES) and is measured only when it is named.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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


def runs(bench: Bench) -> str:
    """A list of 10,000 runs, scrolled."""
    project = bench.api.project("Ten thousand")
    _make_runs(bench, project, 10_000, status="queued")
    page = bench.page()
    page.goto(bench.url(f"/projects/{project['slug']}"))
    expect(page.get_by_text("10,000 runs")).to_be_visible()
    return _scrolled(page, "runs")


def board(bench: Bench) -> str:
    """A board of 1,000 subtasks, scrolled while they are started one after the other."""
    project = bench.api.project("A thousand")
    subtasks = [{"title": f"Subtask {n} of a long piece of work"} for n in range(1_000)]
    body = {"title": "Everything", "subtasks": subtasks}
    task = bench.api.call("POST", f"/projects/{project['id']}/tasks", json=body)
    bench.api.call("POST", f"/tasks/{task['id']}/activate", json={})
    page = bench.page()
    page.goto(bench.url(f"/projects/{project['slug']}/board"))
    expect_live(page)
    page.locator("[data-grip]").first.wait_for()
    paths = (f"/subtasks/{each['id']}/start" for each in task["subtasks"])
    with _repeating(bench, lambda api: api.call("POST", next(paths), json={}), seconds=9):
        return _scrolled(page, "board")


def cards(bench: Bench) -> str:
    """200 live cards, scrolled while each of them gets lines."""
    project = bench.api.project("Two hundred")
    live = _make_runs(bench, project, 200, status="running")
    page = bench.page()
    page.goto(bench.url(f"/watch?project={project['slug']}"))
    expect(page.get_by_text("200 running")).to_be_visible()
    turn = itertools.cycle(live)
    with _repeating(bench, lambda api: api.log(next(turn), "and one more line"), seconds=9):
        return _scrolled(page, "cards")


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
    "runs": runs,
    "board": board,
    "cards": cards,
    "soak": soak,
}


def _make_runs(
    bench: Bench, project: dict[str, Any], number: int, *, status: str
) -> list[dict[str, Any]]:
    """By several at once, each with a connection of its own."""

    def make(numbers: range) -> list[dict[str, Any]]:
        with bench.up.client() as http:
            api = Api(http)
            return [api.run(project, name=f"Run {n:05}", status=status) for n in numbers]

    shares = [range(first, number, 8) for first in range(8)]
    with ThreadPoolExecutor(len(shares)) as threads:
        return list(itertools.chain.from_iterable(threads.map(make, shares)))


@contextmanager
def _repeating(bench: Bench, act: Callable[[Api], object], *, seconds: float) -> Iterator[None]:
    """Does it 40 times a second at most, for this many seconds."""

    def repeat() -> None:
        until = time.monotonic() + seconds
        with bench.up.client() as http:
            while time.monotonic() < until:
                act(Api(http))
                time.sleep(1 / 40)

    writer = threading.Thread(target=repeat)
    writer.start()
    try:
        yield
    finally:
        writer.join()


SCROLL_PX = 12_000
PX_PER_SECOND = 3_000
FRAME_EVENTS = "disabled-by-default-devtools.timeline.frame"


def _scrolled(page: Page, what: str) -> str:
    """Frames that Chromium drew and dropped, by its own trace, while the page was scrolled up and down."""
    page.mouse.move(640, 500)
    session = page.context.new_cdp_session(page)
    chromium = page.context.browser
    assert chromium
    chromium.start_tracing(page=page, categories=[FRAME_EVENTS])
    started = time.monotonic()
    for distance in (-SCROLL_PX, SCROLL_PX):
        gesture = {"x": 640, "y": 500, "yDistance": distance, "speed": PX_PER_SECOND}
        session.send("Input.synthesizeScrollGesture", gesture)
    taken = time.monotonic() - started
    events = json.loads(chromium.stop_tracing())["traceEvents"]
    drawn = sorted(event["ts"] for event in events if event["name"] == "DrawFrame")
    dropped = sum(event["name"] == "DroppedFrame" for event in events)
    worst = max((after - before for before, after in itertools.pairwise(drawn)), default=0)
    return (
        f"{what}: {len(drawn) / taken:.0f} frames/s drawn over {taken:.1f} s of scrolling, "
        f"{dropped} dropped, longest between two {worst / 1000:.0f} ms; {_nodes(page):,} nodes"
    )


@dataclass
class Written:
    """How far the writer has come."""

    lines: int = 0
    seconds: float = 0.0


@contextmanager
def _writing(
    bench: Bench, run: dict[str, Any], *, lines_per_second: int, seconds: float
) -> Iterator[Written]:
    """Lines at that rate, ten times a second, for this many seconds."""
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
