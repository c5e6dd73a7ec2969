"""A presentation's scenes as a file and as a link, the story of a zoo, and what is refused."""

import base64
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import soup_core as sc
from soup_core.formatting import significance
from soup_core.presentation.scenes import SCENES_AT_MOST, Scene, from_json, from_link, to_json, to_link
from soup_core.presentation.story import story
from tests.zoos import random_linears, write_zoo

texts = st.text(max_size=40)
scenes = st.lists(
    st.builds(
        Scene,
        page=texts,
        state=st.dictionaries(texts, st.lists(texts, max_size=3).map(tuple), max_size=3),
        title=texts,
        note=texts,
        pinned=st.lists(texts, max_size=3).map(tuple),
    ),
    max_size=4,
)


@given(scenes)
def test_a_file_and_a_link_hold_the_same_scenes(made: list[Scene]) -> None:
    assert from_json(to_json(made)) == from_link(to_link(made)) == tuple(made)
    assert set(to_link(made)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


LINK = to_link([Scene(page="Greedy", title="One")])


@pytest.mark.parametrize("cut", range(len(LINK)))
def test_a_link_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(sc.SoupError, match="copy the whole link"):
        from_link(LINK[:cut])


def test_a_link_that_inflates_is_refused() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000, 9)).decode()
    with pytest.raises(sc.SoupError, match="incomplete or damaged"):
        from_link(bomb)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "its text"),
        ('{"scenes": [{"title": "without a page"}]}', r"scenes\.0\.page"),
        ('{"scenes": [{"page": "Greedy", "script": "x"}]}', r"scenes\.0\.script"),
        ('{"format": 2, "scenes": []}', "found format 2"),
        (to_json([Scene(page="Greedy")] * (SCENES_AT_MOST + 1)), "at most 100"),
        (f'{{"scenes": [{{"page": "{"x" * 3000}"}}]}}', "at most 2000"),
    ],
)
def test_a_file_that_holds_no_scenes_is_refused(text: str, told: str) -> None:
    with pytest.raises(sc.SoupError, match=told):
        from_json(text, "scenes.json")


def test_the_story_tells_the_zoos_own_numbers(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(12, spread=1.0)))
    held_out, test = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    steps = list(sc.greedy_soup(zoo, held_out))
    best, soup = sc.Soup({steps[0].candidate: 1.0}), steps[-1].soup
    assert len(soup.names) > 1, "or there is nothing to tell"
    gain = 100 * (test(soup).correct - test(best).correct) / test(soup).total
    told = story(zoo, held_out)
    assert [scene.page for scene in told] == ["Home", "Ingredients", "Greedy", "Interpolation", "Robustness"]
    assert told[0].title == f"Twelve runs, one model, {gain:+.1f} points, the same cost"
    for evaluation in (test(best), test(soup)):
        assert f"{100 * evaluation.correct / evaluation.total:.1f} %" in told[0].note
    assert told[1].state["in"] == soup.names, "plain names are labels as they are"
    assert f"{len(soup.names)} of 12 stay" in told[2].title
    middle = held_out(sc.interpolate(best, sc.Soup({told[3].state["b"][0]: 1.0}), 0.5))
    ends = max(held_out(best).correct, held_out(sc.Soup({told[3].state["b"][0]: 1.0})).correct)
    assert f"{100 * (middle.correct - ends) / middle.total:+.2f} points" in told[3].note
    assert f"{100 * sc.ensemble(test, zoo.names).accuracy:.1f} %" in told[4].note
    assert from_link(to_link(told)) == told


def test_the_story_of_models_that_do_not_average_says_so(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(2, spread=0.0)))
    told = story(zoo, sc.Evaluator(zoo))
    assert told[0].title == "Two runs, and no average that beats the best"
    assert "stays" in told[2].title
    alone = story(one := sc.open_zoo(write_zoo(tmp_path / "one", random_linears(1))), sc.Evaluator(one))
    assert alone[0].title.startswith("One run,")
    assert alone[3].title == "One run alone"
    assert alone[4].title == "The bill: one model, where an ensemble runs 1"


ODD = ("lr=1e-3 [a]", "lr=1e-3 *b*", "c")


def test_odd_names_of_the_story_are_the_labels_that_its_pages_choose_by(tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "odd", random_linears(3, spread=1.0))
    content = (folder / "zoo.toml").read_text()
    for index, name in enumerate(ODD):
        content = content.replace(f'name = "m{index}"', f'name = "{name}"')
    (folder / "zoo.toml").write_text(content)
    zoo = sc.open_zoo(folder)
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo))
    assert set(last.soup.names) & set(ODD[:2]), "or nothing is tried"
    by_name = dict(zip(ODD, (r"lr\=1e-3 \[a\]", r"lr\=1e-3 \*b\*", "c"), strict=True))
    assert story(zoo, sc.Evaluator(zoo))[1].state["in"] == tuple(by_name[name] for name in last.soup.names)


@pytest.mark.parametrize(
    ("spread", "kept", "title"),
    [(0.0, 1, "No wall between the two best, and yet no gain"), (1.0, 2, "Why it works: no wall between them")],
)
def test_the_story_says_what_lies_between_by_what_was_found(
    tmp_path: Path, spread: float, kept: int, title: str
) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(12 if spread else 2, spread=spread)))
    held_out = sc.Evaluator(zoo)
    *_, last = sc.greedy_soup(zoo, held_out)
    assert (len(last.soup.names) > 1) == (kept > 1)
    told = story(zoo, held_out)[3]
    a, b = (held_out(sc.Soup({told.state[key][0]: 1.0})) for key in "ab")
    points = [
        held_out(sc.interpolate(*(sc.Soup({told.state[key][0]: 1.0}) for key in "ab"), step / 10)) for step in range(11)
    ]
    rise = max(
        (1 - each.accuracy) - ((1 - step / 10) * (1 - a.accuracy) + step / 10 * (1 - b.accuracy))
        for step, each in enumerate(points)
    )
    assert rise < 0.02
    assert told.title == title


def test_a_sure_loss_is_not_called_chance() -> None:
    sure_loss = sc.Comparison(-0.008, -0.012, -0.004, 0.001, 1, 9)
    assert significance(sure_loss) == "more than chance explains"
    assert significance(replace(sure_loss, high=0.001)) == "within what chance explains"
