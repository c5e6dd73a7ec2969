"""The report and the slides as a user makes them on Present, and the report as a browser opens it."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import BrowserContext, Page, expect
from pptx import Presentation

import soup_core as sc
from soup_core import charts
from soup_core.presentation.scenes import Scene, to_link
from tests.e2e.driver import settled

SCENES = [
    Scene(page="Greedy", state={"zoo": ("five",), "step": ("5",)}, title="The search", note="A note."),
    Scene(page="Interpolation", state={"zoo": ("five",)}, title="The line"),
]


def test_a_report_and_slides_are_made_saved_and_open_without_a_network(
    page: Page, address: str, tmp_path: Path
) -> None:
    page.goto(f"{address}/Present?zoo=five&scenes={to_link(SCENES)}")
    settled(page)
    for label in ("slides", "report"):
        page.get_by_role("button", name=f"Make the {label}").click()
        expect(page.locator('[data-testid="stProgress"]')).to_be_visible()
        save = page.get_by_role("button", name=f"Save the {label}")
        expect(save).to_be_visible()
        with page.expect_download() as download:
            save.click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    assert len(Presentation(tmp_path / "five.pptx").slides) >= 3
    report = tmp_path / "five.html"
    assert report.stat().st_size < 8e6
    zoo = sc.open_zoo("five")
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo))
    for scheme in ("light", "dark"):
        assert complaints(page.context, report, scheme, charts.percent(sc.Evaluator(zoo)(last.soup))) == []


def complaints(context: BrowserContext, report: Path, scheme: Literal["light", "dark"], value: str) -> list[str]:
    """Open a report, whose first number is `value`; returns what the console says and what it asks of others."""
    page, wrong = context.new_page(), list[str]()
    page.set_viewport_size({"width": 390, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.on("console", lambda line: wrong.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))
    page.goto(report.as_uri())
    expect(page.locator(".chart .main-svg .xtick").first).to_be_visible()
    assert page.locator("dd.value").first.inner_text() == value
    assert page.locator(".chart").count() == page.locator(".chart:has(.main-svg)").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert page.locator(".chart text").first.evaluate("each => getComputedStyle(each).fill") == "rgb(27, 36, 48)"
    page.close()
    return wrong
