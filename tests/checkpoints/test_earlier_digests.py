"""What was kept while files were known by their SHA-256 is still found under the digests of their content."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import soup_core as sc
from soup_core import checkpoints
from soup_core.checkpoints import examining, opening
from soup_core.evaluation.evaluation import row_of
from soup_core.runtime.store import EvaluationRow, Store, default_store
from soup_core.zoo import user_ingredients
from tests.zoos import random_linears, write_zoo

Make = Callable[..., Path]


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def earlier_key(zoo: sc.Zoo, soup: sc.Soup) -> str:
    """An evaluation's key as it was made of SHA-256 digests, for an average of models on held-out images."""
    content = {
        "coefficients": [
            [sha256(each.file), soup.coefficients[each.name].hex()]
            for each in zoo.by_name.values()
            if each.name in soup.names
        ],
        "tensors": {},
        "batch_norm": "averaged",
        "fine_tuning": None,
        "architecture": dict(zoo.network),
        "normalization": asdict(zoo.data.normalization),
        "split": zoo.data.split("held_out").digest,
        "precision": "float32",
        "device": "cpu",
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def kept_earlier(zoo: sc.Zoo, soup: sc.Soup) -> sc.Evaluation:
    """An evaluation that only a record can give, kept under the earlier key."""
    bits = np.zeros(120, np.uint8)
    bits[:77] = 1
    evaluation = sc.Evaluation(77, 120, 0.5, 0.25, np.packbits(bits).tobytes())
    default_store().keep_evaluations([row_of(earlier_key(zoo, soup), evaluation)])
    return evaluation


@pytest.mark.parametrize("small", [True, False])
def test_an_evaluation_is_found_under_the_key_of_earlier_digests(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch, evaluated: list[sc.Soup], small: bool
) -> None:
    folder = linear_zoo(3)
    if not small:  # what an earlier version has left in the store says what the file's SHA-256 was
        monkeypatch.setattr(examining, "HASHED_TOO", 0)
        for file in folder.glob("m*.safetensors"):
            identity = checkpoints.Checkpoint(file).identity
            default_store().keep_file(f"safetensors {identity}", {"digest": sha256(file), "not_finite": []})
    zoo = sc.open_zoo(folder)
    soup = sc.uniform_soup(zoo)
    expected = kept_earlier(zoo, soup)
    assert sc.Evaluator(zoo, device="cpu")(soup) == expected
    opening._examined.cache_clear()  # as another process, which no longer looks for older records
    zoo = sc.open_zoo(folder)
    assert sc.Evaluator(zoo, device="cpu").known(soup) == expected
    assert not evaluated
    assert {each.digest[:3] for each in zoo.ingredients} == {"b3-"}


def test_files_whose_earlier_digests_nobody_knows_are_evaluated_anew(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch, evaluated: list[sc.Soup]
) -> None:
    monkeypatch.setattr(examining, "HASHED_TOO", 0)
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    kept_earlier(zoo, soup)
    assert sc.Evaluator(zoo, device="cpu").known(soup) is None
    assert zoo.earlier_digest is None


def test_the_store_carries_over_what_the_new_key_has_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    row = EvaluationRow("old", 1, 8, 0.5, 0.1, 0, b"\x80")
    store.keep_evaluations(
        [row, row._replace(key="new", correct=0, correctness=b"\x00")], {"old": {"a": torch.ones(2)}}
    )
    store.keep_bound("old", "order", 3, 2)
    for number in range(2):
        store.keep_step("old", number, {"number": torch.tensor(number)})
    store.carry_over("old", "new")
    found = store.evaluation("new")
    assert found is not None
    assert found.correct == 0
    assert store.bound("new", "order") == (3, 2)
    assert (tensors := store.tensors("new")) is not None
    assert tensors["a"].tolist() == [1, 1]
    assert [int((store.step("new", number) or {})["number"]) for number in range(2)] == [0, 1]
    assert store.evaluation("old") == row


@pytest.mark.parametrize("small", [True, False])
def test_records_that_name_a_sha256_are_compared_with_the_file(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if not small:
        monkeypatch.setattr(examining, "HASHED_TOO", 0)
    zoo = sc.open_zoo(linear_zoo(2))
    recipe = {
        "soup": {"m0": 0.5, "m1": 0.5},
        "ingredients": {n: {"digest": sha256(zoo.by_name[n].file)} for n in zoo.names},
    }
    assert sc.imported(json.dumps(recipe).encode(), zoo) == sc.uniform_soup(zoo)
    recipe["ingredients"]["m1"] = recipe["ingredients"]["m0"]
    with pytest.raises(sc.CoefficientError, match="The recipe's m1 is another file"):
        sc.imported(json.dumps(recipe).encode(), zoo)


@pytest.mark.parametrize("is_same", [True, False])
def test_what_was_added_from_a_start_named_by_its_sha256_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_same: bool
) -> None:
    monkeypatch.setenv("SOUP_ZOOS", str(tmp_path))
    folder = write_zoo(tmp_path / "mine", random_linears(2))
    start = sha256(folder / ("m0.safetensors" if is_same else "m1.safetensors"))
    origin = user_ingredients.Origin(run="run", start="m0", start_digest=start, hyperparameters={})
    file = user_ingredients.folder_of("mine") / "added.safetensors"
    file.parent.mkdir(parents=True)
    user_ingredients.save(file, load_file(folder / "m0.safetensors"), origin)
    zoo = sc.open_zoo("mine")
    assert ("added" in zoo.by_name) == is_same
    assert [each.name for each in zoo.excluded] == ([] if is_same else ["added (added)"])
