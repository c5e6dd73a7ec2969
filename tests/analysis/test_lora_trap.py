from pathlib import Path

import pytest
import torch

import soup_core as sc
from soup_core.analysis.lora_trap import averaged_apart, factors, share_off
from tests.zoos import random_deeps, random_linears, write_zoo


def test_factors_multiply_to_the_difference() -> None:
    difference = torch.randn(5, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    b, a = factors(difference)
    torch.testing.assert_close(b @ a, difference)


def test_factors_of_one_model_are_that_model_and_of_several_another(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_deeps(3), architecture="test_deep"))
    alone = averaged_apart(zoo, ["m1"])
    for name, expected in sc.state_dict(zoo, sc.Soup({"m1": 1.0})).items():
        if name != "norm.num_batches_tracked":
            torch.testing.assert_close(alone[name], expected, rtol=1e-5, atol=1e-5)
    assert share_off(zoo, ["m1"], alone) < 1e-5
    assert share_off(zoo, zoo.names, averaged_apart(zoo, zoo.names)) > 0.1


def test_the_mean_of_factors_has_a_closed_form_for_multiples_of_one_difference(tmp_path: Path) -> None:
    """Multiples of one difference have the same singular vectors: √s₁ and √s₂ average to (√s₁ + √s₂)² / 4 by hand."""
    files = random_linears(1)
    base = {name: torch.zeros_like(tensor) for name, tensor in files["m0"].items()}
    weight = files["m0"]["head.weight"]
    files["m1"] = {**files["m0"], "head.weight": 9 * weight}
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {**files, "base": base}))
    found = averaged_apart(zoo, zoo.names)["head.weight"]
    torch.testing.assert_close(found, (1 + 3) ** 2 / 4 * weight, rtol=1e-5, atol=1e-5)
    assert share_off(zoo, zoo.names, {"head.weight": found}) == pytest.approx(0.2, abs=1e-5)


def test_a_zoo_without_a_base_has_no_differences(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_linears(2)))
    with pytest.raises(sc.ZooError, match="has none"):
        averaged_apart(zoo, zoo.names)
    with pytest.raises(sc.ZooError, match="has none"):
        share_off(zoo, zoo.names, {})
