from collections.abc import Callable
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from scipy import stats

import soup_core as sc
from soup_core.analysis.interpolation import LinePoint, Plane, PlanePoint, ensemble_line, plane_place
from soup_core.charts import greedy_curve, ingredient_points, line_chart
from soup_core.charts.geometry import Shown
from soup_core.charts.planes import plane_contour, plane_surface
from soup_core.runtime.store import Store
from tests.evaluations import evaluation
from tests.zoos import random_linears, vector, write_zoo

Make = Callable[..., Path]


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
    assert plane.shares(plane.width, 0) == (0, 1, 0)
    assert plane.shares((plane.width + plane.lean) / 4, plane.height / 4) == pytest.approx((0.5, 0.25, 0.25))


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


def test_three_soups_on_a_line_are_refused_however_near_two_of_them_are(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    gram = sc.gram(zoo, Store(zoo.folder / "s"))
    a, b = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 0.5, "m2": 0.5})
    for alpha in (0.01, 0.001, 0.0001):
        with pytest.raises(sc.CoefficientError, match="on one line"):
            sc.plane_through(gram, a, sc.interpolate(a, b, alpha), b)


def test_a_grid_of_one_point_is_refused(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup({name: 1.0}) for name in zoo.names))
    with pytest.raises(sc.CoefficientError, match="at least two columns and rows; found 1"):
        list(sc.plane_points(evaluate, plane, resolution=1))


def test_lines_and_planes_see_held_out_images_only(deep_zoo: Make, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup({name: 1.0}) for name in zoo.names))
    list(sc.plane_points(evaluate, plane, resolution=3))
    list(sc.line(evaluate, sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})))
    assert splits_asked == ["held_out"]


def test_a_line_goes_over_any_split_by_its_evaluator(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    a, b = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})
    test = sc.Evaluator(zoo, "test")
    held_out = {point.alpha: point.evaluation for point in sc.line(sc.Evaluator(zoo), a, b, [0.5])}
    points = list(sc.line(test, a, b, [0.5]))
    assert [point.alpha for point in points] == [0, 1, 0.5]
    for point in points:
        assert point.evaluation == test(sc.interpolate(a, b, point.alpha))
        assert point.evaluation.correctness != held_out[point.alpha].correctness


def test_the_ensemble_of_the_ends_mixes_their_probabilities(linear_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo)
    a, b = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 0.5, "m2": 0.5})
    for soup in (sc.Soup({"m0": 1.0}), sc.Soup({"m3": 1.0})):
        evaluate(soup)
    evaluated.clear()
    found = {point.alpha: point.evaluation for point in ensemble_line(evaluate, a, b, [-0.5, 0.25, 0.6, 1.5])}
    assert evaluated == [b]  # the other end's logits are kept
    assert set(found) == {0.0, 0.25, 0.6, 1.0}
    assert (found[0.0], found[1.0]) == (evaluate(a), evaluate(b))
    labels = evaluate.data.labels.numpy()
    first, second = (np.exp(evaluate.logits(soup).double().numpy()) for soup in (a, b))
    first, second = (each / each.sum(1, keepdims=True) for each in (first, second))
    for alpha in (0.25, 0.6):
        correct, loss = 0, 0.0
        for p, q, label in zip(first, second, labels, strict=True):
            mean = [(1 - alpha) * x + alpha * y for x, y in zip(p, q, strict=True)]
            correct += max(range(3), key=mean.__getitem__) == label
            loss -= np.log(mean[label]) / len(labels)
        assert found[alpha].correct == correct
        assert found[alpha].loss == pytest.approx(loss, rel=1e-9)
    evaluated.clear()
    list(ensemble_line(evaluate, sc.Soup({"m0": 1.0}), sc.Soup({"m3": 1.0}), [0.3]))
    assert evaluated == []


def test_the_ensemble_is_a_dashed_line_beside_the_soups(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate = sc.Evaluator(zoo)
    a, b = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})
    points, mixed = list(sc.line(evaluate, a, b, [0.5])), list(ensemble_line(evaluate, a, b, [0.5]))
    plain = line_chart(points, quantity="accuracy", name_a="a", name_b="b")
    figure = line_chart(points, quantity="accuracy", name_a="a", name_b="b", ensemble=mixed)
    added = figure.data[-1]
    assert len(figure.data) == len(plain.data) + 1
    assert dict(zip(added.x, added.y, strict=True)) == {p.alpha: 100 * p.evaluation.accuracy for p in mixed}
    assert (added.line.dash, added.line.color) == ("dash", "#E69F00")
    assert figure.frames == plain.frames


def test_places_on_a_plane_are_least_squares_projections_of_the_weights(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    gram = sc.gram(zoo, Store(zoo.folder / "s"))
    plane, corners = triangle(zoo)
    a, b, c = (vector(sc.state_dict(zoo, corner)).numpy() for corner in corners)
    along = np.stack([b - a, c - a], axis=1)
    right = (b - a) / np.linalg.norm(b - a)
    up = (c - a) - (c - a) @ right * right
    up /= np.linalg.norm(up)
    others = [
        sc.Soup({"base": 1.0}),
        sc.uniform_soup(zoo),
        sc.Soup({"m3": 2.0, "m0": -1.0}, {"head.bias": {"m2": 1.0}}),
        sc.Soup({"m1": 0.5, "m2": 0.5}, batch_norm="first"),
    ]
    for soup in others:
        step = vector(sc.state_dict(zoo, soup)).numpy() - a
        foot = along @ np.linalg.lstsq(along, step, rcond=None)[0]
        place = plane_place(gram, plane, soup)
        wanted = (foot @ right, foot @ up, np.linalg.norm(step - foot))
        assert (place.x, place.y, place.off) == pytest.approx(wanted, abs=1e-4)
    for corner, (x, y) in zip(corners, ((0, 0), (plane.width, 0), (plane.lean, plane.height)), strict=True):
        place = plane_place(gram, plane, corner)
        assert (place.x, place.y, place.off) == pytest.approx((x, y, 0), abs=1e-9)
    with pytest.raises(sc.CoefficientError, match="re-estimated"):
        plane_place(gram, plane, sc.Soup({"m0": 1.0}, batch_norm="re-estimated"))


def test_a_plane_of_a_linear_model_is_that_of_its_logits(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    evaluate = sc.Evaluator(zoo)
    corners = [sc.Soup({name: 1.0}) for name in zoo.names]
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *corners)
    logits = [evaluate.logits(corner).double() for corner in corners]
    drawn = 0
    for point in sc.plane_points(evaluate, plane, resolution=5):
        v = point.y / plane.height
        u = (point.x - v * plane.lean) / plane.width
        there = (1 - u - v) * logits[0] + u * logits[1] + v * logits[2]
        best = there.topk(2).values
        sure = (best[:, 0] - best[:, 1] > 1e-4).numpy()
        right = (there.argmax(1) == evaluate.data.labels).numpy()
        assert (point.evaluation.bits() == right)[sure].all()
        drawn += int(sure.sum())
    assert drawn > 0.99 * 25 * 120


CORNERS = (("m0", "ingredient"), ("m1", "ingredient"), ("greedy", "greedy"))


def drawn_plane(zoo: sc.Zoo, resolution: int) -> tuple[sc.Evaluator, Plane, list[PlanePoint]]:
    evaluate = sc.Evaluator(zoo)
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup({name: 1.0}) for name in zoo.names))
    return evaluate, plane, list(sc.plane_points(evaluate, plane, resolution=resolution))


def test_cells_of_a_plane_show_evaluated_points_and_nothing_between(linear_zoo: Make) -> None:
    evaluate, plane, points = drawn_plane(sc.open_zoo(linear_zoo(3)), 9)
    at = {(point.column, point.row): point for point in points}
    for count in (9, 14, 25, 40, 81):
        figure = plane_contour(plane, points[:count], resolution=9, corners=CORNERS)
        cells = figure.data[0]
        assert not cells.connectgaps
        assert not cells.zsmooth
        for row in range(9):
            for column in range(9):
                near = [
                    (point.stride, point)
                    for point in points[:count]
                    if -(point.stride // 2) <= column - point.column < point.stride - point.stride // 2
                    and -(point.stride // 2) <= row - point.row < point.stride - point.stride // 2
                ]
                shown = min(near, key=lambda pair: pair[0])[1]
                assert cells.z[row][column] == 100 * shown.evaluation.accuracy
                x, y, accuracy, told, _ = cells.customdata[row][column]
                assert (x, y, accuracy) == (shown.x, shown.y, shown.evaluation.accuracy)
                assert told.startswith(f"{shown.evaluation.correct} of 120")
                assert shown is at[column, row] or at[column, row] not in points[:count]
        contours = [trace for trace in figure.data if trace.type == "contour"]
        assert len(contours) == (count == 81)
    x, y, accuracy, _, _ = cells.customdata[2][5]
    assert evaluate(plane.soup(x, y)).accuracy == accuracy


def plane_beside_others(zoo: sc.Zoo) -> tuple[sc.Evaluator, Plane, dict[str, sc.Soup], list[Shown]]:
    """The plane through the first three of five models, and three soups beside it."""
    evaluate = sc.Evaluator(zoo)
    gram = sc.gram(zoo, evaluate.store)
    plane = sc.plane_through(gram, *(sc.Soup({name: 1.0}) for name in zoo.names[:3]))
    soups = {name: sc.Soup({name: 1.0}) for name in ("m3", "m4")} | {"<u>": sc.uniform_soup(zoo)}
    kinds = {"m3": "ingredient", "m4": "ingredient", "<u>": "uniform"}
    return evaluate, plane, soups, [Shown(each, kinds[each], plane_place(gram, plane, soups[each])) for each in soups]


def test_a_planes_marks_lie_where_the_core_places_them(linear_zoo: Make) -> None:
    evaluate, plane, _, others = plane_beside_others(sc.open_zoo(linear_zoo(5)))
    points = list(sc.plane_points(evaluate, plane, resolution=3))
    places = [(shown.place.x, shown.place.y) for shown in others]
    way = [others[0].place, others[2].place]
    figure = plane_contour(plane, points, resolution=3, corners=CORNERS, quantity="loss", others=others, path=way)
    ingredients, uniform, path, *corners = [trace for trace in figure.data if trace.type == "scatter"]
    assert list(zip(ingredients.x, ingredients.y, strict=True)) == places[:2]
    assert (uniform.x[0], uniform.y[0]) == places[2]
    assert (ingredients.marker.symbol, uniform.marker.symbol) == ("diamond", "circle")
    assert ingredients.marker.color == uniform.marker.color == "white"  # hollow
    assert [row[2] for trace in (ingredients, uniform) for row in trace.customdata] == [
        f"{shown.place.off:.2f}" for shown in others
    ]
    assert uniform.customdata[0][:2] == ["<u>", "&lt;u&gt;"]
    assert list(zip(path.x, path.y, strict=True)) == [places[0], places[2]]
    exact = [(0, 0), (plane.width, 0), (plane.lean, plane.height)]
    assert [(trace.x[0], trace.y[0]) for trace in corners] == exact
    assert [trace.text[0] for trace in corners] == ["m0", "m1", "greedy"]
    assert [trace.marker.symbol for trace in corners] == ["diamond", "diamond", "star"]
    at = {(point.column, point.row): point.evaluation.loss for point in points}
    assert [list(row) for row in figure.data[0].z] == [[at[column, row] for column in range(3)] for row in range(3)]


def test_a_landscape_stands_where_the_core_places_and_evaluates(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    evaluate = sc.Evaluator(zoo)
    gram = sc.gram(zoo, evaluate.store)
    plane = sc.plane_through(gram, *(sc.Soup({name: 1.0}) for name in zoo.names[:3]))
    points = list(sc.plane_points(evaluate, plane, resolution=5))
    ends = tuple(evaluate(corner) for corner in plane.corners)
    soups = {name: sc.Soup({name: 1.0}) for name in ("m3", "m4")} | {"<u>": sc.uniform_soup(zoo)}
    kinds = {"m3": "ingredient", "m4": "ingredient", "<u>": "uniform"}
    others = [
        (Shown(name, kinds[name], plane_place(gram, plane, soup)), evaluate(soup)) for name, soup in soups.items()
    ]
    steps = [step for step in sc.greedy_soup(zoo, evaluate) if step.accepted]
    way = [(plane_place(gram, plane, step.soup), evaluate(step.soup)) for step in steps]
    figure = plane_surface(plane, points, resolution=5, corners=CORNERS, evaluations=ends, others=others, path=way)
    surface, ingredients, uniform, stems, path, *corners = figure.data
    assert surface.z[1][2] == 100 * next(p for p in points if (p.column, p.row) == (2, 1)).evaluation.accuracy
    assert (surface.x[2], surface.y[1]) == (surface.customdata[1][2][0], surface.customdata[1][2][1])

    def stands(trace: go.Scatter3d) -> list[tuple[float, float, float]]:
        return list(zip(trace.x, trace.y, trace.z, strict=True))

    wanted = [(shown.place.x, shown.place.y, 100 * own.accuracy) for shown, own in others]
    assert [*stands(ingredients), *stands(uniform)] == wanted
    assert [row[3] for trace in (ingredients, uniform) for row in trace.customdata] == [
        f"{shown.place.off:.2f}" for shown, _ in others
    ]
    assert uniform.customdata[0][1] == "&lt;u&gt;"
    for number, (top, (x, y, height)) in enumerate(zip(wanted, stands(stems)[::3], strict=True)):
        assert (x, y, height) == top
        foot = stands(stems)[3 * number + 1]
        nearest = min(points, key=lambda point: (point.x - x) ** 2 + (point.y - y) ** 2)
        assert foot == (x, y, 100 * nearest.evaluation.accuracy)
        assert stands(stems)[3 * number + 2] == (None, None, None)
    assert stands(path) == [(place.x, place.y, 100 * own.accuracy) for place, own in way]
    exact = [(0, 0), (plane.width, 0), (plane.lean, plane.height)]
    assert [stands(trace)[0] for trace in corners] == [
        (x, y, 100 * end.accuracy) for (x, y), end in zip(exact, ends, strict=True)
    ]
    assert [each.text for each in figure.layout.scene.annotations] == ["m0", "m1", "greedy"]


def test_a_surface_grows_by_whole_passes(linear_zoo: Make) -> None:
    _, plane, points = drawn_plane(sc.open_zoo(linear_zoo(3)), 5)
    ends = (points[0].evaluation,) * 3
    sizes = [
        len(plane_surface(plane, points[:count], resolution=5, corners=CORNERS, evaluations=ends).data[0].z)
        for count in (0, 3, 4, 8, 9, 24, 25)
    ]
    assert sizes == [0, 0, 2, 2, 3, 3, 5]


def test_cells_without_finite_outputs_are_marked_and_left_empty(tmp_path: Path) -> None:
    files = random_linears(3)
    for tensors in files.values():
        tensors["head.weight"] *= 1.6e38  # far out on the plane the logits overflow
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    _, plane, points = drawn_plane(zoo, 5)
    broken = {(point.x, point.y) for point in points if point.evaluation.not_finite}
    assert 0 < len(broken) < 25
    figure = plane_contour(plane, points, resolution=5, corners=CORNERS)
    crosses = next(trace for trace in figure.data if trace.name == "not finite")
    assert set(zip(crosses.x, crosses.y, strict=True)) == broken
    assert crosses.marker.symbol == "x"
    empty = [
        (x, y)
        for y, row in zip(figure.data[0].y, figure.data[0].z, strict=True)
        for x, value in zip(figure.data[0].x, row, strict=True)
        if value is None
    ]
    assert set(empty) == broken
    assert all("not finite on" in row[4] for row in crosses.customdata)
    surface = plane_surface(plane, points, resolution=5, corners=CORNERS, evaluations=(points[0].evaluation,) * 3).data[
        0
    ]
    holes = {
        tuple(cell[:2])
        for cells, row in zip(surface.customdata, surface.z, strict=True)
        for cell, value in zip(cells, row, strict=True)
        if value is None
    }
    assert holes == broken
    assert not surface.connectgaps


@pytest.mark.parametrize(("correct", "total"), [(0, 7), (7, 7), (3, 4), (4580, 5000), (9081, 10000)])
def test_intervals_and_p_values_are_those_of_scipy(correct: int, total: int) -> None:
    bits = np.arange(total) < correct
    found = sc.Evaluation(correct, total, 0.0, 0.0, np.packbits(bits).tobytes())
    wilson = stats.binomtest(correct, total).proportion_ci(method="wilson")
    assert sc.accuracy_interval(found) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    nothing = sc.Evaluation(0, total, 0.0, 0.0, np.packbits(~bits).tobytes())
    expected = stats.binomtest(correct, total).pvalue
    assert sc.compare(found, nothing).p_value == pytest.approx(expected)
