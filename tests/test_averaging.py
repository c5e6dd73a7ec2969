from pathlib import Path

import pytest
import torch

import soup_core as sc
from tests.conftest import CLASSES, random_linears, write_zoo


def buffers(scale: float, batches: int) -> dict[str, torch.Tensor]:
    linear = random_linears(1, seed=batches)["m0"]
    return {
        "norm.weight": torch.ones(1), "norm.bias": torch.zeros(1), "norm.running_mean": torch.full((1,), scale),
        "norm.running_var": torch.full((1,), 1 + scale), "norm.num_batches_tracked": torch.tensor(batches), **linear,
    }  # fmt: skip


def test_the_uniform_soup_is_the_mean(tmp_path: Path) -> None:
    files = random_linears(5)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    for name in ("head.weight", "head.bias"):
        mean = torch.stack([file[name].double() for file in files.values()]).mean(0)
        torch.testing.assert_close(theta[name].double(), mean, rtol=0, atol=5 * 2**-23)  # five sums of values about 1
    assert list(theta) == list(zoo.reference.state_dict())


def test_a_single_ingredient_is_its_file_to_the_bit(tmp_path: Path) -> None:
    files = random_linears(2)
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.Soup({"m1": 1.0}))
    assert all(torch.equal(theta[name], tensor) for name, tensor in files["m1"].items())


def test_row_32_half_precision_is_summed_in_float32_and_an_overflow_is_told(tmp_path: Path) -> None:
    shape = (CLASSES, 4)
    files = {
        name: {"head.weight": torch.full(shape, 40_000.0).half(), "head.bias": torch.zeros(CLASSES).half()}
        for name in ("a", "b")
    }
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files))
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    assert theta["head.weight"].dtype == torch.float16
    assert torch.equal(theta["head.weight"], torch.full(shape, 40_000.0).half())
    with pytest.raises(sc.CheckpointError, match=r"head\.weight is too large for float16"):
        sc.state_dict(zoo, sc.Soup({"a": 1.0, "b": 1.0}))


def test_row_33_integer_buffers_are_the_first_ingredients(tmp_path: Path) -> None:
    files = {"late": buffers(1.0, 7), "early": buffers(3.0, 11)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    theta = sc.state_dict(zoo, sc.Soup({"late": 0.25, "early": 0.75}))
    assert theta["norm.num_batches_tracked"].item() == 7
    assert theta["norm.running_mean"].item() == pytest.approx(2.5)


def test_float_buffers_have_coefficients_that_sum_to_one(tmp_path: Path) -> None:
    files = {"a": buffers(1.0, 1), "b": buffers(3.0, 2)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    assert sc.state_dict(zoo, sc.Soup({"a": 2.0, "b": 2.0}))["norm.running_mean"].item() == pytest.approx(2.0)
    first = sc.state_dict(zoo, sc.Soup({"a": 0.5, "b": 0.5}, batch_norm="first"))
    assert first["norm.running_mean"].item() == 1.0
    with pytest.raises(sc.CoefficientError, match="sum to zero"):
        sc.state_dict(zoo, sc.Soup({"a": 1.0, "b": -1.0}))


def test_reestimated_statistics_are_those_of_the_fine_tuning_images(tmp_path: Path) -> None:
    files = {"a": buffers(1.0, 1), "b": buffers(3.0, 2)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    theta = sc.state_dict(zoo, sc.Soup({"a": 0.5, "b": 0.5}, batch_norm="re-estimated"))
    pixels = zoo.data.split("train").images.double() / 255
    assert theta["norm.running_mean"].item() == pytest.approx(pixels.mean().item(), abs=1e-6)
    assert theta["norm.running_var"].item() == pytest.approx(pixels.var().item(), abs=1e-6)


def test_beyond_the_ends_a_negative_variance_marks_the_evaluation(tmp_path: Path) -> None:
    files = {"a": buffers(1.0, 1), "b": buffers(9.0, 2)}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", files, architecture="test_buffers"))
    outside = sc.Evaluator(zoo)(sc.interpolate(sc.Soup({"a": 1.0}), sc.Soup({"b": 1.0}), -0.5))
    assert outside.not_finite == outside.total
    assert outside.correct == 0
