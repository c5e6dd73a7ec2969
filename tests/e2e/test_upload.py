"""Uploads in a real browser: they join the zoo for one session, after the checks that every checkpoint passes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from playwright.sync_api import BrowserContext, Page, expect

import soup_core as sc
from soup_core import charts
from soup_core.data import ASSETS
from soup_core.zoo import with_uploads
from tests.e2e.driver import settled
from tests.e2e.zoos import write_fashion_zoo

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
NAME = "my run <img src=http:__192.0.2.1_x.png> **b** [l](http:__192.0.2.1) %{y}"


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("print('code of a file has run')",)


@pytest.fixture
def uploads(zoos: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder of what is to be uploaded to a zoo of two bundled networks."""
    write_fashion_zoo(zoos / "two", ["a", "b"])
    bundled = ASSETS / "zoos" / "fashion"
    second, third = (safetensors.torch.load_file(bundled / f"ft-0{number}.safetensors") for number in (2, 3))
    files = tmp_path / "uploads"
    files.mkdir()
    wrapped = {f"module.{name}": tensor for name, tensor in third.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, files / f"{NAME}.pt")
    safetensors.torch.save_file(second, files / "b.safetensors")
    torch.save({"weight": torch.ones(2)}, files / "another network.pt")
    torch.save(Harmful(), files / "harm.pt")
    yield files
    shutil.rmtree(zoos / "two")


def test_row_36_an_upload_joins_the_zoo_for_its_session_alone(
    page: Page, context: BrowserContext, address: str, uploads: Path
) -> None:
    page.goto(f"{address}/Ingredients?zoo=two")
    settled(page)
    page.get_by_role("button", name="Upload").first.click()
    files = sorted(uploads.iterdir())
    page.get_by_test_id("stPopoverBody").locator("input[type=file]").set_input_files(files)
    notices = page.get_by_test_id("stAlertContainer")
    expect(notices.filter(has_text="harm is left out. harm.pt contains code")).to_be_visible()
    expect(notices.filter(has_text="another network is left out.")).to_be_visible()
    expect(notices.filter(has_text="b-2 is the same file as b.")).to_be_visible()
    page.keyboard.press("Escape")
    settled(page)
    mine = page.get_by_test_id("stButtonGroup").first.get_by_role("button", name=NAME, exact=True)
    mine.click()
    expect(mine).to_have_attribute("aria-pressed", "true")
    zoo = sc.open_zoo("two")
    joined = with_uploads(zoo, {NAME: next(file for file in files if file.stem == NAME)})
    expected = charts.percent(sc.Evaluator(joined, device="cpu")(sc.uniform_soup(joined, ["a", "b", NAME])))
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(expected)
    foreign = page.get_by_test_id("stMain").locator("img[src*='192.0.2.1'], a[href*='192.0.2.1']")
    assert foreign.count() == 0
    page.get_by_role("link", name="Greedy", exact=True).click()
    expect(page.get_by_text("of 4 tried")).to_be_visible()

    other = context.new_page()
    other.goto(f"{address}/Ingredients?zoo=two")
    settled(other)
    assert other.get_by_role("button", name=NAME, exact=True).count() == 0
    other.close()

    page.get_by_role("link", name="Ingredients", exact=True).click()
    settled(page)
    page.get_by_role("button", name="Upload").first.click()
    page.locator(".st-key-upload-gone").get_by_role("button", name=NAME, exact=True).click()
    page.get_by_role("button", name="Take away", exact=True).click()
    expect(page.get_by_role("button", name=NAME, exact=True)).to_have_count(0)
