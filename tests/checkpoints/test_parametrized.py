"""Weights that files keep in parts: found by their names, folded as torch folds them, and averaged as weights."""

import copy
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as hooked_spectral_norm
from torch.nn.utils import weight_norm as hooked_weight_norm
from torchvision.models import get_model

import soup_core as sc
from soup_core.analysis.preflight import Finding, preflight_checks
from soup_core.checkpoints import folded, open_checkpoint, parametrized
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from tests.zoos import CLASSES, SIDE, made_data, write_zoo

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "weight norm of columns": lambda: parametrizations.weight_norm(nn.Conv2d(2, 3, 2), dim=1),
    "weight norm of all": lambda: parametrizations.weight_norm(nn.Linear(4, 3), dim=None),
    "weight norm of one row": lambda: parametrizations.weight_norm(nn.Linear(4, 1)),
    "weight norm of a recurrence": lambda: parametrizations.weight_norm(nn.GRU(3, 2), "weight_hh_l0"),
    "weight norm in half": lambda: parametrizations.weight_norm(nn.Conv1d(2, 3, 2)).bfloat16(),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(2, 3, 2)),
    "spectral norm across": lambda: parametrizations.spectral_norm(nn.ConvTranspose2d(3, 3, 2)),
    "hooked weight norm": lambda: hooked_weight_norm(nn.Conv2d(2, 3, 2)),
    "hooked weight norm of all": lambda: hooked_weight_norm(nn.Linear(4, 3), dim=None),
    "hooked spectral norm": lambda: hooked_spectral_norm(nn.Linear(4, 3)),
    "hooked spectral norm across": lambda: hooked_spectral_norm(nn.ConvTranspose2d(3, 3, 2)),
    "several": lambda: nn.Sequential(
        parametrizations.weight_norm(nn.Linear(4, 3)),
        nn.BatchNorm1d(3),
        parametrizations.spectral_norm(nn.Linear(3, 3)),
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore:.torch.nn.utils.weight_norm. is deprecated")


def moved(network: nn.Module, seed: int) -> nn.Module:
    """The network with other numbers in its parameters, so that no part is what it was made from."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.5 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    network.train()
    for _ in range(20):  # spectral normalisation's vectors follow the weight, a step each time it is made in training
        plain(network)
    return network.eval()


def plain(network: nn.Module) -> dict[str, Tensor]:
    """The state_dict with each weight as the module has it when it runs."""
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for prefix, layer in network.named_modules():
        for hook in layer._forward_pre_hooks.values():
            hook(layer, ())
        within = getattr(layer, "parametrizations", {})
        named = [*within, *(hook.name for hook in layer._forward_pre_hooks.values())]
        for name in named:
            start = f"{prefix}." if prefix else ""
            parts = [f"{start}{name}_{part}" for part in ("g", "v", "u", "orig")]
            for key in [key for key in state if key.startswith(f"{start}parametrizations.{name}.") or key in parts]:
                del state[key]
            state[start + name] = getattr(layer, name).detach().clone()
    return state


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_weights_are_those_that_the_network_runs_with(tmp_path: Path, name: str) -> None:
    network = moved(NETWORKS[name](), 1)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    save_file(state, tmp_path / "x.safetensors")
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    made = folded(checkpoint)
    found, expected = dict(made.read_all()), plain(network)
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        torch.testing.assert_close(found[key], tensor, rtol=2e-6 if tensor.dtype == torch.float32 else 0.01, atol=1e-7)
    assert made.digest != checkpoint.digest
    assert made.digest == folded(open_checkpoint(tmp_path / "x.safetensors")).digest
    assert re.fullmatch(r"\d weights? (was|were) folded from parts \(.*\)", made.notes[-1])


def test_a_folded_weight_is_the_length_times_the_direction(tmp_path: Path) -> None:
    g, v = torch.tensor([[2.0], [3.0]]), torch.tensor([[3.0, 4.0], [0.0, -5.0]])
    save_file({"a.weight_g": g, "a.weight_v": v, "a.bias": torch.ones(2)}, tmp_path / "x.safetensors")
    made = folded(open_checkpoint(tmp_path / "x.safetensors"))
    torch.testing.assert_close(made.read("a.weight"), torch.tensor([[1.2, 1.6], [0.0, -3.0]]))
    assert set(made.tensors) == {"a.weight", "a.bias"}


def test_names_that_only_end_so_are_no_parts(tmp_path: Path) -> None:
    shapes = {"proj_g": (3, 1), "proj_v": (3, 4), "a.weight_u": (3,), "b.weight_g": (4, 1), "b.weight_v": (3, 4)}
    assert parametrized(shapes) == ()
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "x.safetensors")
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    assert folded(checkpoint) is checkpoint


def test_vectors_that_do_not_tell_the_rows_are_refused(tmp_path: Path) -> None:
    state = {"weight_orig": torch.randn(3, 3, 2, 2, generator=torch.Generator().manual_seed(0))}
    state |= {"weight_u": torch.tensor([1.0, 0, 0]), "weight_v": torch.eye(12)[5]}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(sc.CheckpointError, match=r"x\.safetensors .*vectors do not tell which of them are its rows"):
        folded(open_checkpoint(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.zeros(2, 3)}, "gives NaN or infinity .* in a.weight"),
        ({"weight_g": torch.ones(2, 1), "weight_v": torch.ones(2, 3), "weight": torch.ones(2, 3)}, "holds both weight"),
        ({"parametrizations.weight.original": torch.eye(3)}, "weight is kept by a parametrization whose formula"),
        (
            {f"parametrizations.weight.{name}": torch.ones(2, 3) for name in ("original0", "original1", "0.base")},
            "save the weights after torch.nn.utils.parametrize.remove_parametrizations",
        ),
    ],
)
def test_what_cannot_be_folded_is_refused(tmp_path: Path, tensors: Mapping[str, Tensor], message: str) -> None:
    save_file(dict(tensors), tmp_path / "x.safetensors")
    with pytest.raises(sc.CheckpointError, match=message) as refusal:
        folded(open_checkpoint(tmp_path / "x.safetensors"))
    assert str(refusal.value).startswith("x.safetensors ")


# ---- in a zoo -----------------------------------------------------------------------------------------------------------

CODE = f"""
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

def build(num_classes):
    return nn.Sequential(nn.Flatten(), weight_norm(nn.Linear({SIDE * SIDE}, 5)), nn.Tanh(), spectral_norm(nn.Linear(5, num_classes)))

def turned(num_classes):
    return nn.Sequential(nn.Flatten(), orthogonal(nn.Linear({SIDE * SIDE}, num_classes)))
"""


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose code may run."""
    monkeypatch.setenv("SOUP_TRUST", str(tmp_path / "parts"))
    return tmp_path / "parts"


def runs(folder: Path, function: str = "build", count: int = 3) -> list[nn.Module]:
    """Networks of the zoo's own code, their files, and a zoo.toml that names it."""
    folder.mkdir()
    made_data(folder)
    (folder / "network.py").write_text(CODE)
    scope: dict[str, Callable[[int], nn.Module]] = {}
    exec(CODE, scope)
    torch.manual_seed(0)
    start = scope[function](CLASSES)
    networks = [moved(copy.deepcopy(start), seed) for seed in range(count)]
    for seed, network in enumerate(networks):
        save_file(
            {key: t.clone().contiguous() for key, t in network.state_dict().items()}, folder / f"m{seed}.safetensors"
        )
    return networks


def toml(folder: Path, architecture: str, count: int = 3) -> Path:
    lines = ["format = 1", 'title = "In parts"', f"architecture = {{ {architecture}, num_classes = {CLASSES} }}"]
    lines += ["[data]", 'source = "tensors:data.safetensors"']
    for seed in range(count):
        lines += ["[[ingredients]]", f'name = "m{seed}"', f'file = "m{seed}.safetensors"']
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder


def parts_of(zoo: sc.Zoo) -> Finding | None:
    findings = preflight_checks(zoo, sc.Evaluator(zoo), images=40)
    return next((each for each in findings if each.what == "parts"), None)


def test_soups_of_folded_weights_average_what_the_networks_run_with(trusted: Path) -> None:
    networks = runs(trusted)
    folder = toml(trusted, 'factory = "network.py:build", fold_parametrizations = true')
    zoo = sc.open_zoo(folder)
    assert zoo.excluded == ()
    assert set(zoo.tensors) == {"1.weight", "1.bias", "3.weight", "3.bias"}
    states = [plain(network) for network in networks]
    for name, tensor in sc.state_dict(zoo, sc.uniform_soup(zoo)).items():
        torch.testing.assert_close(tensor, sum(state[name] for state in states) / 3, rtol=1e-5, atol=1e-6)
    assert parts_of(zoo) is None
    data = load_file(folder / "data.safetensors")
    with torch.no_grad():
        logits = networks[1](data["held_out.images"].float() / 255)
    assert sc.Evaluator(zoo)(sc.Soup({"m1": 1.0})).correct == int((logits.argmax(1) == data["held_out.labels"]).sum())


def test_preflight_says_how_far_the_average_of_parts_is_off(trusted: Path) -> None:
    networks = runs(trusted)
    zoo = sc.open_zoo(toml(trusted, 'factory = "network.py:build"'))
    finding = parts_of(zoo)
    assert finding is not None
    mixed = copy.deepcopy(networks[0])
    mixed.load_state_dict(sc.state_dict(zoo, sc.uniform_soup(zoo)))
    states, of_parts = [plain(network) for network in networks], plain(mixed)
    off = apart = 0.0
    for name in ("1.weight", "3.weight"):
        average = torch.stack([state[name] for state in states]).double().mean(0)
        off += float((of_parts[name].double() - average).square().sum())
        apart += sum(float((state[name].double() - average).square().sum()) for state in states) / 3
    assert finding.verdict == "notice"
    assert f"off by {math.sqrt(off):.2g} where the ingredients lie {math.sqrt(apart):.2g} from" in finding.sentence
    assert math.sqrt(off) > 0.1 * math.sqrt(apart)
    assert "2 weights are kept in parts (weight norm: 1.parametrizations.weight.original0 and" in finding.sentence
    assert "fold_parametrizations = true" in finding.sentence


def test_parts_of_one_network_twice_average_to_it(trusted: Path) -> None:
    networks = runs(trusted, count=1)
    for seed in (1, 2):
        state = {key: t.clone() for key, t in networks[0].state_dict().items()}
        save_file({**state, "1.bias": state["1.bias"] + seed}, trusted / f"m{seed}.safetensors")
    finding = parts_of(sc.open_zoo(toml(trusted, 'factory = "network.py:build"')))
    assert finding is not None
    assert finding.verdict == "good"


def test_orthogonal_weights_are_told_and_not_folded(trusted: Path) -> None:
    runs(trusted, "turned")
    finding = parts_of(sc.open_zoo(toml(trusted, 'factory = "network.py:turned"')))
    assert finding is not None
    assert finding.verdict == "notice"
    assert "only the network's own code tells for 1.weight" in finding.sentence
    with pytest.raises(
        sc.ZooError, match=r"1\.weight is kept by a parametrization whose formula its names do not tell"
    ):
        sc.open_zoo(toml(trusted, 'factory = "network.py:turned", fold_parametrizations = true'))


def test_a_known_network_kept_in_parts_is_proposed_folded(tmp_path: Path, run: Callable[..., object]) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    made_data(folder)
    for seed in range(2):
        torch.manual_seed(seed)
        network = get_model("squeezenet1_1", num_classes=CLASSES)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                parametrizations.weight_norm(layer)
        save_file(network.state_dict(), folder / f"run-{seed}.safetensors")
    proposal = propose(folder, list(inspect_folder(folder)))
    assert proposal.architecture == {
        "name": "torchvision:squeezenet1_1", "num_classes": CLASSES, "fold_parametrizations": True,
    }  # fmt: skip
    assert "26 weights in parts (weight norm), which are folded" in proposal.guesses[0].why
    file = proposal.write()
    assert sc.open_zoo(folder).excluded == ()
    file.write_text(file.read_text().replace(", fold_parametrizations = true", ""))
    with pytest.raises(sc.ZooError, match=r"keeps classifier\.1\.weight in parts.*set fold_parametrizations = true"):
        sc.open_zoo(folder)


def test_a_plain_zoo_says_nothing_of_parts(tmp_path: Path) -> None:
    from tests.zoos import random_linears

    assert parts_of(sc.open_zoo(write_zoo(tmp_path / "z", random_linears(3)))) is None
