"""Interpolation in a real browser: a clicked cell is taken along, a clicked pair walked, a plane stopped and continued."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
from playwright.sync_api import Page, expect
from soup_core.analysis.pairs import sampled_pairs

import soup_core as sc
from soup_core import charts
from soup_core.data import ASSETS
from tests.e2e.driver import WAIT, metric, server, settled

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
IMAGES = 150


@pytest.fixture(scope="module")
def zoos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of four bundled networks on so few images that a plane takes seconds."""
    folder = tmp_path_factory.mktemp("zoos") / "small"
    folder.mkdir()
    bundled = sc.open_zoo("fashion-scratch")
    tensors = {}
    for split in ("held_out", "test", "train"):
        data = bundled.data.split(split)
        tensors |= {f"{split}.images": data.images[:IMAGES], f"{split}.labels": data.labels[:IMAGES]}
    safetensors.torch.save_file({key: value.clone() for key, value in tensors.items()}, folder / "data.safetensors")
    lines = ["format = 1", 'title = "Four starts"', 'architecture = { name = "fashion_cnn", num_classes = 10 }',
             "[data]", 'source = "tensors:data.safetensors"']  # fmt: skip
    for number in range(1, 5):
        shutil.copy(ASSETS / "zoos" / "fashion-scratch" / f"start-{number}.safetensors", folder)
        lines += ["[[ingredients]]", f'name = "start-{number}"', f'file = "start-{number}.safetensors"',
                  f"hyperparameters = {{ seed = {number} }}"]  # fmt: skip
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder.parent


@pytest.fixture(scope="module")
def address(zoos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("served") / "home", zoos) as started:
        yield f"{started}/Interpolation?zoo=small"


@pytest.fixture
def zoo(zoos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sc.Zoo:
    monkeypatch.setenv("SOUP_ZOOS", str(zoos))
    monkeypatch.setenv("SOUP_HOME", str(tmp_path / "home"))
    return sc.open_zoo("small")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=option, exact=True).click()


def complete(page: Page, sentence: str) -> None:
    """Wait until the page's work has ended with a sentence."""
    expect(page.get_by_text(sentence)).to_be_visible(timeout=WAIT)
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    settled(page)


def test_a_clicked_cell_is_read_taken_and_chosen_as_an_end(page: Page, address: str, zoo: sc.Zoo) -> None:
    page.goto(f"{address}&view=Plane&b=start-2&c=start-3")
    complete(page, "The best of 441 mixes has")
    plane = page.locator(".js-plotly-plot .nsewdrag").first
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.7 * box["width"] - 3, box["y"] + 0.7 * box["height"])
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"])
    page.wait_for_timeout(200)
    page.mouse.down()
    page.mouse.up()
    read = page.get_by_text(re.compile(r"^-?\d\.\d\d × start-1, ")).inner_text()
    page.get_by_role("button", name="Take it as a soup").click()
    told = page.get_by_text("The taken mix, ")
    expect(told).to_contain_text(read)
    page.wait_for_url("**taken=**")
    taken = sc.Soup.from_json(page.evaluate("new URLSearchParams(location.search).get('taken')"))
    evaluate = sc.Evaluator(zoo, device="cpu")
    assert metric(page, "This mix, held-out") == charts.percent(evaluate(taken))
    expect(told).to_contain_text(f"{charts.percent(evaluate(taken))} of {IMAGES} held-out images")
    page.get_by_role("radio", name="Line").click()
    choose(page, "To", "taken mix")
    expect(page.get_by_text("Between start-1 and taken mix")).to_be_visible()
    settled(page)
    middle = sc.interpolate(sc.Soup({"start-1": 1.0}), taken, 0.5)
    assert metric(page, "The middle") == charts.percent(evaluate(middle))
    page.reload()
    settled(page)
    assert metric(page, "The middle") == charts.percent(evaluate(middle))
    page.get_by_role("link", name="Robustness").click()
    page.get_by_role("radio", name="What changed").click()
    choose(page, "Model", "taken mix")
    choose(page, "against", "start-1")
    expect(page.get_by_text("taken mix differs by")).to_be_visible(timeout=WAIT)
    page.wait_for_url("**taken=**")


def test_a_clicked_pair_becomes_the_line(page: Page, address: str, zoo: sc.Zoo) -> None:
    page.goto(f"{address}&view=Many+pairs")
    complete(page, "of 6 pairs")
    point = page.locator(".scatterlayer .point").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    page.mouse.down()
    page.mouse.up()
    a, b = sampled_pairs(zoo, 1)[0]
    expect(page.get_by_text(f"Between {a} and {b}")).to_be_visible()
    expect(page.get_by_role("radio", name="Line")).to_be_checked()


def test_a_plane_is_stopped_and_continued(page: Page, address: str) -> None:
    def done() -> int:
        found = re.search(r"(\d+) of 441", page.get_by_text(re.compile(r"^Evaluating the plane: \d+ of")).inner_text())
        assert found is not None
        return int(found[1])

    page.goto(f"{address}&view=Plane&b=start-3&c=start-4")
    page.get_by_text(re.compile(r"^Evaluating the plane: \d\d+ of")).wait_for()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped; started again, it goes on from here.")).to_be_visible()
    before = page.get_by_text(re.compile(r"^The best of \d+ mixes so far")).inner_text()
    page.reload()
    settled(page)
    assert page.get_by_text(re.compile(r"^The best of \d+ mixes so far")).inner_text() == before
    page.get_by_role("button", name="Go on").click()
    page.get_by_text(re.compile(r"^Evaluating the plane: \d+ of")).wait_for()
    assert done() >= int(re.findall(r"\d+", before)[0])
    complete(page, "The best of 441 mixes has")
