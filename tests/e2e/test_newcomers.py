"""A run that ends while a page is open is named there, and shown when one asks."""

import shutil
from pathlib import Path

import pytest
import safetensors.torch
from playwright.sync_api import Page, expect

from soup_core.callbacks import record_run
from soup_core.data import ASSETS
from tests.e2e.driver import settled
from tests.e2e.zoos import write_fashion_zoo

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def test_an_open_page_shows_a_run_that_has_just_ended(page: Page, address: str, zoos: Path) -> None:
    write_fashion_zoo(zoos / "sweep", ["a", "b"])
    page.goto(f"{address}/Ingredients?zoo=sweep")
    settled(page)
    pills = page.get_by_test_id("stButtonGroup").first
    expect(pills.get_by_role("button", name="b", exact=True)).to_be_visible()
    record_run(zoos / "sweep", safetensors.torch.load_file(ASSETS / "zoos/fashion/ft-05.safetensors"), name="run-7")
    page.get_by_role("button", name="Show 1 new ingredient: run-7").click()
    expect(pills.get_by_role("button", name="run-7", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Show 1 new ingredient: run-7")).to_have_count(0)
    shutil.rmtree(zoos / "sweep")
