"""What a person does with a log, and what they see of it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def log_of(page: Page) -> Locator:
    return page.get_by_test_id("log")


def line(page: Page, number: int) -> Locator:
    """A line that is shown, with its text there."""
    return page.locator(f".log-row[data-line='{number}']:not(.log-waiting)")


def expect_live(page: Page) -> None:
    expect(page.get_by_test_id("connection").locator("visible=true")).to_have_text("Live")


def shown(page: Page) -> dict[int, str]:
    """Every line that stands in the page now, by its number."""
    rows: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll('.log-row:not(.log-waiting)')].map(
             (row) => [row.dataset.line, row.querySelector('.log-text').textContent])"""
    )
    return {int(number): text for number, text in rows}


def at_rest(page: Page) -> None:
    """Waits until the log has stopped scrolling: some frames long it stands where it stood."""
    page.evaluate(
        """() => new Promise((done) => {
             let [top, still] = [NaN, 0];
             const look = () => {
               const now = document.querySelector('.log').scrollTop;
               still = now === top ? still + 1 : 0;
               top = now;
               if (still > 5) done(); else requestAnimationFrame(look);
             };
             look(); })"""
    )


def read_all(page: Page, last_line: int) -> list[str]:
    """The whole log as the page shows it, read screen by screen from the first line to the last."""
    log_of(page).focus()
    page.keyboard.press("Home")
    seen: dict[int, str] = {}
    at = 1
    while at <= last_line:
        expect(line(page, at)).to_be_visible()
        seen |= shown(page)
        at = next(n for n in range(at, last_line + 2) if n not in seen)
        page.keyboard.press("PageDown")
    return [seen[n] for n in range(1, last_line + 1)]
