"""A presentation in a real browser: by its keys, with large type, without controls but the pinned ones, as one link."""

import re

from playwright.sync_api import Page, expect

from soup_core.presentation.scenes import Scene, to_link
from tests.e2e.driver import settled

SCENES = [
    Scene(page="Ingredients", state={"zoo": ("five",), "in": ("m0", "m2")}, title="First"),
    Scene(page="Ingredients", state={"zoo": ("five",), "in": ("m1",)}, title="Second", pinned=("in",)),
    Scene(page="Greedy", state={"zoo": ("fashion-batchnorm",), "step": ("3",)}, title="Third", note="A note."),
    Scene(page="Greedy", state={"zoo": ("fashion-batchnorm",), "step": ("2",)}, title="Fourth", pinned=("player",)),
]


def shows(page: Page, title: str, number: int) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_text(f"{number} of {len(SCENES)}", exact=True)).to_be_visible()
    settled(page)


def chosen(page: Page) -> list[str]:
    return page.locator(
        '.st-key-in button[aria-checked="true"], .st-key-in button[aria-pressed="true"]'
    ).all_inner_texts()


def test_scenes_are_walked_by_keys_and_each_shows_its_own_state(page: Page, address: str) -> None:
    page.goto(f"{address}/Present?present=1&scene=1&scenes={to_link(SCENES)}")
    shows(page, "First", 1)
    expect(page.locator('[data-testid="stSidebar"]')).to_be_hidden()
    expect(page.locator(".st-key-in")).to_be_hidden()
    expect(page.get_by_role("button", name="Invert")).to_be_hidden()
    assert chosen(page) == ["m0", "m2"]
    small = page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)")
    assert small >= 20, "large type"
    page.keyboard.press("ArrowRight")
    shows(page, "Second", 2)
    expect(page.locator(".st-key-in")).to_be_visible()
    assert chosen(page) == ["m1"]
    page.get_by_role("button", name="m4").click()
    expect(page.locator('[data-testid="stMetric"]').filter(has_text="Your soup").first).to_be_visible()
    page.keyboard.press("PageDown")
    shows(page, "Third", 3)
    expect(page.locator(".st-key-step")).to_be_hidden()
    assert "3 tried" in page.locator('[data-testid="stMetric"]').filter(has_text="Ingredients in it").inner_text()
    page.keyboard.press("ArrowRight")
    shows(page, "Fourth", 4)
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.locator('[data-testid="stMetric"]').filter(has_text="Ingredients in it")).to_contain_text("3 tried")
    expect(page.locator(".st-key-order")).to_be_hidden()
    page.keyboard.press("PageUp")
    shows(page, "Third", 3)
    page.reload()
    shows(page, "Third", 3)
    page.get_by_role("button", name="Back").first.click()
    shows(page, "Second", 2)
    assert chosen(page) == ["m1"]
    page.keyboard.press("Escape")
    expect(page.locator('[data-testid="stSidebar"]')).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ingredients")
    assert "present" not in page.url
    assert chosen(page) == ["m1"]


def test_a_view_is_added_and_the_address_of_present_shares_it(page: Page, address: str) -> None:
    page.goto(f"{address}/Greedy?zoo=five&step=2")
    settled(page)
    page.get_by_role("button", name="Share this view").click()
    link = page.locator('[data-testid="stPopoverBody"] code')
    expect(link).to_have_text(page.url)
    page.get_by_role("button", name="Add this view to the presentation").click()
    expect(page.get_by_text("Scene 1 is added")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Present").click()
    settled(page)
    page.get_by_label("Scene 1, Greedy: title").fill("The second step")
    page.get_by_role("textbox", name="Note").fill("It stays.")
    page.get_by_role("textbox", name="Note").press("Tab")
    scene = Scene(page="Greedy", state={"zoo": ("five",), "step": ("2",)}, title="The second step", note="It stays.")
    expect(page).to_have_url(re.compile(f"scenes={to_link([scene])}(&|$)"))


def test_a_class_predicts_before_the_teachers_screen(page: Page, address: str) -> None:
    page.goto(f"{address}/Learn?present=1&pin=prediction&lesson=Along+one+run")
    settled(page)
    expect(page.get_by_role("button", name="Begin again")).to_be_hidden()
    page.locator(".st-key-prediction").get_by_role("slider").press("ArrowRight")
    page.wait_for_url(re.compile(r"guess.*0\.05"))  # before that the press is still on its way
    settled(page)
    page.get_by_role("button", name="See the run").click()
    expect(page.locator('[data-testid="stMetric"]').filter(has_text="You said")).to_contain_text("+0.05 points")
    page.get_by_role("button", name="Predict again").click()
    expect(page.get_by_role("button", name="See the run")).to_be_visible()
