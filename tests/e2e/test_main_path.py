"""The main path in a real browser, on the bundled zoos."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from soup_core.formatting import points

import soup_core as sc
from soup_core import charts
from tests.e2e.driver import WAIT, metric, server, settled

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("served") / "home") as started:
        yield started


def held_out(names: list[str] | None = None, zoo_name: str = "fashion") -> str:
    zoo = sc.open_zoo(zoo_name)
    return charts.percent(sc.Evaluator(zoo, device="cpu")(sc.uniform_soup(zoo, names)))


def test_home_gives_the_headline(page: Page, address: str) -> None:
    page.goto(address)
    settled(page)
    zoo = sc.open_zoo("fashion")
    assert metric(page, "Uniform soup") == charts.percent(sc.Evaluator(zoo, "test", "cpu")(sc.uniform_soup(zoo)))
    expect(page.locator(".js-plotly-plot")).to_have_count(2)


def test_homes_first_screen_says_what_this_is_what_it_gains_what_it_costs_and_where_to_click(
    page: Page, address: str
) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(address)
    settled(page)
    zoo = sc.open_zoo("fashion")
    test, (first, *_, last) = (
        sc.Evaluator(zoo, "test", "cpu"),
        list(sc.greedy_soup(zoo, sc.Evaluator(zoo, device="cpu"))),
    )
    gain = sc.compare(test(last.soup), test(sc.Soup({first.candidate: 1.0})))
    main = page.locator('[data-testid="stMain"]')
    for shown in (
        main.get_by_text("A model soup averages the weights of several fine-tuned models"),
        main.locator('[data-testid="stMetric"]').last,
        main.get_by_text(
            f"Averaging {len(last.soup.names)} of 24 models: {points(gain)} on test images, at the cost of one."
        ),
        *(main.get_by_role("link", name=name) for name in ("Toggle ingredients", "Take a lesson")),
    ):
        expect(shown).to_be_visible()
        box = shown.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < box["y"] + box["height"] <= 800


def test_a_click_on_an_ingredient_moves_the_number(page: Page, address: str) -> None:
    page.goto(f"{address}/Ingredients")
    settled(page)
    assert metric(page, "Your soup") == held_out()
    page.get_by_role("button", name="ft-05", exact=True).click()
    left = [name for name in sc.open_zoo("fashion").names if name != "ft-05"]
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out(left))
    page.wait_for_url("**in=ft-04**")
    assert "in=ft-04" in page.evaluate("location.href")
    assert "ft-05" not in page.evaluate("location.href")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out())


def test_a_click_on_a_point_toggles_it_too(page: Page, address: str) -> None:
    page.goto(f"{address}/Ingredients?in=ft-01&in=ft-02")
    settled(page)
    assert metric(page, "Your soup") == held_out(["ft-01", "ft-02"])
    zoo = sc.open_zoo("fashion")
    evaluate = sc.Evaluator(zoo, device="cpu")
    singles = {name: evaluate(sc.Soup({name: 1.0})) for name in zoo.names}
    outside = [n for n in sorted(singles, key=lambda n: (-singles[n].correct, n)) if n not in ("ft-01", "ft-02")]
    point = page.locator(".js-plotly-plot").first.locator(".scatterlayer .trace").nth(1).locator(".point").nth(0)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out(["ft-01", "ft-02", outside[0]]))


def test_a_tick_in_the_table_toggles_it_too(page: Page, address: str) -> None:
    page.goto(f"{address}/Ingredients?in=ft-01&in=ft-02")
    settled(page)
    zoo = sc.open_zoo("fashion")
    evaluate = sc.Evaluator(zoo, device="cpu")
    singles = {name: evaluate(sc.Soup({name: 1.0})) for name in zoo.names}
    best = min(singles, key=lambda name: (-singles[name].correct, name))
    grid = page.locator('[data-testid="stDataFrame"] canvas').first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 54)  # the first row's box, below a header of about 36 pixels
    expect(page.locator('[data-testid="stMetricValue"]').first).to_have_text(held_out(["ft-01", "ft-02", best]))


def test_greedy_plays_to_its_end(page: Page, address: str) -> None:
    page.goto(f"{address}/Greedy?speed=fast")
    settled(page)
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=WAIT)
    zoo = sc.open_zoo("fashion")
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo, device="cpu"))
    expect(page.get_by_text(f"{len(last.soup.names)} of 24 tried")).to_be_visible()
    assert "step=24" in page.evaluate("location.href")
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_text("of 23 tried")).to_be_visible()


def test_the_alpha_slider_needs_no_server(page: Page, address: str) -> None:
    page.goto(f"{address}/Interpolation?zoo=fashion-scratch")
    settled(page)
    zoo = sc.open_zoo("fashion-scratch")
    a, b = (sc.Soup({name: 1.0}) for name in zoo.names[:2])
    middle = sc.Evaluator(zoo, device="cpu")(sc.interpolate(a, b, 0.5))
    assert metric(page, "The middle") == charts.percent(middle)
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", sent.append))
    page.on("request", lambda request: sent.append(request.url))
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    plot.locator(".slider-rail-touch-rect").click(position={"x": 5, "y": 5}, force=True)
    expect(plot.locator(".slider-label").first).to_contain_text("-0.5")
    assert not sent


@pytest.mark.parametrize(
    ("link", "label", "shows"),
    [
        ("Ingredients?zoo=fashion-batchnorm&in=ft-02&in=ft-07", "Your soup", ("fashion-batchnorm", ["ft-02", "ft-07"])),
        ("Interpolation?zoo=fashion-batchnorm&a=base&b=ft-03", "The middle", ("fashion-batchnorm", ["base", "ft-03"])),
    ],
)
def test_a_deep_link_works_on_a_cold_server(
    page: Page, tmp_path: Path, link: str, label: str, shows: tuple[str, list[str]]
) -> None:
    with server(tmp_path / "home") as cold:
        page.goto(f"{cold}/{link}")
        settled(page)
        assert metric(page, label) == held_out(shows[1], shows[0])
        assert page.evaluate("location.href") == f"{cold}/{link}"


def test_the_zoo_goes_along_from_page_to_page(page: Page, address: str) -> None:
    page.goto(f"{address}/?zoo=fashion-batchnorm")
    settled(page)
    page.get_by_role("link", name="Ingredients", exact=True).click()
    page.wait_for_url("**/Ingredients?zoo=fashion-batchnorm")
    settled(page)
    assert metric(page, "Your soup") == held_out(None, "fashion-batchnorm")


def test_another_zoo_brings_its_own_ingredients(page: Page, address: str) -> None:
    page.goto(f"{address}/Interpolation?a=ft-01&b=ft-02")
    settled(page)
    page.get_by_role("button", name="Strangers, for contrast").click()
    page.wait_for_url("**zoo=fashion-scratch**")
    settled(page)
    expect(page.get_by_text("a wall lies between them")).to_be_visible()
    assert page.get_by_text("The address names").count() == 0


def test_an_unknown_zoo_and_ingredient_in_the_address_are_named(page: Page, address: str) -> None:
    page.goto(f"{address}/Ingredients?zoo=nowhere&in=nobody&in=ft-01")
    settled(page)
    expect(page.get_by_text("There is no zoo 'nowhere'")).to_be_visible()
    expect(page.get_by_text("The address names nobody")).to_be_visible()


def test_row_47_a_foreign_host_is_refused(address: str) -> None:
    import http.client

    port = int(address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(
        "GET", "/_stcore/stream",
        headers={"Host": "evil.example", "Origin": "http://evil.example", "Connection": "Upgrade", "Upgrade": "websocket",
                 "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
    )  # fmt: skip
    assert connection.getresponse().status in (400, 403)
    connection.close()
