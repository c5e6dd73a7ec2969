import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import soup_core as sc
from soup_core.recipes import learned
from soup_core.runtime.store import Store
from tests.marks import needs_cuda
from tests.scarce_memory import with_room_for
from tests.zoos import CLASSES, Linear, random_linears, write_zoo

Make = Callable[..., Path]
Files = Mapping[str, Mapping[str, Tensor]]


@pytest.fixture
def batches_learned(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The images of every batch that is trained on from here on."""
    batches: list[list[int]] = []
    original = learned._learn

    def learn(*arguments: object) -> float:
        batches.append(arguments[-1].tolist())
        return original(*arguments)

    monkeypatch.setattr(learned, "_learn", learn)
    return batches


def group(granularity: str, tensor: str) -> str:
    layer, _, kind = tensor.rpartition(".")
    if granularity == "tensor":
        return f"{layer}.weight" if kind.startswith("running") else tensor
    return layer if granularity == "layer" else "model"


def dense_gradient(
    evaluate: sc.Evaluator, mixture: learned._Mixture, granularity: str, raw: Tensor, scale: Tensor, batch: Tensor
) -> tuple[float, Tensor, Tensor]:
    """Loss and gradients by autograd through the mix of all files at once, in float64, with constant statistics."""
    zoo, split = evaluate.zoo, evaluate.data
    files = {name: dict(zoo.by_name[name].checkpoint.read_all()) for name in mixture.names}
    raw, scale = raw.detach().clone().requires_grad_(), scale.detach().clone().requires_grad_()
    rows = raw.softmax(1) if mixture.parameterization == "softmax" else raw
    theta = {}
    for tensor, first in files[mixture.names[0]].items():
        if not first.is_floating_point():
            continue
        row = rows[mixture.groups.index(group(granularity, tensor))]
        if "running" in tensor:
            row = (row / row.sum()).detach()
        theta[tensor] = sum(
            share * files[name][tensor].double() for share, name in zip(row, mixture.names, strict=True)
        )
    mean, std = zoo.data.normalization.mean[0], zoo.data.normalization.std[0]
    inputs = (split.images[batch].double() / 255 - mean) / std
    loss = F.cross_entropy(functional_call(zoo.module().double(), theta, (inputs,)) * scale, split.labels[batch])
    loss.backward()
    return loss.item(), raw.grad, scale.grad


def check_gradient(
    evaluate: sc.Evaluator, granularity: str, parameterization: str, names: tuple[str, ...], tolerance: float
) -> None:
    mixture = learned._Mixture(evaluate.zoo, names, granularity, parameterization, "averaged")
    generator = torch.Generator().manual_seed(1)
    raw = mixture.start().detach()
    raw = (raw + 0.2 * torch.randn(raw.shape, generator=generator, dtype=raw.dtype)).requires_grad_()
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    batch = torch.randperm(evaluate.total, generator=generator)[:32]
    loss, wanted, wanted_scale = dense_gradient(evaluate, mixture, granularity, raw, scale, batch)
    modules = evaluate.replicas()
    found = learned._learn(evaluate, mixture, modules, raw, scale, batch)
    assert found == pytest.approx(loss, rel=1e-5)
    assert float((raw.grad - wanted).norm()) <= tolerance * float(wanted.norm())
    assert float(scale.grad) == pytest.approx(float(wanted_scale), rel=1e-4, abs=1e-6)
    assert float(wanted.norm()) > 1e-4  # a gradient to speak of


@pytest.mark.parametrize("memory", [0, None], ids=["streamed", "bank"])
@pytest.mark.parametrize("parameterization", learned.PARAMETERIZATIONS)
@pytest.mark.parametrize("granularity", ["model", "layer", "tensor"])
def test_the_gradient_is_autograds_through_the_mix(
    deep_zoo: Make, linear_zoo: Make, small_blocks: None, granularity: str, parameterization: str, memory: float | None
) -> None:
    for folder in (linear_zoo(4), deep_zoo(4)):
        zoo = sc.open_zoo(folder)
        evaluate = sc.Evaluator(zoo, "held_out", "cpu", memory=memory)
        check_gradient(evaluate, granularity, parameterization, ("m2", "m0", "m3"), 1e-5)


def test_the_gradient_is_autograds_on_the_bundled_zoo_with_batchnorm() -> None:
    zoo = sc.open_zoo("fashion-batchnorm")
    evaluate = sc.Evaluator(zoo, "held_out", "cpu", memory=0)
    check_gradient(evaluate, "tensor", "softmax", zoo.names[:3], 1e-5)


@pytest.mark.parametrize(("parameterization", "memory"), [("softmax", 0), ("unconstrained", None)])
def test_the_best_soup_is_where_the_folds_loss_is_lowest(
    deep_zoo: Make, parameterization: str, memory: float | None
) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    evaluate = sc.Evaluator(zoo, memory=memory)
    steps = list(
        sc.learned_soup(
            zoo, evaluate, parameterization=parameterization, granularity="layer", temperature=False, epochs=3
        )
    )
    losses = [step.fold.loss for step in steps]
    last = steps[-1]
    assert (steps[0].index, steps[0].soup, math.isnan(steps[0].loss)) == (0, sc.uniform_soup(zoo), True)
    assert last.best_index == losses.index(min(losses))
    assert losses[last.best_index] < losses[0]
    assert last.temperature == 1
    rows = dict(zip(last.groups, steps[last.best_index].coefficients, strict=True))
    for tensor in zoo.floating:
        assert last.soup.coefficients_for(tensor) == pytest.approx(
            dict(zip(zoo.names, rows[group("layer", tensor)], strict=True))
        )
    if parameterization == "softmax":
        assert all(step.coefficients.min() > 0 and np.allclose(step.coefficients.sum(1), 1) for step in steps)


def test_the_folds_loss_is_that_of_the_soup_on_the_fold(deep_zoo: Make, batches_learned: list[list[int]]) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    steps = list(sc.learned_soup(zoo, evaluate, granularity="model", epochs=2))
    fold = sorted(set(range(evaluate.total)) - {image for batch in batches_learned for image in batch})
    best = steps[steps[-1].best_index]
    logits = evaluate.logits(best.soup)[fold] * best.temperature
    labels = evaluate.data.labels[fold]
    assert best.fold.bits().tolist() == (logits.argmax(1) == labels).tolist()
    assert best.fold.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)


def test_images_of_the_fold_are_never_trained_on_and_all_others_once_an_epoch(
    linear_zoo: Make, batches_learned: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    folds = []
    original = learned._evaluate_fold
    monkeypatch.setattr(learned, "_evaluate_fold", lambda *given: folds.append(given[-1].tolist()) or original(*given))
    list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=2, batch_size=20, patience=100, seed=4))
    assert all(fold == folds[0] for fold in folds)
    assert len(folds[0]) == 24  # a fifth of 120
    trained = [image for batch in batches_learned for image in batch]
    for epoch in range(2):
        assert sorted([*trained[96 * epoch : 96 * (epoch + 1)], *folds[0]]) == list(range(120))
    assert trained[:96] != trained[96:]


def test_it_stops_when_the_fold_has_not_got_better_for_a_while(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    steps = list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=50, learning_rate=1.0, patience=4))
    assert len(steps) <= steps[-1].total
    losses = [step.fold.loss for step in steps]
    assert [step.best_index for step in steps] == [losses.index(min(losses[: n + 1])) for n in range(len(steps))]
    assert [step.index - step.best_index == 4 for step in steps] == [False] * (len(steps) - 1) + [True]
    assert losses[:-4] != sorted(losses[:-4], reverse=True)  # it went on over smaller rises


def assert_same_steps(ours: list[sc.LearnedStep], theirs: list[sc.LearnedStep]) -> None:
    for our, their in itertools.zip_longest(ours, theirs):
        assert np.array_equal(our.coefficients, their.coefficients)
        assert np.array_equal([our.loss, our.temperature], [their.loss, their.temperature], equal_nan=True)
        assert (our.index, our.total, our.groups, our.names) == (their.index, their.total, their.groups, their.names)
        assert (our.fold, our.best_index, our.soup) == (their.fold, their.best_index, their.soup)


@pytest.mark.parametrize(("parameterization", "memory"), [("softmax", 0), ("unconstrained", None)])
def test_a_run_that_is_broken_off_goes_on_to_the_same_bits(
    deep_zoo: Make, batches_learned: list[list[int]], parameterization: str, memory: float | None
) -> None:
    folder = deep_zoo(3)

    def run(store: str) -> Iterator[sc.LearnedStep]:
        zoo = sc.open_zoo(folder)
        evaluate = sc.Evaluator(zoo, device="cpu", memory=memory, store=Store(folder / store))
        return sc.learned_soup(zoo, evaluate, parameterization=parameterization, epochs=1, batch_size=10, patience=99)

    whole = list(run("one"))
    wanted = [list(batch) for batch in batches_learned]
    batches_learned.clear()
    for taken in (1, 3, 3, 5):
        begun = run("two")
        for _ in range(taken):
            next(begun)
        begun.close()
    assert_same_steps(whole, list(run("two")))
    assert batches_learned == wanted
    assert_same_steps(whole, list(run("two")))
    assert batches_learned == wanted


def test_row_43_a_run_cancelled_within_a_round_keeps_the_rounds_before(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    whole, cancelled = (sc.Evaluator(zoo, device="cpu", store=Store(zoo.folder / name)) for name in ("one", "two"))
    calls = itertools.count()

    def cancel() -> None:
        if next(calls) == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sc.interruptible(cancel):
        list(sc.learned_soup(zoo, cancelled, batch_size=8, epochs=1))
    assert_same_steps(
        list(sc.learned_soup(zoo, whole, batch_size=8, epochs=1)),
        list(sc.learned_soup(zoo, cancelled, batch_size=8, epochs=1)),
    )


def test_row_45_a_damaged_step_is_learned_again(deep_zoo: Make, batches_learned: list[list[int]]) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo, device="cpu")
    first = list(sc.learned_soup(zoo, evaluate, epochs=1, batch_size=10, patience=99))
    batches = len(batches_learned)
    evaluate.store._write(("UPDATE steps SET content = substr(content, 1, 50) WHERE number = 3", [()]))
    assert_same_steps(first, list(sc.learned_soup(zoo, evaluate, epochs=1, batch_size=10, patience=99)))
    assert batches < len(batches_learned) < 2 * batches


def test_each_argument_makes_a_run_of_its_own(linear_zoo: Make, batches_learned: list[list[int]]) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    store = Store(zoo.folder / "s")
    given = {"epochs": 1}
    others = [
        {"granularity": "model"},
        {"parameterization": "unconstrained"},
        {"names": ("m0", "m1")},
        {"batch_size": 32},
        {"learning_rate": 0.1},
        {"weight_decay": 0.1},
        {"temperature": False},
        {"batch_norm": "first"},
        {"seed": 1},
    ]
    for options in ({}, *others):
        batches_learned.clear()
        list(sc.learned_soup(zoo, sc.Evaluator(zoo, store=store), **{**given, **options}))
        assert batches_learned, options


def test_it_learns_only_the_named_ingredients_and_looks_at_held_out_images_only(
    deep_zoo: Make, splits_asked: list[str]
) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    steps = list(sc.learned_soup(zoo, sc.Evaluator(zoo), names=("m3", "base"), epochs=1))
    assert steps[-1].names == ("m3", "base")
    assert steps[-1].soup.names == ("base", "m3")
    assert splits_asked == ["held_out"]


@pytest.mark.parametrize("batch_norm", ["first", "re-estimated"])
def test_the_soup_has_the_statistics_that_were_asked_for(deep_zoo: Make, batch_norm: str) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo)
    last = list(sc.learned_soup(zoo, evaluate, batch_norm=batch_norm, epochs=1))[-1]
    assert last.soup.batch_norm == batch_norm
    assert evaluate(last.soup).total == 120


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"granularity": "weight"}, "one a model, layer, tensor; found 'weight'"),
        ({"parameterization": "sigmoid"}, "parameterised as softmax or unconstrained; found 'sigmoid'"),
        ({"names": ("m0", "nobody")}, "no ingredient 'nobody'"),
        ({"names": ()}, "each ingredient once; found no name"),
        ({"names": ("m0", "m0")}, "each ingredient once; found m0, m0"),
        ({"batch_norm": "best"}, "one of averaged, re-estimated, first; found 'best'"),
        ({"batch_size": 0}, "batch size is at least 1; found 0"),
        ({"epochs": -1}, "number of epochs is at least 0; found -1"),
        ({"patience": 0}, "patience is at least 1; found 0"),
        ({"learning_rate": -1.0}, r"learning rate is a number of at least 0; found -1\.0"),
        ({"learning_rate": math.nan}, "learning rate is a number of at least 0; found nan"),
        ({"weight_decay": -1.0}, r"weight decay is a number of at least 0; found -1\.0"),
    ],
    ids=str,
)
def test_an_argument_that_is_none_is_refused(linear_zoo: Make, wrong: dict[str, object], message: str) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match=message):
        list(sc.learned_soup(zoo, sc.Evaluator(zoo), **wrong))


def test_learning_on_a_single_image_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match="At least two images are needed"):
        list(sc.learned_soup(zoo, sc.Evaluator(zoo, images=1)))


def test_a_learning_rate_of_zero_moves_nothing(linear_zoo: Make, batches_learned: list[list[int]]) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    steps = list(sc.learned_soup(zoo, sc.Evaluator(zoo), learning_rate=0.0, epochs=1))
    assert len(batches_learned) == len(steps) - 1 == 2  # 96 images in batches of 64
    for step in steps:
        np.testing.assert_allclose(step.coefficients, np.full((2, 3), 1 / 3), rtol=1e-15)
        assert (step.temperature, step.fold) == (1, steps[0].fold)


def test_the_folds_evaluation_says_its_precision(linear_zoo: Make, batches_learned: list[list[int]]) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate = sc.Evaluator(zoo, precision="bf16")
    for _ in range(2):  # computed, then from the store
        steps = list(sc.learned_soup(zoo, evaluate, epochs=1))
        assert [step.fold.precision for step in steps] == 3 * ["bf16"]
        assert len(batches_learned) == 2


def test_learning_goes_on_where_a_part_of_the_network_is_not_run(
    linear_zoo: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coefficients of what is run are learned as in a network without the other part, whose own stay at the start."""

    class Auxiliary(Linear):
        def __init__(self, num_classes: int) -> None:
            super().__init__(num_classes)
            self.auxiliary = nn.Linear(4, num_classes)

    plain = sc.open_zoo(linear_zoo(2))
    wanted = list(sc.learned_soup(plain, sc.Evaluator(plain), epochs=1))
    monkeypatch.setattr("soup_core.architectures.build", lambda name, num_classes, options=None: Auxiliary(num_classes))
    files = {name: Auxiliary(CLASSES).state_dict() | tensors for name, tensors in random_linears(2).items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    for found, other in zip(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=1), wanted, strict=True):
        rows = dict(zip(found.groups, found.coefficients, strict=True))
        assert set(rows) == {"head.weight", "head.bias", "auxiliary.weight", "auxiliary.bias"}
        for name, row in zip(other.groups, other.coefficients, strict=True):
            np.testing.assert_allclose(rows[name], row, atol=1e-6)
        assert rows["auxiliary.weight"].tolist() == rows["auxiliary.bias"].tolist() == [0.5, 0.5]
    assert abs(wanted[-1].coefficients - 0.5).min() > 0.01  # what is run has moved


def test_row_41_learning_halves_its_batches_too(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    ample = list(sc.learned_soup(zoo, sc.Evaluator(zoo, store=Store(zoo.folder / "ample")), epochs=1))
    tried = with_room_for(9, monkeypatch)
    tight = list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=1))
    assert max(tried) == 64
    assert sum(size for size in tried if size <= 9) == 96 + 3 * 24  # each image once an epoch, the fold three times
    for ours, theirs in zip(ample, tight, strict=True):
        np.testing.assert_allclose(ours.coefficients, theirs.coefficients, atol=1e-4)
    assert abs(ample[-1].coefficients - 1 / 3).max() > 0.01


def test_a_single_ingredient_stays_itself_under_softmax(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(1))
    assert list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=1))[-1].soup == sc.Soup({"m0": 1.0})


@needs_cuda
@pytest.mark.parametrize("memory", [0, None], ids=["streamed", "bank"])
def test_on_cuda_the_gradient_is_autograds(deep_zoo: Make, memory: float | None) -> None:
    evaluate = sc.Evaluator(sc.open_zoo(deep_zoo(4)), "held_out", "cuda", memory=memory)
    check_gradient(evaluate, "tensor", "softmax", ("m2", "m0", "m3"), 1e-4)


def test_a_rounds_figures_are_kept_as_they_always_were() -> None:
    """A run that was begun by an earlier version goes on: its loss first, then the fold's figures, and its bits."""
    optimizer = learned._AdamW([torch.zeros(2, requires_grad=True)], 0.1, 0.0)
    fold = sc.Evaluation(4, 9, 0.5, 0.25, bytes([0b10110000, 0b10000000]), 1, "float32")
    state = learned._state(optimizer, 0.75, fold)
    assert state["figures"].tolist() == [0.75, 4, 9, 0.5, 0.25, 1]
    assert state["correctness"].tolist() == [176, 128]
    kept = {**optimizer.state(), "figures": state["figures"], "correctness": state["correctness"]}
    assert learned._restore(kept, optimizer, "bfloat16") == (
        0.75,
        sc.Evaluation(4, 9, 0.5, 0.25, fold.correctness, 1, "bfloat16"),
    )
