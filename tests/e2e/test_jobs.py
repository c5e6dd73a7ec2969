"""Long work in a real browser: it outlives a refresh, a closed tab and the server, and stops when it is told to."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import WAIT, server, settled, worked

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
LONG = "Learned?zoo=fashion-trajectory&granularity=model&parameterization=unconstrained&epochs=100"


def rounds(page: Page) -> int:
    """How many rounds the page says are done, once it says so."""
    told = page.get_by_text(re.compile(r"^Learning: [1-9]\d* of \d+"))
    told.wait_for()
    found = re.search(r"Learning: (\d+)", told.inner_text())
    assert found is not None
    return int(found[1])


def test_row_42_and_43_work_outlives_tabs_and_servers_and_stops_when_told(page: Page, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server(home) as address:
        page.goto(f"{address}/{LONG}")
        before = rounds(page)
        page.reload()
        after = rounds(page)
        assert after >= before
        other = page.context.new_page()
        page.goto("about:blank")
        time.sleep(1)
        other.goto(f"{address}/{LONG}")
        assert rounds(other) > after
        other.close()  # or else it would look for the server that ends here
    with server(home) as address:
        page.goto(f"{address}/{LONG}")
        assert rounds(page) > after
        page.get_by_role("button", name="Stop").click()
        start = time.monotonic()
        expect(page.get_by_text("Stopped; started again")).to_be_visible(timeout=3000)
        assert time.monotonic() - start < 3  # two for the job, one for the page to look
        page.get_by_role("button", name="Go on").click()
        assert rounds(page) > after


def test_learned_ends_with_its_sentence(page: Page, tmp_path: Path) -> None:
    with server(tmp_path / "home") as address:
        page.goto(f"{address}/Learned?zoo=fashion-trajectory&epochs=1")
        settled(page)
        worked(page)
        expect(page.get_by_text("The coefficients of round")).to_be_visible()
        expect(page.locator(".js-plotly-plot")).to_have_count(3)
        assert page.evaluate("location.href").endswith("Learned?zoo=fashion-trajectory&epochs=1")


def test_home_fills_in_every_recipe(page: Page, tmp_path: Path) -> None:
    with server(tmp_path / "home") as address:
        page.goto(f"{address}/?zoo=fashion-trajectory")
        expect(page.get_by_text("8 recipes: what each gains")).to_be_visible(timeout=2 * WAIT)
        settled(page)
        chart = page.locator(".js-plotly-plot").first
        for recipe in ("Pruned soup", "Moving average (EMA)", "Learned soup", "Ensemble", "Greedy ensemble"):
            expect(chart.locator(".legendtext", has_text=re.compile(f"^{re.escape(recipe)}$"))).to_be_visible()
