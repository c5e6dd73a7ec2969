"""Figures of hundreds: names that have room, heatmaps of bounded height and weight, models told in cells."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import soup_core as sc
from soup_core.analysis.confusion import most_changed
from soup_core.analysis.published import TEST, open_results
from soup_core.analysis.published.reading import _read_hyperparameters
from soup_core.charts.geometry import HIGHEST, KINDS_IN_A_LEGEND, map_scatter, pair_heatmap
from soup_core.charts.ingredients import ingredient_points
from soup_core.charts.published import MARKED, hyperparameter_points, robustness_scatter
from soup_core.charts.robustness import class_gain_bars, confusion_heatmap
from soup_core.charts.style import NAMES_ON_AN_AXIS
from soup_core.evaluation import Comparison
from soup_core.weight_space.gram import Gram, gram
from soup_core.weight_space.maps import Map, mds_map, pca_map
from tests.published_results import drawn_sweep
from tests.zoos import linears_around_zero, write_zoo

MANY = [f"run-{number:03}" for number in range(1, 201)]


def accuracies(names: list[str]) -> dict[str, sc.Evaluation]:
    return {name: sc.Evaluation(index % 90, 100, 0.5, 0.1, bytes(13)) for index, name in enumerate(names)}


def test_names_stand_on_an_axis_as_far_as_they_have_room() -> None:
    few = ingredient_points(accuracies(MANY[:NAMES_ON_AN_AXIS]), MANY[:3]).layout.xaxis
    assert sorted(few.ticktext) == MANY[:NAMES_ON_AN_AXIS]
    many = ingredient_points(accuracies(MANY), MANY[:3]).layout.xaxis
    assert list(many.ticktext) == ["1", *(str(place) for place in range(20, 201, 20))]
    assert list(many.tickvals) == [0, *range(19, 200, 20)]


def test_a_heatmap_of_hundreds_is_as_high_as_a_screen_and_light() -> None:
    degrees = np.random.default_rng(0).uniform(0, 90, (200, 200))
    degrees[3, 5] = np.nan
    figure = pair_heatmap(MANY, degrees, MANY[::-1], quantity="angle")
    assert figure.layout.height == HIGHEST
    assert len(figure.to_json()) < 45 * len(MANY) ** 2
    heatmap = figure.data[0]
    assert heatmap.z[-1][-1] == pytest.approx(degrees[0, 0], rel=1e-4)
    assert list(heatmap.customdata[199][198]) == ["run-001", "run-002"]
    assert heatmap.z[196][194] is None
    assert heatmap.hovertemplate.startswith("%{y} and %{x}<br>%{z:.1f}°")


@pytest.mark.parametrize("lay", [pca_map, mds_map])
def test_a_checkpoint_lies_where_its_soup_is_placed(tmp_path: Path, lay: Callable[[Gram], Map]) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", linears_around_zero(6)))
    places = lay(gram(zoo, sc.Evaluator(zoo).store))
    for name in places.names:
        found, wanted = places.checkpoint(name), places.place(sc.Soup.single(name))
        assert (found.x, found.y, found.off) == pytest.approx((wanted.x, wanted.y, wanted.off), abs=1e-6)


def test_a_legend_of_a_map_names_the_most_frequent_values(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", linears_around_zero(26)))
    values = {name: f"v{index}" for index, name in enumerate(zoo.names)} | {"m3": "v25"}
    figure = map_scatter(pca_map(gram(zoo, sc.Evaluator(zoo).store)), values, label="kind")
    named = [trace.name for trace in figure.data]
    assert len(named) == KINDS_IN_A_LEGEND + 1
    assert "kind: v25" in named
    assert named[-1] == "5 other values"
    assert sum(len(trace.x) for trace in figure.data) == 26


def test_of_many_classes_those_are_drawn_that_change_most() -> None:
    difference = np.zeros((1000, 1000), int)
    difference[700, 3], difference[3, 3], difference[9, 10] = -5, 4, 2
    among = most_changed(difference, 3)
    assert among == [3, 9, 700] or among == [3, 10, 700]
    figure = confusion_heatmap(difference, [f"class {number}" for number in range(1000)], among)
    heatmap = figure.data[0]
    assert np.asarray(heatmap.z).tolist() == difference[np.ix_(among, among)].tolist()
    assert list(heatmap.customdata[2][0]) == [700, 3, "class 700", "class 3"]
    gain = Comparison(0.5, 0.1, 0.9, 0.01, 2, 0)
    bars = class_gain_bars({3: gain, 700: gain}, [str(number) for number in range(1000)])
    assert list(bars.layout.yaxis.ticktext) == ["3", "700"]
    assert list(bars.data[0].y) == [0, 1], "beside each other, with no room for the classes between"


def test_thousands_of_published_models_are_cells_and_the_best_marks(tmp_path: Path) -> None:
    results = open_results(drawn_sweep(700).written(tmp_path / "published"))
    for figure in (robustness_scatter(results), hyperparameter_points(results, "lr", "test")):
        cells = json.loads(figure.to_json())["data"][0]
        assert cells["type"] == "heatmap"
        assert sum(count for row in cells["z"] for count in row if count) == 700
        (marks,) = [trace for trace in figure.data if trace.name == "fine-tuned model"]
        assert len(marks.x) == MARKED
    best = {model.name: 100 * model.accuracy(TEST) for model in results.ranking[:MARKED]}
    assert dict(zip([cell[0] for cell in marks.customdata], marks.y, strict=True)) == pytest.approx(best)


class Searched(list[str]):
    """Names that refuse to be looked through for one of them."""

    def __contains__(self, name: object) -> bool:
        raise AssertionError(f"all names were gone through to find {name}")


def test_no_line_of_published_results_is_looked_for_among_all_of_them(tmp_path: Path) -> None:
    names = Searched(f"model_{number}" for number in range(50))
    file = tmp_path / "hparam_info.json"
    file.write_text(json.dumps({name: {"lr": 0.1} for name in names}))
    assert list(_read_hyperparameters(file, names)) == list(names)
