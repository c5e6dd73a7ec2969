import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from soup_core.export import export_adapter, soup_adapter
from tests.adapters import LAYERS, PREFIX, adapter_zoo, product, write_adapter
from tests.zoos import CLASSES, Deep, random_deeps, write_zoo

SOUP = sc.Soup({"run-0": 0.7, "run-1": 0.5, "run-2": -0.4, "base": 0.2})


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    return sc.open_zoo(adapter_zoo(tmp_path / "z"))


def applied(zoo: sc.Zoo, tensors: Mapping[str, Tensor], scale: float = 1.0) -> dict[str, Tensor]:
    """The base with an adapter's tensors, by the plain formula."""
    assert zoo.base
    plain = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    theta = dict(zoo.base.checkpoint.read_all())
    for layer in LAYERS:
        if f"{layer}.lora_A.weight" in plain:
            theta[f"{layer}.weight"] = theta[f"{layer}.weight"].double() + scale * product(plain, layer)
    held = {name.replace(".base_layer.", "."): tensor for name, tensor in plain.items() if ".lora_" not in name}
    assert set(held) <= set(theta)
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in {**theta, **held}.items()
    }


def difference(zoo: sc.Zoo, soup: sc.Soup, layer: str) -> Tensor:
    assert zoo.base
    name = f"{layer}.weight"
    return (sc.state_dict(zoo, soup)[name].double() - zoo.base.checkpoint.read(name).double()).flatten(1)


def test_joined_factors_are_the_soup_with_the_sum_of_the_ranks(zoo: sc.Zoo, tmp_path: Path) -> None:
    made = export_adapter(sc.Export(SOUP, sc.Evaluator(zoo)), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], made.error) == (6, 6, 0.0)
    assert config["target_modules"] == sorted(LAYERS)
    found = applied(zoo, safetensors.torch.load_file(tmp_path / "out" / "adapter_model.safetensors"))
    for name, expected in sc.state_dict(zoo, SOUP).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6)
    recipe = (tmp_path / "out" / "adapter_model.safetensors").read_bytes()
    assert sc.imported(recipe, zoo) == SOUP


@pytest.mark.parametrize("rank", [1, 3])
def test_a_cut_is_the_nearest_of_its_rank_and_its_error_is_told(zoo: sc.Zoo, rank: int) -> None:
    made = soup_adapter(zoo, SOUP, way="svd", rank=rank)
    plain = {name.removeprefix(PREFIX): tensor for name, tensor in made.tensors.items()}
    lost = whole = 0.0
    for layer in LAYERS:
        values = torch.linalg.svdvals(difference(zoo, SOUP, layer))
        lost, whole = lost + values[rank:].square().sum().item(), whole + values.square().sum().item()
        off = (difference(zoo, SOUP, layer) - product(plain, layer).flatten(1)).norm()
        assert off.item() == pytest.approx(values[rank:].norm().item(), rel=1e-4, abs=1e-5)
        assert made.errors[layer] == pytest.approx((values[rank:].norm() / values.norm()).item(), rel=1e-4, abs=1e-6)
    assert made.error == pytest.approx((lost / whole) ** 0.5, rel=1e-4)


def test_a_cut_takes_what_joined_factors_cannot(tmp_path: Path) -> None:
    folder = adapter_zoo(tmp_path / "z")
    zoo = sc.open_zoo(folder)
    with pytest.raises(sc.SoupError, match=r"stem\.weight.*sum to 1\.5, not to 1.*svd"):
        soup_adapter(zoo, sc.Soup({"run-0": 1.5}))
    whole = sc.open_zoo(write_zoo(tmp_path / "whole", random_deeps(2), architecture="test_deep"))
    with pytest.raises(sc.SoupError, match=r"m[01] is no adapter but a whole model"):
        soup_adapter(whole, sc.uniform_soup(whole))
    for opened, soup in ((zoo, sc.Soup({"run-0": 1.5})), (whole, sc.uniform_soup(whole))):
        made = soup_adapter(opened, soup, way="svd", rank=45)
        found = applied(opened, made.tensors)
        for name, expected in sc.state_dict(opened, soup).items():
            torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-5)
        assert made.error < 1e-6
        assert made.config["rank_pattern"] == {"hidden": 32, "stem": 4, "head": 3}


def test_an_adapter_of_a_soup_is_an_ingredient_again(zoo: sc.Zoo) -> None:
    export_adapter(sc.Export(SOUP, sc.Evaluator(zoo)), zoo.folder / "soup")
    with (zoo.folder / "zoo.toml").open("a") as file:
        file.write('[[ingredients]]\nname = "soup"\nfile = "soup"\n')
    again = sc.open_zoo(zoo.folder)
    found, expected = sc.state_dict(again, sc.Soup({"soup": 1.0})), sc.state_dict(zoo, SOUP)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_what_was_trained_whole_is_held_whole(tmp_path: Path) -> None:
    folder = adapter_zoo(tmp_path / "z")
    base = safetensors.torch.load_file(folder / "start" / "base.safetensors")
    generator = torch.Generator().manual_seed(4)
    for run in ("run-0", "run-1"):
        stored = safetensors.torch.load_file(folder / run / "adapter_model.safetensors")
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in stored.items() if ".head." not in name}
        for name in ("head.weight", "head.bias", "hidden.base_layer.bias", *(name for name in base if "norm." in name)):
            shape = base[name.replace(".base_layer", "")].shape
            tensors[name] = torch.rand(shape, generator=generator) if shape else torch.tensor(3)
        write_adapter(folder / run, tensors, bias="lora_only", modules_to_save=["head", "norm"])
    zoo = sc.open_zoo(folder)
    soup = sc.uniform_soup(zoo, ["run-0", "run-1"])
    made = soup_adapter(zoo, soup)
    assert made.config["modules_to_save"] == ["head", "norm"]
    assert made.config["bias"] == "lora_only"
    found = applied(zoo, made.tensors)
    for name, expected in sc.state_dict(zoo, soup).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"way": "mean"}, "one of concat, svd"),
        ({"way": "svd"}, "rank of at least 1"),
        ({"way": "svd", "rank": 0}, "rank of at least 1"),
        ({"way": "concat", "rank": 2}, "sum of the ranks"),
    ],
)
def test_ways_and_ranks_that_are_none_are_refused(zoo: sc.Zoo, given: dict[str, Any], message: str) -> None:
    with pytest.raises(sc.SoupError, match=message):
        soup_adapter(zoo, SOUP, **given)


def test_an_adapter_needs_a_base_and_a_difference_and_a_folder_of_its_own(zoo: sc.Zoo, tmp_path: Path) -> None:
    with pytest.raises(sc.SoupError, match="No layer differs"):
        soup_adapter(zoo, sc.Soup({"base": 1.0}))
    models = random_deeps(2)
    del models["base"]
    without = sc.open_zoo(write_zoo(tmp_path / "without", models, architecture="test_deep"))
    with pytest.raises(sc.SoupError, match="has none"):
        soup_adapter(without, sc.uniform_soup(without), way="svd", rank=2)
    with pytest.raises(sc.SoupError, match="another folder"):
        export_adapter(sc.Export(SOUP, sc.Evaluator(zoo)), zoo.folder / "run-1")


def test_the_command_writes_an_adapter_and_tells_the_error(
    zoo: sc.Zoo, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    given = ("export", str(zoo.folder), "--json", "-o", str(tmp_path / "out"))
    code, out, _ = run(*given, "--adapter", "svd", "--rank", "2")
    row = json.loads(out)
    assert (code, row["layers"], row["rank"]) == (0, 3, 2)
    assert row["relative_error"] == pytest.approx(soup_adapter(zoo, sc.uniform_soup(zoo), way="svd", rank=2).error)
    assert (tmp_path / "out" / "adapter_config.json").is_file()
    assert run(*given, "--rank", "2")[0] == 2
    assert run(*given, "--adapter", "both")[0] == 2


def test_peft_loads_it_and_the_logits_are_the_soups(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    folder = adapter_zoo(tmp_path / "z")
    stored = safetensors.torch.load_file(folder / "run-0" / "adapter_model.safetensors")
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in stored.items()}
    bias = {"hidden.base_layer.bias": torch.ones(32), "norm.bias": torch.ones(5)}
    write_adapter(folder / "run-0", {**tensors, **bias}, bias="all")
    zoo = sc.open_zoo(folder)
    assert zoo.base
    images = torch.rand(4, 1, 2, 2)
    for way, rank in (("concat", None), ("svd", 45)):
        export_adapter(sc.Export(SOUP, sc.Evaluator(zoo)), tmp_path / way, way=way, rank=rank)
        start = Deep(CLASSES)
        start.load_state_dict(dict(zoo.base.checkpoint.read_all()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = peft.PeftModel.from_pretrained(start, tmp_path / way).eval()
        ours = zoo.module()
        ours.load_state_dict(sc.state_dict(zoo, SOUP))
        torch.testing.assert_close(model(images), ours(images), rtol=1e-5, atol=1e-5)
