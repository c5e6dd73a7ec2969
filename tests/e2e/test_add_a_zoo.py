"""From the page to the first number in a real browser, on a server that no folder was named to when it was started."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import soup_core as sc
from soup_core import charts
from tests.e2e.driver import LOOK, WAIT, metric, server, settled
from tests.e2e.zoos import write_fashion_zoo

CODE = re.compile(r"minutes: (\w{6})\n")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The server's address, and the file of what stands in its terminal."""
    folder = tmp_path_factory.mktemp("alone")
    with server(folder / "home", threads=1) as address:
        yield address, next(folder.glob("server-*.log"))


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[Path, str]:
    """A folder of checkpoints and images without zoo.toml, and the held-out accuracy of its uniform soup."""
    folder = tmp_path / "my sweep"
    write_fashion_zoo(folder, ["a", "b"])
    toml = folder / "zoo.toml"
    toml.write_text(toml.read_text().replace("[data]\n", "[data]\nnormalize = { mean = [0.286], std = [0.353] }\n"))
    zoo = sc.open_zoo(folder)
    accuracy = charts.percent(sc.Evaluator(zoo, device="cpu")(sc.uniform_soup(zoo)))
    toml.unlink()
    return folder, accuracy


def code_in(terminal: Path) -> str:
    """The code that the terminal shows, once it does."""
    end = time.monotonic() + WAIT / 1000
    while not CODE.search(terminal.read_text()):
        assert time.monotonic() < end, terminal.read_text()
        time.sleep(LOOK / 1000)
    return CODE.findall(terminal.read_text())[-1]


def test_a_folder_is_confirmed_in_the_terminal_and_an_uploaded_one_leads_to_the_first_number(
    page: Page, served: tuple[str, Path], sweep: tuple[Path, str]
) -> None:
    address, terminal = served
    folder, accuracy = sweep
    page.goto(f"{address}/Add_a_zoo")
    path = page.get_by_role("textbox", name="A folder on this machine")
    path.fill(str(folder))
    path.press("Enter")
    code, confirm = (
        page.get_by_role("textbox", name="Code from the terminal"),
        page.get_by_role("button", name="Confirm"),
    )
    code.fill("000000")
    confirm.click()
    expect(page.get_by_test_id("stAlertContainer")).to_contain_text("That is not the code")
    code.fill(code_in(terminal))
    confirm.click()
    expect(page.get_by_text("checkpoints belong together")).to_be_visible()

    uploaded = folder.rename(folder.with_name("uploaded"))
    page.goto(f"{address}/Add_a_zoo")
    settled(page)
    page.locator("input[type=file]").set_input_files(uploaded)
    page.get_by_role("button", name=re.compile("Take these 4 files")).click()
    expect(page.get_by_text("checkpoints belong together")).to_be_visible()
    page.get_by_text("Say how images were prepared").click()
    for label, value in (("Mean", "0.286"), ("Std", "0.353")):
        page.get_by_role("textbox", name=label, exact=True).fill(value)
        page.keyboard.press("Enter")
        settled(page)
    page.get_by_role("button", name="Write zoo.toml").click()
    page.get_by_role("link", name="Open it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ingredients")
    settled(page)
    assert metric(page, "Your soup, held-out") == accuracy
    assert not (uploaded / "zoo.toml").exists(), "it is a copy that became a zoo"
