import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import soup_core as sc
from soup_core.analysis.face_off import recipes_of
from soup_core.recipes.model_stock import interpolation_ratio
from soup_core.runtime.store import Store
from soup_core.soup import BatchNorm, uniform
from tests.zoos import CLASSES, random_deeps, random_linears, vector, write_zoo

Make = Callable[..., Path]


def naive_correct(zoo: sc.Zoo) -> Callable[[Sequence[str]], int]:
    """Load, average and evaluate in full, with nothing of the core's own evaluation."""
    split = zoo.data.split("held_out")
    inputs = split.images.float() / 255

    def correct(names: Sequence[str]) -> int:
        files = [dict(zoo.by_name[name].checkpoint.read_all()) for name in names]
        module = zoo.module()
        module.load_state_dict({key: sum(f[key] for f in files) / len(files) for key in files[0]})
        with torch.no_grad():
            return int((module(inputs).argmax(1) == split.labels).sum())

    return correct


def naive_greedy(zoo: sc.Zoo, order: Sequence[str], ties: bool) -> tuple[list[str], int]:
    correct = naive_correct(zoo)
    chosen, best = [order[0]], correct(order[:1])
    for name in order[1:]:
        found = correct([*chosen, name])
        if found > best or (ties and found == best):
            chosen, best = [*chosen, name], found
    return chosen, best


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_greedy_decides_as_the_naive_search(linear_zoo: Make, seed: int, ties: bool) -> None:
    zoo = sc.open_zoo(linear_zoo(7, seed))
    order = f"random:{seed}"
    steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo, batch_size=10), order=order, ties=ties))
    chosen, best = naive_greedy(zoo, [step.candidate for step in steps], ties)
    assert [step.candidate for step in steps if step.accepted] == chosen
    assert steps[-1].soup == uniform(chosen)
    accepted = [step for step in steps if step.accepted]
    assert accepted[-1].evaluation is not None
    assert accepted[-1].evaluation.correct == best
    full = list(
        sc.greedy_soup(zoo, sc.Evaluator(zoo, store=Store(zoo.folder / "s")), order=order, ties=ties, full=True)
    )
    assert [step.accepted for step in full] == [step.accepted for step in steps]
    for stopped, whole in zip(steps, full, strict=True):
        assert whole.evaluation is not None
        assert stopped.correct_at_most >= whole.evaluation.correct


@pytest.mark.parametrize("seed", range(3))
def test_greedy_lies_between_the_best_single_and_the_best_subset(linear_zoo: Make, seed: int) -> None:
    zoo = sc.open_zoo(linear_zoo(5, seed))
    evaluate = sc.Evaluator(zoo)
    greedy = evaluate(list(sc.greedy_soup(zoo, evaluate))[-1].soup).correct
    subsets = [evaluate(uniform(s)).correct for k in range(1, 6) for s in combinations(zoo.names, k)]
    assert max(evaluate(sc.Soup({name: 1.0})).correct for name in zoo.names) <= greedy <= max(subsets)


def test_the_order_is_by_accuracy_and_ties_go_by_name(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    evaluate = sc.Evaluator(zoo)
    singles = {name: evaluate(sc.Soup({name: 1.0})).correct for name in zoo.names}
    tried = [step.candidate for step in sc.greedy_soup(zoo, evaluate)]
    assert tried == sorted(zoo.names, key=lambda name: (-singles[name], name))
    shuffled = [[s.candidate for s in sc.greedy_soup(zoo, evaluate, order=f"random:{seed}")] for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2]


def test_greedy_run_again_runs_no_image(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    first = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    again = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    assert sum(step.images_evaluated for step in first) > 0
    assert sum(step.images_evaluated for step in again) == 0
    assert [step.soup for step in first] == [step.soup for step in again]


def test_greedy_sees_held_out_images_only(linear_zoo: Make, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    assert splits_asked == ["held_out"]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("sideways", 'An order is "accuracy", "random:SEED" or names with commas between; found \'sideways\''),
        ("random:x", "An order is .*; found 'random:x'"),
        (["m0", "m0"], "names each candidate once; found m0, m0"),
        (["m0", "nobody"], "no ingredient 'nobody'"),
        ([], "names each candidate once; found no name"),
    ],
)
def test_an_order_that_is_none_is_refused(linear_zoo: Make, order: str | list[str], message: str) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    with pytest.raises(sc.CoefficientError, match=message):
        list(sc.greedy_soup(zoo, sc.Evaluator(zoo), order=order))


@pytest.mark.parametrize("order", [["base", "m0"], ["m0", "base"]])
def test_the_base_is_no_greedy_candidate(based_zoo: Make, order: list[str]) -> None:
    zoo = sc.open_zoo(based_zoo(2))
    with pytest.raises(sc.CoefficientError, match="base is no candidate"):
        list(sc.greedy_soup(zoo, sc.Evaluator(zoo), order=order))


def naive_pruned(zoo: sc.Zoo, ties: bool) -> tuple[list[str], list[bool], list[str]]:
    correct = naive_correct(zoo)
    alone = {name: correct([name]) for name in zoo.names}
    best, *others = sorted(zoo.names, key=lambda name: (-alone[name], name))
    chosen, most, dropped = list(zoo.names), correct(zoo.names), [True]
    for name in reversed(others):
        without = [other for other in chosen if other != name]
        found = correct(without)
        dropped.append(found > most or (ties and found == most))
        if dropped[-1]:
            chosen, most = without, found
    return [best, *reversed(others)], dropped, chosen


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_pruned_decides_as_the_naive_search_and_is_never_below_uniform(linear_zoo: Make, seed: int, ties: bool) -> None:
    zoo = sc.open_zoo(linear_zoo(7, seed))
    evaluate = sc.Evaluator(zoo, batch_size=10)
    steps = list(sc.pruned_soup(zoo, evaluate, ties=ties))
    order, dropped, chosen = naive_pruned(zoo, ties)
    assert [step.candidate for step in steps] == order
    assert [step.accepted for step in steps] == dropped
    assert steps[-1].soup == uniform(chosen)
    assert evaluate(steps[-1].soup).correct >= evaluate(sc.uniform_soup(zoo)).correct
    own = sc.Evaluator(zoo, store=Store(zoo.folder / "s"))
    full = list(sc.pruned_soup(zoo, own, ties=ties, full=True))
    assert [step.accepted for step in full] == dropped
    assert all(step.evaluation is not None for step in full)


def test_pruned_sees_held_out_images_only_and_runs_none_again(linear_zoo: Make, splits_asked: list[str]) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    list(sc.pruned_soup(zoo, sc.Evaluator(zoo)))
    assert sum(step.images_evaluated for step in sc.pruned_soup(zoo, sc.Evaluator(zoo))) == 0
    assert splits_asked == ["held_out", "held_out"]


@pytest.mark.parametrize("ties", [False, True])
def test_each_seed_of_the_band_is_the_greedy_search_in_that_order(linear_zoo: Make, ties: bool) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    evaluate = sc.Evaluator(zoo, batch_size=10)
    band = list(sc.greedy_band(zoo, evaluate, orders=5, ties=ties))
    assert [each.seed for each in band] == [0, 1, 2, 3, 4]
    own = sc.Evaluator(zoo, store=Store(zoo.folder / "s"))
    for each in band:
        steps = list(sc.greedy_soup(zoo, own, order=f"random:{each.seed}", ties=ties, full=True))
        assert (each.soup, each.total) == (steps[-1].soup, 120)
        assert each.correct == tuple(own(step.soup).correct for step in steps)
    assert len({each.correct for each in band}) > 1
    assert sum(each.images_evaluated for each in sc.greedy_band(zoo, evaluate, orders=5, ties=ties)) == 0


def test_uniform_with_weights_is_the_mean_in_their_proportions(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    weights = {"m0": 3, "m2": 1, "m3": -2}
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo, weights=weights))
    files = {name: dict(zoo.by_name[name].checkpoint.read_all()) for name in weights}
    for name, tensor in theta.items():
        wanted = sum(weight * files[file][name].double() for file, weight in weights.items()) / 2
        torch.testing.assert_close(tensor.double(), wanted, atol=1e-6, rtol=1e-6)
    assert sc.uniform_soup(zoo, weights=dict.fromkeys(zoo.names, 7)) == sc.uniform_soup(zoo)
    assert sc.uniform_soup(zoo, weights={"m0": 1, "m1": 0}) == sc.Soup({"m0": 1.0})
    assert sc.uniform_soup(zoo, ["m1", "m3", "m1"]) == sc.Soup({"m1": 0.5, "m3": 0.5})
    for wrong, message in (
        ({"m0": 1, "m1": -1}, "must not sum to zero"),
        ({}, "must not sum to zero"),
        ({"nobody": 1}, "no ingredient 'nobody'"),
        ({"m0": math.nan}, "coefficient of m0 must be a finite number; found nan"),
    ):
        with pytest.raises(sc.CoefficientError, match=message):
            sc.uniform_soup(zoo, weights=wrong)
    for names, message in (([], "at least one ingredient"), (["nobody"], "no ingredient 'nobody'")):
        with pytest.raises(sc.CoefficientError, match=message):
            sc.uniform_soup(zoo, names)


def test_wise_ft_takes_the_best_of_the_line_by_held_out_images(based_zoo: Make, splits_asked: list[str]) -> None:
    for seed in range(4):
        zoo = sc.open_zoo(based_zoo(4, seed))
        splits_asked.clear()
        evaluate = sc.Evaluator(zoo)
        towards = sc.Soup({"m1": 0.5, "m2": 0.5})
        steps = list(sc.wise_ft(zoo, evaluate, towards=towards, alphas=[0.6, 0.2, 0.4, 0.8]))
        assert splits_asked == ["held_out"]
        assert [step.alpha for step in steps] == [0, 0.2, 0.4, 0.6, 0.8, 1]
        assert steps[0].evaluation == evaluate(sc.Soup({"base": 1.0}))
        assert steps[-1].evaluation == evaluate(towards)
        base, end = (evaluate.logits(soup) for soup in (sc.Soup({"base": 1.0}), towards))
        correct = {  # a linear model: the logits on the line lie on a line
            step.alpha: int((((1 - step.alpha) * base + step.alpha * end).argmax(1) == evaluate.data.labels).sum())
            for step in steps
        }
        assert {step.alpha: step.evaluation.correct for step in steps} == correct
        best = max(correct, key=lambda alpha: (correct[alpha], alpha))
        assert steps[-1].best_alpha == best
        assert steps[-1].soup == sc.interpolate(sc.Soup({"base": 1.0}), towards, best)


@pytest.mark.parametrize("batch_norm", ["first", "re-estimated"])
def test_wise_ft_makes_the_bases_statistics_as_the_soup_has_them(deep_zoo: Make, batch_norm: BatchNorm) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    towards = sc.Soup({"m1": 0.5, "m2": 0.5}, batch_norm=batch_norm)
    steps = list(sc.wise_ft(zoo, evaluate, towards=towards, alphas=[0.25]))
    assert [step.alpha for step in steps] == [0, 0.25, 1]
    assert steps[-1].soup.batch_norm == batch_norm
    between = sc.Soup({"base": 0.75, "m1": 0.125, "m2": 0.125}, batch_norm=batch_norm)
    ends = sc.Soup({"base": 1.0}, batch_norm=batch_norm), between, towards
    assert [step.evaluation for step in steps] == [evaluate(soup) for soup in ends]


def test_wise_ft_goes_to_the_soup_where_all_points_are_equal(tmp_path: Path) -> None:
    same = random_linears(1)["m0"]
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": same, "base": same}))
    steps = list(sc.wise_ft(zoo, sc.Evaluator(zoo)))
    assert steps[-1].best_alpha == 1
    assert steps[-1].soup == sc.Soup({"a": 1.0})
    assert len(steps) == 11


def test_beyond_the_soup_too_the_nearer_of_equal_points_is_better(tmp_path: Path) -> None:
    same = random_linears(1)["m0"]
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": same, "base": same}))
    steps = list(sc.wise_ft(zoo, sc.Evaluator(zoo), alphas=[1.5]))
    assert [(step.alpha, step.best_alpha) for step in steps] == [(0, 0), (1, 1), (1.5, 1)]


def test_recipes_that_need_a_base_say_so(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    evaluate = sc.Evaluator(zoo)
    for make in (
        lambda: list(sc.wise_ft(zoo, evaluate)),
        lambda: sc.model_stock_soup(zoo, evaluate.store),
        lambda: sc.task_arithmetic_soup(zoo, scale=1),
    ):
        with pytest.raises(sc.ZooError, match="needs a base"):
            make()


def group(granularity: str, tensor: str) -> str:
    return {"model": "model", "layer": tensor.rpartition(".")[0], "tensor": tensor}[granularity]


@pytest.mark.parametrize("granularity", ["model", "layer", "tensor"])
def test_model_stock_is_the_point_of_the_line_closest_to_the_common_direction(tmp_path: Path, granularity: str) -> None:
    """Models base + mu + e_i, the e_i as long as each other, at right angles to each other and to mu, in each group."""
    generator = torch.Generator().manual_seed(0)
    base = random_deeps(0)["base"]
    parameters = [name for name in base if name.rpartition(".")[2] in ("weight", "bias")]
    center, files = dict(base), {"m0": dict(base), "m1": dict(base), "base": base}
    for place, part in enumerate(dict.fromkeys(group(granularity, name) for name in parameters)):
        names = [name for name in parameters if group(granularity, name) == part]
        size = sum(base[name].numel() for name in names)
        directions = torch.linalg.qr(torch.randn(size, 3, generator=generator)).Q.T
        common, noise = 1.0 + 0.3 * place, 2.0 - 0.2 * place
        for file, change in (
            (center, common * directions[0]),
            (files["m0"], common * directions[0] + noise * directions[1]),
            (files["m1"], common * directions[0] + noise * directions[2]),
        ):
            parts = change.split([base[name].numel() for name in names])
            file.update(
                {name: base[name] + part.view(base[name].shape) for name, part in zip(names, parts, strict=True)}
            )
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    theta = sc.state_dict(zoo, sc.model_stock_soup(zoo, Store(tmp_path / "s"), granularity=granularity))
    for part in {group(granularity, name) for name in parameters}:
        names = [name for name in parameters if group(granularity, name) == part]
        origin, target = vector(base, names), vector(center, names)
        average = (vector(files["m0"], names) + vector(files["m1"], names)) / 2
        found = vector(theta, names)
        share = float((found - origin) @ (average - origin)) / float((average - origin).square().sum())
        torch.testing.assert_close(found, origin + share * (average - origin), atol=1e-5, rtol=1e-5)  # on the line
        assert float((found - target) @ (average - origin)) == pytest.approx(0, abs=1e-4)  # at the foot of the normal
        assert 0.2 < share < 0.99


def test_model_stock_keeps_to_the_average_where_models_agree_and_to_the_base_where_they_do_not() -> None:
    same, apart = np.ones((3, 3)), np.eye(3)
    assert interpolation_ratio(4 * same) == pytest.approx(1)
    assert interpolation_ratio(4 * apart) == 0
    assert interpolation_ratio(np.array([[1.0, 0.5], [0.5, 1.0]])) == pytest.approx(2 / 3)
    assert interpolation_ratio(np.diag([1.0, 2.0]) @ np.array([[1, 0.5], [0.5, 1]]) @ np.diag([1.0, 2.0])) == (
        pytest.approx(2 / 3)
    )  # the angle counts, not the lengths
    assert interpolation_ratio(np.array([[1.0, -1.0], [-1.0, 1.0]])) == 0
    assert interpolation_ratio(np.zeros((3, 3))) == 1
    assert interpolation_ratio(np.ones((1, 1))) == 1


@pytest.mark.parametrize("cosine", [-0.01, -0.5, -0.9, -0.999])
def test_models_that_pull_apart_leave_the_base_where_it_is(cosine: float) -> None:
    assert interpolation_ratio(np.array([[1.0, cosine], [cosine, 1.0]])) == 0


def test_model_stock_refuses_another_granularity(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(2))
    with pytest.raises(sc.CoefficientError, match="found 'weight'"):
        sc.model_stock_soup(zoo, Store(zoo.folder / "s"), granularity="weight")


def test_slerp_of_unit_vectors_has_unit_length_and_the_angles_share(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    files = {
        name: {tensor: value / value.norm() for tensor, value in random_linears(1, seed)["m0"].items()}
        for seed, name in enumerate(("a", "b"))
    }
    files["b"]["head.bias"] = torch.nn.functional.normalize(torch.randn(CLASSES, generator=generator), dim=0)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    store = Store(tmp_path / "s")

    def angle(one: Tensor, other: Tensor) -> float:
        return math.atan2(float((one - other).norm()), float((one + other).norm())) * 2

    @settings(max_examples=15, deadline=None)
    @given(st.floats(0, 1))
    def on_the_arc(alpha: float) -> None:
        theta = sc.state_dict(zoo, sc.slerp_soup(zoo, store, "a", "b", alpha=alpha))
        for name, tensor in theta.items():
            a, b, found = (each[name].double().flatten() for each in (files["a"], files["b"], theta))
            assert float(tensor.norm()) == pytest.approx(1, abs=1e-6)
            assert angle(a, found) == pytest.approx(alpha * angle(a, b), abs=1e-6)
            assert angle(found, b) == pytest.approx((1 - alpha) * angle(a, b), abs=1e-6)

    on_the_arc()
    assert sc.slerp_soup(zoo, store, "a", "b", alpha=0) == sc.Soup({"a": 1.0})
    assert sc.slerp_soup(zoo, store, "a", "b", alpha=1) == sc.Soup({"b": 1.0})


def test_slerp_mixes_parallel_tensors_and_buffers_in_a_straight_line(tmp_path: Path) -> None:
    files = random_deeps(2)
    files["m1"]["head.weight"] = 3 * files["m0"]["head.weight"]
    files["m1"]["head.bias"] = -files["m0"]["head.bias"]
    files["m0"]["stem.bias"] = torch.zeros(5)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    theta = sc.state_dict(zoo, sc.slerp_soup(zoo, Store(tmp_path / "s"), "m0", "m1", alpha=0.25))
    straight = ("head.weight", "head.bias", "stem.bias", "norm.running_mean", "norm.running_var")
    for name in straight:
        torch.testing.assert_close(theta[name], 0.75 * files["m0"][name] + 0.25 * files["m1"][name])
    chord = 0.75 * files["m0"]["hidden.weight"] + 0.25 * files["m1"]["hidden.weight"]
    assert float(theta["hidden.weight"].norm()) > float(chord.norm())


def test_slerp_between_unknown_names_is_refused(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(2))
    for name in ("nobody", "base"):
        with pytest.raises(sc.CoefficientError, match="no ingredient"):
            sc.slerp_soup(zoo, Store(zoo.folder / "s"), "m0", name)


def test_an_arc_from_a_model_to_itself_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match="two different models; found m0 twice"):
        sc.slerp_soup(zoo, Store(zoo.folder / "s"), "m0", "m0", alpha=0.3)


@pytest.mark.parametrize("scale", [-1.0, 0.1, 0.5, 2.0])
def test_task_arithmetic_adds_the_scaled_differences(based_zoo: Make, scale: float) -> None:
    zoo = sc.open_zoo(based_zoo(3))
    files = {name: vector(dict(ingredient.checkpoint.read_all())) for name, ingredient in zoo.by_name.items()}
    theta = vector(sc.state_dict(zoo, sc.task_arithmetic_soup(zoo, ["m0", "m2"], scale=scale)))
    wanted = files["base"] + scale * (files["m0"] - files["base"] + files["m2"] - files["base"])
    torch.testing.assert_close(theta, wanted, atol=1e-5, rtol=1e-5)


def test_task_arithmetic_ends_at_the_base_and_at_the_uniform_soup(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(4))
    assert sc.task_arithmetic_soup(zoo, scale=0) == sc.Soup({"base": 1.0})
    assert sc.task_arithmetic_soup(zoo, scale=1 / 4) == sc.uniform_soup(zoo)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_moving_average_is_the_loops(linear_zoo: Make, count: int, decay: float) -> None:
    zoo = sc.open_zoo(linear_zoo(count))
    files = [vector(dict(ingredient.checkpoint.read_all())) for ingredient in zoo.ingredients]
    average = files[0]
    for file in files[1:]:
        average = decay * average + (1 - decay) * file
    torch.testing.assert_close(vector(sc.state_dict(zoo, sc.ema_soup(zoo, decay=decay))), average, atol=1e-6, rtol=1e-6)


def test_lawa_is_the_mean_of_the_latest(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6))
    assert sc.lawa_soup(zoo, last=2) == sc.Soup({"m4": 0.5, "m5": 0.5})
    assert sc.lawa_soup(zoo, last=1) == sc.Soup({"m5": 1.0})
    assert sc.lawa_soup(zoo) == uniform(zoo.names[1:])
    assert sc.lawa_soup(zoo, last=99) == sc.uniform_soup(zoo)


def test_a_decay_and_a_number_of_checkpoints_out_of_range_are_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    for decay in (-0.1, 1.0, math.nan):
        with pytest.raises(sc.CoefficientError, match=f"decay lies between 0 and 1, 1 left out; found {decay}"):
            sc.ema_soup(zoo, decay=decay)
    for last in (0, -1):
        with pytest.raises(sc.CoefficientError, match=f"At least one checkpoint is averaged; found {last}"):
            sc.lawa_soup(zoo, last=last)


def test_a_cost_counts_parameters_and_bytes_of_every_model(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(2))
    parameters = 5 * 4 + 5 + 5 + 5 + 45 * 32 + 32 + 32 * CLASSES + CLASSES
    megabytes = (4 * (parameters + 5 + 5) + 8) / 1e6  # running mean and variance, and a counter in 64 bits
    one = sc.measured_cost(sc.Evaluator(zoo), [sc.uniform_soup(zoo)])
    assert (one.models, one.parameters) == (1, parameters)
    assert one.megabytes == pytest.approx(megabytes)
    assert 0 < one.seconds_per_image < 1
    two = sc.measured_cost(sc.Evaluator(zoo, memory=0), [sc.Soup({name: 1.0}) for name in zoo.names])
    assert (two.models, two.parameters) == (2, 2 * parameters)
    assert two.megabytes == pytest.approx(2 * megabytes)
    assert dataclasses.replace(one.of(2), seconds_per_image=0) == dataclasses.replace(two, seconds_per_image=0)
    assert one.of(3).seconds_per_image == pytest.approx(3 * one.seconds_per_image)
    assert two.of(1).parameters == parameters


SHAPES = {
    "fine-tunings": ["uniform", "greedy", "pruned", "model-stock", "wise-ft", "learned", "greedy-ensemble", "ensemble"],
    "strangers": ["uniform", "greedy", "pruned", "learned", "greedy-ensemble", "ensemble"],
    "trajectory": ["uniform", "greedy", "pruned", "ema", "lawa", "learned", "greedy-ensemble", "ensemble"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_face_off_runs_the_recipes_that_suit_the_zoo_and_shows_the_cores_numbers(
    tmp_path: Path, shape: str
) -> None:
    files: Mapping[str, Mapping[str, Tensor]] = random_linears(4)
    if shape == "fine-tunings":
        files = {**files, "base": random_linears(1, seed=7)["m0"]}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, trajectory=shape == "trajectory"))
    entries = list(sc.face_off(zoo, sc.Evaluator(zoo)))
    assert [entry.recipe for entry in entries] == SHAPES[shape]
    assert len(entries) == recipes_of(zoo)
    held_out, test = (sc.Evaluator(zoo, split, store=Store(tmp_path / "own")) for split in ("held_out", "test"))
    for entry in entries:
        together = "ensemble" in entry.recipe
        for evaluate, shown in ((held_out, entry.held_out), (test, entry.test)):
            found = sc.ensemble(evaluate, entry.soup.names) if together else evaluate(entry.soup)
            assert (shown.correct, shown.correctness) == (found.correct, found.correctness)
            assert shown.loss == pytest.approx(found.loss, abs=1e-5)  # other batches, other rounding
        assert entry.models == (len(entry.soup.names) if together else 1)
        assert entry.cost.parameters == 15 * entry.models
        assert entry.about.text
    chosen = {entry.recipe: entry.soup for entry in entries}
    assert chosen["uniform"] == sc.uniform_soup(zoo)
    assert chosen["greedy"] == list(sc.greedy_soup(zoo, held_out))[-1].soup
    assert chosen["ensemble"].names == zoo.names


def test_the_face_off_of_a_single_model_with_a_base_leaves_lines_out(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(1))
    entries = list(sc.face_off(zoo, sc.Evaluator(zoo)))
    assert len(entries) == recipes_of(zoo) == 6
    assert {entry.soup for entry in entries} == {sc.Soup({"m0": 1.0})}
