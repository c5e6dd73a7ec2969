"""The main path in a real browser: Home on the bundled zoo from nothing, and what is done on the other pages."""

import http.client
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocket, expect

import soup_core as sc
from soup_core import charts
from soup_core.formatting import points
from tests.e2e.driver import go_to, metric, server, settled
from tests.e2e.zoos import FIVE

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def best_first(names: tuple[str, ...]) -> list[str]:
    """Models of the zoo "five" by their held-out accuracy."""
    evaluate = sc.Evaluator(sc.open_zoo("five"), device="cpu")
    return sorted(names, key=lambda name: (-evaluate(sc.Soup({name: 1.0})).correct, name))


def test_homes_first_screen_says_what_this_is_what_it_gains_what_it_costs_and_where_to_click(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server that has just begun, with nothing in its store."""
    page.set_viewport_size({"width": 1280, "height": 800})
    with server(tmp_path / "home", threads=1) as cold:
        page.goto(cold)
        settled(page)
        expect(page.locator(".js-plotly-plot")).to_have_count(2)
        main = page.locator('[data-testid="stMain"]')
        sentence = main.get_by_text(
            re.compile(r"^Averaging \d+ of 24 models: .* on test images, at the cost of one\.$")
        )
        for shown in (
            main.get_by_text("A model soup averages the weights of several fine-tuned models"),
            main.locator('[data-testid="stMetric"]').last,
            sentence,
            *(main.get_by_role("link", name=name) for name in ("Toggle ingredients", "Take a lesson")),
        ):
            expect(shown).to_be_visible()
            box = shown.bounding_box()
            assert box is not None
            assert 0 <= box["y"] < box["y"] + box["height"] <= 800
        words, accuracy = sentence.inner_text(), metric(page, "Uniform soup")
        page.goto("about:blank")
    zoo = sc.open_zoo("fashion")
    assert accuracy == charts.percent(sc.Evaluator(zoo, "test", "cpu")(sc.uniform_soup(zoo)))
    # The search itself is walked again, over what the server has evaluated: tests/test_bundled.py has those evaluations.
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "home"))
    test = sc.Evaluator(zoo, "test", "cpu")
    first, *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo, device="cpu"))
    gain = sc.compare(test(last.soup), test(sc.Soup({first.candidate: 1.0})))
    assert words == f"Averaging {len(last.soup.names)} of 24 models: {points(gain)} on test images, at the cost of one."


def test_a_click_on_an_ingredient_moves_the_number(page: Page, address: str, held_out: Callable[..., str]) -> None:
    page.goto(f"{address}/Ingredients?zoo=five")
    settled(page)
    assert metric(page, "Your soup") == held_out()
    page.get_by_role("button", name="m3", exact=True).click()
    left = [name for name in FIVE if name != "m3"]
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out(left))
    page.wait_for_url("**in=m2**")
    assert "in=m2" in page.evaluate("location.href")
    assert "m3" not in page.evaluate("location.href")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out())


def test_a_click_on_a_point_and_a_tick_in_the_table_toggle_it_too(
    page: Page, address: str, held_out: Callable[..., str]
) -> None:
    page.goto(f"{address}/Ingredients?zoo=five&in=m0&in=m1")
    settled(page)
    assert metric(page, "Your soup") == held_out(["m0", "m1"])
    outside = best_first(FIVE[2:])[0]
    point = page.locator(".js-plotly-plot").first.locator(".scatterlayer .trace").nth(1).locator(".point").nth(0)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    pressed = page.get_by_role("button", name=outside, exact=True)
    expect(pressed).to_have_attribute("aria-pressed", "true")
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out(["m0", "m1", outside]))
    settled(page)
    best = best_first(FIVE)[0]
    chosen = {"m0", "m1", outside} ^ {best}
    grid = page.locator('[data-testid="stDataFrame"] canvas').first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 54)  # the first row's box, below a header of about 36 pixels
    for name in FIVE:
        pressed = page.get_by_role("button", name=name, exact=True)
        expect(pressed).to_have_attribute("aria-pressed", "true" if name in chosen else "false")
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out(sorted(chosen)))


def test_greedy_plays_to_its_end(page: Page, address: str) -> None:
    page.goto(f"{address}/Greedy?zoo=five&speed=fast")
    settled(page)
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    zoo = sc.open_zoo("five")
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo, device="cpu"))
    expect(page.get_by_text(f"{len(last.soup.names)} of 5 tried")).to_be_visible()
    assert "step=5" in page.evaluate("location.href")
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_text("of 4 tried")).to_be_visible()


def test_the_alpha_slider_needs_no_server(page: Page, address: str) -> None:
    sent: list[object] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: sent.append(frame))

    page.on("websocket", watch)
    page.goto(f"{address}/Interpolation?zoo=five")
    settled(page)
    page.remove_listener("websocket", watch)
    assert sent  # the page's own
    zoo = sc.open_zoo("five")
    a, b = (sc.Soup({name: 1.0}) for name in zoo.names[:2])
    middle = sc.Evaluator(zoo, device="cpu")(sc.interpolate(a, b, 0.5))
    assert metric(page, "The middle") == charts.percent(middle)
    sent.clear()
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    plot.locator(".slider-rail-touch-rect").click(position={"x": 5, "y": 5}, force=True)
    expect(plot.locator(".slider-label").first).to_contain_text("-0.5")
    assert not sent


@pytest.mark.parametrize(
    ("link", "label", "shows"),
    [
        ("Ingredients?zoo=five&in=m1&in=m3", "Your soup", ["m1", "m3"]),
        ("Interpolation?zoo=five&a=base&b=m2", "The middle", ["base", "m2"]),
    ],
)
def test_a_deep_link_works_on_a_cold_server(
    page: Page, zoos: Path, tmp_path: Path, link: str, label: str, shows: list[str], held_out: Callable[..., str]
) -> None:
    with server(tmp_path / "home", zoos, threads=1) as cold:
        page.goto(f"{cold}/{link}")
        settled(page)
        assert metric(page, label) == held_out(shows)
        assert page.evaluate("location.href") == f"{cold}/{link}"
        page.goto("about:blank")


def test_the_zoo_goes_along_from_page_to_page(page: Page, address: str, held_out: Callable[..., str]) -> None:
    page.goto(f"{address}/?zoo=five")
    settled(page)
    go_to(page, "Ingredients")
    page.wait_for_url("**/Ingredients?zoo=five")
    settled(page)
    assert metric(page, "Your soup") == held_out()


def test_another_zoo_brings_its_own_ingredients(page: Page, address: str) -> None:
    page.goto(f"{address}/Interpolation?zoo=five&a=m0&b=m1")
    settled(page)
    page.get_by_role("button", name="Strangers, for contrast").click()
    page.wait_for_url("**zoo=fashion-scratch**")
    settled(page)
    expect(page.get_by_text("a wall lies between them")).to_be_visible()
    assert page.get_by_text("The address names").count() == 0


def test_an_unknown_zoo_and_ingredient_in_the_address_are_named(page: Page, address: str) -> None:
    page.goto(f"{address}/Add_a_zoo?zoo=nowhere")
    expect(page.get_by_text("There is no zoo 'nowhere'")).to_be_visible()
    page.goto(f"{address}/Ingredients?zoo=five&in=nobody&in=m0")
    settled(page)
    expect(page.get_by_text("The address names nobody")).to_be_visible()


def test_row_47_a_foreign_host_is_refused(address: str) -> None:
    port = int(address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(
        "GET",
        "/_stcore/stream",
        headers={
            "Host": "evil.example",
            "Origin": "http://evil.example",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )
    assert connection.getresponse().status in (400, 403)
    connection.close()
