"""Pairs of ingredients: advantages, barriers and disagreement against loops over images; sampling; jobs; the chart."""

import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import soup_core as sc
from soup_core.analysis.pairs import (
    IngredientPrediction,
    PairAdvantage,
    barrier_matrix,
    differing_hyperparameters,
    disagreement,
    pair_advantages,
    pair_barriers,
    predictions,
    sampled_pairs,
)
from soup_core.charts.geometry import advantage_scatter, pair_heatmap
from soup_core.evaluation import paired_mean
from soup_core.jobs import Jobs, Task
from soup_core.runtime.store import default_store
from soup_core.weight_space.gram import angles
from tests.patience import PATIENCE
from tests.zoos import random_deeps, random_linears, write_zoo

Make = Callable[..., Path]


def pack(bits: list[bool]) -> bytes:
    return np.packbits(np.array(bits)).tobytes()


def test_advantages_are_counted_image_by_image(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(4))
    evaluate = sc.Evaluator(zoo)
    gram = sc.gram(zoo, evaluate.store)
    pairs = list(combinations(zoo.names, 2))
    found = list(pair_advantages(evaluate, gram, pairs))
    assert [(pair.a, pair.b) for pair in found] == pairs
    labels = evaluate.data.labels.tolist()
    for pair in found:
        assert pair.angle == angles(gram)[gram.index(pair.a), gram.index(pair.b)]
        right = {}
        for coefficients in ({pair.a: 1.0}, {pair.b: 1.0}, {pair.a: 0.5, pair.b: 0.5}):
            said = evaluate.logits(sc.Soup(coefficients)).argmax(1).tolist()
            right[len(right)] = [a == b for a, b in zip(said, labels, strict=True)]
        first, second, middle = (sum(right[place]) for place in range(3))
        assert pair.over_mean.value == pytest.approx((middle - (first + second) / 2) / 120)
        assert pair.over_better.difference == pytest.approx((middle - max(first, second)) / 120)
        assert pair.over_mean.low < pair.over_mean.value < pair.over_mean.high
        gains = [m - (a + b) / 2 for a, b, m in zip(*right.values(), strict=True)]
        padded = np.array([*gains, 1, -1, 0, 0])  # half an image at each of ±1, one at 0: two images in all
        weight = np.array([*[1.0] * 120, 0.5, 0.5, 0.5, 0.5])
        mean = float(np.average(padded, weights=weight))
        variance = float(np.average((padded - mean) ** 2, weights=weight))
        reach = 1.959964 * math.sqrt(variance / 122)
        assert (pair.over_mean.low, pair.over_mean.high) == pytest.approx((mean - reach, mean + reach))


def test_the_interval_of_a_mean_is_that_of_compare_for_two_models() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(300) < 0.8, rng.random(300) < 0.7
    a, b = (sc.Evaluation(int(bits.sum()), 300, 0.5, 0.0, pack(list(bits))) for bits in (ours, theirs))
    wanted, found = sc.compare(a, b), paired_mean(ours.astype(float) - theirs)
    assert (found.value, found.low, found.high) == pytest.approx((wanted.difference, wanted.low, wanted.high), abs=1e-7)
    same = paired_mean(np.zeros(50))
    assert same.low < 0 < same.high


def test_the_statistics_choice_reaches_all_three_soups(deep_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(deep_zoo(2))
    evaluate = sc.Evaluator(zoo)
    list(pair_advantages(evaluate, sc.gram(zoo, evaluate.store), [("m0", "m1")], batch_norm="first"))
    list(pair_barriers(evaluate, [("m0", "m1")], batch_norm="first"))
    wanted = [{"m0": 1.0}, {"m1": 1.0}, {"m0": 0.5, "m1": 0.5}]
    assert evaluated == [sc.Soup(coefficients, batch_norm="first") for coefficients in wanted]


def test_barriers_are_those_of_a_naive_loop(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    evaluate = sc.Evaluator(zoo)
    pairs = [("m0", "m1"), ("m3", "m1"), ("m0", "m2")]
    order = ("m2", "m0", "m3", "m1")
    matrix = barrier_matrix(order, pair_barriers(evaluate, pairs, alphas=(0.25, 0.5, 0.75)))
    wanted = np.full((4, 4), np.nan)
    for name in range(4):
        wanted[name, name] = 0
    for a, b in pairs:
        error_a, error_b = (1 - evaluate(sc.Soup({name: 1.0})).accuracy for name in (a, b))
        height = 0.0
        for alpha in (0.25, 0.5, 0.75):
            error = 1 - evaluate(sc.Soup({a: 1 - alpha, b: alpha})).accuracy
            height = max(height, error - (1 - alpha) * error_a - alpha * error_b)
        i, j = order.index(a), order.index(b)
        wanted[i, j] = wanted[j, i] = height
    np.testing.assert_allclose(matrix, wanted, atol=1e-12)
    assert np.nanmax(matrix) > 0
    drawn = pair_heatmap(order, matrix, order, quantity="barrier").data[0]
    assert drawn.z[1][3] == pytest.approx(100 * wanted[1, 3])
    assert drawn.z[0][2] is None


def test_pairs_are_drawn_once_each_and_more_continue_fewer(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    every = sampled_pairs(zoo, 100, seed=3)
    assert sorted(every) == list(combinations(zoo.names, 2))
    assert sampled_pairs(zoo, 4, seed=3) == every[:4]
    assert sampled_pairs(zoo, 15, seed=4) != every
    with pytest.raises(sc.CoefficientError, match="At least one pair"):
        sampled_pairs(zoo, 0)


def test_disagreement_is_the_share_of_images_with_other_classes(linear_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    evaluate = sc.Evaluator(zoo)
    singles = [evaluate(sc.Soup({name: 1.0})) for name in zoo.names]
    evaluated.clear()
    matrix = disagreement(list(predictions(evaluate)))
    assert evaluated == []  # logits are kept
    said = [evaluate.logits(sc.Soup({name: 1.0})).argmax(1).tolist() for name in zoo.names]
    for i in range(3):
        for j in range(3):
            assert matrix[i, j] == pytest.approx(sum(a != b for a, b in zip(said[i], said[j], strict=True)) / 120)
    bits = [single.bits() for single in singles]
    assert matrix[0, 1] > (bits[0] != bits[1]).mean()  # both wrong, each in its own way


def test_a_model_without_finite_outputs_agrees_with_none(tmp_path: Path) -> None:
    files = random_linears(3)
    for name in ("m1", "m2"):
        files[name]["head.weight"] = files[name]["head.weight"].sign() * 3e38
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    found = list(predictions(sc.Evaluator(zoo)))
    lost = found[1].classes == -1
    assert lost.any()
    matrix = disagreement([found[1], IngredientPrediction("again", found[1].classes)])
    assert matrix[0, 1] == pytest.approx(lost.mean())


def test_the_hyperparameters_that_differ(linear_zoo: Make) -> None:
    folder = linear_zoo(6)
    told = iter(
        [
            "{ rate = 0.1, flip = true, seed = 1 }",
            "{ rate = 0.1, flip = true, seed = 2 }",
            "{ rate = 0.2, flip = true, seed = 3 }",
            "{ rate = 0.2, flip = false, seed = 3 }",
            "{ rate = 0.1, seed = 1 }",
            "{ rate = 0.1, flip = true, seed = 1 }",
        ]
    )
    text = (folder / "zoo.toml").read_text().split("{ learning_rate = 0.1 }")
    (folder / "zoo.toml").write_text("".join(part + next(told, "") for part in text))
    zoo = sc.open_zoo(folder)
    wanted = {"m1": ("seed",), "m2": ("rate",), "m3": ("flip", "rate"), "m4": ("flip",), "m5": ()}
    assert {name: differing_hyperparameters(zoo, "m0", name) for name in wanted} == wanted


def test_the_chart_shows_the_cores_advantages(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(3))
    evaluate = sc.Evaluator(zoo)
    found = list(pair_advantages(evaluate, sc.gram(zoo, evaluate.store), combinations(zoo.names, 2)))
    for against in ("mean", "better"):
        (trace,) = advantage_scatter(found, against=against).data
        assert trace.name == "differ in none"
        for place, pair in enumerate(found):
            gain = pair.over_mean if against == "mean" else pair.over_better
            assert (trace.x[place], trace.y[place]) == (pair.angle, 100 * gain.value)
            assert trace.y[place] + trace.error_y.array[place] == pytest.approx(100 * gain.high)
            assert trace.y[place] - trace.error_y.arrayminus[place] == pytest.approx(100 * gain.low)
            assert trace.customdata[place][:2] == [pair.a, pair.b]


def told(*differing: str, angle: float = 60.0) -> PairAdvantage:
    end = sc.Evaluation(1, 2, 0.5, 0.0, pack([True, False]))
    return PairAdvantage("a", "b", angle, differing, (end, end), end)


def test_pairs_are_coloured_by_what_differs_or_by_how_many() -> None:
    found = [
        told(),
        told("rate"),
        told("rate", angle=61),
        told("flip", "rate"),
        told("flip", "rate", "decay"),
        told("flip", "decay"),
        told("rate", angle=math.nan),
    ]
    figure = advantage_scatter(found)
    assert [(trace.name, len(trace.x)) for trace in figure.data] == [
        ("differ in none", 1),
        ("differ in rate", 2),
        ("differ in 2", 2),
        ("differ in 3", 1),
    ]
    for marks in ({trace.marker.color for trace in figure.data}, {trace.marker.symbol for trace in figure.data}):
        assert len(marks) == 4
    assert figure.data[3].customdata[0][6] == "differ in flip, rate, decay"
    one = advantage_scatter(found, by="flip")
    assert [(trace.name, len(trace.x)) for trace in one.data] == [("differ in flip", 3), ("same flip", 3)]


def test_a_wall_is_coloured_from_zero_and_noise_is_not() -> None:
    matrix = np.array([[0, 0.001], [0.001, 0]])
    drawn = pair_heatmap(("a", "b"), matrix, ("a", "b"), quantity="barrier").data[0]
    assert (drawn.zmin, drawn.zmax) == (0, 2)
    drawn = pair_heatmap(("a", "b"), 400 * matrix, ("a", "b"), quantity="barrier").data[0]
    assert (drawn.zmin, drawn.zmax) == (0, 40)


def test_pairs_run_as_jobs_and_go_on_where_they_were_stopped(tmp_path: Path, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_deeps(4), architecture="test_deep"))
    every = Jobs(default_store())
    done = every.submit(Task("pairs", "z", arguments={"budget": 4}), zoo).wait(PATIENCE)
    assert (done.state, done.steps_done) == ("done", 4)
    assert [(pair.a, pair.b) for pair in done.steps] == list(sampled_pairs(zoo, 4))
    evaluated.clear()
    more = every.submit(Task("pairs", "z", arguments={"budget": 6}), zoo).wait(PATIENCE)
    assert len(evaluated) == 2
    assert more.steps[:4] == done.steps
    walls = every.submit(Task("barriers", "z", arguments={"budget": 6, "alphas": [0.5]}), zoo).wait(PATIENCE)
    assert (walls.state, walls.steps_done, len(evaluated)) == ("done", 6, 2)
    said = every.submit(Task("predictions", "z"), zoo).wait(PATIENCE)
    assert [found.name for found in said.steps] == list(zoo.names)
    assert len(evaluated) == 2


def test_a_plane_runs_as_a_job_and_goes_on_where_it_was_stopped(tmp_path: Path, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_deeps(3), architecture="test_deep"))
    corners = [sc.Soup({name: 1.0}).to_json() for name in zoo.names]
    evaluate = sc.Evaluator(zoo, device="cpu")
    plane = sc.plane_through(sc.gram(zoo, evaluate.store), *(sc.Soup.from_json(corner) for corner in corners))
    begun = sc.plane_points(evaluate, plane, resolution=5)
    first = [next(begun) for _ in range(7)]
    begun.close()
    evaluated.clear()
    task = Task("plane", "z", arguments={"corners": corners, "resolution": 5})
    done = Jobs(default_store()).submit(task, zoo).wait(PATIENCE)
    assert (done.state, done.steps_done) == ("done", 25)
    assert done.steps[:7] == tuple(first)
    assert len(evaluated) == 18
