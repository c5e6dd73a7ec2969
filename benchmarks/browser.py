"""What a user waits for, in a real browser.

    python -m benchmarks browser

Click to number: from the click on an ingredient until the new accuracy stands on the page as text, 30 clicks on soups
not seen before and 30 on the same soups seen before. Headline: from the server's start, with an empty store.
"""

import math
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

import soup_core as sc
from soup_core import charts
from tests.e2e.driver import chromium, progress, server, settled, worked

CLICKS = 30
WAIT_FOR_CHARTS = """label => new Promise(done => {
  const drawn = () => [...document.querySelectorAll('.live-chart')].map(chart => Number(chart.dataset.drawn));
  const before = drawn(), start = performance.now();
  const button = [...document.querySelectorAll('button')].find(b => b.innerText.trim() === label);
  const check = () => {
    const now = drawn();
    if (now.length === before.length && now.every((count, i) => count > before[i])) done(performance.now() - start);
    else requestAnimationFrame(check);
  };
  button.click(); requestAnimationFrame(check);
  setTimeout(() => done(-1), 30000);
})"""
WAIT_FOR_NUMBER = """([label, before]) => new Promise(done => {
  const start = performance.now();
  const button = [...document.querySelectorAll('button')].find(b => b.innerText.trim() === label);
  const value = () => document.querySelector('[data-testid="stMetricValue"]').innerText.trim();
  const marked = () => document.querySelector('[data-testid="stMetricValue"]').parentElement.innerText;
  const check = () => value() !== before ? done([performance.now() - start, value()]) : requestAnimationFrame(check);
  button.click(); requestAnimationFrame(check);
  setTimeout(() => done([-1, value()]), 5000);
})"""


def clicks(page: Page, names: list[str], expected: list[str]) -> list[float]:
    """Milliseconds from each click to its number; a click that does not change the number as text is not counted."""
    found = []
    for name, text in zip(names, expected, strict=True):
        before = page.locator('[data-testid="stMetricValue"]').first.inner_text().strip()
        if before == text:
            page.get_by_role("button", name=name, exact=True).click()
            page.wait_for_timeout(1500)
            continue
        took, shown = page.evaluate(WAIT_FOR_NUMBER, [name, before])
        assert shown == text, f"after {name}: {shown} on the page, {text} from the core"
        found.append(float(took))
        page.wait_for_timeout(300)  # as a person would; the bars have begun to fill in
    return found


def repaints(page: Page, names: list[str]) -> list[float]:
    """Milliseconds from each click until every chart of the page is drawn anew."""
    found = []
    for name in names:
        took = float(page.evaluate(WAIT_FOR_CHARTS, name))
        assert took > 0, f"after {name} not every chart was drawn within 30 s"
        found.append(took)
        page.wait_for_timeout(300)
    return found


def plan(zoo: sc.Zoo, count: int) -> tuple[list[str], list[str]]:
    """Names to click one after the other, and the number each must show."""
    evaluate = sc.Evaluator(zoo, device="cpu")
    selected, names, expected = list(zoo.names), [], []
    drawn = random.Random(0)
    for _ in range(count):
        name = drawn.choice(zoo.names)
        selected = [each for each in zoo.names if (each in selected) != (each == name)]
        names.append(name)
        expected.append(charts.percent(evaluate(sc.uniform_soup(zoo, selected))))
    return names, expected


def quantiles(values: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return statistics.median(values), statistics.quantiles(values, n=20, method="inclusive")[-1]


def stop(page: Page, address: str) -> float:
    """Seconds from the click on Stop until the page says that a learned run has stopped."""
    page.goto(f"{address}/Learned?zoo=fashion-trajectory&granularity=model&epochs=100")
    progress(page, "Learning")
    start = time.perf_counter()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped; started again").wait_for()
    return time.perf_counter() - start


def measured() -> list[str]:
    """What was measured, as a Markdown table."""
    return table(waited())


def waited() -> list[tuple[str, float, float, str]]:
    """What was waited for, how long, the limit, and the unit."""
    zoo = sc.open_zoo("fashion")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        root = Path(folder)
        os.environ["SOUP_HOME"] = str(root / "core")
        names, expected = plan(zoo, CLICKS + 8)
        start = time.perf_counter()
        with server(root / "served") as address:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.get_by_text("Greedy soup: test accuracy").wait_for()
            headline = time.perf_counter() - start
            worked(page)
            page.goto(f"{address}/Ingredients")
            settled(page)
            new = clicks(page, names, expected)[:CLICKS]
            page.goto(f"{address}/Ingredients")
            settled(page)
            seen = clicks(page, names, expected)[:CLICKS]
            few = f"{address}/Ingredients?in={names[0]}"
            page.goto(few)
            settled(page)
            others = sorted(set(names) - {names[0]})[: CLICKS // 10] * 2  # in, and out again
            repaints(page, others)  # once, so that every change of these is known
            settled(page)
            drawn = [took for _ in range(CLICKS // len(others)) for took in repaints(page, others)]
            stopped = stop(page, address)
    return [
        (f"click to number, not seen before, median of {len(new)}", quantiles(new)[0], 500, "ms"),
        ("click to number, not seen before, 95th percentile", quantiles(new)[1], 900, "ms"),
        (f"click to number, seen before, median of {len(seen)}", quantiles(seen)[0], 200, "ms"),
        (f"click to every chart drawn anew, seen before, median of {len(drawn)}", quantiles(drawn)[0], 450, "ms"),
        ("Home's headline after the server's start, empty store", headline, 8, "s"),
        ("a learned run stops, from the click to the sentence", stopped, 3, "s"),
    ]


def table(rows: list[tuple[str, float, float, str]]) -> list[str]:
    """The rows as a Markdown table; a limit may be infinite."""
    lines = ["| what | measured | at most |", "| --- | --- | --- |"]
    for what, value, most, unit in rows:
        limit = "" if most == math.inf else f"{most:g} {unit}"
        lines.append(f"| {what} | {value:.{0 if unit == 'ms' else 1}f} {unit} | {limit} |")
    return lines
