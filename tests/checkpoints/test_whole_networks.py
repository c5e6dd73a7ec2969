"""Whole networks that were pickled: read as the state_dict that each of them gives, none of their classes being made."""

import copyreg
import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

import soup_core as sc
from soup_core.checkpoints import Checkpoint, open_checkpoint, open_likeliest
from soup_core.checkpoints.pickled import modules
from tests.torch_files import saved


def opened(folder: Path, content: object, **options: Any) -> Checkpoint:
    (folder / "x.pt").write_bytes(saved(content, **options))
    return open_checkpoint(folder / "x.pt")


def refusal(folder: Path, content: object) -> str:
    with pytest.raises(sc.CheckpointError) as error:
        opened(folder, content)
    return str(error.value)


def is_state_of(checkpoint: Checkpoint, module: nn.Module) -> bool:
    found, expected = dict(checkpoint.read_all()), module.state_dict()
    assert found.keys() == expected.keys()
    return all(found[name].dtype == t.dtype and torch.equal(found[name], t) for name, t in expected.items())


class Plain(nn.Module):
    """Tied weights, a part under two names, one that is missing, buffers that are kept and not, and attributes of all sorts."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outward = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.outward.weight = self.inward.weight
        self.again, self.nothing = self.inward, None
        self.register_module("none", None)
        self.register_parameter("bias", None)
        self.register_buffer("steps", torch.tensor(3))
        self.register_buffer("mask", torch.ones(4), persistent=False)
        self.register_buffer("empty", None)
        self.free = nn.ParameterList([nn.Parameter(torch.ones(2))])
        self.named = nn.ParameterDict({"a": nn.Parameter(torch.zeros(1))})
        self.scale = nn.Parameter(torch.full((2, 3), 2.0).T)
        self.settings = types.SimpleNamespace(lr=0.1)


def vit() -> nn.Module:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    return transformers.ViTForImageClassification(transformers.ViTConfig(image_size=16, patch_size=8, **sizes))


def resnet() -> nn.Module:
    sizes = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]}
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(**sizes))


def swin() -> nn.Module:  # its masks are buffers that are not kept
    return SwinTransformer(img_size=32, patch_size=4, window_size=4, embed_dim=8, depths=(2, 1), num_heads=(1, 2))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": Plain,
    "sequential": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LSTM(2, 2), nn.PReLU()),
    "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "spectral norm": lambda: spectral_norm(nn.Linear(3, 2)),
    "half precision, wrapped": lambda: nn.DataParallel(nn.Linear(3, 2).half()),
    "average": lambda: torch.optim.swa_utils.AveragedModel(nn.Linear(3, 2)),
    "graph": lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))),
    "torchvision": lambda: torchvision.models.shufflenet_v2_x0_5(num_classes=3),
    "torchvision, other": lambda: torchvision.models.squeezenet1_1(num_classes=3),
    "timm": lambda: timm.create_model("test_efficientnet", num_classes=3),
    "timm, other": lambda: timm.create_model("test_vit", num_classes=3),
    "timm, windows": swin,
    "transformers": vit,
    "transformers, other": resnet,
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_row_02b_a_whole_network_is_read_as_its_state_dict(tmp_path: Path, name: str) -> None:
    network = NETWORKS[name]()
    checkpoint = opened(tmp_path, network)
    assert is_state_of(checkpoint, network)
    assert any("was read as the state_dict of that" in note for note in checkpoint.notes)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "options", [{"pickle_protocol": 4}, {"pickle_protocol": 5}, {"_use_new_zipfile_serialization": False}]
)
def test_row_02b_in_each_format_the_names_are_in_the_network_s_own_order(tmp_path: Path, options: Any) -> None:
    network = Plain()
    assert is_state_of(opened(tmp_path, network, **options), network)
    state = modules.state_dict_of(described(saved(network, **options)))
    assert list(state) == list(network.state_dict())


def described(content: bytes) -> Any:
    import tempfile

    from soup_core.checkpoints.pickled.formats import opened as described_in
    from soup_core.checkpoints.pickled.source import Source

    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return described_in(Source(file.fileno())).described


def test_row_02b_ties_within_a_network_are_kept(tmp_path: Path) -> None:
    tied = json.loads(opened(tmp_path, Plain()).metadata["soup_core"])["tied"]
    assert ["inward.weight", "outward.weight", "again.weight"] in [sorted(names, key=order) for names in tied]


def order(name: str) -> int:
    return ["inward", "outward", "again"].index(name.partition(".")[0])


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, tuple[type, ...]], Any]:
    """Make a class of a library that is not installed, by its full name, for as long as files are written."""

    def make(name: str, bases: tuple[type, ...] = (object,)) -> Any:
        module, _, last = name.rpartition(".")
        for end in (at for at, letter in enumerate(f"{module}.") if letter == "."):
            if module[:end] not in sys.modules or module[:end] == module:
                made = types.ModuleType(module[:end])
                monkeypatch.setitem(sys.modules, module[:end], made)
        of_class = type(last, bases, {"__module__": module})
        setattr(made, last, of_class)
        return of_class

    return make


def test_row_02b_of_ultralytics_best_the_average_is_taken(tmp_path: Path, foreign: Any) -> None:
    of_class = foreign("ultralytics.nn.tasks.ClassificationModel", (nn.Sequential,))
    network, average = (of_class(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).half() for _ in range(2))
    network.names = {0: "ant", 1: "bee"}
    table = {"epoch": 3, "best_fitness": None, "train_args": {"lr0": 0.01, "imgsz": 32}, "optimizer": None}
    ended = opened(tmp_path, {**table, "model": network, "ema": None})
    assert is_state_of(ended, network)
    assert ended.beside["train_args"] == table["train_args"]
    assert ended.beside["model"]["names"] == {"0": "ant", "1": "bee"}
    (tmp_path / "last.pt").write_bytes(saved({**table, "model": network, "ema": average}))
    checkpoint, part = open_likeliest(tmp_path / "last.pt")
    assert part == "ema"
    assert is_state_of(checkpoint, average)
    assert is_state_of(open_checkpoint(tmp_path / "last.pt", "model"), network)


def test_row_02b_the_network_of_fastai_s_exported_learner_is_read(tmp_path: Path, foreign: Any) -> None:
    learner, callback = foreign("fastai.learner.Learner")(), foreign("fastai.callback.core.Callback")()
    learner.model, learner.lr, learner.loss_func = nn.Linear(9, 9), 0.001, nn.CrossEntropyLoss(torch.ones(2))
    learner.cbs, callback.learn = [callback], learner
    learner.recorder, learner.state = callback, {"state_dict": nn.Linear(3, 2).state_dict()}
    checkpoint = opened(tmp_path, learner)
    assert is_state_of(checkpoint, learner.model)
    assert checkpoint.beside["lr"] == 0.001
    assert any("fastai.learner.Learner" in note for note in checkpoint.notes)


class ByValue(type(nn.Module)):
    """Of classes that are pickled by what they consist of."""


def _make_skeleton_class(kind: type, name: str, bases: tuple[type, ...], attributes: Any, key: str, extra: Any) -> Any:
    raise AssertionError("nothing that a file names is called")


def test_row_02b_a_class_that_was_pickled_by_value_is_named_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mlflow saves with cloudpickle, which writes a script's own classes as calls of a function of this name."""

    def by_value(of_class: type) -> Any:
        given = (type, of_class.__name__, (nn.Module,), {"__module__": "__main__"}, "1f", None)
        return _make_skeleton_class, given

    monkeypatch.setitem(copyreg.dispatch_table, ByValue, by_value)
    network = ByValue("Net", (nn.Linear,), {})(3, 2)
    checkpoint = opened(tmp_path, network)
    assert is_state_of(checkpoint, network)
    assert any("__main__.Net" in note for note in checkpoint.notes)


class OfItsOwn(nn.Module):
    def __getstate__(self) -> Any:
        return {"packed": torch.zeros(3)}


def hooked() -> nn.Module:
    network = nn.Linear(1, 1)
    network.register_state_dict_post_hook(drop)
    return network


def drop(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    state.pop(f"{prefix}bias")


def test_row_02b_a_network_that_hides_its_state_is_refused_with_the_remedy(tmp_path: Path, foreign: Any) -> None:
    packed = foreign("torch.ao.nn.quantized.modules.linear.Linear", (nn.Linear,))(1, 1)
    for network, what in (
        (OfItsOwn(), "OfItsOwn"),
        (nn.Sequential(nn.Linear(1, 1), OfItsOwn()), "part '1', .*OfItsOwn"),
        (nn.Sequential(packed), "quantized.*Linear"),
        (hooked(), "Linear has hooks"),
        (nn.Sequential(nn.LazyLinear(3)), "UninitializedParameter"),
    ):
        text = refusal(tmp_path, network)
        assert re.search(what, text), text
        assert "save the state_dict" in text or "plain floating-point weights" in text


def test_row_21_a_network_that_holds_itself_is_refused(tmp_path: Path) -> None:
    network = Plain()
    network._modules["self"] = network
    assert "a module that holds itself" in refusal(tmp_path, network)


def test_row_25_a_network_of_endless_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network: nn.Module = nn.Linear(1, 1)
    for _ in range(40):  # two to the power of 40 names
        network = nn.Sequential(network, network)
    (tmp_path / "y.pt").write_bytes(saved(network))
    with pytest.raises(sc.CheckpointError, match=r"y\.pt holds a network of more than 20,000 modules"):
        open_checkpoint(tmp_path / "y.pt")
    deep: nn.Module = nn.Linear(1, 1)
    for _ in range(80):
        deep = nn.Sequential(deep)
    assert "more than 64 modules within another" in refusal(tmp_path, deep)


@pytest.mark.parametrize("value", [{}, (1, 2), []])
def test_what_is_no_tensor_among_a_networks_parameters_is_refused(tmp_path: Path, value: object) -> None:
    module = Plain()
    vars(module)["_parameters"]["odd"] = value
    assert "holds under odd an object of" in refusal(tmp_path, module)
