from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import safetensors.torch
import torch

import soup_core as sc
from soup_core.evaluation import METRICS
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.recipes.pruned import pruned_soup
from soup_core.recipes.wise_ft import wise_ft
from soup_core.runtime.store import Store
from soup_core.soup import uniform
from tests.metrics import BY_WORDS

Make = Callable[..., Path]
BOUNDED = tuple(key for key in BY_WORDS if METRICS[key].is_bounded)  # type: ignore[index]  # pytest gives texts, which are its keys


def unbalanced(folder: Path) -> Path:
    """The images of a made zoo, the second and third class thinned, in three groups."""
    tensors = safetensors.torch.load_file(folder / "data.safetensors")
    for split in ("held_out", "test"):
        labels = tensors[f"{split}.labels"]
        kept = (labels == 0) | (torch.arange(len(labels)) % (3 * labels + 1) == 0)
        for part in ("images", "labels"):
            tensors[f"{split}.{part}"] = tensors[f"{split}.{part}"][kept]
        tensors[f"{split}.groups"] = torch.arange(int(kept.sum())) % 3
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    return folder


def naive_value(zoo: sc.Zoo) -> Callable[[Sequence[str]], float]:
    """Load, average and judge by the metric's words, with nothing of the core's own evaluation; higher is better."""
    split = zoo.data.split("held_out")
    assert split.groups is not None
    inputs, labels, groups = split.images.float() / 255, split.labels.tolist(), split.groups.tolist()
    sign = 1 if METRICS[zoo.metric].higher_is_better else -1

    def value(names: Sequence[str]) -> float:
        files = [dict(zoo.by_name[name].checkpoint.read_all()) for name in names]
        module = zoo.module()
        module.load_state_dict({key: sum(f[key] for f in files) / len(files) for key in files[0]})
        with torch.no_grad():
            return round(sign * BY_WORDS[zoo.metric](module(inputs), labels, groups), 12)

    return value


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("key", [key for key in BY_WORDS if key != "accuracy"])  # which test_recipes.py has
def test_greedy_decides_as_the_naive_search_by_the_metric(linear_zoo: Make, key: str, ties: bool) -> None:
    stopped_early = 0
    for seed in range(2):
        zoo = sc.open_zoo(unbalanced(linear_zoo(6, seed))).judged_by(key)
        value = naive_value(zoo)
        steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo, batch_size=10), ties=ties))
        names = sorted(zoo.names, key=lambda name: (-value([name]), name))
        assert [step.candidate for step in steps] == names
        chosen, best = names[:1], value(names[:1])
        for name in names[1:]:
            found = value([*chosen, name])
            if found > best or (ties and found == best):
                chosen, best = [*chosen, name], found
        assert [step.candidate for step in steps if step.accepted] == chosen
        assert steps[-1].soup == uniform(chosen)
        fresh = sc.Evaluator(zoo, store=Store(zoo.folder / f"{key}-{ties}"))
        full = list(sc.greedy_soup(zoo, fresh, ties=ties, full=True))
        assert [step.accepted for step in full] == [step.accepted for step in steps]
        for stopped, whole in zip(steps, full, strict=True):
            assert whole.evaluation is not None
            if stopped.evaluation is None:
                stopped_early += 1
                assert stopped.value_at_most is not None
                assert stopped.value_at_most >= whole.evaluation.value
                assert stopped.correct_at_most >= whole.evaluation.correct
    assert (stopped_early > 0) == METRICS[key].is_bounded  # type: ignore[index]  # pytest gives texts, which are its keys


@pytest.mark.parametrize("key", [key for key in BOUNDED if key != "accuracy"])
def test_pruned_drops_as_the_naive_search_by_the_metric(linear_zoo: Make, key: str) -> None:
    zoo = sc.open_zoo(unbalanced(linear_zoo(6, 1))).judged_by(key)
    value = naive_value(zoo)
    _, *others = sorted(zoo.names, key=lambda name: (-value([name]), name))
    chosen, most = list(zoo.names), value(zoo.names)
    for name in reversed(others):
        without = [other for other in chosen if other != name]
        if value(without) > most:
            chosen, most = without, value(without)
    steps = list(pruned_soup(zoo, sc.Evaluator(zoo, batch_size=10)))
    assert steps[-1].soup == uniform(chosen)


def test_shuffled_orders_tell_the_metrics_values(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(unbalanced(linear_zoo(5))).judged_by("balanced-accuracy")
    evaluate = sc.Evaluator(zoo)
    for band in sc.greedy_band(zoo, evaluate, orders=3):
        assert band.values is not None
        assert list(band.values) == sorted(band.values)
        assert band.values[-1] == evaluate(band.soup).value
    plain = sc.greedy_band(zoo, sc.Evaluator(zoo.judged_by("accuracy")), orders=1)
    assert next(plain).values is None


def test_an_ensembles_members_and_the_point_of_a_line_are_chosen_by_the_metric(based_zoo: Make) -> None:
    zoo = sc.open_zoo(unbalanced(based_zoo(5))).judged_by("log-loss")
    evaluate = sc.Evaluator(zoo)
    steps = list(greedy_ensemble(zoo, evaluate))
    kept = [step.evaluation.value for step in steps if step.accepted and step.evaluation]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) > 1
    points = list(wise_ft(zoo, evaluate))
    assert points[-1].best_alpha == min(points, key=lambda point: (point.evaluation.value, -point.alpha)).alpha


@pytest.mark.parametrize("key", ["macro-f1", "worst-group"])
def test_learned_takes_the_round_that_the_metric_finds_best(linear_zoo: Make, key: str) -> None:
    zoo = sc.open_zoo(unbalanced(linear_zoo(4))).judged_by(key)
    steps = list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=2, batch_size=16, learning_rate=0.5, patience=99))
    ranks = [(step.fold.value, -step.fold.loss) for step in steps]
    assert all(step.fold.metric.key == key for step in steps)
    assert steps[-1].best_index == ranks.index(max(ranks))
    again = list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=2, batch_size=16, learning_rate=0.5, patience=99))
    assert [step.fold for step in again] == [step.fold for step in steps]
    assert again[-1].soup == steps[-1].soup
    plain = zoo.judged_by("accuracy")
    by_loss = list(sc.learned_soup(plain, sc.Evaluator(plain), epochs=2, batch_size=16, learning_rate=0.5, patience=99))
    losses = [step.fold.loss for step in by_loss]
    assert by_loss[-1].best_index == losses.index(min(losses))
    assert losses == [step.fold.loss for step in steps]  # only the choice is another
