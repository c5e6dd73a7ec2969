"""Ablations against naive loops, exact enumeration, and greedy on a zoo of the drawn images alone."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from scipy import stats

import soup_core as sc
from soup_core.analysis import parallel_coordinates
from soup_core.analysis.ablations import gap as gap_module
from soup_core.analysis.ablations import left_out, number, shapley_values
from soup_core.charts import ablations as charts
from soup_core.evaluation import measure, sample_mean
from soup_core.jobs import Jobs, Task
from soup_core.runtime.store import Store, default_store
from tests.patience import PATIENCE
from tests.zoos import random_linears, write_zoo

Make = Callable[..., Path]


def right(zoo: sc.Zoo, names: Sequence[str], split: str = "held_out") -> NDArray[np.bool_]:
    """Whether the plain mean of the files' weights is right, an image each: loaded, averaged and run by hand."""
    files = [safetensors.torch.load_file(zoo.by_name[name].file) for name in names]
    module = zoo.module()
    module.load_state_dict({key: torch.stack([file[key] for file in files]).double().mean(0) for key in files[0]})
    data = zoo.data.split(split)
    with torch.no_grad():
        found: NDArray[np.bool_] = (module.double()(data.images.double() / 255).argmax(1) == data.labels).numpy()
    return found


def right_together(zoo: sc.Zoo, names: Sequence[str], split: str = "held_out") -> NDArray[np.bool_]:
    """The same of the mean of the models' probabilities."""
    data, probabilities = zoo.data.split(split), []
    for name in names:
        module = zoo.module()
        module.load_state_dict(safetensors.torch.load_file(zoo.by_name[name].file))
        with torch.no_grad():
            probabilities.append(module.double()(data.images.double() / 255).softmax(1))
    found: NDArray[np.bool_] = (torch.stack(probabilities).mean(0).argmax(1) == data.labels).numpy()
    return found


def exact_shapley(zoo: sc.Zoo, names: Sequence[str], empty: Fraction) -> dict[str, Fraction]:
    """Shapley values in images by the sum over all subsets, each weighed by |S|! (n - |S| - 1)! / n!."""
    value = {frozenset[str](): empty}
    for size in range(1, len(names) + 1):
        for subset in itertools.combinations(names, size):
            value[frozenset(subset)] = Fraction(int(right(zoo, subset).sum()))
    shapley = dict.fromkeys(names, Fraction(0))
    for subset, before in value.items():
        for name in set(names) - subset:
            weight = Fraction(1, len(names) * math.comb(len(names) - 1, len(subset)))
            shapley[name] += weight * (value[subset | {name}] - before)
    return shapley


def subset_zoo(zoo: sc.Zoo, images: Iterable[int], folder: Path) -> sc.Zoo:
    """The same models, with only these held-out images."""
    files = {name: safetensors.torch.load_file(zoo.by_name[name].file) for name in zoo.by_name}
    write_zoo(folder, files)
    data = safetensors.torch.load_file(folder / "data.safetensors")
    data |= {key: data[key][list(images)] for key in ("held_out.images", "held_out.labels")}
    safetensors.torch.save_file(data, folder / "data.safetensors")
    return sc.open_zoo(folder)


def test_the_curve_over_the_number_of_models_is_the_naive_loop(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(5))
    steps = list(number.number_averaged(zoo, sc.Evaluator(zoo), report=sc.Evaluator(zoo, "test")))
    order = sorted(zoo.names, key=lambda name: (-int(right(zoo, [name]).sum()), name))
    assert [step.name for step in steps] == order
    assert [step.count for step in steps] == [1, 2, 3, 4, 5]
    for step in steps:
        first = order[: step.count]
        assert dict(step.soup.coefficients) == dict.fromkeys(first, 1 / step.count)
        assert step.report is not None
        for split, found in (("held_out", step.held_out), ("test", step.report)):
            assert found.single.bits().tolist() == right(zoo, first[-1:], split).tolist()
            assert found.soup.bits().tolist() == right(zoo, first, split).tolist()
            assert found.ensemble.bits().tolist() == right_together(zoo, first, split).tolist()


def test_without_a_report_the_test_split_is_not_touched(linear_zoo: Make, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo)
    steps = list(number.number_averaged(zoo, evaluate, order=["m2", "m0"]))
    list(number.number_averaged_band(zoo, evaluate, orders=2))
    list(left_out.leave_one_out(zoo, evaluate))
    list(shapley_values.shapley(zoo, evaluate, pairs=2))
    parallel_coordinates.hyperparameter_table(zoo, evaluate)
    assert [step.name for step in steps] == ["m2", "m0"]
    assert {step.report for step in steps} == {None}
    assert set(splits_asked) == {"held_out"}
    with pytest.raises(sc.CoefficientError, match="no ingredient 'm9'"):
        list(number.number_averaged(zoo, evaluate, order=["m9"]))


def test_the_band_is_the_curve_in_orders_of_its_seeds(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    evaluate, report = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    band = list(number.number_averaged_band(zoo, evaluate, orders=3, report=report))
    assert [step.seed for step in band] == [0, 1, 2]
    assert len({step.names for step in band}) == 3
    for step in band:
        assert sorted(step.names) == sorted(zoo.names)
        assert step.report is not None
        for count in range(1, 6):
            first = step.names[:count]
            assert step.held_out[count - 1].bits().tolist() == right(zoo, first).tolist()
            assert step.report[count - 1].bits().tolist() == right(zoo, first, "test").tolist()


def test_leaving_one_out_is_the_naive_loop(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    names = ["m4", "m0", "m1", "m3"]
    whole = right(zoo, names)
    left = list(left_out.leave_one_out(zoo, sc.Evaluator(zoo), names))
    assert [each.name for each in left] == ["m0", "m1", "m3", "m4"]
    for each in left:
        others = [name for name in names if name != each.name]
        without = right(zoo, others)
        assert each.soup == sc.uniform_soup(zoo, others)
        assert each.evaluation.bits().tolist() == without.tolist()
        assert each.comparison.gained == int((without & ~whole).sum())
        assert each.comparison.lost == int((whole & ~without).sum())
        assert each.comparison.difference == (int(without.sum()) - int(whole.sum())) / len(whole)
        assert each.comparison.low < each.comparison.difference < each.comparison.high
    with pytest.raises(sc.CoefficientError, match="at least two ingredients; found m1"):
        list(left_out.leave_one_out(zoo, sc.Evaluator(zoo), ["m1"]))


def standard_error(mean: sc.Estimate, samples: int) -> float:
    """What Student's interval of so many samples rests on."""
    return (mean.high - mean.low) / 2 / float(stats.t.ppf(0.975, samples - 1))


@pytest.mark.parametrize("base", [True, False])
def test_sampled_shapley_values_are_the_exact_ones_within_their_error(
    linear_zoo: Make, based_zoo: Make, base: bool
) -> None:
    zoo = sc.open_zoo((based_zoo if base else linear_zoo)(8, seed=3))
    evaluate = sc.Evaluator(zoo)
    empty = Fraction(int(right(zoo, ["base"]).sum())) if base else Fraction(evaluate.total, 3)
    exact = exact_shapley(zoo, zoo.names, empty)
    assert sum(exact.values()) == int(right(zoo, zoo.names).sum()) - empty
    steps = list(shapley_values.shapley(zoo, evaluate, pairs=60, seed=1))
    last = steps[-1]
    assert [step.pairs for step in steps] == list(range(1, 61))
    assert last.names == zoo.names
    assert last.empty == pytest.approx(float(empty) / evaluate.total, abs=1e-12)
    misses = [
        (mean.value - float(exact[name]) / evaluate.total) / standard_error(mean, 60)
        for name, mean in zip(last.names, last.values, strict=True)
    ]
    assert max(map(abs, misses)) < 3.5  # eight times, by chance: below 0.01
    spread = max(exact.values()) - min(exact.values())
    assert max(standard_error(mean, 60) for mean in last.values) < float(spread) / evaluate.total / 4, (
        "it tells them apart"
    )


def test_shapley_values_sum_to_what_all_add_after_every_pair(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(6))
    evaluate = sc.Evaluator(zoo)
    added = int(right(zoo, zoo.names).sum()) - int(right(zoo, ["base"]).sum())
    before = np.zeros(6)
    steps = list(shapley_values.shapley(zoo, evaluate, pairs=8))
    assert [step.pairs for step in steps] == list(range(1, 9))
    for step in steps:
        sums = np.array([mean.value * evaluate.total * step.pairs for mean in step.values])
        halves = 2 * (sums - before)  # of this pair's two permutations together: whole numbers of images
        before = sums
        assert np.abs(halves - halves.round()).max() < 1e-6
        assert int(halves.round().sum()) == 2 * added
        assert step.whole - step.empty == pytest.approx(added / evaluate.total, abs=1e-12)
        assert all(math.isnan(mean.low) and math.isnan(mean.high) for mean in step.values) == (step.pairs == 1)


def test_all_permutations_average_to_the_exact_value(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(4, seed=2))
    evaluate = sc.Evaluator(zoo)
    every = itertools.permutations(zoo.names)
    half = iter([order for order in every if order < order[::-1]])  # its reverse is the other half
    monkeypatch.setattr("random.Random.sample", lambda self, names, count: list(next(half)))
    *_, last = shapley_values.shapley(zoo, evaluate, pairs=12)
    exact = exact_shapley(zoo, zoo.names, Fraction(evaluate.total, 3))
    for name, mean in zip(last.names, last.values, strict=True):
        assert mean.value == pytest.approx(float(exact[name]) / evaluate.total, abs=1e-12)


def test_shapley_is_seeded_and_evaluates_no_soup_twice(linear_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    evaluate = sc.Evaluator(zoo, images=50)
    first = list(shapley_values.shapley(zoo, evaluate, pairs=6, seed=4))
    assert len(evaluated) == len(set(evaluated)) <= 2**5 - 1
    count = len(evaluated)
    again = list(shapley_values.shapley(zoo, evaluate, pairs=6, seed=4))
    assert [[mean.value for mean in step.values] for step in first] == [
        [mean.value for mean in step.values] for step in again
    ]
    assert len(evaluated) == count
    other = list(shapley_values.shapley(zoo, evaluate, ["m0", "m3"], pairs=1, seed=5))
    assert other[0].names == ("m0", "m3")


@pytest.mark.parametrize("ties", [False, True])
def test_greedy_on_a_subset_is_greedy_on_a_zoo_of_these_images(linear_zoo: Make, tmp_path: Path, ties: bool) -> None:
    zoo = sc.open_zoo(linear_zoo(6, seed=1))
    for seed, size in enumerate((7, 30, 77)):
        images = np.random.default_rng(seed).choice(120, size, replace=False)
        alone = subset_zoo(zoo, images, tmp_path / f"subset-{seed}")
        expected = list(sc.greedy_soup(alone, sc.Evaluator(alone), ties=ties, full=True))
        found = list(gap_module.greedy_on(zoo, sc.Evaluator(zoo), images, ties=ties))
        assert [(step.candidate, step.accepted, step.correct_at_most, step.soup) for step in found] == [
            (step.candidate, step.accepted, step.correct_at_most, step.soup) for step in expected
        ]
        bits = [step.evaluation.bits().tolist() for step in expected if step.evaluation]
        assert [step.evaluation.bits().tolist() for step in found if step.evaluation] == bits
    assert any(step.accepted for step in found[1:])


def test_the_selection_gap_is_the_mean_over_zoos_of_the_drawn_images(linear_zoo: Make, tmp_path: Path) -> None:
    zoo = sc.open_zoo(linear_zoo(6, seed=1))
    evaluate, report = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    steps = list(gap_module.selection_gap(zoo, evaluate, report, sizes=[20, 60], draws=3, seed=5))
    assert [step.size for step in steps] == [20, 60]
    for step in steps:
        held_out, tested = [], []
        for draw in range(3):
            images = np.random.default_rng([5, step.size, draw]).choice(120, step.size, replace=False)
            alone = subset_zoo(zoo, images, tmp_path / f"draw-{step.size}-{draw}")
            first, *_, last = sc.greedy_soup(alone, sc.Evaluator(alone))
            names, best = last.soup.names, first.soup.names
            held_out.append((right(alone, names).sum() - right(alone, best).sum()) / step.size)
            tested.append((right(zoo, names, "test").sum() - right(zoo, best, "test").sum()) / 120)
        assert step.held_out_gains == pytest.approx(held_out)
        assert step.report_gains == pytest.approx(tested)
        gaps = np.subtract(held_out, tested)
        assert step.gap.value == pytest.approx(gaps.mean())
        assert standard_error(step.gap, 3) == pytest.approx(math.sqrt(gaps.var(ddof=1) / 3))
        assert step.draws == 3
        assert any(gain > 0 for gain in held_out)
        assert any(tested)
        assert step.held_out_gain.value - step.report_gain.value == pytest.approx(step.gap.value)


def test_the_whole_set_is_drawn_once_and_gives_the_greedy_soup(linear_zoo: Make, evaluated: list[sc.Soup]) -> None:
    zoo = sc.open_zoo(linear_zoo(6, seed=1))
    evaluate, report = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    *_, whole = steps = list(gap_module.selection_gap(zoo, evaluate, report, draws=4))
    assert [step.size for step in steps] == [50, 100, 120]
    held_out = [soup for soup in evaluated if evaluate.known(soup)]
    assert max(evaluated.count(soup) for soup in held_out) <= 2, "once on each split"
    first, *_, last = sc.greedy_soup(zoo, evaluate)
    assert whole.held_out_gains == (pytest.approx(evaluate(last.soup).accuracy - evaluate(first.soup).accuracy),)
    assert (whole.draws, math.isnan(whole.gap.low)) == (1, True)
    for size in (0, 121):
        with pytest.raises(sc.SoupError, match=f"120 held-out images to draw from; found a size of {size}"):
            list(gap_module.selection_gap(zoo, evaluate, report, sizes=[size]))


def test_jobs_make_the_same_steps(linear_zoo: Make, tmp_path: Path) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    apart = Store(tmp_path / "apart")
    evaluate, report = (sc.Evaluator(zoo, split, store=apart) for split in ("held_out", "test"))
    jobs = Jobs(default_store())
    for recipe, arguments, expected in (
        ("number-averaged", {}, number.number_averaged(zoo, evaluate)),
        ("number-averaged", {"report": True}, number.number_averaged(zoo, evaluate, report=report)),
        (
            "number-averaged-band",
            {"orders": 2, "report": True},
            number.number_averaged_band(zoo, evaluate, orders=2, report=report),
        ),
        ("shapley", {"names": ["m0", "m2"], "pairs": 3}, shapley_values.shapley(zoo, evaluate, ["m0", "m2"], pairs=3)),
        (
            "selection-gap",
            {"sizes": [30, 60], "draws": 2},
            gap_module.selection_gap(zoo, evaluate, report, sizes=[30, 60], draws=2),
        ),
    ):
        done = jobs.submit(Task(recipe, zoo.name, arguments=arguments), zoo).wait(PATIENCE)
        assert (done.state, done.message) == ("done", "")
        assert repr(done.steps) == repr(tuple(expected))  # as text, in which NaN equals NaN


HYPERPARAMETERS = (
    'learning_rate = 1e-4, weight_decay = 0.0, augmentation = "flip", mixup = true, epochs = 4, hot = 1e-3, same = 3',
    'learning_rate = 1e-2, weight_decay = 0.01, augmentation = "<b>cut</b>", mixup = false, epochs = 80, same = 3',
    'learning_rate = 1e-3, weight_decay = 0.001, augmentation = "flip", mixup = true, epochs = 8, hot = 3e-3, same = 3',
)


@pytest.fixture
def table(tmp_path: Path) -> parallel_coordinates.HyperparameterTable:
    folder = write_zoo(tmp_path / "described", random_linears(3))
    text = (folder / "zoo.toml").read_text()
    for given in HYPERPARAMETERS:
        text = text.replace("hyperparameters = { learning_rate = 0.1 }", f"hyperparameters = {{ {given} }}", 1)
    (folder / "zoo.toml").write_text(text)
    zoo = sc.open_zoo(folder)
    return parallel_coordinates.hyperparameter_table(zoo, sc.Evaluator(zoo))


def test_hyperparameters_become_axes(table: parallel_coordinates.HyperparameterTable) -> None:
    axes = {axis.name: axis for axis in table.axes}
    assert table.names == ("m0", "m1", "m2")
    assert list(axes) == ["learning_rate", "weight_decay", "augmentation", "mixup", "epochs", "hot", "held-out (%)"]
    assert axes["learning_rate"].logarithmic
    assert axes["learning_rate"].values == pytest.approx((-4, -2, -3))
    assert axes["learning_rate"].ticks == ((-4, "0.0001"), (-3, "0.001"), (-2, "0.01"))
    decay = axes["weight_decay"]
    assert decay.logarithmic
    assert decay.values[0] < -3 == decay.values[2] < decay.values[1] == -2
    assert decay.ticks == ((decay.values[0], "0"), (-3, "0.001"), (-2, "0.01"))
    assert axes["augmentation"].values == (1, 0, 1)
    assert axes["augmentation"].ticks == ((0, "<b>cut</b>"), (1, "flip"))
    assert axes["mixup"].values == (1, 0, 1)
    assert axes["mixup"].ticks == ((0, "false"), (1, "true"))
    assert (axes["epochs"].values, axes["epochs"].logarithmic, axes["epochs"].ticks) == ((4, 80, 8), False, ())
    hot = axes["hot"]
    assert not hot.logarithmic
    assert (hot.values[0], hot.values[2]) == (0.001, 0.003)
    assert hot.values[1] < 0.001
    assert hot.ticks == ((hot.values[1], "not given"), (0.001, "0.001"), (0.002, "0.002"), (0.003, "0.003"))
    zoo = sc.open_zoo("described")
    assert table.axes[-1].values == pytest.approx([100 * right(zoo, [name]).mean() for name in zoo.names])


def test_an_axis_of_odd_numbers_still_has_places() -> None:
    odd = parallel_coordinates._axis("odd", [math.inf, None, math.inf])
    assert odd.values == (0, 1, 0)
    assert odd.ticks == ((0, "inf"), (1, "not given"))
    lone = parallel_coordinates._axis("lone", [3, None])
    assert lone.values == (3, 2)
    assert lone.ticks == ((2, "not given"), (3, "3"))
    few = parallel_coordinates._axis("few", [0.03, 0.45])
    assert [word for _, word in few.ticks] == ["0.05", "0.1", "0.2"]
    assert not parallel_coordinates._axis("signed", [-1.5, 20.0]).logarithmic
    assert parallel_coordinates._axis("mixed", [1, "auto"]).ticks == ((0, "1"), (1, "auto"))


def test_the_curves_figure_holds_the_steps_numbers(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate, report = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    steps = list(number.number_averaged(zoo, evaluate, report=report))
    band = list(number.number_averaged_band(zoo, evaluate, orders=3, report=report))
    for reported, split in ((False, "held_out"), (True, "test")):
        figure = charts.number_averaged_curve(steps, models=4, band=band, reported=reported)
        traces = {trace.name: trace for trace in figure.data if trace.showlegend is not False}
        order = [step.name for step in steps]
        soups = [100 * right(zoo, order[: k + 1], split).mean() for k in range(4)]
        together = [100 * right_together(zoo, order[: k + 1], split).mean() for k in range(4)]
        singles = [100 * right(zoo, [name], split).mean() for name in order]
        for label, expected, symbol in (
            ("uniform soup of the first k", soups, "circle"),
            ("ensemble of the first k", together, "square"),
            ("the k-th model alone", singles, "diamond"),
        ):
            assert list(traces[label].x) == [1, 2, 3, 4]
            assert list(traces[label].y) == pytest.approx(expected)
            assert set(traces[label].marker.symbol) == {symbol}
        shuffled = np.array([[100 * right(zoo, each.names[: k + 1], split).mean() for k in range(4)] for each in band])
        assert list(figure.data[0].y) == pytest.approx(shuffled.min(0))
        assert list(traces["soups in 3 shuffled orders, lowest to highest"].y) == pytest.approx(shuffled.max(0))
        assert list(traces["their median"].y) == pytest.approx(np.median(shuffled, 0))
        assert figure.layout.yaxis.title.text == ("Test accuracy (%)" if reported else "Held-out accuracy (%)")
    alone, _, whole = charts.number_averaged_curve(steps, models=4, selected=order[:2]).data
    assert alone.marker.symbol == ("diamond", "diamond", "diamond-open", "diamond-open")
    assert [row[2] for row in alone.customdata[1:]] == order[1:]
    assert [row[2] for row in whole.customdata] == [1, 2, 3, 4]
    assert np.argmax(whole.marker.size) == 1, "the soup of the first two is the one that is selected"
    part = charts.number_averaged_curve(steps[:2], models=4)
    assert tuple(part.layout.xaxis.range) == (0.4, 4.6)
    assert len(part.data) == 3


def test_bars_hold_differences_and_intervals_in_points(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    evaluate = sc.Evaluator(zoo)
    left = {each.name: each.comparison for each in left_out.leave_one_out(zoo, evaluate)}
    (bars,) = charts.leave_one_out_bars(list(left_out.leave_one_out(zoo, evaluate))).data
    names = [row[0] for row in bars.customdata]
    assert sorted(names) == list(zoo.names)
    assert list(bars.y) == sorted(bars.y) == pytest.approx([100 * left[name].difference for name in names])
    high, low = np.add(bars.y, bars.error_y.array), np.subtract(bars.y, bars.error_y.arrayminus)
    assert high == pytest.approx([100 * left[name].high for name in names])
    assert low == pytest.approx([100 * left[name].low for name in names])

    first, *_, last = shapley_values.shapley(zoo, evaluate, pairs=4)
    values = dict(zip(last.names, last.values, strict=True))
    (bars,) = charts.shapley_bars(last).data
    names = [row[0] for row in bars.customdata]
    assert list(bars.y) == sorted(bars.y, reverse=True) == pytest.approx([100 * values[name].value for name in names])
    assert list(bars.error_y.array) == pytest.approx([100 * (values[name].high - values[name].value) for name in names])
    assert set(charts.shapley_bars(first).data[0].error_y.array) == {0.0}
    assert len(set(bars.marker.color)) == 1
    (bars,) = charts.shapley_bars(last, selected=["m1", "m4"]).data
    filled = bars.marker.color[names.index("m1")]
    assert {name for name, colour in zip(names, bars.marker.color, strict=True) if colour == filled} == {"m1", "m4"}


def test_the_gaps_figure_holds_means_and_intervals() -> None:
    steps = [gap_module.GapStep(50, (0.04, 0.02), (0.01, 0.03)), gap_module.GapStep(100, (0.02,), (0.015,))]
    figure = charts.selection_gap_curve(steps)
    gains, tested, gap = figure.data
    for trace, expected in ((gains, (3, 2)), (tested, (2, 1.5)), (gap, (1, 0.5))):
        assert list(trace.x) == [50, 100]
        assert list(trace.y) == pytest.approx(expected)
    assert list(gap.error_y.array) == pytest.approx([12.7062 * 2, 0], abs=1e-3)  # t of one degree; error (3 - -1) / 2
    assert figure.layout.xaxis.type == "log"


def test_parallel_coordinates_hold_the_table_and_the_brushes(table: parallel_coordinates.HyperparameterTable) -> None:
    ranges = {"learning_rate": [-4, -3], "epochs": [[1, 5], [70, 90]]}
    (lines,) = charts.parallel_coordinates(table, ranges=ranges).data
    assert [dimension.name for dimension in lines.dimensions] == [axis.name for axis in table.axes]
    for dimension, axis in zip(lines.dimensions, table.axes, strict=True):
        assert list(dimension["values"]) == list(axis.values)
        texts = dimension.ticktext or ()
        seen = [text.replace("\u200b", "") for text in texts]
        named = [tick for tick in zip(dimension.tickvals or (), seen, strict=True) if tick[1]]
        assert named == sorted(axis.ticks)
        assert len(set(texts)) == len(texts), "plotly mixes up equal ones"
        assert set(axis.values) <= set(dimension.tickvals or axis.values), "a brush can stop at every line"
        drawn = dimension.constraintrange
        assert (drawn and np.array(drawn).tolist()) == ranges.get(axis.name)
    assert [row[0] for row in lines.customdata] == list(table.names)
    assert list(lines.line.color) == list(table.axes[-1].values)
    assert lines.uirevision != charts.parallel_coordinates(table).data[0].uirevision, "other brushes are drawn"


def test_lines_out_of_the_soup_are_grey(table: parallel_coordinates.HyperparameterTable) -> None:
    accuracies = table.axes[-1].values
    (lines,) = charts.parallel_coordinates(table, selected=["m0", "m2"]).data
    places = [(value - lines.line.cmin) / (lines.line.cmax - lines.line.cmin) for value in lines.line.color]
    assert (lines.line.color[0], lines.line.color[2]) == (accuracies[0], accuracies[2])
    grey = max(place for place, colour in lines.line.colorscale if colour == "#808080")
    assert [place <= grey for place in places] == [False, True, False]
    assert max(places) <= 1


def test_brushes_become_names(table: parallel_coordinates.HyperparameterTable) -> None:
    assert charts.brushed(table, {}) == ["m0", "m1", "m2"]
    assert charts.brushed(table, {"learning_rate": [-4, -3]}) == ["m0", "m2"]
    assert charts.brushed(table, {"learning_rate": [[-4, -4], [-2.5, 0]]}) == ["m0", "m1"]
    assert charts.brushed(table, {"hot": (0.0005, 0.002), "learning_rate": (-4, -3)}) == ["m0"]
    assert charts.brushed(table, {"learning_rate": (-4, -3), "augmentation": (0, 0)}) == []


def test_names_are_literal_text_in_every_figure() -> None:
    evaluation = measure(torch.eye(3), torch.tensor([0, 1, 0]))
    name, soup = "<i>&x", sc.Soup({"<i>&x": 1.0})
    averaged = number.Averaged(evaluation, evaluation, evaluation)
    left = left_out.LeftOut(name, soup, evaluation, sc.compare(evaluation, evaluation))
    shapley = shapley_values.ShapleyStep(1, (name,), (sample_mean([0.1]),), 0.1, 0.2)
    axes = (parallel_coordinates.Axis(name, (0.0,)), parallel_coordinates.Axis("held-out (%)", (50.0,)))
    for figure in (
        charts.number_averaged_curve([number.NumberStep(1, name, soup, averaged, None)], models=1),
        charts.leave_one_out_bars([left]),
        charts.shapley_bars(shapley),
        charts.parallel_coordinates(parallel_coordinates.HyperparameterTable((name,), axes)),
    ):
        text = figure.to_plotly_json()
        shown = repr([text["layout"], [{**trace, "customdata": None} for trace in text["data"]]])
        assert "<i>" not in shown.replace(f"'name': '{name}'", "")
        assert "&lt;i&gt;&amp;x" in repr(text)
