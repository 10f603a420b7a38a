"""The log panel: live, long, searched, linked to, copied; and what bad input does to it."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.agent import Api
from tests.browser.log_page import at_rest, expect_live, line, log_of, read_all, shown
from tests.browser.watched import OpenPage
from tests.processes import Up
from tests.waiting import wait_for

MILLION = 1_000_000


def test_lines_appear_as_they_are_written(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Live lines"), name="Coder")
    page = open_page(f"/runs/{run['id']}").page
    expect_live(page)
    expect(page.get_by_text("Waiting for the first line…")).to_be_visible()
    api.log(run, "one", "two")
    expect(line(page, 2)).to_contain_text("two")
    expect(page.get_by_test_id("log-state")).to_have_text("Streaming")
    api.log(run, "three")
    api.change(run, status="completed")
    expect(line(page, 3)).to_contain_text("three")
    expect(page.get_by_test_id("log-state")).to_have_text("Complete")


def test_a_reload_in_the_middle_shows_the_same_log(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Reload"))
    api.log(run, *(f"line {n}" for n in range(1, 301)))
    page = open_page(f"/runs/{run['id']}").page
    expect(line(page, 300)).to_be_visible()
    before = shown(page)
    page.reload()
    expect(line(page, 300)).to_be_visible()
    assert shown(page) == before
    api.log(run, "after the reload")
    expect(line(page, 301)).to_contain_text("after the reload")
    assert read_all(page, 301) == api.text(run)


def test_scrolling_up_stops_following_and_new_lines_are_counted(
    api: Api, open_page: OpenPage
) -> None:
    run = api.run(api.project("Follow"))
    api.log(run, *(f"line {n}" for n in range(1, 201)))
    page = open_page(f"/runs/{run['id']}").page
    expect(line(page, 200)).to_be_visible()
    log_of(page).hover()
    page.mouse.wheel(0, -600)
    expect(page.get_by_role("button", name="Follow the newest lines")).to_be_visible()
    at_rest(page)
    top = min(shown(page))
    api.log(run, "a", "b", "c")
    button = page.get_by_role("button", name="3 new lines ↓")
    expect(button).to_be_visible()
    assert min(shown(page)) == top
    button.click()
    expect(line(page, 203)).to_be_in_viewport()
    api.log(run, "d")
    expect(line(page, 204)).to_be_in_viewport()


def test_a_line_is_linked_to_and_a_range_is_copied(
    api: Api, open_page: OpenPage, server: Up
) -> None:
    run = api.run(api.project("Links"))
    lines = (f"\x1b[32mline\x1b[0m {n}" for n in range(1, 2001))
    api.log(run, *lines, level="info")
    context = {"permissions": ["clipboard-read", "clipboard-write"]}
    page = open_page(f"/runs/{run['id']}#L1200-1202", **context).page
    expect(line(page, 1200)).to_be_in_viewport()
    expect(page.locator(".log-selected")).to_have_count(3)
    line(page, 1198).locator(".log-number").click()
    line(page, 1201).locator(".log-number").click(modifiers=["Shift"])
    expect(page).to_have_url(f"{server.url}/ui/runs/{run['id']}#L1198-1201")
    page.get_by_role("button", name="Copy the selected lines").click()
    expect(page.get_by_text("Copied 4 lines")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "line 1198\nline 1199\nline 1200\nline 1201"
    # Most of it was never looked at.
    log_of(page).press("Escape")
    assert _copied(page).split("\n") == [f"line {n}" for n in range(1, 2001)]
    page.get_by_role("button", name="Display and download").click()
    page.get_by_role("menuitemradio", name="JSON").click()
    page.get_by_label("Level").select_option("info")
    expect(page.get_by_text("500+ of 2,000 lines")).to_be_visible()
    numbers = [json.loads(each)["line"] for each in _copied(page).split("\n")]
    assert numbers == list(range(1, 2001))


def _copied(page: Page) -> str:
    """What copying the log brings to the clipboard."""
    page.evaluate("navigator.clipboard.writeText('')")
    page.get_by_role("button", name="Copy the log").click()
    read = "navigator.clipboard.readText()"
    wait_for(lambda: page.evaluate(read) != "", "the log on the clipboard")
    text: str = page.evaluate(read)
    return text


def test_the_log_is_filtered_searched_and_shown_in_context(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Search"))
    api.log(run, *(f"step {n} of many" for n in range(1, 1501)), level="info")
    api.log(run, "the needle is here", level="error", agent_name="Reviewer")
    api.log(run, *(f"step {n} of many" for n in range(1501, 2001)), level="info")
    page = open_page(f"/runs/{run['id']}").page
    page.get_by_label("Level").select_option("error")
    expect(page.locator(".log-row")).to_have_count(1)
    line(page, 1501).hover()
    page.get_by_role("button", name="Show in context").click()
    expect(line(page, 1500)).to_be_in_viewport()
    expect(line(page, 1501)).to_have_class(re.compile("log-selected"))

    page.keyboard.press("/")
    page.keyboard.type("step 77 of")
    expect(page.get_by_text(re.compile(r"^1 match$"))).to_be_visible()
    page.keyboard.press("Enter")
    expect(line(page, 77)).to_be_in_viewport()
    expect(line(page, 77).locator("mark")).to_have_text("step 77 of")
    page.get_by_label("Search the log").fill("no such thing")
    expect(page.get_by_text("No matches")).to_be_visible()


def test_an_agent_is_filtered_for_over_the_whole_log(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Agents"))
    api.log(run, "once, at the beginning", agent_name="Planner")
    api.log(run, *(f"line {n}" for n in range(700)), agent_name="Coder")
    api.log(run, "once, in the middle", agent_name="Reviewer")
    api.log(run, *(f"line {n}" for n in range(700)), agent_name="Coder")
    page = open_page(f"/runs/{run['id']}").page
    expect(line(page, 1402)).to_be_visible()
    choice = page.get_by_label("Agent", exact=True)
    expect(choice.get_by_role("option", name="Planner")).to_have_count(1)
    choice.select_option("Planner")
    expect(page.locator(".log-row")).to_have_count(1)
    expect(line(page, 1)).to_contain_text("once, at the beginning")
    choice.select_option("Another agent…")
    page.get_by_label("Agent's name").fill("Reviewer")
    page.keyboard.press("Enter")
    expect(line(page, 702)).to_contain_text("once, in the middle")
    expect(page.locator(".log-row")).to_have_count(1)
    api.log(run, "and once more", agent_name="Reviewer")
    expect(line(page, 1403)).to_contain_text("and once more")


def test_a_line_of_100_kb_without_a_space_holds_nothing_up(
    api: Api, open_page: OpenPage, server: Up
) -> None:
    run = api.run(api.project("One word"))
    file = server.directory / "runs" / "one-word.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"before\n{'z' * 100_000}\nafter\n")
    api.call("POST", f"/runs/{run['id']}/tail", json={"path": str(file)})
    page = open_page(f"/runs/{run['id']}").page
    expect(line(page, 3)).to_be_in_viewport()
    line(page, 2).get_by_role("button", name="more characters").dispatch_event("click")
    kept = 65_536
    assert line(page, 2).locator(".log-text").inner_text().count("z") == kept
    expect(line(page, 2)).to_contain_text("+34464 bytes")
    page.get_by_role("button", name="Wrap long lines").first.click()
    log_of(page).focus()
    page.keyboard.press("End")
    expect(line(page, 3)).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    api.log(run, "still live")
    expect(line(page, 4)).to_be_in_viewport()


def test_the_log_is_downloaded_whole_and_as_it_is_shown(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Download"), key="a-run")
    api.log(run, *(f"line {n}" for n in range(1, 1201)))
    api.log(run, "bad", level="error")
    page = open_page(f"/runs/{run['id']}").page
    expect(line(page, 1201)).to_be_visible()

    def downloaded(item: str) -> tuple[str, list[str]]:
        page.get_by_role("button", name="Display and download").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=item).click()
        return download.value.suggested_filename, download.value.path().read_text().splitlines()

    assert downloaded("Download the whole log") == ("a-run.log", api.text(run))
    page.get_by_label("Level").select_option("error")
    expect(page.locator(".log-row")).to_have_count(1)
    assert downloaded("Download filtered lines") == ("a-run-filtered.log", ["bad"])


def test_odd_lines_are_shown_as_they_are(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Odd lines"))
    long = "x" * 60_000
    api.log(
        run,
        long,
        "emoji 🚀👩‍🚀",
        "مرحبا بالعالم",
        "<script>alert(1)</script>",
        "\x1b[31mred\x1b[0m",
        "",
        "a\tb",
    )
    page = open_page(f"/runs/{run['id']}").page
    expect(line(page, 7)).to_be_visible()
    expect(line(page, 2)).to_contain_text("emoji 🚀👩‍🚀")
    expect(line(page, 3)).to_contain_text("مرحبا بالعالم")
    expect(line(page, 4)).to_contain_text("<script>alert(1)</script>")
    expect(line(page, 5).locator(".ansi-1")).to_have_text("red")
    line(page, 1).get_by_role("button", name="more characters").dispatch_event("click")
    expect(line(page, 1).locator(".log-text")).to_have_text(long)
    page.get_by_role("button", name="Wrap long lines").first.click()
    log_of(page).focus()
    page.keyboard.press("End")
    expect(line(page, 7)).to_be_in_viewport()


@pytest.mark.timeout(600)
def test_a_million_lines_open_at_once_and_stay_small(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("A million lines"))
    batch = 20_000
    for first in range(1, MILLION + 1, batch):
        body = "\n".join(
            f'{{"message":"step {n} considered, and kept for later"}}'
            for n in range(first, first + batch)
        )
        headers = {"Content-Type": "application/x-ndjson"}
        api.http.post(f"/runs/{run['id']}/logs", content=body, headers=headers, timeout=120)
    page = open_page("/projects").page
    expect(page.get_by_role("link", name=re.compile("A million lines"))).to_be_visible()
    page.goto(page.url.replace("/projects", f"/runs/{run['id']}"))
    expect(line(page, MILLION)).to_be_visible()

    log_of(page).focus()
    page.keyboard.press("Home")
    expect(line(page, 1)).to_be_in_viewport()
    for share in (0.25, 0.5, 0.75):
        page.evaluate(
            "(share) => { const log = document.querySelector('.log');"
            " log.scrollTop = share * (log.scrollHeight - log.clientHeight); }",
            share,
        )
        expect(line(page, int(share * MILLION))).to_be_attached()
    expect(page.locator(".log-waiting")).to_have_count(0)
    page.keyboard.press("End")
    expect(line(page, MILLION)).to_be_in_viewport()

    page.get_by_label("Search the log").fill("step 9999")
    # How far it has come stands beside the matches until it is done, which may be before one sees it.
    told = re.compile(r"^[\d,]+ matches( · searched up to line [\d,]+ \(\d+%\))?$")
    expect(page.get_by_role("status").filter(has_text=told)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^111 matches$"))).to_be_visible()
    page.get_by_label("Search the log").fill("")

    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = page.evaluate("performance.memory.usedJSHeapSize")
    assert used < 200e6
    assert page.locator(".log-row").count() < 200


def test_a_fast_log_is_followed_without_growing(api: Api, open_page: OpenPage) -> None:
    """500 lines a second; ten seconds here, minutes when it is measured by hand."""
    run = api.run(api.project("Fast"))
    page = open_page(f"/runs/{run['id']}").page
    expect_live(page)
    lines = 5_000

    def write() -> None:
        for first in range(1, lines + 1, 50):
            api.log(run, *(f"line {n}" for n in range(first, first + 50)))
            time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    wait_for(lambda: max(shown(page), default=0) >= 500, "the page to follow")
    writer.join()
    expect(line(page, lines)).to_be_in_viewport()
    assert page.locator(".log-row").count() < 200
    assert list(shown(page).values()) == api.text(run)[-len(shown(page)) :]


def test_a_long_log_opens_at_its_end_without_motion_too(api: Api, open_page: OpenPage) -> None:
    run = api.run(api.project("Still"))
    api.log(run, *(f"line {n}" for n in range(1, 301)))
    page = open_page(f"/runs/{run['id']}", reduced_motion="reduce").page
    expect(line(page, 300)).to_be_in_viewport()
