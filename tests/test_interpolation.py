from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import soup_core as sc
from soup_core.charts import greedy_curve, ingredient_points, line_chart
from soup_core.interpolation import LinePoint, Plane
from soup_core.store import Store
from tests.conftest import vector

Make = Callable[..., Path]


def evaluation(bits: list[int]) -> sc.Evaluation:
    return sc.Evaluation(sum(bits), len(bits), 0.5, 0.0, np.packbits(np.array(bits, bool)).tobytes())


def test_a_barrier_is_measured_from_the_straight_line() -> None:
    accuracies = {0.0: 80, 0.25: 50, 0.5: 30, 1.0: 60, 1.5: 0}
    line = [LinePoint(alpha, evaluation([1] * n + [0] * (100 - n))) for alpha, n in accuracies.items()]
    barrier = sc.error_barrier(line)
    assert barrier.alpha == 0.5
    assert barrier.height == pytest.approx(0.7 - 0.3)  # error 0.7; the straight line between 0.2 and 0.4 is at 0.3


def test_a_valley_has_no_barrier() -> None:
    line = [LinePoint(a, evaluation([1] * n + [0] * (10 - n))) for a, n in ((0.0, 5), (0.5, 9), (1.0, 5))]
    assert sc.error_barrier(line).height == 0


def test_both_ends_are_always_evaluated_and_agree_with_the_models(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate = sc.Evaluator(zoo)
    a, b = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})
    found = {point.alpha: point.evaluation for point in sc.line(evaluate, a, b, [0.5, -0.5])}
    assert set(found) == {-0.5, 0.0, 0.5, 1.0}
    assert (found[0.0], found[1.0]) == (evaluate(a), evaluate(b))


def test_two_parameters_with_a_known_barrier(tmp_path: Path) -> None:
    """Logits (s·x, -s·x) with s = 1 - 2·alpha: the ends are mirror images, the middle knows nothing."""
    from tests.conftest import write_zoo

    weight = torch.zeros(3, 4)
    weight[0, 0], weight[1, 0] = 1.0, -1.0
    bias = torch.tensor([0.0, 0.0, -100.0])
    files = {"plus": {"head.weight": weight, "head.bias": bias}, "minus": {"head.weight": -weight, "head.bias": bias}}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    evaluate = sc.Evaluator(zoo)
    a, b = sc.Soup({"plus": 1.0}), sc.Soup({"minus": 1.0})
    torch.testing.assert_close(evaluate.logits(sc.interpolate(a, b, 0.5))[:, :2], torch.zeros(120, 2))
    at = evaluate.logits(sc.interpolate(a, b, 0.25))[:, 0]
    torch.testing.assert_close(at, 0.5 * evaluate.logits(a)[:, 0])


def test_comparison_is_paired() -> None:
    ours, theirs = evaluation([1, 1, 1, 1, 0, 0]), evaluation([1, 0, 0, 0, 1, 0])
    found = sc.compare(ours, theirs)
    assert (found.gained, found.lost) == (3, 1)
    assert found.difference == pytest.approx(2 / 6)
    assert found.p_value == pytest.approx(stats.binomtest(3, 4).pvalue)
    assert found.low < found.difference < found.high
    same = sc.compare(ours, ours)
    assert (same.difference, same.p_value) == (0, 1)
    assert same.low < 0 < same.high


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        drawn = rng.random(500)
        ours, theirs = drawn < 0.88, (drawn < 0.82) | (drawn > 0.97)
        found = sc.compare(evaluation(list(ours)), evaluation(list(theirs)))
        covered += found.low <= 0.88 - 0.85 <= found.high
    assert 0.92 <= covered / 400 <= 0.985


def test_figures_show_the_cores_numbers(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo)
    singles = {name: evaluate(sc.Soup({name: 1.0})) for name in zoo.names}
    figure = ingredient_points(singles, ["m0", "m2"])
    drawn = {data[0]: y for trace in figure.data for data, y in zip(trace.customdata, trace.y, strict=True)}
    assert drawn == {name: 100 * each.accuracy for name, each in singles.items()}
    assert {data[0] for data in figure.data[0].customdata} == {"m0", "m2"}
    points = list(sc.line(evaluate, sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})))
    line = line_chart(points, quantity="loss", name_a="m0", name_b="m1")
    assert dict(zip(line.data[0].x, line.data[0].y, strict=True)) == {p.alpha: p.evaluation.loss for p in points}
    assert [frame.data[0].x[0] for frame in line.frames] == sorted(p.alpha for p in points)
    steps = list(sc.greedy_soup(zoo, evaluate))
    curve = greedy_curve(steps, candidates=4)
    drawn = {x: y for trace in curve.data[1:] for x, y in zip(trace.x, trace.y, strict=True)}
    assert drawn == {step.index + 1: 100 * step.correct_at_most / 120 for step in steps}


def test_row_36_names_are_data_in_figures() -> None:
    name = '<b>%{y}</b><a href="http://x">'
    figure = ingredient_points({name: evaluation([1, 0])}, [name])
    assert "<b>" not in figure.layout.xaxis.ticktext[0]
    assert all("%{y}</b>" not in trace.hovertemplate for trace in figure.data)
    assert "<" not in figure.data[0].customdata[0][1]


def triangle(zoo: sc.Zoo) -> tuple[Plane, tuple[sc.Soup, sc.Soup, sc.Soup]]:
    """A model, a soup beyond two others, and one with coefficients of its own for a tensor."""
    corners = (
        sc.Soup({"m0": 1.0}),
        sc.Soup({"m1": 1.4, "m2": -0.4}),
        sc.Soup({"base": 0.3, "m2": 0.7}, {"hidden.weight": {"m3": 1.0}}),
    )
    return sc.plane_through(sc.gram(zoo, Store(zoo.folder / "s")), *corners), corners


def test_the_corners_of_a_plane_are_where_it_says(deep_zoo: Make) -> None:
    plane, corners = triangle(sc.open_zoo(deep_zoo(4)))
    assert plane.soup(0, 0) == corners[0]
    assert plane.soup(plane.width, 0) == corners[1]
    assert plane.soup(plane.lean, plane.height) == corners[2]


def test_the_axes_of_a_plane_are_orthonormal_in_weight_space(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    plane, corners = triangle(zoo)
    a, b, c = (vector(sc.state_dict(zoo, corner)) for corner in corners)
    assert plane.width == pytest.approx(float((b - a).norm()), rel=1e-6)
    assert plane.lean == pytest.approx(float((c - a) @ (b - a) / (b - a).norm()), rel=1e-5)
    right, up = (vector(sc.state_dict(zoo, plane.soup(*place))) - a for place in ((1, 0), (0, 1)))
    products = torch.stack([right, up]) @ torch.stack([right, up]).T
    torch.testing.assert_close(products, torch.eye(2, dtype=torch.float64), atol=1e-5, rtol=0)
    x, y = 0.7, -2.3
    torch.testing.assert_close(
        vector(sc.state_dict(zoo, plane.soup(x, y))), a + x * right + y * up, atol=1e-5, rtol=1e-5
    )
    rise = c - a - plane.lean * right
    assert plane.height == pytest.approx(float(rise.norm()), rel=1e-6)
    assert float(rise @ up) > 0


def test_three_soups_on_a_line_are_refused(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    gram = sc.gram(zoo, Store(zoo.folder / "s"))
    a, b = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 0.5, "m2": 0.5})
    for third in (a, b, sc.interpolate(a, b, 0.5), sc.interpolate(a, b, -3)):
        for corners in ((a, b, third), (a, third, b), (third, b, a)):
            with pytest.raises(sc.CoefficientError, match="on one line"):
                sc.plane_through(gram, *corners)


def test_soups_without_a_place_in_weight_space_have_no_plane(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    gram = sc.gram(zoo, Store(zoo.folder / "s"))
    corners = [sc.Soup({name: 1.0}) for name in zoo.names]
    for place in range(3):
        odd = list(corners)
        odd[place] = sc.Soup({zoo.names[place]: 1.0}, batch_norm="re-estimated")
        with pytest.raises(sc.CoefficientError, match="re-estimated"):
            sc.plane_through(gram, *odd)
    mixed = sc.plane_through(gram, corners[0], corners[1], sc.Soup({"m2": 1.0}, batch_norm="first"))
    with pytest.raises(sc.CoefficientError, match="different ways"):
        mixed.soup(0, 0)


@pytest.mark.parametrize("resolution", [2, 6])
def test_every_point_of_the_grid_is_evaluated_once_coarse_first(
    deep_zoo: Make, evaluated: list[sc.Soup], resolution: int
) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo, batch_size=120)
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup({name: 1.0}) for name in zoo.names))
    points = list(sc.plane_points(evaluate, plane, resolution=resolution))
    assert sorted((point.column, point.row) for point in points) == [
        (column, row) for column in range(resolution) for row in range(resolution)
    ]
    assert len(evaluated) == resolution**2
    assert [point.stride for point in points] == sorted((point.stride for point in points), reverse=True)
    for point in points:
        assert point.stride == next(s for s in (4, 2, 1) if point.column % s == point.row % s == 0)
        assert point.evaluation == evaluate(plane.soup(point.x, point.y))
    assert len(evaluated) == resolution**2
    corners = ((0, 0), (plane.width, 0), (plane.lean, plane.height))
    xs, ys = ([getattr(point, axis) for point in points] for axis in ("x", "y"))
    for axis, values in ((0, xs), (1, ys)):
        places = [corner[axis] for corner in corners]
        margin = 0.25 * (max(places) - min(places))
        assert (min(values), max(values)) == pytest.approx((min(places) - margin, max(places) + margin))
        steps = np.diff(sorted(set(values)))
        np.testing.assert_allclose(steps, steps[0])


def test_lines_and_planes_see_held_out_images_only(deep_zoo: Make, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup({name: 1.0}) for name in zoo.names))
    list(sc.plane_points(evaluate, plane, resolution=3))
    list(sc.line(evaluate, sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})))
    assert splits_asked == ["held_out"]
