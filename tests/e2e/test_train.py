"""Training in a real browser: it outlives a refresh and the server, and the new ingredient is on every page."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import WAIT, metric, server, settled

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def epochs(page: Page) -> int:
    """How many epochs the page says are done, once it says so."""
    told = page.get_by_text(re.compile(r"^Training: [1-9]\d* of \d+"))
    told.wait_for(timeout=2 * WAIT)
    found = re.search(r"Training: (\d+)", told.inner_text())
    assert found is not None
    return int(found[1])


def test_row_38_and_42_a_training_outlives_the_tab_and_the_server_and_joins_the_zoo(page: Page, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server(home) as address:
        page.goto(f"{address}/Train?tuning_epochs=5")
        settled(page)
        expect(page.locator(".js-plotly-plot")).to_have_count(1)
        page.get_by_role("button", name="Train", exact=True).click()
        before = epochs(page)
        page.reload()
        assert epochs(page) >= before
        page.goto("about:blank")
    with server(home) as address:
        page.goto(f"{address}/Train")
        page.get_by_text(re.compile("^Greedy (takes|leaves out|starts from) own-01")).wait_for(timeout=3 * WAIT)
        settled(page)
        single = metric(page, "own-01")
        expect(page.locator(".js-plotly-plot")).to_have_count(2)
        page.goto(f"{address}/Ingredients?in=own-01")
        settled(page)
        assert metric(page, "Your soup") == single
        page.goto(f"{address}/Train")
        settled(page)
        page.get_by_text("Added by you: 1").click()
        page.get_by_role("button", name="own-01", exact=True).click()
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_text("no longer in the zoo")).to_be_visible(timeout=WAIT)
        page.goto(f"{address}/Ingredients")
        settled(page)
        assert page.get_by_role("button", name="own-01", exact=True).count() == 0
        page.goto(f"{address}/Train?tuning_epochs=30")
        page.get_by_role("button", name="Train", exact=True).click()
        epochs(page)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped; started again")).to_be_visible(timeout=3000)
