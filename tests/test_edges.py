"""What lies at the edges: races, full memory, odd arguments, parts of a network that are not run."""

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.evaluation import evaluator
from soup_core.recipes.ensemble import averaged_outputs
from soup_core.recipes.model_stock import interpolation_ratio
from soup_core.runtime.store import EvaluationRow, Store
from soup_core.weight_space import bank, batch_norm
from soup_core.weight_space.bank import resident_bank
from tests.conftest import CLASSES, Linear, random_deeps, random_linears, write_zoo

Make = Callable[..., Path]
NO_ROOM = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


@pytest.mark.parametrize("damaged", [False, True])
def test_row_44_stores_opened_at_the_same_moment_all_work(tmp_path: Path, damaged: bool) -> None:
    for attempt in range(40):
        file = tmp_path / str(attempt) / "s.sqlite"
        file.parent.mkdir()
        if damaged:
            file.write_bytes(b"not a database" * 200)
        together = threading.Barrier(3, timeout=30)

        def keep(key: str, file: Path = file, together: threading.Barrier = together) -> None:
            together.wait()
            Store(file).keep_evaluations([EvaluationRow(key, 1, 1, 0.0, 0.0, 0, b"\x80")])

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(keep, "abc"))
        assert all(Store(file).evaluation(key) for key in "abc")


def test_a_bank_goes_when_its_zoo_goes(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    assert resident_bank(zoo, "cpu") is not None
    gone = weakref.ref(zoo)
    del zoo
    gc.collect()
    assert gone() is None


def test_a_bank_in_float64_counts_eight_bytes_a_number(tmp_path: Path) -> None:
    files = {name: {key: value.double() for key, value in file.items()} for name, file in random_linears(2).items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    assert sc.bank_size(zoo) == pytest.approx(sc.Bank(zoo)._rows.nbytes / 1e9)


def test_row_41_a_bank_that_does_not_fit_into_memory_is_streamed(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise RuntimeError(NO_ROOM)

    monkeypatch.setattr(bank, "Bank", no_room)
    zoo = sc.open_zoo(linear_zoo(3))
    assert sc.Evaluator(zoo)(sc.uniform_soup(zoo)).total == 120


def test_row_41_a_model_that_does_not_fit_into_memory_is_told(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(evaluator, "state_dict", no_room)
    zoo = sc.open_zoo(linear_zoo(3))
    with pytest.raises(sc.OutOfMemory, match="the model"):
        sc.Evaluator(zoo)(sc.uniform_soup(zoo))


def test_row_41_learning_halves_its_batches_too(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    ample = list(sc.learned_soup(zoo, sc.Evaluator(zoo, store=Store(zoo.folder / "ample")), epochs=1))
    original = Linear.forward

    def forward(self: Linear, inputs: Tensor) -> Tensor:
        if len(inputs) > 9:
            raise RuntimeError(NO_ROOM)
        return original(self, inputs)

    monkeypatch.setattr(Linear, "forward", forward)
    tight = list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=1))
    for ours, theirs in zip(ample, tight, strict=True):
        np.testing.assert_allclose(ours.coefficients, theirs.coefficients, atol=1e-4)


def test_a_soup_is_made_within_inference_mode_too(linear_zoo: Make, small_blocks: None) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    with torch.inference_mode():
        theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    assert torch.equal(theta["head.weight"], sc.state_dict(zoo, sc.uniform_soup(zoo))["head.weight"])


def test_a_coefficient_for_a_tensor_that_is_not_there_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match=r"no tensor 'head\.wieght'"):
        sc.state_dict(zoo, sc.Soup({"m0": 1.0}, {"head.wieght": {"m1": 1.0}}))


def test_reestimated_weights_keep_the_dtypes_of_the_files(tmp_path: Path) -> None:
    files = {
        name: {key: value.half() if value.is_floating_point() else value for key, value in file.items()}
        for name, file in random_deeps(2).items()
    }
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_deep"))
    soup = sc.uniform_soup(zoo)
    plain, again = (sc.state_dict(zoo, each) for each in (soup, replace(soup, batch_norm="re-estimated")))
    assert {name: tensor.dtype for name, tensor in plain.items()} == {name: t.dtype for name, t in again.items()}


class Dropping(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.drop, self.norm, self.head = nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.drop(images.flatten(1))))
        return logits


@pytest.mark.parametrize("batch", [500, 119])  # the second leaves a batch of one image, of which there is no variance
def test_reestimated_statistics_are_the_same_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr("soup_core.architectures.build", lambda name, num_classes, options=None: Dropping(num_classes))
    monkeypatch.setattr(batch_norm, "REESTIMATION_BATCH", batch)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": Dropping(CLASSES).state_dict()}))
    soup = sc.Soup({"a": 1.0}, batch_norm="re-estimated")
    first, again = sc.state_dict(zoo, soup), sc.state_dict(zoo, soup)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_class_that_no_model_believes_in_is_no_infinity_in_an_ensemble(tmp_path: Path) -> None:
    file = {"head.weight": torch.zeros(CLASSES, 4), "head.bias": torch.tensor([0.0, -1000.0, -2000.0])}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": file, "b": file}))
    evaluate = sc.Evaluator(zoo)
    found, alone = sc.ensemble(evaluate, zoo.names), evaluate(sc.Soup({"a": 1.0}))
    assert (found.not_finite, found.correct) == (0, alone.correct)
    assert found.loss == pytest.approx(alone.loss)


def test_an_ensemble_of_logits_in_half_precision_is_the_same_twice_and_labelled_as_it_is(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    small, ample = sc.Evaluator(zoo, memory=0), sc.Evaluator(zoo, memory=1)  # with one store
    first, again = (averaged_outputs(small, zoo.names) for _ in range(2))
    assert torch.equal(first, again)
    assert "half precision" in sc.ensemble(small, zoo.names).precision
    exact = sc.ensemble(ample, zoo.names)
    assert exact.precision == "float32"
    assert exact == sc.ensemble(sc.Evaluator(zoo, memory=1, store=Store(zoo.folder / "own")), zoo.names)


def test_a_batch_size_of_zero_is_not_the_default(linear_zoo: Make) -> None:
    with pytest.raises(sc.SoupError, match="found 0"):
        sc.Evaluator(sc.open_zoo(linear_zoo(2)), batch_size=0)


@pytest.mark.parametrize("order", [["base", "m0"], ["m0", "base"]])
def test_the_base_is_no_greedy_candidate(based_zoo: Make, order: list[str]) -> None:
    zoo = sc.open_zoo(based_zoo(2))
    with pytest.raises(sc.CoefficientError, match="base"):
        list(sc.greedy_soup(zoo, sc.Evaluator(zoo), order=order))


def test_an_arc_from_a_model_to_itself_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match="twice"):
        sc.slerp_soup(zoo, Store(zoo.folder / "s"), "m0", "m0", alpha=0.3)


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
    with pytest.raises(sc.CoefficientError, match="at least two"):
        list(sc.plane_points(evaluate, plane, resolution=1))


def test_beyond_the_soup_too_the_nearer_of_equal_points_is_better(tmp_path: Path) -> None:
    same = random_linears(1)["m0"]
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"a": same, "base": same}))
    assert list(sc.wise_ft(zoo, sc.Evaluator(zoo), alphas=[1.5]))[-1].best_alpha == 1


@pytest.mark.parametrize("cosine", [-0.01, -0.5, -0.9, -0.999])
def test_models_that_pull_apart_leave_the_base_where_it_is(cosine: float) -> None:
    assert interpolation_ratio(np.array([[1.0, cosine], [cosine, 1.0]])) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"epochs": -1}, {"patience": 0}, {"learning_rate": -1.0}, {"learning_rate": float("nan")},
     {"weight_decay": -1.0}, {"names": ()}, {"names": ("m0", "m0")}],
    ids=str,
)  # fmt: skip
def test_learning_refuses_arguments_out_of_range(linear_zoo: Make, wrong: dict[str, object]) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError):
        list(sc.learned_soup(zoo, sc.Evaluator(zoo), **wrong))


def test_learning_on_a_single_image_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.CoefficientError, match="two images"):
        list(sc.learned_soup(zoo, sc.Evaluator(zoo, images=1)))


def test_a_learning_rate_of_zero_moves_nothing(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    steps = list(sc.learned_soup(zoo, sc.Evaluator(zoo), learning_rate=0.0, epochs=1))
    assert all(np.array_equal(step.coefficients, steps[0].coefficients) for step in steps)


def test_the_folds_evaluation_says_its_precision(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate = sc.Evaluator(zoo, precision="bf16")
    for _ in range(2):  # computed, then from the store
        assert all(s.fold.precision == "bf16" for s in sc.learned_soup(zoo, evaluate, epochs=1))


def test_learning_goes_on_where_a_part_of_the_network_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Auxiliary(Linear):
        def __init__(self, num_classes: int) -> None:
            super().__init__(num_classes)
            self.auxiliary = nn.Linear(4, num_classes)

    monkeypatch.setattr("soup_core.architectures.build", lambda name, num_classes, options=None: Auxiliary(num_classes))
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {name: Auxiliary(CLASSES).state_dict() for name in "ab"}))
    assert len(list(sc.learned_soup(zoo, sc.Evaluator(zoo), epochs=1))) > 1


@pytest.mark.parametrize("text", ['{"a": 1' + "0" * 400 + "}", "[" * 200_000])
def test_a_soup_from_foreign_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(sc.CoefficientError):
        sc.Soup.from_json(text)


@pytest.mark.parametrize("name", ["tensors", "batch_norm"])
def test_an_ingredient_named_as_a_key_of_a_soup_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(sc.ZooError, match=name):
        sc.open_zoo(write_zoo(tmp_path / "z", {name: random_linears(1)["m0"]}))
