"""Pages before an audience, and the page of scenes, by Streamlit's own test driver."""

import random
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.shared import page, presenting, session
from soup_core import charts
from soup_core.presentation.scenes import SCENES_AT_MOST, Scene, from_link, to_link
from tests.app_pages import ROOT, closes, open_page, words
from tests.published_results import write_results
from tests.zoos import random_linears, write_zoo

PRESENT = "pages/8_Present.py"
SCENES = [
    Scene(page="Ingredients", state={"zoo": ("made",), "in": ("m1", "m3")}, title="Two *stars*", note="n"),
    Scene(page="Greedy", state={"zoo": ("made",), "step": ("3",)}, title="Search", pinned=("step",)),
]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", random_linears(5)))


def press(test: AppTest, label: str) -> AppTest:
    next(button for button in test.button if button.label == label).click().run()
    assert not test.exception
    return test


def kept(test: AppTest) -> list[Scene]:
    scenes = list(test.session_state[session.SCENES])
    if "scenes" in test.query_params:
        found = test.query_params["scenes"]
        (link,) = found if isinstance(found, list) else [found]
        assert from_link(link) == tuple(scenes)
    return scenes


def test_nothing_to_present_says_how_to_begin() -> None:
    test = open_page(PRESENT)
    assert "No scenes yet" in words(test)
    assert next(button for button in test.button if button.label == "Present from the first").disabled


def test_scenes_are_edited_moved_and_removed() -> None:
    test = open_page(PRESENT, scenes=to_link(SCENES))
    assert not test.exception
    assert [field.value for field in test.text_input] == ["Two *stars*", "Search"]
    test.text_input[1].set_value("Another").run()
    assert [scene.title for scene in kept(test)] == ["Two *stars*", "Another"]
    test.multiselect[0].set_value(["in", "test"]).run()
    assert kept(test)[0].pinned == ("in", "test")
    next(button for button in test.button if button.label == "Down").click().run()
    assert [scene.title for scene in kept(test)] == ["Another", "Two *stars*"]
    assert [field.value for field in test.text_input] == ["Another", "Two *stars*"]
    press(test, "Remove")
    assert [scene.title for scene in kept(test)] == ["Two *stars*"]
    press(test, "Clear")
    assert not kept(test)
    assert "No scenes yet" in words(test)


def test_a_browser_that_still_sends_the_link_from_before_a_change_does_not_undo_it() -> None:
    test = open_page(PRESENT, scenes=to_link(SCENES))
    test.text_input[0].set_value("Another").run()
    test.query_params["scenes"] = to_link(SCENES)
    test.text_area[0].set_value("A note.").run()
    assert (kept(test)[0].title, kept(test)[0].note) == ("Another", "A note.")


def test_the_story_is_told_and_takes_the_place_of_scenes_only_when_asked(zoo: sc.Zoo) -> None:
    test = press(open_page(PRESENT), "Tell this zoo's story")
    assert [scene.page for scene in kept(test)] == ["Home", "Ingredients", "Greedy", "Interpolation", "Robustness"]
    test = press(open_page(PRESENT, scenes=to_link(SCENES)), "Tell this zoo's story")
    assert kept(test) == SCENES
    assert len(kept(press(test, "Take the story"))) == 5


def test_a_damaged_link_is_one_sentence() -> None:
    test = open_page(PRESENT, scenes="abc")
    assert not test.exception
    assert "copy the whole link once more" in words(test)


def test_a_view_is_added_with_its_address() -> None:
    test = press(open_page("pages/2_Greedy.py", step="3", ties="better or equal"), "Add this view to the presentation")
    assert kept(test) == [
        Scene(page="Greedy", state={"zoo": ("made",), "step": ("3",), "ties": ("better or equal",)}, title="Greedy")
    ]
    press(test, "Add this view to the presentation")
    assert len(kept(test)) == 2


def test_a_scene_is_shown_with_its_words_and_without_the_others() -> None:
    test = open_page(
        "pages/1_Ingredients.py", present="1", scene="1", scenes=to_link(SCENES), **{"in": list(SCENES[0].state["in"])}
    )
    assert not test.exception
    assert test.title[0].value == "Two \\*stars\\*"
    assert {"Back", "Next", "Leave"} <= {button.label for button in test.button}
    assert next(button for button in test.button if button.label == "Back").disabled
    closes(test)
    assert test.get("button_group")[0].value == ["m1", "m3"]


@pytest.mark.parametrize("asked", ["0", "3", "one", "-1", "²", "1" * 5000])
def test_a_scene_that_is_not_there_shows_the_page_itself(asked: str) -> None:
    test = open_page("pages/2_Greedy.py", present="1", scene=asked, scenes=to_link(SCENES))
    assert not test.exception
    assert test.title[0].value == "Greedy"
    assert "Next" not in {button.label for button in test.button}


def test_what_can_be_pinned_are_controls_of_the_pages() -> None:
    assert set(presenting.PINNABLE) <= set(page.PAGES.values())
    keys = {key for controls in presenting.PINNABLE.values() for key in controls}
    source = "".join(file.read_text() for file in (ROOT / "pages").rglob("*.py"))
    groups = set(re.findall(r'st\.container\(.*key="(\w+)"', source))
    controls = set(re.findall(r'address\.bound\("(\w+)"', source))
    assert keys <= controls | groups
    assert {"player", "prediction"} <= keys & groups


def test_a_figure_before_an_audience_is_larger_and_says_the_same() -> None:
    figure = go.Figure(
        go.Scatter(x=[1, 2], y=[3, 4], marker={"size": [5, 10]}, customdata=[["a"], ["b"]]),
        {"font": {"size": 10}, "xaxis": {"title": {"text": "x", "font": {"size": 20}}}, "height": 400},
    )
    large = charts.enlarged(figure, 1.5)
    assert large.data[0].marker.size == (7.5, 15)
    assert (large.layout.font.size, large.layout.xaxis.title.font.size, large.layout.height) == (15, 30, 500)
    assert [list(large.data[0].x), list(large.data[0].y)] == [[1, 2], [3, 4]]
    assert figure.layout.font.size == 10


def test_a_view_that_no_scene_can_hold_is_told(zoo: sc.Zoo) -> None:
    test = press(open_page("pages/2_Greedy.py", further="x" * 3000), "Add this view to the presentation")
    assert "longer than a scene can hold" in words(test)
    full = to_link([SCENES[0]] * SCENES_AT_MOST)
    test = press(open_page("pages/2_Greedy.py", scenes=full), "Add this view to the presentation")
    assert "at most 100 scenes" in words(test)
    assert len(kept(test)) == SCENES_AT_MOST


def test_a_scene_of_a_page_that_is_not_there_is_told_and_can_be_left() -> None:
    scenes = [SCENES[0], Scene(page="Nowhere", state={"zoo": ("made",)}, title="Lost")]
    test = open_page("app.py", present="1", scene="2", scenes=to_link(scenes))
    assert "This app has no page 'Nowhere'" in words(test).replace("\\", "")
    assert not next(button for button in test.button if button.label == "Back").disabled


def test_a_scene_does_not_take_what_the_presenter_chose_before(zoo: sc.Zoo) -> None:
    """A mix of another zoo, or a way of computing, which the scene's address leaves out where it is the usual one."""
    taken = sc.Soup({"m0": 0.5, "m2": 0.5}).to_json()
    link = to_link([SCENES[1], Scene(page="Interpolation", state={"zoo": ("made",)}, title="Line")])
    test = open_page("pages/2_Greedy.py", taken=taken, memory="0.5", present="1", scene="1", scenes=link)
    assert session.TAKEN in test.session_state
    assert test.session_state["memory"] == 0.5
    for key in ("taken", "memory"):  # which a browser takes out on a change of page
        del test.query_params[key]
    press(test, "Next")
    assert session.TAKEN not in test.session_state
    assert test.session_state["memory"] == sc.memory_budget()


def test_a_scene_may_hold_what_streamlit_lets_nobody_set() -> None:
    scene = Scene(page="Greedy", state={"embed": ("true",), "step": ("2",)})
    assert presenting.address_of(scene) == {"step": ["2"]}


@pytest.mark.parametrize("path", ["pages/8_Present.py", "pages/7_Learn.py"])
def test_published_results_hide_neither_scenes_nor_lessons(path: str, tmp_path: Path) -> None:
    write_results(tmp_path / "paper")
    test = open_page(path, zoo="paper", scenes=to_link(SCENES))
    assert not test.exception
    assert not test.error
    if path == "pages/8_Present.py":
        assert [field.value for field in test.text_input] == ["Two *stars*", "Search"]
        assert next(button for button in test.button if button.label == "Tell this zoo's story").disabled
        assert not [button for button in test.button if button.label.startswith("Make the")]
    else:
        assert "Score: 0 of" in words(test)


def test_a_link_that_programs_may_cut_is_told() -> None:
    assert "its link shares them" in words(open_page(PRESENT, scenes=to_link(SCENES)))
    drawn = random.Random(0)
    notes = ["".join(chr(drawn.randrange(0x4E00, 0x9FFF)) for _ in range(2000)) for _ in range(3)]
    link = to_link([Scene(page="Greedy", note=note) for note in notes])
    assert f"their link has {len(link):,} characters" in words(open_page(PRESENT, scenes=link))
