import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.outputs import made_labels, made_logits, made_outputs, softmax

Run = Callable[..., tuple[int, str, str]]
LABELS = made_labels()
MODELS = {f"n{index}": made_logits(LABELS, index, 0.9 + 0.1 * index) for index in range(5)}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(made_outputs(tmp_path / "made"))


def rows(run: Run, *arguments: str) -> list[dict[str, Any]]:
    code, out, error = run(*arguments, "--json")
    assert code == 0, error
    return [json.loads(line) for line in out.splitlines()]


def test_inspect_lists_models_and_splits(run: Run, folder: str) -> None:
    told = rows(run, "inspect", folder)
    assert [row["name"] for row in told[:5]] == list(MODELS)
    assert [row["file"] for row in told[:4]] == ["n0.safetensors", "n1.npz", "n2", "n3.safetensors"]
    assert {row["split"]: row["images"] for row in told[5:]}["test:fog"] == 40


def test_evaluate_tells_each_model_best_on_held_out_first(run: Run, folder: str) -> None:
    told = rows(run, "evaluate", folder)
    for row in told:
        ((name, share),) = row["soup"].items()
        assert share == 1
        for split in ("held_out", "test"):
            right = MODELS[name][f"{split}.logits"].argmax(1) == LABELS[f"{split}.labels"]
            assert row[split]["correct"] == right.sum()
            assert row[f"{split}_interval"]["low"] < row[split]["accuracy"] < row[f"{split}_interval"]["high"]
    counts = [row["held_out"]["correct"] for row in told]
    assert counts == sorted(counts, reverse=True)
    (one,) = rows(run, "evaluate", folder, "--soup", "n3", "--split", "test:blur-3")
    assert set(one) == {"soup", "test:blur-3", "test:blur-3_interval"}


def test_ensembles_end_with_their_evaluation_and_what_they_gain(run: Run, folder: str) -> None:
    (uniform,) = rows(run, "ensemble", folder)
    mean = np.mean([softmax(table["test.logits"]) for table in MODELS.values()], axis=0)
    assert uniform["test"]["correct"] == (mean.argmax(1) == LABELS["test.labels"]).sum()
    gain = uniform["test_against_best"]
    best = (MODELS[gain["best"]]["test.logits"].argmax(1) == LABELS["test.labels"]).sum()
    assert gain["difference"] == pytest.approx((uniform["test"]["correct"] - best) / 90)
    *steps, last = rows(run, "ensemble", folder, "--greedy")
    assert steps[0]["candidate"] == gain["best"]
    assert sorted(steps[-1]["ingredients"]) == sorted(last["soup"])
    assert last["held_out"]["correct"] == max(step["correct"] for step in steps)
    (two,) = rows(run, "ensemble", folder, "--names", "n1,n2", "--average", "logits")
    assert two["soup"] == {"n1": 0.5, "n2": 0.5}


@pytest.mark.parametrize(
    "command",
    [
        ["uniform"],
        ["greedy"],
        ["learned"],
        ["pruned"],
        ["preflight"],
        ["interpolate", "n0", "n1"],
        ["export", "-o", "soup.safetensors"],
        ["finetune"],
        ["images"],
        ["evaluate", "--soup", "n0,n1"],
        ["evaluate", "--soup", "uniform"],
        ["soup", "model-stock"],
    ],
)
def test_what_needs_weights_says_so_in_one_line(run: Run, folder: str, command: list[str]) -> None:
    name, *others = command
    code, out, error = run(name, folder, *others)
    assert (code, out) == (2, "")
    assert error.startswith("error: made is a zoo of outputs, without weights")
    assert error.count("\n") == 1
    assert "ensemble" in error


def test_zoos_lists_it_with_its_kind(run: Run, folder: str) -> None:
    assert folder
    told = {row["zoo"]: row for row in rows(run, "zoos")}
    assert told["made"] == {"zoo": "made", "title": "Made outputs", "ingredients": 5, "base": False, "kind": "outputs"}


def test_a_mistake_is_one_line(run: Run, folder: str) -> None:
    for arguments in (["ensemble", "--names", "n9"], ["evaluate", "--split", "train"], ["evaluate", "--soup", "n9"]):
        name, *others = arguments
        code, out, error = run(name, folder, *others)
        assert (code, out) == (2, "")
        assert error.count("\n") == 1


def test_a_metric_orders_the_models(run: Run, folder: str) -> None:
    told = rows(run, "evaluate", folder, "--metric", "log-loss")
    losses = [row["held_out"]["loss"] for row in told]
    assert losses == sorted(losses)
    assert told[0]["held_out"]["metric"] == "log-loss"
    assert run("ensemble", folder, "--metric", "worst-group")[0] == 2
