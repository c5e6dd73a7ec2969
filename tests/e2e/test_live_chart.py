"""The live chart in a real browser: what is done on it reaches Python, and what is seen of it stays."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

CELLS = "document.querySelector('.st-key-cells .drawing')._fullLayout.xaxis.range"
RANGE = "document.querySelector('.st-key-points .drawing')._fullLayout.xaxis.range"


@pytest.fixture
def requests() -> list[str]:
    """The addresses that the page asked for."""
    return []


@pytest.fixture
def page(page: Page, charts_address: str, requests: list[str]) -> Page:
    """The usual page, high enough for three charts, on the app of this test."""
    page.set_viewport_size({"width": 1000, "height": 1300})
    page.on("request", lambda request: requests.append(request.url))
    page.goto(charts_address)
    expect(page.locator(".live-chart[data-drawn]")).to_have_count(3)
    return page


def click_in(page: Page, chart: str, across: float, down: float, *, hovered: str = "") -> None:
    """Click at a place in a chart, once plotly has seen what lies there: `hovered` is of its words."""
    box = page.locator(f".st-key-{chart} .drawing .nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + across * box["width"] - 3, box["y"] + down * box["height"])
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    if hovered:
        expect(page.locator(f".st-key-{chart} .hoverlayer")).to_contain_text(hovered)
    else:
        page.wait_for_timeout(200)  # plotly looks for a hovered point ten times a second
    page.mouse.down()
    page.mouse.up()


def point_at(page: Page, number: int) -> None:
    page.locator(".st-key-points .scatterlayer .point").nth(number).hover(force=True)
    page.mouse.down()
    page.mouse.up()


def test_a_click_on_a_cell_of_a_heatmap_reaches_python(page: Page) -> None:
    click_in(page, "cells", 0.75, 0.25)
    expect(page.get_by_text("events 1")).to_be_visible()
    event = page.get_by_test_id("stJson").inner_text()
    assert re.search(r'"kind"\s*:\s*"click"', event), event
    assert re.search(r'"x"\s*:\s*"right"', event), event
    assert re.search(r'"z"\s*:\s*4', event), event


def test_two_quick_clicks_on_two_cells_are_two_and_move_no_axis(page: Page) -> None:
    before = page.evaluate(CELLS)
    for across, name in ((0.75, "right"), (0.25, "left")):
        click_in(page, "cells", across, 0.25, hovered=name)
    expect(page.get_by_text("events 2", exact=True)).to_be_visible()
    assert re.search(r'"x"\s*:\s*"left"', page.get_by_test_id("stJson").inner_text())
    assert page.evaluate(CELLS) == before


def test_a_double_click_beside_the_cells_undoes_a_zoom(page: Page) -> None:
    before = page.evaluate(CELLS)
    page.evaluate("Plotly.relayout(document.querySelector('.st-key-cells .drawing'), {'xaxis.range': [-5, 5]})")
    box = page.locator(".st-key-cells .nsewdrag").first.bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + 5, box["y"] + 5)
    page.wait_for_function(f"JSON.stringify({CELLS}) === '{json.dumps(before, separators=(',', ':'))}'")


def test_a_click_in_a_fragment_draws_the_whole_page_anew(page: Page) -> None:
    expect(page.get_by_text("runs 1", exact=True)).to_be_visible()
    click_in(page, "cells", 0.75, 0.25)
    expect(page.get_by_text("runs 2", exact=True)).to_be_visible()
    expect(page.get_by_text("events 1")).to_be_visible()


def test_a_box_is_reported_and_then_forgotten(page: Page) -> None:
    graph = "document.querySelector('.st-key-points .drawing')"
    box = page.locator(".st-key-points .nsewdrag").first.bounding_box()
    assert box
    for count, share in ((1, 0.6), (2, 0.02)):  # the second one holds nothing
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"] + 20, steps=5)
        assert page.evaluate(f"{graph}.querySelector('.select-outline') !== null")
        page.mouse.up()
        expect(page.get_by_text(f"events {count}")).to_be_visible()
        page.wait_for_function(
            f"!({graph}.layout.selections ?? []).length && "
            f"[...{graph}.querySelectorAll('.point')].every(point => point.style.opacity === '1')"
        )
        page.wait_for_timeout(300)
        expect(page.get_by_text(f"events {count}", exact=True)).to_be_visible()


def test_a_wide_chart_scrolls_alone_and_keeps_its_axes_in_their_order(page: Page) -> None:
    wide = page.locator(".st-key-axes .wide")
    assert wide.evaluate("e => e.scrollWidth >= 1200 && e.clientWidth < 1000")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    order = "document.querySelector('.st-key-axes .drawing').data[0].dimensions.map(({ name }) => name)"
    assert page.evaluate(order) == ["first", "second"]
    title = page.locator(".st-key-axes .axis-title").first
    title.scroll_into_view_if_needed()
    box = title.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 1300, box["y"] + box["height"] / 2, steps=10)
    page.mouse.up()
    page.wait_for_function(f'JSON.stringify({order}) === \'["second","first"]\'')
    page.get_by_role("button", name="Again").click()
    expect(page.get_by_text("runs 2", exact=True)).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate(order) == ["second", "first"]


def test_a_second_click_on_the_same_point_arrives_as_a_click(page: Page) -> None:
    for count in (1, 2, 3):
        point_at(page, 1)
        expect(page.get_by_text(f"events {count}")).to_be_visible()
        assert re.search(r'"customdata"\s*:\s*"b"', page.get_by_test_id("stJson").inner_text())


def test_a_brush_on_parallel_coordinates_reaches_python(page: Page) -> None:
    axis = page.locator(".st-key-axes .axis-brush .background").first.bounding_box()
    assert axis
    page.mouse.move(axis["x"] + axis["width"] / 2, axis["y"] + 0.9 * axis["height"])
    page.mouse.down()
    page.mouse.move(axis["x"] + axis["width"] / 2, axis["y"] + 0.4 * axis["height"], steps=8)
    page.mouse.up()
    expect(page.get_by_text("events 1")).to_be_visible()
    event = page.get_by_test_id("stJson").inner_text()
    assert re.search(r'"kind"\s*:\s*"brush"', event), event
    assert re.search(r'"label"\s*:\s*"one"', event), event
    assert re.search(r'"name"\s*:\s*"first"', event), event


def test_zoom_is_kept_over_ten_reruns_and_the_script_fetched_once(page: Page, requests: list[str]) -> None:
    page.evaluate("Plotly.relayout(document.querySelector('.st-key-points .drawing'), {'xaxis.range': [0.5, 1.5]})")
    page.evaluate("document.querySelector('.st-key-points .drawing').marked = true")
    for run in range(2, 12):
        page.get_by_role("button", name="Again").click()
        expect(page.get_by_text(f"runs {run}", exact=True)).to_be_visible()
        page.wait_for_function(
            f"document.querySelector('.st-key-points .drawing').data[0].y[2] === {run}"
        )  # the new figure is drawn
        assert page.evaluate(RANGE) == [0.5, 1.5]
    assert page.evaluate("document.querySelector('.st-key-points .drawing').marked")
    assert sum("plotly" in url for url in requests) == 1


def test_colours_follow_the_theme(page: Page) -> None:
    colour = "document.querySelector('.st-key-points .drawing')._fullLayout.font.color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{colour} !== '{light}'")
    ours = page.evaluate("getComputedStyle(document.querySelector('.st-key-points .live-chart')).color")
    assert page.evaluate(colour) == ours


def test_a_chart_has_words_and_a_table_of_its_data(page: Page) -> None:
    expect(page.get_by_role("group", name="The chart of points.")).to_be_visible()
    page.locator(".st-key-points summary").click()
    rows = page.locator(".st-key-points table tr").all_inner_texts()
    assert [row.split() for row in rows] == [["x", "y"], ["0", "0"], ["1", "1"], ["2", "1"]]


def test_keys_go_from_mark_to_mark_tell_each_and_choose(page: Page) -> None:
    points, cells = page.locator(".st-key-points .drawing"), page.locator(".st-key-cells .drawing")
    spoken = page.locator(".st-key-points .told")
    points.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(spoken).to_have_text("(1, 1)")
    page.keyboard.press("ArrowLeft")
    expect(spoken).to_have_text("(0, 0)")
    page.keyboard.press("Enter")
    expect(page.get_by_text("events 1", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stJson")).to_contain_text('"customdata":"a"')
    expect(points).to_be_focused()
    page.keyboard.press("Tab")
    expect(spoken).to_be_empty()
    cells.focus()
    for key, cell in (("ArrowRight", "1"), ("ArrowDown", "3"), ("ArrowRight", "4")):
        page.keyboard.press(key)
        expect(page.locator(".st-key-cells .told")).to_contain_text(f"z: {cell}")
    page.keyboard.press("Enter")
    expect(page.get_by_text("events 2", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stJson")).to_contain_text('"z":4')
