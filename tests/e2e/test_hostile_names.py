"""Names that ask for an image, a link, markup or a value, on every page and in every view: they are literal text."""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, TimeoutError

from tests.e2e.driver import VIEWS, choose_view, worked
from tests.e2e.zoos import HOSTILE, toml_string, write_fashion_zoo

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
MARKS = ("![x]", "%{y}", "n" * 15)  # how the names begin, which no shortening takes away
WITHOUT_NAMES = ("Robustness?view=Cost", "Robustness?view=Calibration", "Robustness?view=Shifts")


# Every page and each kind of chart and table. `make soak` looks at the others.
SAMPLE = [
    "",
    "Ingredients",
    "Ingredients?view=Map",
    "Ingredients?view=Ablations&ablation=Leave+one+out",
    "Ingredients?view=Ablations&ablation=Hyperparameters",
    "Ingredients?view=Will+it+soup%3F",
    "Greedy?order=given",
    "Interpolation",
    "Interpolation?view=Many+pairs",
    "Learned",
    "Robustness?view=What+changed",
    "Train",
    "Add_a_zoo",
]


@pytest.fixture(scope="module")
def page(module_page: Page, address: str, zoos: Path) -> Iterator[Page]:
    """A tab on a zoo with such names, and beside it a folder that can become one."""
    hyperparameters = [
        f"{{ learning_rate = {index}, {toml_string(HOSTILE[0])} = {toml_string(name)} }}"
        for index, name in enumerate(HOSTILE)
    ]
    write_fashion_zoo(zoos / "hostile", HOSTILE, hyperparameters)
    text = (zoos / "hostile" / "zoo.toml").read_text()
    (zoos / "hostile" / "zoo.toml").write_text(
        re.sub("^title = .*$", lambda _: f"title = {toml_string(HOSTILE[0])}", text, flags=re.MULTILINE)
    )
    sweep = zoos / HOSTILE[0].replace("/", "_")
    sweep.mkdir()
    for name in HOSTILE:
        torch.save({f"{name}.weight": torch.ones(2, 2)}, sweep / f"{name.replace('/', '_')[:200]}.pt")
    module_page.set_viewport_size({"width": 1280, "height": 1700})
    module_page.goto(f"{address}/?zoo=hostile")
    worked(module_page)
    yield module_page
    shutil.rmtree(zoos / "hostile")
    shutil.rmtree(sweep)


@pytest.mark.parametrize(
    "view", [pytest.param(view, marks=[pytest.mark.soak] if view not in SAMPLE else []) for view in VIEWS]
)
def test_row_36_hostile_names_are_literal_text(page: Page, view: str) -> None:
    """The page fixture fails on a request to another machine."""
    choose_view(page, view)
    main, seen = page.get_by_test_id("stMain"), ""
    labels = main.locator(".hoverlayer .hovertext")
    for mark in page.locator(".live-chart .point, .live-chart .bars .point path").all()[:4]:
        box = mark.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        with suppress(TimeoutError):  # some marks have none
            labels.first.wait_for(timeout=1000)
        seen += main.locator(".hoverlayer").evaluate_all("all => all.map(each => each.textContent).join()")
    values = "[...document.querySelectorAll('input')].map(input => input.value).join()"
    seen += page.evaluate(f"document.body.textContent + {values}")
    assert any(mark in seen for mark in MARKS) or view in WITHOUT_NAMES
    foreign = 'img[src*="192.0.2.1"], a[href*="192.0.2.1"], a[href*="example.org"], svg b, .katex'
    assert page.locator(foreign).count() == 0
    assert "\u202e" not in page.locator("body").inner_text()
    assert not main.locator(".hoverlayer").filter(has_text=re.compile(r"^[\d.]+ <b>")).count()
