"""One selection in a real browser: made on the map, a bar, a curve or an axis, it is seen in the pills and in every chart."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.driver import settled, worked
from tests.e2e.zoos import FIVE

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def page(page: Page) -> Page:
    """The usual page, high enough for a view to lie in it."""
    page.set_viewport_size({"width": 1280, "height": 1700})
    return page


def seen(page: Page, names: list[str], accuracy: str) -> None:
    """Wait until exactly these are in the pills, in the address, and in the number."""
    for name in FIVE:
        pressed = "true" if name in names else "false"
        expect(page.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", pressed)
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(accuracy)
    settled(page)


def drawing(key: str) -> str:
    return f"document.querySelector('.st-key-{key} .drawing')"


def answered(page: Page, key: str, act: Callable[[], Any]) -> None:
    """Do something and wait until the chart was drawn anew."""
    count = f"Number({drawing(key)}.closest('.live-chart').dataset.drawn)"
    before = page.evaluate(count)
    act()
    page.wait_for_function(f"{count} > {before}")


def press(page: Page, mark: Locator) -> None:
    box = mark.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.wait_for_timeout(150)  # plotly looks for a hovered point ten times a second
    page.mouse.down()
    page.mouse.up()


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=6)
    page.mouse.up()


def open_view(page: Page, address: str, query: str, key: str) -> None:
    page.goto(f"{address}/Ingredients?zoo=five&{query}")
    settled(page)
    expect(page.locator(f".st-key-{key} .live-chart[data-drawn]")).to_be_visible()


def test_a_box_on_the_map_is_the_selection_and_the_drawing_shows_it(
    page: Page, address: str, held_out: Callable[..., str]
) -> None:
    open_view(page, address, "view=Map", "places")
    graph = drawing("places")
    page.evaluate(f"Plotly.relayout({graph}, {{'xaxis.range': [-25, 25], 'yaxis.range': [-15, 15]}})")
    kept = page.evaluate(f"{graph}._fullLayout.xaxis.range")
    frame = page.locator(".st-key-places .nsewdrag").first.bounding_box()
    assert frame
    positions = {
        name: (frame["x"] + x, frame["y"] + y)
        for name, x, y in page.evaluate(
            f"(({{data, _fullLayout: l}}) => data[0].customdata.map(([name], i) => [name, "
            f"l.xaxis.l2p({graph}._fullData[0].x[i]), l.yaxis.l2p({graph}._fullData[0].y[i])]))({graph})"
        )
    }
    middle = max(pairwise(sorted(x for x, _ in positions.values())), key=lambda gap: gap[1] - gap[0])
    edge = sum(middle) / 2
    inside = sorted(name for name, (x, _) in positions.items() if x < edge)

    def shown() -> tuple[dict[str, str], set[str], int]:
        """Each ingredient's symbol, the points' opacities, and the number of boxes."""
        symbols = page.evaluate(
            f"{graph}.data[0].customdata.map(([name], i) => [name, {graph}.data[0].marker.symbol[i]])"
        )
        opacities = page.locator(".st-key-places .scatterlayer .point").evaluate_all(
            "all => all.map(e => e.style.opacity)"
        )
        boxes = page.evaluate(f"({graph}.layout.selections ?? []).length")
        assert page.evaluate(f"{graph}._fullLayout.xaxis.range") == kept
        return dict(symbols), set(opacities) - {"0.6"}, boxes

    def symbols(names: list[str]) -> dict[str, str]:
        return {name: "diamond" if name in names else "diamond-open" for name in positions}

    top, bottom = frame["y"] + 2, frame["y"] + frame["height"] - 2
    answered(page, "places", lambda: drag(page, (frame["x"] + 2, top), (edge, bottom)))
    seen(page, inside, held_out(inside))
    assert shown() == (symbols(inside), {"1"}, 0)
    answered(page, "places", lambda: drag(page, (frame["x"] + 2, top), (frame["x"] + 12, top + 10)))
    seen(page, inside, held_out(inside))
    assert shown() == (symbols(inside), {"1"}, 0), "a box around nothing changes nothing"
    other = next(name for name in positions if name not in inside)
    answered(page, "places", page.get_by_role("button", name=other, exact=True).click)
    seen(page, [*inside, other], held_out([*inside, other]))
    assert shown() == (symbols([*inside, other]), {"1"}, 0)


def test_a_click_on_a_shapley_bar_toggles_and_fills_it(page: Page, address: str, held_out: Callable[..., str]) -> None:
    open_view(page, address, "view=Ablations&ablation=Shapley&in=m0&in=m3", "shapley")
    worked(page)
    names = page.evaluate(f"{drawing('shapley')}.data[0].customdata.map(([name]) => name)")
    bars = page.locator(".st-key-shapley .bars .point path")

    def filled() -> set[str]:
        opacities = bars.evaluate_all("all => all.map(e => e.style.fillOpacity)")
        return {name for name, opacity in zip(names, opacities, strict=True) if opacity != "0"}

    assert filled() == {"m0", "m3"}
    answered(page, "shapley", lambda: press(page, bars.nth(names.index("m2"))))
    seen(page, ["m0", "m2", "m3"], held_out(["m0", "m2", "m3"]))
    assert filled() == {"m0", "m2", "m3"}
    answered(page, "shapley", lambda: press(page, bars.nth(names.index("m0"))))
    seen(page, ["m2", "m3"], held_out(["m2", "m3"]))


def test_a_click_on_the_curve_chooses_the_first_and_one_on_a_model_toggles_it(
    page: Page, address: str, held_out: Callable[..., str]
) -> None:
    open_view(page, address, "view=Ablations&in=m0", "how-many")
    worked(page)
    graph, whole, alone = drawing("how-many"), "uniform soup of the first k", "the k-th model alone"
    traces = page.evaluate(f"{graph}.data.map(({{name}}) => name)")
    order = ["", *page.evaluate(f"{graph}.data[{traces.index(alone)}].customdata.slice(1).map(row => row[2])")]
    order[0] = next(iter(set(FIVE) - set(order)))

    def points(name: str) -> Locator:
        return page.locator(".st-key-how-many .scatterlayer .trace").nth(traces.index(name)).locator(".point")

    answered(page, "how-many", lambda: press(page, points(whole).nth(2)))
    seen(page, order[:3], held_out(order[:3]))
    answered(page, "how-many", lambda: press(page, points(alone).nth(4)))
    seen(page, [*order[:3], order[4]], held_out([*order[:3], order[4]]))
    symbols = page.evaluate(f"{graph}.data[{traces.index(alone)}].marker.symbol")
    assert symbols == ["diamond", "diamond", "diamond", "diamond-open", "diamond"]


def test_a_brush_is_the_selection_for_as_long_as_it_stands_there(
    page: Page, address: str, held_out: Callable[..., str]
) -> None:
    open_view(page, address, "view=Ablations&ablation=Hyperparameters&in=m4", "hyperparameters")
    rates = page.locator(".st-key-hyperparameters .axis-brush .background").first.bounding_box()
    assert rates
    across, height = rates["x"] + rates["width"] / 2, rates["height"]

    def at(share: float) -> tuple[float, float]:
        return across, rates["y"] + share * height

    def brushes() -> list[Any]:
        ranges = page.evaluate(
            f"{drawing('hyperparameters')}._fullData[0].dimensions.map(d => d.constraintrange ?? null)"
        )
        return [each for each in ranges if each]

    answered(page, "hyperparameters", lambda: drag(page, at(0.85), at(0.15)))  # learning rates 2 to 4, of 1 to 5
    seen(page, ["m1", "m2", "m3"], held_out(["m1", "m2", "m3"]))
    expect(page.get_by_text(re.compile(r"^The 3 inside the brushes have .* their soup has"))).to_contain_text(
        f"their soup has {held_out(['m1', 'm2', 'm3'])}"
    )
    assert len(brushes()) == 1
    page.get_by_text("Leave one out", exact=True).click()
    expect(page.locator(".st-key-leave-one-out .live-chart[data-drawn]")).to_be_visible()
    page.get_by_text("Hyperparameters", exact=True).click()
    expect(page.locator(".st-key-hyperparameters .live-chart[data-drawn]")).to_be_visible()
    assert len(brushes()) == 1, "it still applies"
    answered(page, "hyperparameters", page.get_by_role("button", name="m0", exact=True).click)
    seen(page, ["m0", "m1", "m2", "m3"], held_out(["m0", "m1", "m2", "m3"]))
    assert not brushes(), "it would lie"
    expect(page.get_by_text(re.compile("^The 4 in the soup have"))).to_be_visible()
    answered(page, "hyperparameters", page.get_by_role("button", name="Undo").click)
    assert len(brushes()) == 1
    answered(page, "hyperparameters", lambda: page.mouse.click(*at(0.5)))
    seen(page, ["m4"], held_out(["m4"]))
    assert not brushes()
