"""An outline stands for a library's network wherever files are compared with it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import soup_core as sc
from soup_core import architectures
from soup_core.architectures import torchvision_models
from soup_core.architectures.outlines import _described, _looks, _module_of, outline
from soup_core.runtime.store import default_store
from tests.zoos import write_zoo

NAMES = ("resnet18", "mobilenet_v3_small", "vit_b_32", "convnext_tiny", "googlenet")


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_outline_has_the_network_s_tensors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = {"name": f"torchvision:{name}", "num_classes": 7}
    network = architectures.meta_module(architecture["name"], 7)
    first = outline(architecture, tmp_path)
    monkeypatch.setattr(torchvision_models, "_models", None)  # from here on there is no library
    kept = outline(architecture, tmp_path)
    for made in (first, kept):
        assert {key: (each.shape, each.dtype) for key, each in made.state_dict().items()} == {
            key: (each.shape, each.dtype) for key, each in network.state_dict().items()
        }
        assert list(made.state_dict()) == list(network.state_dict())
        assert [key for key, _ in made.named_buffers()] == [key for key, _ in network.named_buffers()]
        norms = [isinstance(each, nn.modules.batchnorm._BatchNorm) for each in made.modules()]
        assert norms == [isinstance(each, nn.modules.batchnorm._BatchNorm) for each in network.modules()]
    assert not any(True for each in kept.modules() if isinstance(each, nn.Conv2d))


def test_tied_tensors_and_those_that_no_file_holds_are_kept_apart() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
            self.other.weight = self.one.weight
            self.register_buffer("table", torch.zeros(2), persistent=False)

    made = _module_of(_described(Tied()))
    assert made.get_parameter("one.weight") is made.get_parameter("other.weight")
    assert list(made.state_dict()) == ["one.weight", "one.bias", "other.weight", "other.bias"]
    assert [name for name, _ in made.named_buffers()] == ["table"]


def test_a_module_that_lies_in_two_places_has_no_outline() -> None:
    shared = nn.Linear(2, 2)
    network = nn.Sequential(shared, shared)
    assert _looks(_module_of(_described(network))) != _looks(network)


@pytest.mark.parametrize("damaged", [{}, {"modules": 3}, {"modules": [["a.b", False, [], []]]}, {"modules": [["", 1]]}])
def test_a_damaged_record_counts_as_none(
    damaged: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = default_store()
    monkeypatch.setattr(type(store), "file", lambda self, key: damaged)
    made = outline({"name": "torchvision:resnet18", "num_classes": 7}, tmp_path)
    assert tuple(made.state_dict()["fc.weight"].shape) == (7, 512)


def test_export_imports_no_library_where_the_network_is_known(tmp_path: Path) -> None:
    torch.manual_seed(0)
    files = {f"m{index}": architectures.build("torchvision:resnet18", 3).state_dict() for index in range(2)}
    folder = write_zoo(tmp_path / "z", files, architecture="torchvision:resnet18")
    assert len(sc.open_zoo(folder).names) == 2
    code = (
        "import sys\nfrom soup_core import cli\n"
        f"sys.argv = ['soup_core', 'export', {str(folder)!r}, '-o', {str(tmp_path / 'soup')!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    network = architectures.build("torchvision:resnet18", 3)
    network.load_state_dict(sc.state_dict(sc.open_zoo(folder), sc.Soup({"m0": 0.5, "m1": 0.5})))
