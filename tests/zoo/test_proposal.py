import json
import os
import tomllib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import get_model

import soup_core as sc
from soup_core.zoo import inspection
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose, with_architecture, with_base, with_source
from tests.zoos import made_data


def network(seed: int, name: str = "squeezenet1_1", classes: int = 7) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    module: nn.Module = get_model(name, weights=None, num_classes=classes)
    return dict(module.state_dict())


def save(file: Path, tensors: dict[str, torch.Tensor]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, file)
    else:
        torch.save(tensors, file)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "my sweep"
    save(folder / "pretrained.safetensors", network(0))
    save(folder / "run-10.safetensors", network(1))
    save(folder / "run-2.pt", {f"module.{name}": tensor for name, tensor in network(2).items()})
    (folder / "runs.csv").write_text("name,lr,epochs\nrun-2,0.1,3\nrun-10,0.01,3\n")
    return folder


def test_a_sweep_becomes_a_zoo(sweep: Path) -> None:
    made_data(sweep)
    (sweep / "data.safetensors").rename(sweep / "images.safetensors")
    save(sweep / "other.pt", network(3, classes=9))
    (sweep / "broken.pt").write_bytes(b"no checkpoint")
    looked = list(inspect_folder(sweep))
    assert {each.of for each in looked} == {len(looked)} == {6}
    proposal = propose(sweep, looked)
    assert not proposal.questions
    assert len(proposal.notices) == 2
    content = tomllib.loads(proposal.toml())
    assert content["title"] == "my sweep"
    assert content["architecture"] == {"name": "torchvision:squeezenet1_1", "num_classes": 7}
    assert content["base"] == "pretrained.safetensors"
    assert content["data"]["source"] == "tensors:images.safetensors"
    assert content["data"]["normalize"]["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert content["ingredients"] == [
        {"name": "run-2", "file": "run-2.pt", "hyperparameters": {"learning_rate": 0.1, "epochs": 3}},
        {"name": "run-10", "file": "run-10.safetensors", "hyperparameters": {"learning_rate": 0.01, "epochs": 3}},
    ]
    proposal.write()
    zoo = sc.open_zoo(sweep)
    assert zoo.names == ("run-2", "run-10")
    assert zoo.base is not None
    assert not zoo.excluded
    with pytest.raises(sc.ZooError, match="is there already"):
        proposal.write()
    proposal.write(replace_old=True)


def test_what_cannot_be_known_is_asked(tmp_path: Path) -> None:
    for seed in (1, 2):
        torch.manual_seed(seed)
        save(tmp_path / f"{seed}.safetensors", {"strange.weight": torch.randn(3, 4)})
    proposal = propose(tmp_path, list(inspect_folder(tmp_path)))
    assert len(proposal.questions) == 2
    with pytest.raises(sc.ZooError, match="Which network"):
        proposal.toml()
    answered = with_source(with_architecture(proposal, {"name": "fashion_cnn", "num_classes": 3}), "fashion_mnist")
    assert not answered.questions


def test_the_base_can_be_named_and_taken_away(sweep: Path) -> None:
    proposal = with_source(propose(sweep, list(inspect_folder(sweep))), "fashion_mnist")
    assert "base" not in tomllib.loads(with_base(proposal, None).toml())
    assert tomllib.loads(with_base(proposal, "run-2").toml())["base"] == "run-2.pt"
    with pytest.raises(sc.ZooError, match="is called 'nobody'"):
        with_base(proposal, "nobody")


def test_of_runs_with_many_checkpoints_the_best_is_taken(tmp_path: Path) -> None:
    for run in ("a", "b"):
        for name in ("checkpoint-1", "last", "model_best"):
            save(tmp_path / run / f"{name}.pth.tar", network(len(name)))
        save(tmp_path / run / "optimizer.pt", {"step": torch.zeros(1)})
    proposal = propose(tmp_path, list(inspect_folder(tmp_path)))
    assert [(each.name, each.file.name) for each in proposal.members] == [
        ("a", "model_best.pth.tar"),
        ("b", "model_best.pth.tar"),
    ]
    assert any("4 further checkpoints" in notice for notice in proposal.notices)


def test_an_image_folder_beside_is_found(sweep: Path) -> None:
    for part in ("train", "test"):
        (sweep / "photos" / part / "cat").mkdir(parents=True)
    data = propose(sweep, list(inspect_folder(sweep))).data
    assert data["source"] == "imagefolder:photos"
    assert data["preprocessing"] == {"resize": 256, "crop": 224, "interpolation": "bilinear"}


def test_row_17_what_is_no_regular_file_is_not_looked_at(sweep: Path) -> None:
    os.mkfifo(sweep / "fifo.pt")
    (sweep / "folder.pt").mkdir()
    (sweep / "loop").symlink_to(sweep)
    assert {each.file.name for each in inspect_folder(sweep)} == {
        "pretrained.safetensors",
        "run-10.safetensors",
        "run-2.pt",
    }


def test_row_37_a_name_that_is_not_utf8_is_loaded_by_its_bytes(sweep: Path) -> None:
    os.rename(sweep / "run-2.pt", os.fsencode(sweep) + b"/run-\xff.pt")
    proposal = with_source(propose(sweep, list(inspect_folder(sweep))), "fashion_mnist")
    proposal.write()
    assert "run-\ufffd" in sc.open_zoo(sweep).names


def test_a_folder_without_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sc.ZooError, match="holds no checkpoint"):
        list(inspect_folder(tmp_path))
    with pytest.raises(sc.ZooError, match="cannot be read as a folder"):
        list(inspect_folder(tmp_path / "absent"))


def test_a_folder_of_too_many_folders_is_refused(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (sweep / name).mkdir()
    monkeypatch.setattr(inspection, "FOLDERS_AT_MOST", 2)
    with pytest.raises(sc.ZooError, match="has more than 2 folders below it"):
        list(inspect_folder(sweep))


def test_what_was_looked_at_is_told_by_its_bytes_with_the_next_file(tmp_path: Path) -> None:
    for name, numbers in (("a", 1000), ("b", 1_000_000)):
        save(tmp_path / f"{name}.safetensors", {"odd.weight": torch.zeros(numbers)})
    first, last = inspect_folder(tmp_path)
    assert first.coming == last.file
    assert first.share == pytest.approx(0.001, rel=0.2)
    assert (last.share, last.coming) == (1.0, None)


def test_a_folder_of_too_many_checkpoints_is_refused(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "FILES_AT_MOST", 2)
    with pytest.raises(sc.ZooError, match="holds 3 checkpoints; at most 2 are looked at"):
        list(inspect_folder(sweep))


def test_a_soup_that_was_exported_into_the_folder_is_no_ingredient(sweep: Path) -> None:
    recipe = json.dumps({"title": "two of them", "soup": {"run-2": 0.5, "run-10": 0.5}})
    safetensors.torch.save_file(network(4), sweep / "soup.safetensors", {"soup_core": recipe})
    proposal = propose(sweep, list(inspect_folder(sweep)))
    assert "soup.safetensors" not in {each.file.name for each in proposal.members}
    assert any("soup.safetensors: exported here" in notice for notice in proposal.notices)
