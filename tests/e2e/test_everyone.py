"""Every view for everyone: by keys, by ear, on a telephone, in light and dark, without motion, and in few words."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, TimeoutError, ViewportSize

from soup_core.presentation.scenes import Scene, to_link
from tests.e2e.driver import VIEWS, choose_view, worked

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
SCENES = to_link(
    [
        Scene(page="Ingredients", state={"zoo": ("five",)}, title="First", pinned=("in",)),
        Scene(page="Greedy", state={"zoo": ("five",), "step": ("3",)}, title="Second", note="A note."),
    ]
)
ANSWERED = quote(json.dumps({"line": [None, 60, 70, 80]}))
ADDRESSES = [
    *VIEWS,
    "Robustness?view=What+changed&a=uniform+soup&b=m2",
    "Learn?lesson=The+line",
    f"Learn?lesson=The+line&answered={ANSWERED}",
    "Present",
    f"Present?scenes={SCENES}",
    f"Present?present=1&scene=1&scenes={SCENES}",
    "Greedy?present=1&step=3",
]
# Every page, and each kind of chart, table and control. The others are looked at by `make soak`.
SAMPLE = [
    "",
    "Ingredients",
    "Ingredients?view=Map",
    "Ingredients?view=Ablations&ablation=Hyperparameters",
    "Ingredients?view=Will+it+soup%3F",
    "Interpolation?view=Many+pairs",
    "Learned",
    "Robustness?view=Cost",
    "Train",
    "Add_a_zoo",
    "Robustness?view=What+changed&a=uniform+soup&b=m2",
    f"Learn?lesson=The+line&answered={ANSWERED}",
    f"Present?scenes={SCENES}",
    "Greedy?present=1&step=3",
]
OTHERS = [view for view in ADDRESSES if view not in SAMPLE]
WORDS_AT_MOST = 40
PATIENCE = 20_000  # milliseconds for the charts to be drawn in a narrow window
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)

# What a reader must read before the first chart, or on a page without one: headings, paragraphs and captions in sight.
# Not labels and buttons of controls, numbers, warnings and errors, nor the page's one sentence in bold, a finding.
TEXTS = """() => {
  const main = document.querySelector('[data-testid="stMain"]'), texts = '[data-testid="stMarkdownContainer"], [data-testid="stHeading"]';
  const others = `label, button, summary, .live-chart, ${["stWidgetLabel", "stMetric", "stPageLink", "stProgress",
    "stAlertContentError", "stAlertContentWarning"].map(name => `[data-testid="${name}"]`).join()}`;
  const chart = [...main.querySelectorAll(".live-chart")].find(each => each.checkVisibility());
  return [...main.querySelectorAll(texts)].filter(each => each.checkVisibility() && !each.closest(others)
    && !each.parentElement.closest(texts) && (chart || !each.querySelector("p > strong:only-child"))
    && !(chart && chart.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING)).map(each => each.innerText);
}"""

# What can be clicked and cannot be reached by Tab. Arrows do it within a group, a list's box, or the field of a number.
UNREACHABLE = """() => {
  const clickable = `button, a, input, select, textarea, summary, ${["button", "link", "radio", "tab", "checkbox", "slider",
    "combobox", "switch"].map(role => `[role=${role}]`).join()}`;
  const together = '[role=radiogroup], [role=tablist], [data-testid="stSelectbox"], [data-testid="stMultiSelect"], [data-testid="stNumberInput"]';
  const reached = each => each.tabIndex >= 0 && !each.disabled && (each.tagName !== "A" || each.href);
  return [...document.querySelectorAll(clickable)].filter(each => each.checkVisibility() && !each.disabled && !reached(each)
    && ![...each.closest(together)?.querySelectorAll(clickable) ?? []].some(reached)).map(each => each.outerHTML);
}"""

# What is wider than the window, stands out of it, or is cut where it cannot be scrolled to.
CUT = """width => {
  const wrong = document.documentElement.scrollWidth > width ? ["the page is wider than its window"] : [];
  for (const each of document.querySelectorAll('[data-testid="stMain"] *')) {
    if (!each.checkVisibility() || each.closest('.live-chart .wide, .cells, [data-testid="stDataFrame"]')) continue;
    const { left, right, width: own } = each.getBoundingClientRect(), { overflowX } = getComputedStyle(each);
    const cut = ["hidden", "clip"].includes(overflowX) && each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 2;
    if (cut || (own && (left < -1 || right > width + 1))) wrong.push(each.outerHTML.slice(0, 300));
  }
  return wrong;
}"""

# Of each chart its name, its role, and how many cells its opened table has.
CHARTS = """() => Promise.all([...document.querySelectorAll(".live-chart")].map(async chart => {
  const details = chart.querySelector("details"), drawing = chart.querySelector(".drawing");
  await new Promise(done => { details.addEventListener("toggle", done, { once: true }); details.open = true; });
  const facts = { role: drawing.role, name: drawing.ariaLabel, cells: details.querySelectorAll("td").length,
                  heads: details.querySelectorAll("th").length, summary: details.querySelector("summary").checkVisibility() };
  details.open = false;
  return facts;
}))"""


@pytest.fixture(scope="module", autouse=True)
def sweep(zoos: Path) -> Iterator[None]:
    """A folder that can become a zoo."""
    folder = zoos / "sweep"
    folder.mkdir()
    torch.save({"layer.weight": torch.ones(2, 2)}, folder / "model.pt")
    yield
    shutil.rmtree(folder)


@pytest.fixture
def page(module_page: Page) -> Page:
    """One page for all views, without motion; each test begins wide and light."""
    module_page.set_viewport_size(WIDE)
    module_page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return module_page


def opened(page: Page, address: str, view: str) -> None:
    """Show a view of the zoo, where the app is open already by its choosers, and wait until all is drawn."""
    if view in VIEWS and page.url.startswith(address) and "present=1" not in page.url:
        choose_view(page, view)
    else:
        page.goto(f"{address}/{view}{'&' if '?' in view else '?'}zoo=five")
        worked(page)


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds that is serious or critical, and where; by these rules alone, or by all."""
    options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in Axe().run(page, options=options).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("view", [*SAMPLE, *(pytest.param(view, marks=pytest.mark.soak) for view in OTHERS)])
def test_a_view_is_for_everyone(page: Page, address: str, view: str) -> None:
    opened(page, address, view)
    texts = page.evaluate(TEXTS)
    assert len(" ".join(texts).split()) <= WORDS_AT_MOST, texts
    assert page.evaluate(UNREACHABLE) == []
    for chart in page.evaluate(CHARTS):
        assert chart["role"] == "group"  # not img, whose marks and buttons would be hidden
        assert len(chart["name"].split()) >= 3, chart
        assert chart["cells"] >= chart["heads"] >= 2, chart
        assert chart["summary"] or "present=1" in view
    assert violations(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor === 'rgb(16, 21, 28)'"
    )
    worked(page)  # colours fade from one theme to the other
    assert violations(page, "color-contrast") == []  # of all that axe-core knows, this alone hangs on the theme
    page.set_viewport_size(NARROW)
    with suppress(TimeoutError):  # charts are drawn anew
        page.wait_for_function(f"width => ({CUT})(width).length === 0", arg=NARROW["width"], timeout=PATIENCE)
    assert page.evaluate(CUT, NARROW["width"]) == []


def test_nothing_moves_where_motion_is_unwanted(page: Page, address: str) -> None:
    """Neither on a page that plays, nor in a chart with a bar of tools, which fades in by itself."""
    longest = """() => Math.max(...[...document.querySelectorAll("*")].flatMap(each => {
      const { transitionDuration, animationDuration } = getComputedStyle(each);
      return `${transitionDuration},${animationDuration}`.split(",").map(parseFloat);
    }))"""
    for view in ("Greedy", "Ingredients?view=Map"):
        page.emulate_media(reduced_motion="no-preference")
        page.goto(f"{address}/{view}{'&' if '?' in view else '?'}zoo=five")
        worked(page)
        assert page.evaluate(longest) > 0.1
        page.emulate_media(reduced_motion="reduce")
        assert page.evaluate(longest) <= 0.001
    moving = "Object.values(document.querySelectorAll('.drawing')).map(each => each._fullLayout.transition ?? null)"
    assert page.evaluate(moving) == [None] * page.locator(".drawing").count()


def test_what_is_wrong_is_found(page: Page) -> None:
    """The looks above, on a page that has each of the faults."""
    page.set_content("""<html lang="en"><body><main data-testid="stMain">
      <div data-testid="stHeading"><h1>One two three</h1></div>
      <div data-testid="stMarkdownContainer"><p>four <strong>five</strong></p></div>
      <label><div data-testid="stMarkdownContainer">a label</div></label>
      <div class="live-chart"><p style="color: #999; background: #fff">faint</p></div>
      <div data-testid="stMarkdownContainer">after the chart</div>
      <button tabindex="-1">lost</button><a>no link</a><div role="radiogroup"><b role="radio" tabindex="-1">out</b></div>
      <div role="radiogroup"><b role="radio" tabindex="-1">a</b><b role="radio" tabindex="0">b</b></div>
      <p style="width: 60px; overflow: hidden; white-space: nowrap">a number that is too long</p>
      <div style="width: 900px">wide</div></main>""")
    assert " ".join(page.evaluate(TEXTS)).split() == ["One", "two", "three", "four", "five"]
    assert len(page.evaluate(UNREACHABLE)) == 3
    assert any("color-contrast" in each for each in violations(page))
    page.set_viewport_size(NARROW)
    first, *others = page.evaluate(CUT, NARROW["width"])
    assert first == "the page is wider than its window"
    assert any("too long" in each for each in others)
