"""Training in a real browser: it outlives a refresh and the server, and the new ingredient is on every page."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.driver import go_to, metric, progress, server, settled, worked
from tests.e2e.zoos import FIVE, write_fashion_zoo

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def test_row_38_and_42_a_training_outlives_the_tab_and_the_server(page: Page, tmp_path: Path) -> None:
    """Of so many epochs that it would not end here; tests/test_jobs.py has what is resumed and comes to its end."""
    home, zoos = tmp_path / "home", tmp_path / "zoos"
    write_fashion_zoo(zoos / "long", FIVE[:2], images=1000)
    with server(home, zoos, threads=1) as address:
        page.goto(f"{address}/Train?zoo=long&tuning_epochs=200")
        settled(page)
        expect(page.locator(".js-plotly-plot")).to_have_count(1)
        page.get_by_role("button", name="Train", exact=True).click()
        before = progress(page, "Training")
        page.reload()
        before = progress(page, "Training", beyond=before - 1)
        page.goto("about:blank")
    with server(home, zoos, threads=1) as address:
        page.goto(f"{address}/Train?zoo=long")
        progress(page, "Training", beyond=before - 1)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("Stopped; started again")).to_be_visible()
        page.goto("about:blank")


def test_a_new_ingredient_is_on_every_page_until_it_is_removed(page: Page, address: str) -> None:
    page.goto(f"{address}/Train?zoo=five&tuning_epochs=2&tuning_rate=0.001")
    settled(page)
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text(re.compile("^Greedy (takes|leaves out|starts from) own-01")).wait_for()
    worked(page)
    single = metric(page, "own-01")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
    page.goto(f"{address}/Ingredients?zoo=five&in=own-01")
    settled(page)
    assert metric(page, "Your soup") == single
    go_to(page, "Train")
    page.wait_for_url("**/Train?*zoo=five*")  # with a run of its own, which would close what is opened before it
    settled(page)
    added, remove = page.get_by_text("Added by you: 1"), page.get_by_role("button", name="Remove")
    own = page.get_by_role("button", name="own-01", exact=True)
    while not (remove.is_visible() and remove.is_enabled()):  # that run, where it is late, takes a click back
        if not own.is_visible():
            added.click()
        elif own.get_attribute("aria-pressed") != "true":
            own.click()
        page.wait_for_timeout(500)
        settled(page)
    remove.click()
    expect(page.get_by_text("no longer in the zoo")).to_be_visible()
    go_to(page, "Ingredients")
    worked(page)
    expect(page.get_by_role("button", name="m4", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="own-01", exact=True)).to_have_count(0)
