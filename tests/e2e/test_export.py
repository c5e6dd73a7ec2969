"""What leaves the browser: figures as PNG, SVG and their data; a soup with all that belongs to it, and back."""

import csv
import io
import os
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
from playwright.sync_api import Page, expect

import soup_core as sc
from soup_core import charts, export
from tests.e2e.driver import ROOT, metric, settled
from tests.e2e.export_app import NAME, cells, series, space

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def saved(page: Page, where: str, button: str) -> tuple[str, bytes]:
    """The name and the bytes of what a button gives."""
    with page.expect_download() as coming:
        page.locator(where).get_by_role("button", name=button).first.click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def charts_drawn(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1000, "height": 1300})
    page.goto(f"{address}/export_app")
    expect(page.locator(".live-chart[data-drawn]")).to_have_count(3)


def test_every_figure_is_saved_as_png_svg_and_csv(page: Page, charts_address: str) -> None:
    charts_drawn(page, charts_address)
    for chart in ("series", "cells", "space"):
        name, picture = saved(page, f".st-key-{chart}", "PNG")
        assert name == f"the-chart-of-{chart}-b-u-ni-code-b.png"
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", picture[16:24])
        box = page.locator(f".st-key-{chart} .drawing").bounding_box()
        assert box is not None
        assert (width, height) == (2 * round(box["width"]), 2 * round(box["height"]))
        name, drawing = saved(page, f".st-key-{chart}", "SVG")
        assert name.endswith(".svg")
        assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
        assert saved(page, f".st-key-{chart}", "CSV")[0].endswith(".csv")


def test_the_csv_holds_the_figures_numbers_and_no_formula(page: Page, charts_address: str) -> None:
    charts_drawn(page, charts_address)

    def rows(chart: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(saved(page, f".st-key-{chart}", "CSV")[1].decode())))

    heads, *points = rows("series")
    assert heads == ["series", "'@x", "held-out (%)"]
    scatter, bar = series.data
    assert [(row[0], float(row[1]), float(row[2])) for row in points[:-1]] == [
        ("'=SUM(A1)", x, y) for x, y in zip(scatter.x, scatter.y, strict=True)
    ]
    assert points[-1] == ["'-plain", NAME, str(bar.y[0])]
    heads, *grid = rows("cells")
    heat = cells.data[0]
    assert heads == ["x", "y", "value"]
    assert [[row[0], row[1], float(row[2])] for row in grid] == [
        [x, f"{chr(39) * (y[0] == '+')}{y}", heat.z[j][i]] for j, y in enumerate(heat.y) for i, x in enumerate(heat.x)
    ]
    _, *positions = rows("space")
    assert [tuple(map(float, row)) for row in positions] == list(
        zip(*(space.data[0][axis] for axis in "xyz"), strict=True)
    )


def test_a_saved_figure_has_the_pages_ground(page: Page, charts_address: str) -> None:
    charts_drawn(page, charts_address)
    ground = "getComputedStyle(document.querySelector('.live-chart')).getPropertyValue('--st-background-color')"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{ground} !== '{light}'")
    dark = page.evaluate(ground).strip()
    drawing = saved(page, ".st-key-cells", "SVG")[1].decode()
    red, green, blue = (int(dark[i : i + 2], 16) for i in (1, 3, 5))
    assert max(red, green, blue) < 64  # the dark theme's
    assert f"rgb({red}, {green}, {blue})" in drawing


def test_a_soup_is_taken_along_and_made_again(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/Ingredients?zoo=five&in=m1&in=m3")
    settled(page)
    page.get_by_text("Take this soup along").click()
    settled(page)  # a run of the page gives the buttons anew, and those of before answer no more
    zoo = sc.open_zoo("five")
    soup = sc.uniform_soup(zoo, ["m1", "m3"])
    out = sc.Export(soup, sc.Evaluator(zoo, device="cpu"))
    files = {}
    for label in ("Weights", "Model card", "Script", "Recipe"):
        name, content = saved(page, '[data-testid="stExpander"]', label)
        files[name] = content
        (tmp_path / name).write_bytes(content)
    assert files == {
        "soup.safetensors": export.safetensors_bytes(out),
        "soup.safetensors.md": export.model_card(out, "soup.safetensors").encode(),
        "soup.safetensors.py": export.remaking_script(out).encode(),
        "soup.json": out.recipe.encode(),
    }
    module = zoo.module()
    module.load_state_dict(safetensors.torch.load(files["soup.safetensors"]), strict=True)
    command = page.locator('[data-testid="stExpander"] code').first.inner_text()
    words = command.split()
    assert words[:3] == ["python", "-m", "soup_core"]
    (tmp_path / "soup.safetensors").unlink()
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (tmp_path / "soup.safetensors").read_bytes() == files["soup.safetensors"]


def test_a_recipe_brings_the_soup_back(page: Page, address: str, tmp_path: Path) -> None:
    zoo = sc.open_zoo("five")
    soup = sc.uniform_soup(zoo, ["m2", "m4"])
    held_out = sc.Evaluator(zoo, device="cpu")
    sc.export_soup(sc.Export(soup, held_out), tmp_path / "soup.safetensors")
    page.goto(f"{address}/Ingredients?zoo=five&in=m0")
    settled(page)
    page.get_by_text("Take this soup along").click()
    page.locator('[data-testid="stFileUploader"] input[type="file"]').set_input_files(tmp_path / "soup.safetensors")
    expect(page.get_by_text("This page shows the soup of that file.")).to_be_visible()
    assert metric(page, "Your soup") == charts.percent(held_out(soup))
    page.wait_for_url("**in=m2&in=m4**")


@pytest.fixture
def folder(zoos: Path) -> Iterator[Path]:
    """Of a zoo whose files may be changed."""
    folder = zoos / "replaced"
    shutil.copytree(zoos / "five", folder)
    yield folder
    shutil.rmtree(folder)


def test_what_cannot_be_made_says_so(page: Page, address: str, folder: Path) -> None:
    """A checkpoint that is replaced between the page and the click: one sentence, and the session lives."""
    page.goto(f"{address}/Ingredients?zoo=replaced&in=m0&in=m1")
    settled(page)
    page.get_by_text("Take this soup along").click()
    file = folder / "m1.safetensors"
    file.write_bytes(file.read_bytes())
    page.locator('[data-testid="stExpander"]').get_by_role("button", name="Weights").click()
    expect(page.get_by_test_id("stDownloadButtonError")).to_be_visible()
    page.get_by_text("Report the test images too").click()
    expect(page.get_by_text("has changed since it was opened")).to_be_visible()
