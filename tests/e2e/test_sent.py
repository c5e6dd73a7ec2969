"""What goes between server and browser for a chart: changes instead of figures, and nothing where nothing has changed."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests import ROOT

KEYS = ("x", "y", "z", "name")
ENDS_LATE = """async script => {
  const { default: pulse } = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const parentElement = document.createElement("div");
  return new Promise(done => {
    const drawn = number => pulse({ data: { number, seconds: 0.01 }, parentElement, setTriggerValue: (_, asked) => done(asked) });
    const end = drawn(1);
    drawn(2);
    end();
    setTimeout(() => done(null), 2000);
  });
}"""
SHOW = """state => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Frames:
    """What has gone each way, as text with what is not ASCII left out."""

    def __init__(self, page: Page) -> None:
        self.received: list[str] = []
        self.sent: list[str] = []
        page.on("websocket", self._follow)

    def _follow(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self.received.append(_text(frame)))
        socket.on("framesent", lambda frame: self.sent.append(_text(frame)))

    def forget(self) -> None:
        self.received.clear()
        self.sent.clear()

    def looks(self) -> int:
        """How often the page has asked whether there is anything new."""
        return sum('"event":"look"' in frame for frame in self.sent)

    def wait(self, page: Page, looks: int) -> None:
        for _ in range(200):
            if self.looks() >= looks:
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"the page asked {self.looks()} times, not {looks}")


def _text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode("ascii", "ignore")


@pytest.fixture
def frames(page: Page, charts_address: str) -> Frames:
    seen = Frames(page)
    page.goto(f"{charts_address}/sent_app")
    expect(page.locator(".live-chart[data-drawn]")).to_have_count(2)
    return seen


def drawn(page: Page, chart: str) -> list[dict[str, Any]]:
    keys = json.dumps(KEYS)
    script = f"document.querySelector('.st-key-{chart} .drawing').data.map(t => {keys}.map(k => [k, t[k]]))"
    return [{key: value for key, value in trace if value is not None} for trace in page.evaluate(script)]


def whole(page: Page) -> list[dict[str, Any]]:
    """The traces of the whole figure, as the page writes it beneath."""
    traces = json.loads(page.get_by_test_id("stCode").inner_text())["data"]
    return [{key: trace[key] for key in KEYS if key in trace} for trace in traces]


def grow(page: Page, points: int) -> None:
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("group", name=f"A chart of {points} points.")).to_be_visible()
    page.wait_for_function(f"document.querySelector('.st-key-grown .drawing').layout.title.text === '{points} points'")
    page.wait_for_timeout(250)  # what is sent sooner is sent as a change of what came before it


def test_changes_of_a_figure_make_the_figure(page: Page, frames: Frames) -> None:
    page.wait_for_timeout(250)
    frames.forget()
    for points in (4, 5, 6, 7):
        grow(page, points)
        assert drawn(page, "grown") == whole(page)
    of_the_chart = [frame for frame in frames.received if '"chart": "grown"' in frame]
    assert len(of_the_chart) == 4
    assert all('"patch"' in frame and '"figure"' not in frame for frame in of_the_chart)


def test_a_browser_that_has_lost_the_figure_is_sent_the_whole(page: Page, frames: Frames) -> None:
    grow(page, 4)
    page.evaluate("soupFigures.clear()")
    frames.forget()
    grow(page, 5)
    assert drawn(page, "grown") == whole(page)
    assert any('"chart": "grown"' in frame and '"figure"' in frame for frame in frames.received)
    assert any('"event":"lost"' in frame for frame in frames.sent)


def test_a_figure_that_is_the_same_is_not_drawn_again(page: Page, frames: Frames) -> None:
    times = page.locator(".st-key-grown .live-chart").get_attribute("data-drawn")
    page.get_by_role("button", name="Again").click()
    frames.wait(page, 2)
    assert page.locator(".st-key-grown .live-chart").get_attribute("data-drawn") == times


def test_without_a_new_step_no_chart_travels_and_with_one_it_does(page: Page, frames: Frames) -> None:
    frames.forget()
    frames.wait(page, 3)
    assert not [frame for frame in frames.received if '"chart"' in frame]
    page.get_by_role("button", name="Step").click()
    expect(page.get_by_role("group", name="A chart of 2 steps.")).to_be_visible()


def test_a_hidden_tab_is_left_alone_and_catches_up(page: Page, frames: Frames) -> None:
    frames.wait(page, 1)
    page.evaluate(SHOW, "hidden")
    page.get_by_role("button", name="Step").click()
    while frames.sent or frames.received:  # until the click, and what was under way, has been answered
        frames.forget()
        page.wait_for_timeout(400)
    page.wait_for_timeout(600)
    assert not frames.sent
    assert not frames.received
    expect(page.get_by_role("group", name="A chart of 1 steps.")).to_be_visible()
    page.evaluate(SHOW, "visible")
    expect(page.get_by_role("group", name="A chart of 2 steps.")).to_be_visible()


def test_the_late_end_of_an_earlier_drawing_does_not_end_the_questions(page: Page) -> None:
    assert page.evaluate(ENDS_LATE, (ROOT / "pages/shared/pulse.js").read_text()) == 2
