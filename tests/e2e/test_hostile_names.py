"""Names that ask for an image, a link, markup or a value, on every page and in every view: they are literal text."""

import re
from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Page, expect

from tests.e2e.driver import VIEWS, WAIT, server, worked
from tests.e2e.made import HOSTILE, made, toml

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
MARKS = ("![x]", "%{y}", "n" * 15)  # how the names begin, which no shortening takes away
WITHOUT_NAMES = ("Robustness?view=Cost", "Robustness?view=Calibration", "Robustness?view=Shifts")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a zoo with such names, and of a folder that can become one."""
    folder = tmp_path_factory.mktemp("zoos")
    hyperparameters = [
        f"{{ learning_rate = {index}, {toml(HOSTILE[0])} = {toml(name)} }}" for index, name in enumerate(HOSTILE)
    ]
    made(folder / "hostile", {f"m{index}": name for index, name in enumerate(HOSTILE)}, hyperparameters)
    text = (folder / "hostile" / "zoo.toml").read_text()
    (folder / "hostile" / "zoo.toml").write_text(
        re.sub("^title = .*$", lambda _: f"title = {toml(HOSTILE[0])}", text, flags=re.M)
    )
    sweep = folder / HOSTILE[0].replace("/", "_")
    sweep.mkdir()
    for name in HOSTILE:
        torch.save({f"{name}.weight": torch.ones(2, 2)}, sweep / f"{name.replace('/', '_')[:200]}.pt")
    with server(tmp_path_factory.mktemp("served") / "home", folder) as started:
        yield started


@pytest.mark.parametrize("view", VIEWS)
def test_row_36_hostile_names_are_literal_text(page: Page, address: str, view: str) -> None:
    """The page fixture fails on a request to another machine."""
    page.set_viewport_size({"width": 1280, "height": 1700})
    page.goto(f"{address}/{view}{'&' if '?' in view else '?'}zoo=hostile")
    worked(page)
    expect(page.locator(".live-chart:not([data-drawn])")).to_have_count(0, timeout=WAIT)
    main, seen = page.get_by_test_id("stMain"), ""
    for mark in page.locator(".live-chart .point, .live-chart .bars .point path").all()[:4]:
        box = mark.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        seen += main.locator(".hoverlayer").evaluate_all("all => all.map(each => each.textContent).join()")
    values = "[...document.querySelectorAll('input')].map(input => input.value).join()"
    seen += page.evaluate(f"document.body.textContent + {values}")
    assert any(mark in seen for mark in MARKS) or view in WITHOUT_NAMES
    foreign = 'img[src*="192.0.2.1"], a[href*="192.0.2.1"], a[href*="example.org"], svg b, .katex'
    assert page.locator(foreign).count() == 0
    assert "\u202e" not in page.locator("body").inner_text()
    assert not main.locator(".hoverlayer").filter(has_text=re.compile(r"^[\d.]+ <b>")).count()
