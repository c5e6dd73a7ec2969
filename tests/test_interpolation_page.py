from pathlib import Path

import numpy as np
import pytest
import streamlit as st

import soup_core as sc
from pages.views import pairs, plane
from soup_core import charts
from soup_core.interpolation import ensemble_line, plane_points, plane_through
from soup_core.pairs import pair_advantages, sampled_pairs
from tests.conftest import linears_around_zero, write_zoo
from tests.test_pages import closes, metric, open_page, words

PAGE = "pages/3_Interpolation.py"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", linears_around_zero(5)))


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
    test = closes(open_page(PAGE, view="Plane", a="m0", b="m1", c="m3"))
    assert not test.exception
    best = max(point.evaluation.correct for point in points)
    assert f"The best of 25 mixes has {100 * best / evaluate.total:.1f} %" in words(test)
    point = points[-1]
    test.session_state[plane.AT] = (point.x, point.y)
    assert metric(test.run(), "This mix") == charts.percent(point.evaluation)
    weights = [line for line in words(test).splitlines() if "× m0" in line]
    shares = [float(part.split(" × ")[0]) for part in weights[0].split(", ")]
    assert np.isclose(sum(shares), 1, atol=0.02)


def test_two_equal_corners_are_told(zoo: sc.Zoo) -> None:
    test = open_page(PAGE, view="Plane", a="m0", b="m1", c="m1")
    assert "three different ones" in words(test)
    assert not test.exception


def test_pairs_are_counted_as_the_core_counts(zoo: sc.Zoo) -> None:
    test = closes(open_page(PAGE, view="Many pairs", pairs="6"))
    evaluate = sc.Evaluator(zoo)
    found = list(pair_advantages(evaluate, sc.gram(zoo, evaluate.store), sampled_pairs(zoo, 6)))
    sure, lost = (
        sum(pair.over_mean.low > 0 for pair in found),
        sum(pair.over_mean.high < 0 for pair in found),
    )
    assert f"In {sure} of 6 pairs the average is better than the mean of its two beyond chance, in {lost} it is" in (
        words(test)
    )


def test_a_clicked_pair_becomes_the_ends_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, str] = {}
    monkeypatch.setattr(st, "session_state", state)
    pairs._open({"kind": "click", "points": [{"customdata": ["m1", "m1", "", ""]}]})
    assert state == {}
    pairs._open({"kind": "click", "points": [{"customdata": ["m1", "m4", "", ""]}]})
    assert state == {"a": "m1", "b": "m4", "view": "Line"}


def test_a_clicked_cell_of_the_plane_is_kept_and_a_corner_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, tuple[float, float]] = {}
    monkeypatch.setattr(st, "session_state", state)
    plane._take({"kind": "click", "points": [{"customdata": ["m0", "m0", "0.00"]}]})
    assert state == {}
    plane._take({"kind": "click", "points": [{"customdata": [1.5, -2.0, 0.9, "", ""]}]})
    assert state == {plane.AT: (1.5, -2.0)}
