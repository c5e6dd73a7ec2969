"""Interpolation in a real browser: a clicked cell is taken along, a clicked pair walked, a plane stopped and continued."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import soup_core as sc
from soup_core import charts
from soup_core.analysis.pairs import sampled_pairs
from tests.e2e.driver import metric, progress, settled, worked
from tests.e2e.zoos import FIVE, IMAGES, write_fashion_zoo

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
LONG = 1000  # images, so that a plane takes far longer than it takes to stop it


@pytest.fixture(scope="module")
def slow(zoos: Path) -> Iterator[str]:
    """A zoo whose plane is far from ready when it is looked at."""
    write_fashion_zoo(zoos / "slow", FIVE[:3], images=LONG)
    yield "slow"
    shutil.rmtree(zoos / "slow")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=option, exact=True).click()


def complete(page: Page, sentence: str) -> None:
    """Wait until the page's work has ended with a sentence."""
    expect(page.get_by_text(sentence)).to_be_visible()
    worked(page)


def test_a_clicked_cell_is_read_taken_and_chosen_as_an_end(page: Page, address: str) -> None:
    zoo = sc.open_zoo("five")
    page.goto(f"{address}/Interpolation?zoo=five&view=Plane&b=m1&c=m2")
    complete(page, "The best of 441 mixes has")
    plane = page.locator(".js-plotly-plot .nsewdrag").first
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.7 * box["width"] - 3, box["y"] + 0.7 * box["height"])
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"])
    page.wait_for_timeout(200)  # plotly looks for a hovered point ten times a second
    page.mouse.down()
    page.mouse.up()
    read = page.get_by_text(re.compile(r"^-?\d\.\d\d × m0, ")).inner_text()
    page.get_by_role("button", name="Take it as a soup").click()
    sentence = page.get_by_text("The taken mix, ")
    expect(sentence).to_contain_text(read)
    page.wait_for_url("**taken=**")
    taken = sc.Soup.from_json(page.evaluate("new URLSearchParams(location.search).get('taken')"))
    evaluate = sc.Evaluator(zoo, device="cpu")
    assert metric(page, "This mix, held-out") == charts.percent(evaluate(taken))
    expect(sentence).to_contain_text(f"{charts.percent(evaluate(taken))} of {IMAGES} held-out images")
    page.get_by_role("radio", name="Line").click()
    choose(page, "To", "taken mix")
    expect(page.get_by_text("Between m0 and taken mix")).to_be_visible()
    settled(page)
    middle = sc.interpolate(sc.Soup({"m0": 1.0}), taken, 0.5)
    assert metric(page, "The middle") == charts.percent(evaluate(middle))
    page.reload()
    settled(page)
    assert metric(page, "The middle") == charts.percent(evaluate(middle))
    page.get_by_role("link", name="Robustness").click()
    page.get_by_role("radio", name="What changed").click()
    choose(page, "Model", "taken mix")
    choose(page, "against", "m0")
    expect(page.get_by_text("taken mix differs by")).to_be_visible()
    page.wait_for_url("**taken=**")


def test_a_clicked_pair_becomes_the_line(page: Page, address: str) -> None:
    page.goto(f"{address}/Interpolation?zoo=five&view=Many+pairs&pairs=1")
    complete(page, "of 1 pairs")
    point = page.locator(".scatterlayer .point").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    page.mouse.down()
    page.mouse.up()
    a, b = sampled_pairs(sc.open_zoo("five"), 1)[0]
    expect(page.get_by_text(f"Between {a} and {b}")).to_be_visible()
    expect(page.get_by_role("radio", name="Line")).to_be_checked()


def test_a_plane_is_stopped_and_continued(page: Page, address: str, slow: str) -> None:
    """It is not waited for: tests/test_jobs.py has what is stopped and goes on to the same end."""

    def done() -> int:
        """How many mixes the sentence is about."""
        return int(page.get_by_text(re.compile(r"^The best of \d+ mixes so far")).inner_text().split()[3])

    page.goto(f"{address}/Interpolation?zoo={slow}&view=Plane&a=m0&b=m1&c=m2")
    progress(page, "Evaluating the plane")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped; started again, it goes on from here.")).to_be_visible()
    settled(page)
    before = done()
    page.reload()
    settled(page)
    assert done() == before
    page.get_by_role("button", name="Go on").click()
    progress(page, "Evaluating the plane", beyond=before - 1)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped; started again, it goes on from here.")).to_be_visible()
    settled(page)
    assert before <= done() < 441
