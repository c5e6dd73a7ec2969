"""A base with another head than its models', or without one; the oracle is a few lines of plain torch."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from soup_core.recipes.model_stock import model_stock_soup
from soup_core.recipes.task_arithmetic import task_arithmetic_soup
from soup_core.runtime.store import default_store
from soup_core.weight_space import gram
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.zoos import made_data, random_deeps, write_zoo

HEAD = ("head.weight", "head.bias")


@pytest.fixture(params=["another", "none"])
def files(request: pytest.FixtureRequest) -> dict[str, dict[str, Tensor]]:
    models = random_deeps(3)
    for name in HEAD:
        if request.param == "none":
            del models["base"][name]
        else:
            models["base"][name] = torch.ones(1000, *models["m0"][name].shape[1:])
    return models


def test_the_base_counts_where_shapes_agree_and_the_mean_elsewhere(
    tmp_path: Path, files: dict[str, dict[str, Tensor]]
) -> None:
    write_zoo(tmp_path, files, architecture="test_deep")
    zoo = sc.open_zoo(tmp_path)
    assert zoo.base
    assert not zoo.excluded
    assert all(name in zoo.base.checkpoint.notes[-1] for name in HEAD)
    raw = [files[name] for name in ("m0", "m1", "m2")]
    mean = {name: sum(each[name].double() for each in raw) / 3 for name in raw[0]}
    base = {name: mean[name] if name in HEAD else files["base"][name].double() for name in mean}
    made = sc.state_dict(zoo, task_arithmetic_soup(zoo, scale=0.2))
    for name in (name for name, tensor in made.items() if tensor.is_floating_point() and "running" not in name):
        expected = base[name] + 0.2 * sum(each[name].double() - base[name] for each in raw)
        torch.testing.assert_close(made[name].double(), expected, rtol=1e-5, atol=1e-6)
    stock = sc.state_dict(zoo, model_stock_soup(zoo, default_store()))
    for name in HEAD:
        torch.testing.assert_close(stock[name].double(), mean[name], rtol=1e-5, atol=1e-6)
    products = gram.gram(zoo, default_store()).tensors[HEAD[0]]
    differences = torch.stack([(each[HEAD[0]].double() - mean[HEAD[0]]).flatten() for each in raw])
    torch.testing.assert_close(torch.from_numpy(products[:-1, :-1]), differences @ differences.T, rtol=1e-4, atol=1e-5)


def test_a_base_that_differs_in_its_body_is_left_out(tmp_path: Path, files: dict[str, dict[str, Tensor]]) -> None:
    files["base"]["stem.weight"] = torch.ones(2, 1, 2, 2)
    write_zoo(tmp_path, files, architecture="test_deep")
    zoo = sc.open_zoo(tmp_path)
    assert zoo.base is None
    assert zoo.excluded[0].name == "base"
    with pytest.raises(sc.ZooError, match=r"needs a base, and that of the zoo .* was left out: "):
        task_arithmetic_soup(zoo, scale=1.0)


def test_it_is_proposed_as_the_base(tmp_path: Path, files: dict[str, dict[str, Tensor]]) -> None:
    made_data(tmp_path)
    for name, tensors in files.items():
        safetensors.torch.save_file(tensors, tmp_path / f"{name}.safetensors")
    proposal = propose(tmp_path, list(inspect_folder(tmp_path)))
    assert proposal.base == tmp_path / "base.safetensors"
    assert [each.name for each in proposal.members if each.file != proposal.base] == ["m0", "m1", "m2"]
    assert any("has another head" in notice for notice in proposal.notices)
