"""Weights out of programs that torch saves, under the names of the program's own state_dict; nothing of them runs."""

import io
import json
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.architectures import FashionCNN
from soup_core.checkpoints import Checkpoint, open_checkpoint
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.zoos import CLASSES, SIDE, made_data


class Varied(nn.Module):
    """What programs keep in several ways: tied layers, buffers of both kinds, a constant, views, a type beside float32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 2)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 4)
        self.tied = self.head
        self.within = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 3, bias=False)))
        self.small = nn.Parameter(torch.randn(3).half())
        self.across = nn.Parameter(torch.randn(4, 3).T)
        self.nothing = nn.Parameter(torch.empty(0, 3))
        self.register_buffer("positions", torch.arange(3))
        self.register_buffer("table", torch.ones(3), persistent=False)
        self.constant = torch.ones(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).mean((2, 3))
        x = self.within(self.tied(self.head(x))) + self.small + self.across.sum() + self.nothing.sum()
        return x + self.positions + self.table + self.constant.sum()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "varied": Varied,
    "linear": lambda: nn.Linear(3, 2),
    "sequential": lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2)),
    "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
    "double": lambda: nn.Linear(3, 2).double(),
}
INPUTS = {
    "varied": torch.zeros(2, 1, 3, 3),
    "attention": torch.zeros(1, 2, 4),
    "double": torch.zeros(2, 3, dtype=torch.float64),
}


@cache
def exported(name: str) -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return torch.export.export(NETWORKS[name]().eval(), (INPUTS.get(name, torch.zeros(2, 3)),))


def is_same(checkpoint: Checkpoint, expected: dict[str, Any]) -> bool:
    found = dict(checkpoint.read_all())
    assert found.keys() == expected.keys()
    return all(found[name].dtype == t.dtype and torch.equal(found[name], t) for name, t in expected.items())


@pytest.mark.filterwarnings("ignore:No complete tensor found")  # the transposed one, which is read from its storage
@pytest.mark.parametrize("name", NETWORKS)
def test_row_03_an_exported_program_s_weights_are_its_state_dict(tmp_path: Path, name: str) -> None:
    program = exported(name)
    torch.export.save(program, tmp_path / "x.pt2")
    assert is_same(open_checkpoint(tmp_path / "x.pt2"), program.state_dict)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("how", ["scripted", "traced"])
@pytest.mark.parametrize("name", NETWORKS)
def test_row_03_torchscript_s_weights_are_its_state_dict(tmp_path: Path, name: str, how: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    inputs = INPUTS.get(name, torch.zeros(2, 3))
    program = torch.jit.script(network) if how == "scripted" else torch.jit.trace(network, inputs, check_trace=False)
    program.save(tmp_path / "x.pt")
    assert is_same(open_checkpoint(tmp_path / "x.pt"), dict(program.state_dict()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_row_03_a_frozen_program_has_no_names_for_its_weights(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(nn.Linear(3, 2).eval())).save(tmp_path / "x.pt")
    with pytest.raises(sc.CheckpointError, match=r"x\.pt is a program \(TorchScript\) whose weights are constants"):
        open_checkpoint(tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("another text", "its pickle and its text are of different programs"),
        ("a text that inflates", "a text of more than"),
        ("no text", "cannot be read"),
        ("within itself", "a module of it holds itself"),
        ("packed", "whose module __torch__.Own packs its state"),
    ],
)
def test_row_03_a_program_that_lies_is_refused(tmp_path: Path, how: str, message: str) -> None:
    pickles = {
        "another text": b"\x80\x02c__torch__\nOther\n)\x81}b.",
        "within itself": b"\x80\x02c__torch__\nOwn\n)\x81q\x00}U\x01ah\x00sb.",
        "packed": b"\x80\x02c__torch__\nOwn\n)\x81K\x01\x85b.",
    }
    texts = {"a text that inflates": b" " * 6_000_000, "no text": b"\xff"}
    members = {"data.pkl": pickles.get(how, pickles["another text"]), "constants.pkl": b"\x80\x02)."}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as new:
        for name, data in members.items():
            new.writestr(f"x/{name}", data)
        text = texts.get(how, b"class Own(Module):\n  __parameters__ = []\n")
        new.writestr("x/code/__torch__.py", text, zipfile.ZIP_DEFLATED)
    (tmp_path / "x.pt").write_bytes(file.getvalue())
    with pytest.raises(sc.CheckpointError, match=message):
        open_checkpoint(tmp_path / "x.pt")


def archive(members: dict[str, bytes], root: str = "x/") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as new:
        for name, data in members.items():
            new.writestr(f"{root}{name}", data)
    return file.getvalue()


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        return {name.partition("/")[2]: old.read(name) for name in old.namelist()}


def test_the_exported_program_of_an_older_torch_is_read(tmp_path: Path) -> None:
    """torch 2.1 to 2.7 kept the state_dict as a file of torch.save within the archive, beside the program in JSON."""
    state = nn.Linear(3, 2).state_dict()
    inner = io.BytesIO()
    torch.save(state, inner)
    content = archive({"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": inner.getvalue()}, "")
    (tmp_path / "x.pt2").write_bytes(content)
    assert is_same(open_checkpoint(tmp_path / "x.pt2"), state)


CONFIG = "data/weights/model_weights_config.json"


def changed(members: dict[str, bytes], how: str) -> dict[str, bytes]:
    table = json.loads(members[CONFIG])
    entry = table["config"]["weight"]
    match how:
        case "pickled":
            entry["use_pickle"] = True
        case "eight bits":
            entry["tensor_meta"]["dtype"] = 29
        case "too many elements":
            entry["tensor_meta"]["sizes"][0]["as_int"] = 99
        case "a symbol":
            entry["tensor_meta"]["sizes"][0] = {"as_expr": "s0"}
        case "out of the archive":
            entry["path_name"] = "../../../etc/passwd"
        case "odd bytes":
            members["data/weights/weight_0"] += b"1"
        case "negative":
            entry["tensor_meta"]["storage_offset"]["as_int"] = -1
        case "complex":
            entry["tensor_meta"]["dtype"] = 10
    members[CONFIG] = json.dumps(table).encode()
    match how:
        case "no json":
            members[CONFIG] = b"{"
        case "deep":
            members[CONFIG] = b'{"a":' * 100_000
        case "a list":
            members[CONFIG] = b'{"config": []}'
        case "no weights":
            del members[CONFIG]
        case "big":
            members["byteorder"] = b"big"
    return members


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("pickled", "is a program, exported with the tensor weight not as plain numbers"),
        ("eight bits", "weight not as plain numbers"),
        ("too many elements", "has more elements than its storage holds"),
        ("a symbol", "its list of weights cannot be read"),
        ("out of the archive", "lacks the part"),
        ("odd bytes", "no storage of the length that it says"),
        ("negative", "its list of weights cannot be read"),
        ("complex", "of complex numbers"),
        ("no json", "its list of weights cannot be read"),
        ("deep", "its list of weights cannot be read"),
        ("a list", "its list of weights cannot be read"),
        (
            "no weights",
            r"is a program, exported without weights beside it as data; save its weights, torch\.save\(torch\.export\.load",
        ),
        ("big", "not in little-endian order"),
    ],
)
def test_row_03_an_exported_program_that_lies_is_refused(tmp_path: Path, how: str, message: str) -> None:
    torch.export.save(exported("linear"), tmp_path / "x.pt2")
    (tmp_path / "x.pt2").write_bytes(archive(changed(members_of((tmp_path / "x.pt2").read_bytes()), how)))
    with pytest.raises(sc.CheckpointError, match=message) as refusal:
        open_checkpoint(tmp_path / "x.pt2")
    assert str(refusal.value).startswith("x.pt2 ")
    assert not list((tmp_path / "home" / "checkpoints").glob("*"))


def test_several_programs_in_one_file_are_a_choice(tmp_path: Path) -> None:
    torch.export.save(exported("linear"), tmp_path / "x.pt2")
    members = members_of((tmp_path / "x.pt2").read_bytes())
    members["data/weights/weight_9"] = torch.arange(6.0).numpy().tobytes()
    table = json.loads(members[CONFIG])
    table["config"]["weight"]["path_name"] = "weight_9"
    members["data/weights/other_weights_config.json"] = json.dumps(table).encode()
    (tmp_path / "x.pt2").write_bytes(archive(members))
    with pytest.raises(sc.CheckpointError, match="weights in several places: "):
        open_checkpoint(tmp_path / "x.pt2")
    other = {**exported("linear").state_dict, "weight": torch.arange(6.0).reshape(2, 3)}
    assert is_same(open_checkpoint(tmp_path / "x.pt2", "other"), other)


def test_a_folder_of_exported_programs_is_proposed(tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    for seed in range(2):
        torch.manual_seed(seed)
        network = FashionCNN(10).eval()
        torch.export.save(torch.export.export(network, (torch.zeros(1, 1, 28, 28),)), folder / f"run-{seed}.pt2")
    proposal = propose(folder, list(inspect_folder(folder)))
    assert [each.name for each in proposal.members] == ["run-0", "run-1"]
    assert proposal.architecture == {"name": "fashion_cnn", "num_classes": 10}


WITH_TABLE = f"""
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, num_classes: int):
        super().__init__()
        self.head = nn.Linear({SIDE * SIDE}, num_classes)
        self.register_buffer("scale", torch.ones(1), persistent=False)

    def forward(self, x):
        return self.head(x.flatten(1) * self.scale)

def build(num_classes):
    return Network(num_classes)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_buffer_that_only_a_program_keeps_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TorchScript's state_dict holds the buffers that are not persistent too."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    made_data(folder)
    monkeypatch.setenv("SOUP_TRUST", str(folder))
    (folder / "network.py").write_text(WITH_TABLE)
    scope: dict[str, Any] = {}
    exec(WITH_TABLE, scope)
    states = []
    entries = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = scope["build"](CLASSES)
        states.append(network.state_dict())
        torch.jit.trace(network, torch.zeros(1, 1, SIDE, SIDE)).save(folder / f"m{seed}.pt")
        entries.append(f'[[ingredients]]\nname = "m{seed}"\nfile = "m{seed}.pt"\n')
    head = f'format = 1\ntitle = "t"\narchitecture = {{ factory = "network.py:build", num_classes = {CLASSES} }}\n'
    (folder / "zoo.toml").write_text(head + '[data]\nsource = "tensors:data.safetensors"\n' + "".join(entries))
    zoo = sc.open_zoo(folder)
    assert zoo.excluded == ()
    theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
    assert theta.keys() == states[0].keys()
    torch.testing.assert_close(theta["head.weight"], (states[0]["head.weight"] + states[1]["head.weight"]) / 2)
    assert "what is no part of the network was left out: scale" in zoo.ingredients[0].checkpoint.notes
