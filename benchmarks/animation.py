"""The README's animated picture: a visit in the running app, taken by a browser as it goes.

python -m benchmarks.animation
"""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect

from soup_core.charts.style import MARKS
from tests.e2e.driver import ROOT, chromium, metric, server, settled, worked

FILE = ROOT / "assets" / "images" / "visit.gif"
VIEW = ViewportSize(width=1280, height=800)
WIDTH = 860  # pixels of the picture
COLOURS = 128
SHORT, LONG = 0.45, 2.2  # seconds that a picture stays
TOGGLED = ("ft-13", "ft-03", "ft-23")
STEPS = 24


def visit(page: Page, address: str) -> Iterator[float]:
    """Go through the app; yields, wherever a picture is to be taken, how long it stays."""
    page.goto(address)
    worked(page)
    drawn(page)
    yield LONG
    page.goto(f"{address}/Ingredients")
    settled(page)
    drawn(page)
    yield LONG / 2
    for name in TOGGLED:
        before = metric(page, "Your soup")
        page.get_by_role("button", name=name, exact=True).first.click()
        expect(page.locator('[data-testid="stMetric"]').filter(has_text="Your soup").first).not_to_contain_text(before)
        settled(page)
        page.wait_for_timeout(400)
        yield 2 * SHORT
    page.goto(f"{address}/Greedy?step=1")
    settled(page)
    drawn(page)
    for step in range(1, STEPS + 1):
        if step > 1:
            page.get_by_role("button", name="Step", exact=True).dispatch_event("click")  # scrolls to nothing
            expect(page.get_by_text(f"{step} tried")).to_be_visible()
            page.wait_for_timeout(300)
        yield SHORT if step < STEPS else LONG
    page.goto(f"{address}/Interpolation?view=Plane")
    worked(page)
    drawn(page)
    page.wait_for_timeout(1500)
    yield LONG


def drawn(page: Page) -> None:
    """Wait for the first chart, and let it come to rest."""
    expect(page.locator(".live-chart .main-svg").first).to_be_visible()
    page.wait_for_timeout(800)


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """The pictures above one another, with the marks' colours beneath, which are too few in them to be kept else."""
    height, stripe = pictures[0].height, pictures[0].height // 2
    every = Image.new("RGB", (WIDTH, len(pictures) * height + len(MARKS) * stripe))
    for place, picture in enumerate(pictures):
        every.paste(picture, (0, place * height))
    for place, mark in enumerate(MARKS.values()):
        top = len(pictures) * height + place * stripe
        every.paste(mark.colour, (0, top, WIDTH, top + stripe))
    return every


def main() -> None:
    """Take the visit's pictures, and write them as one file."""
    pictures: list[tuple[Image.Image, float]] = []
    with tempfile.TemporaryDirectory() as home, server(Path(home) / "home") as address, chromium() as browser:
        page = browser.new_page(viewport=VIEW, color_scheme="light")
        page.set_default_timeout(120_000)
        for stays in visit(page, address):
            taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            small = taken.resize((WIDTH, WIDTH * taken.height // taken.width), Image.Resampling.LANCZOS)
            pictures.append((small, stays))
    palette = stacked([picture for picture, _ in pictures]).quantize(COLOURS)
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture, _ in pictures]
    first.save(
        FILE,
        save_all=True,
        append_images=others,
        duration=[int(1000 * stays) for _, stays in pictures],
        loop=0,
        optimize=True,
    )
    print(f"{FILE.name}: {len(pictures)} pictures, {FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
