import json
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

import soup_core as sc
from soup_core import architectures
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.adapters import PREFIX, factors, write_adapter
from tests.zoos import made_data

HIDDEN = 16


def sweep(folder: Path, named: str | None, places: tuple[str, ...] = ("run-1", "run-2")) -> Path:
    """Adapters of different ranks over one of two whole models, as peft saves them, with images beside."""
    folder.mkdir()
    made_data(folder, side=28)
    torch.manual_seed(0)
    network = architectures.build("fashion_cnn", 10, {"hidden": HIDDEN})
    for name in ("start", "merged"):
        (folder / name).mkdir()
        safetensors.torch.save_file(network.state_dict(), folder / name / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for rank, place in enumerate(places, 2):
        write_adapter(
            folder / place,
            factors(network, ["hidden.0", "head"], generator, rank),
            r=rank,
            base_model_name_or_path=named,
        )
    return folder


@pytest.mark.parametrize(
    ("named", "places"),
    [
        ("start", ("run-1", "run-2")),
        ("/somewhere/of/the/trainer/start", ("run-1/checkpoint-500", "run-2/checkpoint-500")),
        ("me/start", ("a/run-1", "a/run-2")),
        (r"C:\models\start", ("run-1", "run-2")),
    ],
)
def test_adapters_are_proposed_over_the_base_that_they_name(
    tmp_path: Path, named: str, places: tuple[str, ...], run: Callable[..., tuple[int, str, str]]
) -> None:
    folder = sweep(tmp_path / "z", named, places)
    code, _, told = run("init", str(folder), "--json")
    assert code == 0, told
    text = (folder / "zoo.toml").read_text()
    assert 'base = "start/model.safetensors"' in text
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("run-1", "run-2")
    assert [dict(each.hyperparameters) for each in zoo.ingredients] == [{"lora_rank": 2}, {"lora_rank": 3}], (
        "what never varies is left out"
    )
    assert all(f'file = "{place}"' in text for place in places)
    assert "merged/model.safetensors" in told


def test_a_base_that_lies_elsewhere_is_asked_for_by_its_name(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    folder = sweep(tmp_path / "z", "google/vit-base-patch16-224-in21k")
    code, _, told = run("init", str(folder), "--json")
    assert code == 2
    assert "Which file is the base" in told
    assert "'google/vit-base-patch16-224-in21k'" in told
    assert not (folder / "zoo.toml").exists()
    (folder / "merged" / "model.safetensors").unlink()
    proposal = propose(folder, list(inspect_folder(folder)))
    assert not proposal.questions
    assert any("is taken for it, being the only whole model here" in notice for notice in proposal.notices)


def test_adapters_that_cannot_be_merged_or_have_another_base_are_told(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "z", "start", ("run-1", "run-2", "run-3", "run-4"))
    for place, change in (("run-3", {"peft_type": "IA3"}), ("run-4", {"base_model_name_or_path": "other"})):
        config = folder / place / "adapter_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    proposal = propose(folder, list(inspect_folder(folder)))
    assert [each.name for each in proposal.members if each.file != proposal.base] == ["run-1", "run-2"]
    told = " ".join(proposal.notices)
    assert "run-3/adapter_config.json is of the kind IA3" in told
    assert "run-4: adapters over another base than 'start'" in told


def test_a_folder_of_nothing_but_what_is_refused_says_why(tmp_path: Path) -> None:
    write_adapter(tmp_path / "z" / "run", {"head.ia3_l": torch.ones(3)}, peft_type="IA3")
    with pytest.raises(sc.ZooError, match=r"kind IA3.*merge_and_unload"):
        propose(tmp_path / "z", list(inspect_folder(tmp_path / "z")))


def test_a_head_of_the_adapters_own_is_the_networks(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "z", "start")
    for place in ("run-1", "run-2"):
        config = json.loads((folder / place / "adapter_config.json").read_text())
        stored = safetensors.torch.load_file(folder / place / "adapter_model.safetensors")
        tensors = {name.removeprefix(PREFIX): each for name, each in stored.items()}
        tensors = {name: each for name, each in tensors.items() if name.startswith("hidden")}
        head = {"head.weight": torch.randn(4, HIDDEN), "head.bias": torch.randn(4)}
        write_adapter(folder / place, {**tensors, **head}, **config)
    proposal = propose(folder, list(inspect_folder(folder)))
    assert proposal.architecture
    assert proposal.architecture["num_classes"] == 4
    proposal.write()
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("run-1", "run-2")
    assert zoo.base, "with the mean of the heads that the adapters bring"
    assert not zoo.excluded
