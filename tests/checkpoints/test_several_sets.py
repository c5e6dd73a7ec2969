"""Of several sets of weights in one file, the one that a run is judged by; what are no weights is never taken for them."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import soup_core as sc
from soup_core.checkpoints import SeveralWeights, networks_within, open_checkpoint, open_likeliest
from soup_core.zoo.opening import fitting_ingredient
from tests.zoos import random_linears, write_zoo

NETWORK = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
RAW = {name: tensor.clone() for name, tensor in NETWORK.state_dict().items()}
AVERAGE = {name: tensor + 1 for name, tensor in RAW.items()}
WRAPPED = {"n_averaged": torch.tensor(3), **{f"module.{name}": tensor for name, tensor in AVERAGE.items()}}
PLAIN = {name: tensor for name, tensor in RAW.items() if "1" not in name}  # a network without BatchNorm
PLAIN_AVERAGE = {name: tensor + 1 for name, tensor in PLAIN.items()}
LIGHTNING = {"epoch": 4, "pytorch-lightning_version": "2.6.6"}
MMENGINE = {"meta": {"epoch": 2}, "message_hub": {"log_scalars": {}}}


def averaging(state: dict[str, Tensor], count: int, latest: int) -> dict[str, Any]:
    """What Lightning 2.6's StochasticWeightAveraging writes into a file's `callbacks`."""
    callback = {"n_averaged": count, "latest_update_epoch": latest, "average_model_state": state}
    return {"callbacks": {"StochasticWeightAveraging": callback}}


# Files as trainers write them, and the part that their own loaders, or a run's final weights, are of.
SETS: dict[str, tuple[dict[str, Any], str]] = {
    "timm": ({"state_dict": RAW, "state_dict_ema": AVERAGE}, "state_dict_ema"),
    "torchvision's references": ({"model": RAW, "model_ema": WRAPPED}, "model_ema"),
    "torch": ({"model": RAW, "other": WRAPPED}, "other"),
    "a camel": ({"model": RAW, "modelSWA": RAW, "swa": AVERAGE}, "swa"),
    "mmengine": ({**MMENGINE, "state_dict": AVERAGE, "ema_state_dict": {"steps": torch.tensor(2), **RAW}}, "state_dict"),
    "Lightning, EMA": ({**LIGHTNING, "state_dict": AVERAGE, "current_model_state": RAW}, "state_dict"),
    "Lightning, SWA": (
        {**LIGHTNING, "state_dict": PLAIN, **averaging(PLAIN_AVERAGE, 4, 4)},
        "callbacks.StochasticWeightAveraging.average_model_state",
    ),
    "Lightning, SWA not begun": ({**LIGHTNING, "state_dict": PLAIN, **averaging(PLAIN_AVERAGE, 0, -1)}, "state_dict"),
    "Lightning, SWA ended": ({**LIGHTNING, "epoch": 5, "state_dict": PLAIN_AVERAGE, **averaging(PLAIN, 4, 4)}, "state_dict"),
    "Lightning, SWA with BatchNorm": ({**LIGHTNING, "state_dict": RAW, **averaging(AVERAGE, 4, 4)}, "state_dict"),
    "a name that only looks so": ({"model": RAW, "schema": {**AVERAGE, "last": torch.ones(2)}}, "schema"),
    "two alike": ({"student": RAW, "teacher": AVERAGE}, "student"),
    "a larger one": ({"discriminator": PLAIN, "generator": AVERAGE}, "generator"),
    "a short average": ({"model": AVERAGE, "ema": PLAIN}, "model"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_row_29_of_several_sets_the_one_that_a_run_is_judged_by_is_the_first(tmp_path: Path, name: str) -> None:
    table, expected = SETS[name]
    torch.save(table, tmp_path / "x.pt")
    with pytest.raises(SeveralWeights, match="several places") as several:
        open_checkpoint(tmp_path / "x.pt")
    assert several.value.places[0] == expected
    checkpoint, part = open_likeliest(tmp_path / "x.pt")
    assert part == expected
    assert any("were passed over: " in note for note in checkpoint.notes)
    for place in several.value.places:
        assert f"{place} (" in str(several.value)
        table_of: Any = table
        for key in place.split("."):
            table_of = table_of[key]
        found = dict(open_checkpoint(tmp_path / "x.pt", place).read_all())
        assert found.keys() == table_of.keys()
        assert all(torch.equal(found[name], table_of[name]) for name in found)


BESIDE: dict[str, Any] = {
    "best_acc1": torch.tensor([71.2]),
    "class_weights": torch.ones(4),
    "criterion": {"weight": torch.ones(4)},
    "rng_state": {"torch": torch.get_rng_state()},
    "rng": torch.get_rng_state(),
    "semantic_head": {"queue": torch.ones(3, 4)},
    "bank": {"queue": torch.ones(3000, 4)},
    "metrics": {f"epoch {epoch}": torch.ones(1) for epoch in range(30)},
    "optimizer": {"state": {0: {"exp_avg": torch.ones(4, 4)}}, "param_groups": [{"lr": 0.1}]},
    "centers": torch.ones(2, 4),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("weights", ["state_dict", "model_state_dict"])
def test_row_29_other_tensors_in_a_file_are_never_its_weights(tmp_path: Path, name: str, weights: str) -> None:
    torch.save({name: BESIDE[name], weights: RAW}, tmp_path / "x.pt")
    checkpoint, part = open_likeliest(tmp_path / "x.pt")
    assert part is None
    assert set(checkpoint.tensors) == set(RAW)
    told = [note for note in checkpoint.notes if "not taken for weights" in note]
    assert len(told) == (name != "optimizer")
    assert not told or name in told[0] or "rng" in name
    torch.save({name: BESIDE[name]}, tmp_path / "y.pt")
    if "rng" in name or name == "optimizer":
        with pytest.raises(sc.CheckpointError, match=r"whole numbers alone|no state_dict"):
            open_checkpoint(tmp_path / "y.pt")


def test_row_29_the_same_tensors_again_are_no_other_set(tmp_path: Path) -> None:
    """As Lightning's save_hyperparameters keeps the network that it was given."""
    table = {"state_dict": {f"model.{name}": tensor for name, tensor in NETWORK.state_dict().items()}}
    torch.save({**table, "hyper_parameters": {"model": NETWORK, "lr": 0.1}}, tmp_path / "x.pt")
    checkpoint, part = open_likeliest(tmp_path / "x.pt")
    assert part is None
    assert set(checkpoint.tensors) == set(table["state_dict"])
    assert checkpoint.beside["hyper_parameters"]["lr"] == 0.1


def test_row_29_the_only_set_that_fits_the_architecture_is_taken(tmp_path: Path) -> None:
    files = random_linears(3)
    write_zoo(tmp_path / "z", files)
    other = {"head.weight": torch.zeros(4, 4), "head.bias": torch.zeros(4)}
    torch.save({"model": files["m1"], "ema": other}, tmp_path / "z" / "m1.safetensors")
    torch.save({"model": files["m2"], "ema": files["m0"]}, tmp_path / "z" / "m2.safetensors")
    zoo = sc.open_zoo(tmp_path / "z")
    assert zoo.names == ("m0", "m1")
    assert torch.equal(zoo.by_name["m1"].checkpoint.read("head.weight"), files["m1"]["head.weight"])
    assert "those under ema were passed over" in zoo.by_name["m1"].checkpoint.notes
    assert "several places" in zoo.excluded[0].reason
    uploaded = fitting_ingredient(zoo, "new", tmp_path / "z" / "m2.safetensors").checkpoint
    assert torch.equal(uploaded.read("head.weight"), files["m0"]["head.weight"])
    torch.save({"model": other, "ema": other}, tmp_path / "none.pt")
    with pytest.raises(sc.CheckpointError, match="has shape"):
        fitting_ingredient(zoo, "new", tmp_path / "none.pt")


SHAPES = {"0.weight": (4, 4), "0.bias": (4,), "1.running_var": (4,)}


@pytest.mark.parametrize(
    ("own", "beside", "found"),
    [
        ("model.", {"criterion.weight": (4,)}, ["model."]),
        ("resnet.", {}, ["resnet."]),
        ("resnet.", {"valAccuracy.tp": (), "confmat.counts": (4, 4)}, ["resnet."]),
        ("module.model.", {"loss.centers": (4, 4)}, ["model."]),
        ("backbone.", {"head.weight": (2, 4), "head.bias": (2,)}, []),
        ("model.", {"norm.weight": (4,), "norm.bias": (4,)}, []),
        ("student.", {"teacher.0.weight": (4, 4)}, []),
    ],
)
def test_a_network_within_a_trainer_s_module_is_found_where_no_layer_stands_beside(
    own: str, beside: dict[str, tuple[int, ...]], found: list[str]
) -> None:
    wrapped = "module." if own.startswith("module.") else ""
    shapes = {own + name: shape for name, shape in SHAPES.items()} | {wrapped + n: shape for n, shape in beside.items()}
    within = [(names, wrappers) for names, wrappers in networks_within(shapes) if set(names.values()) == set(SHAPES)]
    assert [wrappers[-1] for _, wrappers in within][:1] == found


def test_a_loss_s_and_a_metric_s_tensors_are_left_out_and_told(tmp_path: Path) -> None:
    files = random_linears(2)
    write_zoo(tmp_path / "z", files)
    state = {f"net.{name}": tensor for name, tensor in files["m1"].items()}
    torch.save({"state_dict": {**state, "criterion.weight": torch.ones(3)}}, tmp_path / "z" / "m1.safetensors")
    checkpoint = sc.open_zoo(tmp_path / "z").by_name["m1"].checkpoint
    assert {name: tensor.tolist() for name, tensor in checkpoint.read_all()} == {
        n: t.tolist() for n, t in files["m1"].items()
    }
    assert "what is no part of the network was left out: criterion.weight" in checkpoint.notes


def test_a_table_of_whole_numbers_is_told_by_what_it_holds(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"labels": torch.arange(5)}, content)
    (tmp_path / "x.pt").write_bytes(content.getvalue())
    with pytest.raises(
        sc.CheckpointError, match=r"whole numbers alone, labels \(1 tensor, 5 numbers\), and no weights"
    ):
        open_checkpoint(tmp_path / "x.pt")
