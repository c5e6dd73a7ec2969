from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.shared import caching, context
from pages.views.interpolation import clicked_mix, line, pairs, plane
from soup_core import charts
from soup_core.analysis.interpolation import ensemble_line, plane_points, plane_through
from soup_core.analysis.pairs import pair_advantages, sampled_pairs
from soup_core.analysis.published import all_folders
from tests.app_pages import closes, metric, open_page, until, words
from tests.zoos import linears_around_zero, write_zoo

PAGE = "pages/3_Interpolation.py"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", linears_around_zero(5)))


def meaning(test: AppTest) -> str:
    (found,) = [str(part.value) for part in test.markdown if str(part.value).startswith("**")]
    return found


def says(test: AppTest, text: str) -> AppTest:
    """Run the page again until a text stands there."""
    return until(test, lambda test: text in words(test))


def taken(test: AppTest) -> sc.Soup:
    """The mix that the address holds: the driver gives it as a list or as it was set."""
    kept = test.query_params["taken"]
    return sc.Soup.from_json(kept if isinstance(kept, str) else kept[0])


def test_the_line_shows_the_ensemble_of_its_ends(zoo: sc.Zoo) -> None:
    test = closes(open_page(PAGE, a="m1", b="m2"))
    evaluate = sc.Evaluator(zoo)
    ends = [sc.Soup({name: 1.0}) for name in ("m1", "m2")]
    mixed = {point.alpha: point.evaluation for point in ensemble_line(evaluate, *ends)}
    assert metric(test, "Ensemble of the two") == charts.percent(mixed[0.5])
    assert metric(test, "The middle") == charts.percent(evaluate(sc.uniform_soup(zoo, ["m1", "m2"])))
    assert "WiSE-FT" not in words(test)


def test_from_the_base_the_line_is_that_of_wise_ft(zoo: sc.Zoo) -> None:
    told = words(closes(open_page(PAGE, a="base", b="m2")))
    evaluate = sc.Evaluator(zoo)
    found = [
        evaluate(sc.interpolate(sc.Soup({"base": 1.0}), sc.Soup({"m2": 1.0}), step / 10)).correct for step in range(11)
    ]
    best = max(range(11), key=lambda step: (found[step], step))
    assert f"WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903): the best of these points is alpha {best / 10:g} " in told


def test_a_plane_tells_its_best_mix_and_reads_a_cell(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane, "RESOLUTION", 5)
    evaluate = sc.Evaluator(zoo)
    corners = [sc.Soup({name: 1.0}) for name in ("m0", "m1", "m3")]
    laid = plane_through(sc.gram(zoo, evaluate.store), *corners)
    points = list(plane_points(evaluate, laid, resolution=5))
    test = says(open_page(PAGE, view="Plane", a="m0", b="m1", c="m3"), "The best of 25 mixes has")
    assert not test.exception
    best = max(point.evaluation.correct for point in points)
    assert f"The best of 25 mixes has {100 * best / evaluate.total:.1f} %" in words(test)
    point = points[-1]
    test.session_state[clicked_mix.AT] = ("m0", "m1", "m3"), (point.x, point.y)
    assert metric(test.run(), "This mix") == charts.percent(point.evaluation)
    weights = [line for line in words(test).splitlines() if "× m0" in line]
    shares = [float(part.split(" × ")[0]) for part in weights[0].split(", ")]
    assert np.isclose(sum(shares), 1, atol=0.02)


@pytest.mark.parametrize("form", ["map", "landscape"])
@pytest.mark.parametrize("c", ["m3", "greedy soup", "base"])
def test_a_plane_is_drawn_in_each_form(form: str, c: str, zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane, "RESOLUTION", 3)
    test = says(open_page(PAGE, view="Plane", a="m0", b="m1", c=c, form=form), "The best of 9 mixes has")
    assert not test.exception
    assert not test.error


def test_a_click_on_another_plane_is_not_read(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane, "RESOLUTION", 3)
    test = closes(open_page(PAGE, view="Plane", a="m0", b="m1", c="m3"))
    test.session_state[clicked_mix.AT] = ("m0", "m1", "m2"), (0.5, 0.5)
    test.run()
    assert not [each for each in test.metric if each.label.startswith("This mix")]
    assert "Click a cell" in words(test)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ({"view": "Plane", "a": "m0", "b": "m1", "c": "m1"}, "There is no plane to see"),
        ({"a": "m1", "b": "m1"}, "Both ends are the same model"),
    ],
)
def test_equal_models_close_with_a_sentence(address: dict[str, str], told: str, zoo: sc.Zoo) -> None:
    test = open_page(PAGE, **address)
    assert not test.exception
    assert meaning(test).startswith(f"**{told}")


def test_one_ingredient_makes_no_pair(tmp_path: Path) -> None:
    st.cache_resource.clear()
    write_zoo(tmp_path / "made", linears_around_zero(1))
    assert "needs two ingredients" in meaning(open_page(PAGE, view="Many pairs"))


@pytest.mark.parametrize("view", ["Plane", "Many pairs"])
def test_a_large_zoo_is_not_worked_on_without_being_asked(
    view: str, zoo: sc.Zoo, evaluated: list[sc.Soup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.shared.work.SMALL_GIGABYTES", 0.0)
    test = open_page(PAGE, view=view, c="m3")
    assert "Nothing" in meaning(test)
    assert evaluated == []


def button(test: AppTest, label: str) -> Any:
    return next(each for each in test.button if each.label == label)


def chooser(test: AppTest, label: str) -> Any:
    return next(each for each in test.selectbox if each.label == label)


def test_a_mix_is_taken_chosen_and_dropped(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane, "RESOLUTION", 3)
    evaluate = sc.Evaluator(zoo)
    mix = sc.Soup({"m0": 0.5, "m1": 0.25, "m3": 0.25})
    laid = plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup({name: 1.0}) for name in ("m0", "m1", "m3")))
    test = closes(open_page(PAGE, view="Plane", a="m0", b="m1", c="m3"))
    place = (laid.width + laid.lean) / 4, laid.height / 4
    assert context.TAKEN not in chooser(test, "From").options
    test.session_state[clicked_mix.AT] = ("m0", "m1", "m3"), place
    button(test.run(), "Take it as a soup").click().run()
    assert taken(test).coefficients == pytest.approx(dict(mix.coefficients))
    assert f"0.50 × m0, 0.25 × m1, 0.25 × m3: {charts.percent(evaluate(mix))} of 120 held-out images" in words(test)
    assert chooser(test, "And").value == "m3"
    chooser(test, "To").set_value(context.TAKEN)
    test.session_state["view"] = "Line"
    closes(test.run())
    half = sc.interpolate(sc.Soup({"m0": 1.0}), mix, 0.5)
    assert metric(test, "The middle") == charts.percent(evaluate(half))
    button(test, "Drop it").click().run()
    assert not test.exception
    assert "taken" not in test.query_params
    assert context.TAKEN not in chooser(test, "To").options
    assert chooser(test, "To").value == "m1"
    assert "The address names" not in words(test)


def test_a_point_of_the_line_is_taken_and_mixed_on(zoo: sc.Zoo) -> None:
    first = sc.Soup({"m0": 0.25, "uniform soup": 0.75})
    test = closes(open_page(PAGE, a=context.TAKEN, b="m0", taken=first.to_json()))
    test.session_state[clicked_mix.AT] = (context.TAKEN, "m0"), (0.5,)
    test.run()
    meant = sc.mix({sc.Soup({"m0": 1.0}): 0.625, sc.uniform_soup(zoo): 0.375})
    assert metric(test, "This mix, held-out") == charts.percent(sc.Evaluator(zoo)(meant))
    button(test, "Take it as a soup").click().run()
    assert not test.exception
    assert taken(test) == sc.Soup({"m0": 0.625, "uniform soup": 0.375})


def test_a_taken_mix_of_two_names_of_one_soup_keeps_both_shares(zoo: sc.Zoo) -> None:
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo), order=["m2"])
    assert last.soup == sc.Soup({"m2": 1.0})
    here = context.Context(
        chosen="made",
        device="cpu",
        precision="float32",
        memory=2.0,
        address={},
        folders=all_folders(),
        zoo=zoo,
        metric="accuracy",
        zoo_key=caching.ZooKey("made", ()),
        taken=sc.Soup({"m2": 0.25, "uniform soup": 0.75}),
    )
    assert here.soup_of(context.TAKEN).coefficients == pytest.approx({**dict.fromkeys(zoo.names, 0.15), "m2": 0.4})
    assert context.mixed({"x": 0.25, "y": 0.75}, lambda _: sc.Soup({"m2": 1.0})) == sc.Soup({"m2": 1.0})


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        '{"m0": 1',
        "[1]",
        "7",
        '{"nobody": 1.0}',
        '{"m0": 0.5}',
        '{"m0": "1"}',
        '{"m0": NaN}',
        "{}",
        '{"m0": 1.0, "batch_norm": "first"}',
        '{"m0": 1.0, "tensors": {"head.bias": {"m1": 1.0}}}',
        '{"m0": 1e999, "m1": 1.0}',
        '{"**![x](http://192.0.2.1/x.png)**": 1.0}',
        "[" * 100_000,
    ],
)
def test_a_mix_that_cannot_be_taken_is_one_warning(content: str, zoo: sc.Zoo) -> None:
    test = closes(open_page(PAGE, a=context.TAKEN, b="m3", taken=content))
    assert not test.exception
    assert not test.error
    (warning,) = [str(each.value) for each in test.warning]
    assert warning.startswith("The mix in the address cannot be taken.")
    assert "![" not in warning
    assert context.TAKEN not in chooser(test, "From").options
    assert chooser(test, "From").value == "m0"


def test_a_taken_mix_is_forgotten_with_its_zoo(zoo: sc.Zoo, tmp_path: Path) -> None:
    write_zoo(tmp_path / "other", linears_around_zero(4))
    test = closes(open_page(PAGE, a=context.TAKEN, b="m3", taken='{"m0": 1.5, "m1": -0.5}'))
    assert chooser(test, "From").value == context.TAKEN
    chooser(test, "Zoo").set_value("other")
    closes(test.run())
    assert not test.exception
    assert not test.warning
    assert "taken" not in test.query_params
    assert context.TAKEN not in chooser(test, "From").options


def test_a_taken_mix_goes_along_to_what_changed(zoo: sc.Zoo) -> None:
    test = open_page(
        "pages/5_Robustness.py", view="What changed", a=context.TAKEN, b="m0", taken='{"m0": 0.5, "m1": 0.5}'
    )
    closes(test)
    report = sc.Evaluator(zoo, "test")
    found = sc.compare(report(sc.uniform_soup(zoo, ["m0", "m1"])), report(sc.Soup({"m0": 1.0})))
    assert metric(test, f"Only {context.TAKEN} is right") == f"{found.gained:,} images"
    test.switch_page(PAGE).run()
    assert context.TAKEN in chooser(test, "From").options
    assert taken(test) == sc.uniform_soup(zoo, ["m0", "m1"])


def test_pairs_are_counted_as_the_core_counts(zoo: sc.Zoo) -> None:
    test = says(open_page(PAGE, view="Many pairs", pairs="6"), "of 6 pairs")
    evaluate = sc.Evaluator(zoo)
    found = list(pair_advantages(evaluate, sc.gram(zoo, evaluate.store), sampled_pairs(zoo, 6)))
    sure, lost = (sum(pair.over_mean.low > 0 for pair in found), sum(pair.over_mean.high < 0 for pair in found))
    assert f"In {sure} of 6 pairs the average is better than the mean of its two beyond chance, in {lost} it is" in (
        words(test)
    )


def test_one_hyperparameter_colours_the_pairs_and_is_told(tmp_path: Path) -> None:
    st.cache_resource.clear()
    folder = write_zoo(tmp_path / "made", linears_around_zero(4))
    told = iter(
        [
            "{ rate = 1, flip = true, seed = 1 }",
            "{ rate = 2, flip = true, seed = 1 }",
            "{ rate = 3, flip = false, seed = 2 }",
            "{ rate = 4, flip = false, seed = 3 }",
        ]
    )
    text = (folder / "zoo.toml").read_text().split("{ learning_rate = 0.1 }")
    (folder / "zoo.toml").write_text("".join(part + next(told, "") for part in text))
    zoo = sc.open_zoo(folder)
    assert pairs.telling(zoo) == ["flip"]
    test = says(open_page(PAGE, view="Many pairs", pairs="6", by="flip"), "of 6 pairs")
    evaluate = sc.Evaluator(zoo)
    found = list(pair_advantages(evaluate, sc.gram(zoo, evaluate.store), sampled_pairs(zoo, 6)))
    apart, alike = (
        [100 * pair.over_mean.value for pair in found if ("flip" in pair.differing) is wanted]
        for wanted in (True, False)
    )
    assert (len(apart), len(alike)) == (4, 2)
    assert (
        f"the 4 that differ in flip gain {sum(apart) / 4:+.2f} points in the mean, the other 2 {sum(alike) / 2:+.2f}"
    ) in words(test)


def test_a_clicked_pair_becomes_the_ends_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", state)
    pairs._open({"kind": "click", "points": [{"customdata": ["m1", "m1", "", ""]}]})
    assert state == {}
    pairs._open({"kind": "click", "points": [{"customdata": ["m1", "m4", "", ""]}]})
    assert state == {"a": "m1", "b": "m4", "view": "Line", pairs.OPENED: True}


def test_a_clicked_cell_of_the_plane_is_kept_and_a_corner_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", state)
    names = ("m0", "m1", "m3")
    plane._click(names, {"kind": "click", "points": [{"customdata": ["m0", "m0", "0.00"]}]})
    assert state == {}
    plane._click(names, {"kind": "click", "points": [{"customdata": [1.5, -2.0, 0.9, "", ""]}]})
    assert clicked_mix.clicked(names) == (1.5, -2.0)
    assert clicked_mix.clicked(("m0", "m1", "m2")) is None


def test_a_clicked_alpha_of_the_line_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", state)
    line._click("m0", "m1", {0.0, 0.3, 1.0}, {"kind": "click", "points": [{"x": 0.31}]})
    line._click("m0", "m1", {0.0, 0.3, 1.0}, {"kind": "deselect", "points": []})
    assert state == {}
    line._click("m0", "m1", {0.0, 0.3, 1.0}, {"kind": "click", "points": [{"x": 0.3}]})
    assert clicked_mix.clicked(("m0", "m1")) == (0.3,)
