"""Long work in a real browser: it outlives a refresh, a closed tab and the server, and stops when it is asked to."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import progress, server, worked
from tests.e2e.zoos import FIVE, write_fashion_zoo

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
LONG = "Learned?zoo=fashion-trajectory&granularity=model&parameterization=unconstrained&epochs=100"


@pytest.fixture
def run(zoos: Path) -> Iterator[str]:
    """A zoo of one training's epochs."""
    write_fashion_zoo(zoos / "run", FIVE, trajectory=True)
    yield "run"
    shutil.rmtree(zoos / "run")


def test_row_42_and_43_work_outlives_tabs_and_servers_and_stops_when_asked(page: Page, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server(home, threads=1) as address:
        page.goto(f"{address}/{LONG}")
        before = progress(page, "Learning")
        page.reload()
        after = progress(page, "Learning", beyond=before - 1)
        other = page.context.new_page()
        page.goto("about:blank")
        other.goto(f"{address}/{LONG}")
        after = progress(other, "Learning", beyond=after)
        other.close()  # or else it would look for the server that ends here
    with server(home, threads=1) as address:
        page.goto(f"{address}/{LONG}")
        after = progress(page, "Learning", beyond=after)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped; started again")).to_be_visible()
        page.get_by_role("button", name="Go on").click()
        progress(page, "Learning", beyond=after)
        page.goto("about:blank")


def test_learned_ends_with_its_sentence(page: Page, address: str) -> None:
    page.goto(f"{address}/Learned?zoo=five&epochs=1")
    worked(page)
    expect(page.get_by_text("The coefficients of round")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    assert page.evaluate("location.href").endswith("Learned?zoo=five&epochs=1")


def test_home_fills_in_every_recipe(page: Page, address: str, run: str) -> None:
    page.goto(f"{address}/?zoo={run}")
    expect(page.get_by_text("10 recipes: what each gains")).to_be_visible()
    worked(page)
    chart = page.locator(".js-plotly-plot").first
    for recipe in ("Pruned soup", "Moving average (EMA)", "Learned soup", "Ensemble", "Greedy ensemble"):
        expect(chart.locator(".legendtext", has_text=re.compile(f"^{re.escape(recipe)}$"))).to_be_visible()
