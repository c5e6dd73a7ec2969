import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from soup_core.runtime.store import Store
from soup_core.weight_space.averaging import inner_products
from soup_core.weight_space.bank import Bank
from soup_core.zoo import files_of, with_uploads
from tests.adapters import HEADER, RUNS, adapter_zoo, by_hand
from tests.zoos import CLASSES, made_data, write_zoo


@pytest.fixture
def zoos(tmp_path: Path) -> tuple[sc.Zoo, sc.Zoo]:
    """A zoo of adapters, and the same models as whole files."""
    folder = adapter_zoo(tmp_path / "adapters")
    whole = write_zoo(tmp_path / "whole", by_hand(folder), architecture="test_deep")
    return sc.open_zoo(folder), sc.open_zoo(whole)


def test_a_soup_of_adapters_is_the_soup_of_the_merged_models(zoos: tuple[sc.Zoo, sc.Zoo], small_blocks: None) -> None:
    ours, theirs = zoos
    assert ours.names == theirs.names
    assert not ours.excluded
    mixed = sc.Soup({"run-0": 0.7, "run-2": 0.6, "base": -0.3})
    for soup in (sc.uniform_soup(ours), mixed, sc.Soup({"run-1": 1.0})):
        expected = sc.state_dict(theirs, soup)
        for found in (sc.state_dict(ours, soup), sc.state_dict(ours, soup, bank=Bank(ours))):
            assert list(found) == list(expected)
            for name in found:
                torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6)


def test_all_that_rests_on_the_weights_finds_the_same(zoos: tuple[sc.Zoo, sc.Zoo], tmp_path: Path) -> None:
    ours, theirs = zoos
    grams = [sc.gram(zoo, Store(tmp_path / f"store-{index}")).whole() for index, zoo in enumerate(zoos)]
    np.testing.assert_allclose(*grams, rtol=1e-5, atol=1e-5)
    gradients = {name: torch.ones_like(tensor, device="cpu") for name, tensor in ours.tensors.items() if "head" in name}
    found, expected = (inner_products(zoo, zoo.names, gradients) for zoo in zoos)
    for name in gradients:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-5)
    chosen = [list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))[-1].soup for zoo in zoos]
    assert chosen[0] == chosen[1]
    assert ours.digest != theirs.digest


def test_an_export_of_it_holds_the_merged_weights(zoos: tuple[sc.Zoo, sc.Zoo], tmp_path: Path) -> None:
    ours, theirs = zoos
    soup = sc.uniform_soup(ours)
    sc.export_soup(sc.Export(soup, sc.Evaluator(ours)), tmp_path / "out.safetensors")
    written = safetensors.torch.load_file(tmp_path / "out.safetensors")
    for name, expected in sc.state_dict(theirs, soup).items():
        torch.testing.assert_close(written[name], expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(sc.SoupError, match="is a checkpoint of the zoo"):
        sc.export_soup(sc.Export(soup, sc.Evaluator(ours)), ours.folder / "run-0" / "adapter_model.safetensors")


def test_an_open_zoo_knows_when_an_adapters_files_change(tmp_path: Path) -> None:
    folder = adapter_zoo(tmp_path / "z")
    named = {path.relative_to(folder).as_posix() for path in files_of(folder)}
    places = ("run-0", "run-1", "run-2/checkpoint-500")
    files = ("adapter_model.safetensors", "adapter_config.json")
    assert named == {"start/base.safetensors", *(f"{place}/{file}" for place in places for file in files)}
    first = sc.open_zoo(folder).digest
    config = folder / "run-0" / "adapter_config.json"
    config.write_text(config.read_text().replace("0.1", "0.2"))
    assert sc.open_zoo(folder).digest != first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('base = "start/base.safetensors"\n', "", r"run-0/adapter_model\.safetensors is an adapter.*names no base"),
        (
            "start/base.safetensors",
            "run-1/adapter_model.safetensors",
            "is an adapter itself, and a base is a whole model",
        ),
        ("start/base.safetensors", "gone.safetensors", r"gone\.safetensors is missing"),
    ],
)
def test_adapters_without_the_base_they_need_say_so(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = adapter_zoo(tmp_path / "z")
    (folder / "zoo.toml").write_text((folder / "zoo.toml").read_text().replace(old, new, 1))
    with pytest.raises(sc.ZooError, match=message):
        sc.open_zoo(folder)


def test_an_adapter_that_cannot_be_merged_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    folder = adapter_zoo(tmp_path / "z")
    config = folder / "run-0" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "peft_type": "LOHA"}))
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("run-1", "run-2")
    assert "LOHA" in zoo.excluded[0].reason


def test_an_adapters_file_alone_is_no_model(tmp_path: Path) -> None:
    folder = adapter_zoo(tmp_path / "z")
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((folder / "run-0" / "adapter_model.safetensors").read_bytes())
    (excluded,) = with_uploads(sc.open_zoo(folder), {"up": alone}).excluded
    assert "is an adapter of peft" in excluded.reason


def test_a_bin_of_torch_save_serves_as_well(tmp_path: Path) -> None:
    folder = adapter_zoo(tmp_path / "z")
    expected = sc.state_dict(sc.open_zoo(folder), sc.Soup({"run-0": 1.0}))
    file = folder / "run-0" / "adapter_model.safetensors"
    torch.save(safetensors.torch.load_file(file), file.with_suffix(".bin"))
    file.unlink()
    found = sc.state_dict(sc.open_zoo(folder), sc.Soup({"run-0": 1.0}))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


# With peft itself, where it is installed: what it merges is the oracle.


def _run(peft: Any, start: Callable[[], Any], place: Path, kind: dict[str, Any]) -> dict[str, Tensor]:
    """Save one run, and give what peft merges of it."""
    given = {"target_modules": ["q_proj", "k_proj", "fc1", "projection"], "modules_to_save": ["classifier"]}
    model = peft.get_peft_model(start(), peft.LoraConfig(r=3, lora_alpha=5, **given, **kind))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(place)
    merged: dict[str, Tensor] = peft.PeftModel.from_pretrained(start(), place).merge_and_unload().state_dict()
    return merged


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Tensor]]]:
    """Runs over a small transformer as peft saves them, each of another kind, and peft's own merged weights."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("trained")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=4, patch_size=2, num_channels=1, num_labels=CLASSES
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(folder / "base")

    def start() -> Any:
        return transformers.ViTForImageClassification.from_pretrained(folder / "base")

    made_data(folder, side=4)
    text = HEADER.replace('name = "test_deep"', 'name = "transformers:base"').replace("start/base", "base/model")
    kinds: list[dict[str, Any]] = [
        {"use_rslora": True, "alpha_pattern": {"k_proj": 7}, "rank_pattern": {"fc1": 2}},
        {"use_dora": True},
        {"bias": "all"},
    ]
    merged = []
    for run, kind in enumerate(kinds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's own, of what it still asks transformers for
            merged.append(_run(peft, start, folder / f"run-{run}", kind))
        text += f'[[ingredients]]\nname = "run-{run}"\nfile = "run-{run}"\n'
    (folder / "zoo.toml").write_text(text)
    return folder, merged


def test_the_average_is_that_of_what_peft_merges(trained: tuple[Path, list[dict[str, Tensor]]]) -> None:
    folder, merged = trained
    zoo = sc.open_zoo(folder)
    for soup in (*(sc.Soup({f"run-{run}": 1.0}) for run in range(RUNS)), sc.uniform_soup(zoo)):
        found = sc.state_dict(zoo, soup)
        for name, tensor in found.items():
            expected = sum(
                weight * merged[int(member[4:])][name].double() for member, weight in soup.coefficients.items()
            )
            torch.testing.assert_close(tensor.double(), expected, rtol=1e-6, atol=1e-6)


def test_the_adapter_of_an_older_release_names_layers_as_its_files_do(
    trained: tuple[Path, list[dict[str, Tensor]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, merged = trained
    stored = safetensors.torch.load_file(folder / "run-0" / "adapter_model.safetensors")
    older = {
        "layers.0.attention.q_proj": "encoder.layer.0.attention.attention.query",
        "layers.0.attention.k_proj": "encoder.layer.0.attention.attention.key",
        "layers.0.mlp.fc1": "encoder.layer.0.intermediate.dense",
    }
    renamed = {}
    for name, tensor in stored.items():
        for new, old in older.items():
            name = name.replace(new, old)
        renamed[name] = tensor
    assert set(renamed) != set(stored)
    config = (folder / "run-0" / "adapter_config.json").read_text()
    place = folder / "older"
    place.mkdir()
    safetensors.torch.save_file(renamed, place / "adapter_model.safetensors")
    (place / "adapter_config.json").write_text(
        config.replace('"k_proj": 7', '"key": 7').replace('"fc1": 2', '"intermediate.dense": 2')
    )
    text = (folder / "zoo.toml").read_text()
    monkeypatch.setattr(
        "soup_core.zoo.toml.Path.read_text", lambda *_, **__: text.replace('file = "run-0"', 'file = "older"')
    )
    found = sc.state_dict(sc.open_zoo(folder), sc.Soup({"run-0": 1.0}))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, merged[0][name], rtol=1e-6, atol=1e-6)
