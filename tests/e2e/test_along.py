"""The report and the slides as a user makes them on Present, and the report as a browser opens it."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect
from pptx import Presentation
from soup_core.presentation.scenes import Scene, to_link

import soup_core as sc
from soup_core import charts
from tests.e2e.driver import server, settled

SCENES = [
    Scene(page="Greedy", state={"zoo": ("fashion-batchnorm",), "step": ("8",)}, title="The search", note="A note."),
    Scene(page="Interpolation", state={"zoo": ("fashion-batchnorm",)}, title="The line"),
]


def test_a_report_and_slides_are_made_saved_and_open_without_a_network(
    page: Page, browser: Browser, tmp_path: Path
) -> None:
    with server(tmp_path / "home") as address:
        page.goto(f"{address}/Present?zoo=fashion-batchnorm&scenes={to_link(SCENES)}")
        settled(page)
        for label in ("slides", "report"):
            page.get_by_role("button", name=f"Make the {label}").click()
            expect(page.locator('[data-testid="stProgress"]')).to_be_visible()
            save = page.get_by_role("button", name=f"Save the {label}")
            expect(save).to_be_visible(timeout=180_000)
            with page.expect_download() as download:
                save.click()
            download.value.save_as(tmp_path / download.value.suggested_filename)
    assert len(Presentation(tmp_path / "fashion-batchnorm.pptx").slides) >= 3
    report = tmp_path / "fashion-batchnorm.html"
    assert report.stat().st_size < 8e6
    zoo = sc.open_zoo("fashion-batchnorm")
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo))
    for scheme in ("light", "dark"):
        assert opens(browser, report, scheme, charts.percent(sc.Evaluator(zoo)(last.soup))) == []


def opens(browser: Browser, report: Path, scheme: Literal["light", "dark"], value: str) -> list[str]:
    """Open a report; returns what was said to the console or asked of others."""
    context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme=scheme)
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith("file:") else wrong.append(asked.url))
    page.goto(report.as_uri())
    expect(page.locator(".chart .main-svg .xtick").first).to_be_visible()
    assert page.locator("dd.value").first.inner_text() == value
    assert page.locator(".chart").count() == page.locator(".chart:has(.main-svg)").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert page.locator(".chart text").first.evaluate("each => getComputedStyle(each).fill") == "rgb(27, 36, 48)"
    context.close()
    return wrong
