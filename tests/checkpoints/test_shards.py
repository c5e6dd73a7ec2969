"""A checkpoint in several files with an index, as transformers and huggingface_hub cut it, is the file it was cut from."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import ViTConfig, ViTForImageClassification

import soup_core as sc
from soup_core.analysis.preflight import preflight_checks
from soup_core.checkpoints import Checkpoint, open_checkpoint
from soup_core.runtime.store import default_store
from soup_core.weight_space.gram import gram
from soup_core.zoo import files_of
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.zoos import CLASSES, made_data

INDEX = "model.safetensors.index.json"


def runs(folder: Path, *, sharded: bool) -> Path:
    """Three runs of a tiny ViT as transformers saves them, each a folder; sharded, in several files and an index."""
    folder.mkdir()
    made_data(folder)
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=2, patch_size=1,
        num_channels=1, num_labels=CLASSES,
    )  # fmt: skip
    for seed in range(3):
        torch.manual_seed(seed)
        model = ViTForImageClassification(config)
        model.save_pretrained(folder / f"run-{seed}", **({"max_shard_size": "2KB"} if sharded else {}))
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved")
    return {name: runs(folder / name, sharded=name == "sharded") for name in ("sharded", "whole")}


@pytest.fixture
def copied(tmp_path: Path, saved: dict[str, Path]) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(saved[name], tmp_path / name))

    return copy


def is_same(checkpoint: Checkpoint, expected: dict[str, Tensor]) -> bool:
    found = dict(checkpoint.read_all())
    assert found.keys() == expected.keys()
    return all(found[name].dtype == t.dtype and torch.equal(found[name], t) for name, t in expected.items())


def proposed_zoo(folder: Path) -> sc.Zoo:
    proposal = propose(folder, list(inspect_folder(folder)))
    assert not proposal.questions
    proposal.write()
    return sc.open_zoo(folder)


def test_a_folder_of_sharded_runs_is_the_zoo_of_the_whole_ones(copied: Callable[[str], Path]) -> None:
    sharded, whole = (proposed_zoo(copied(name)) for name in ("sharded", "whole"))
    assert len(list((sharded.folder / "run-0").glob("model-*.safetensors"))) > 2
    assert sharded.names == whole.names == ("run-0", "run-1", "run-2")
    assert all(each.file.name == INDEX for each in sharded.ingredients)
    assert sharded.excluded == ()
    soup = sc.Soup({"run-0": 0.5, "run-1": 0.75, "run-2": -0.25})
    for bank in ({}, {"bank": sc.Bank}):
        a, b = (sc.state_dict(zoo, soup, **{key: kind(zoo) for key, kind in bank.items()}) for zoo in (sharded, whole))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    grams = [gram(zoo, default_store()).tensors for zoo in (sharded, whole)]
    assert all(np.array_equal(grams[0][name], grams[1][name]) for name in grams[1])
    findings = [list(preflight_checks(zoo, sc.Evaluator(zoo), images=40)) for zoo in (sharded, whole)]
    assert findings[0] == findings[1]


def test_a_sharded_soup_is_exported_as_one_file(copied: Callable[[str], Path], run: Callable[..., object]) -> None:
    folder = copied("sharded")
    proposed_zoo(folder)
    run("export", str(folder), "--soup", "run-1", "-o", str(folder / "soup.safetensors"))
    written = safetensors.torch.load_file(folder / "soup.safetensors")
    expected = ViTForImageClassification.from_pretrained(folder / "run-1").state_dict()
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())


def test_torch_s_own_shards_are_one_checkpoint_too(tmp_path: Path) -> None:
    tensors = {f"layer.{index}.weight": torch.randn(20, 20, dtype=torch.bfloat16) for index in range(5)}
    folder = tmp_path / "model"
    folder.mkdir()
    huggingface_hub.save_torch_state_dict(tensors, folder, max_shard_size=2000, safe_serialization=False)
    index = folder / "pytorch_model.bin.index.json"
    assert len(list(folder.glob("*.bin"))) > 2
    assert is_same(open_checkpoint(index), tensors)
    assert [each.file for each in inspect_folder(folder)] == [index]


def test_a_shard_alone_is_told_so(copied: Callable[[str], Path]) -> None:
    folder = copied("sharded") / "run-0"
    shard = min(folder.glob("model-*.safetensors"))
    count = len(list(folder.glob("model-*.safetensors")))
    with pytest.raises(sc.CheckpointError, match=f"is one of {count} shards of a checkpoint; name {INDEX}"):
        open_checkpoint(shard)
    (folder / INDEX).unlink()
    with pytest.raises(sc.CheckpointError, match=f"put {INDEX} and the others beside it"):
        open_checkpoint(shard)
    (folder / "model-00001-of-00001.safetensors").write_bytes(safetensors.torch.save({"a": torch.ones(2)}))
    assert list(open_checkpoint(folder / "model-00001-of-00001.safetensors").tensors) == ["a"]


def test_the_digest_and_the_watched_files_are_of_every_shard(copied: Callable[[str], Path]) -> None:
    folder = copied("sharded")
    proposed_zoo(folder)
    assert set((folder / "run-0").glob("model-*.safetensors")) <= set(files_of(folder))
    index = folder / "run-0" / INDEX
    before = open_checkpoint(index)
    digest = before.digest
    table = json.loads(index.read_text())
    table["weight_map"] = dict(reversed(table["weight_map"].items()))
    index.write_text(json.dumps(table))
    assert open_checkpoint(index).digest == digest
    last = max((folder / "run-0").glob("model-*.safetensors"))
    tensors = safetensors.torch.load_file(last)
    next(iter(tensors.values())).flatten()[0] += 1
    safetensors.torch.save_file(tensors, last)
    assert open_checkpoint(index).digest != digest
    with pytest.raises(sc.CheckpointError, match=f"{last.name} has changed since it was opened"):
        dict(before.read_all())


def changed(weight_map: dict[str, str], shards: list[str], how: str) -> dict[str, object]:
    first = next(iter(weight_map))
    changes: dict[str, dict[str, object]] = {
        "another shard": {**weight_map, first: next(each for each in shards if each != weight_map[first])},
        "not listed": {name: file for name, file in weight_map.items() if name != first},
        "not there": {**weight_map, "more": shards[0]},
        "missing": {**weight_map, "more": "model-00009-of-00009.safetensors"},
        "above": {**weight_map, first: f"../run-1/{weight_map[first]}"},
        "elsewhere": {**weight_map, first: "/etc/passwd"},
        "no text": {**weight_map, first: 3},
        "empty": {},
    }
    return changes[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("another shard", "disagree: the shard holds, beyond what the index lists for it,"),
        ("not listed", "disagree: the shard holds, beyond"),
        ("not there", "disagree: the shard lacks more"),
        ("missing", r"lists the shard model-00009-of-00009\.safetensors, which is missing"),
        ("above", "which is no file of its own folder"),
        ("elsewhere", "'/etc/passwd', which is no file of its own folder"),
        ("no text", "something else than a file's name"),
        ("empty", "no table weight_map"),
    ],
)
def test_an_index_that_its_shards_contradict_is_refused(copied: Callable[[str], Path], how: str, message: str) -> None:
    folder = copied("sharded") / "run-0"
    table = json.loads((folder / INDEX).read_text())
    shards = sorted(set(table["weight_map"].values()))
    (folder / INDEX).write_text(json.dumps({"weight_map": changed(table["weight_map"], shards, how)}))
    with pytest.raises(sc.CheckpointError, match=message) as refusal:
        open_checkpoint(folder / INDEX)
    assert str(refusal.value).startswith(INDEX)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "same name stands in it twice"),
        (b"{" * 100_000, "cannot be read as JSON"),
        (b'{"weight_map": [1]}', "no table weight_map"),
        (json.dumps({"weight_map": {f"t{i}": "x" for i in range(100_001)}}).encode(), "lists 100,001 tensors"),
        (json.dumps({"weight_map": {f"t{i}": f"{i}" for i in range(501)}}).encode(), "lists 501 shards"),
        (b"{" + b" " * 25_000_000, "at most 25,000,000 of an index"),
    ],
)
def test_an_unsound_index_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(sc.CheckpointError, match=message):
        open_checkpoint(tmp_path / INDEX)


def test_a_shard_that_may_not_be_read_is_refused_as_any_file(copied: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied("sharded") / "run-0"
    shard = min(folder.glob("model-*.safetensors"))
    outside = shard.rename(tmp_path / "outside.safetensors")
    shard.symlink_to(outside)
    assert open_checkpoint(folder / INDEX).tensors
    with pytest.raises(sc.CheckpointError, match="lies outside the zoo's folder"):
        open_checkpoint(folder / INDEX, roots=[folder])
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(sc.CheckpointError, match="is not a regular file"):
        open_checkpoint(folder / INDEX)
    with pytest.raises(sc.CheckpointError, match="is an index of shards, which has no parts"):
        open_checkpoint(folder / INDEX, "model")
