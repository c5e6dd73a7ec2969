"""`export` reads each file once: the digest, what is not finite and the sum come in one reading, and images are not asked."""

import json
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import soup_core as sc
from soup_core import cli
from soup_core.checkpoints import Checkpoint, examining, opening
from soup_core.runtime.store import default_store
from tests.digests import digest_of
from tests.zoos import random_deeps, random_linears, write_zoo

Make = Callable[..., Path]


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """Run `export` on a zoo as another process would: the rows that it prints, and what it says on standard error."""

    def run(zoo: Path, *arguments: str) -> tuple[list[dict[str, Any]], str]:
        opening._examined.cache_clear()
        words = ["soup_core", "export", str(zoo), "-o", str(tmp_path / "soup"), "--json", *arguments]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        assert ended.value.code == 0, told.err
        return [json.loads(line) for line in told.out.splitlines()], told.err

    return run


def recipe_of(file: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads(Checkpoint(file).metadata["soup_core"])
    return recipe


def test_every_number_is_read_once_and_then_known(
    export: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: list[sc.Soup]
) -> None:
    files = random_deeps(4)
    folder = write_zoo(tmp_path / "z", files, architecture="test_deep")
    del files["base"]  # which is no part of the soup
    monkeypatch.setattr(examining, "HASHED_TOO", 0)  # as large files, whose SHA-256 is not looked for beside
    read: Counter[tuple[str, int]] = Counter()
    fill = Checkpoint._fill

    def counted(checkpoint: Checkpoint, descriptor: int, part: memoryview, offset: int) -> None:
        if checkpoint.path.parent == folder and checkpoint.path.name.startswith(("m", "base")):
            read.update((checkpoint.path.stem, byte) for byte in range(offset, offset + len(part)))
        fill(checkpoint, descriptor, part, offset)

    monkeypatch.setattr(Checkpoint, "_fill", counted)
    rows, told = export(folder)
    assert set(read.values()) == {1}
    assert Counter(name for name, _ in read) == {
        name: sum(tensor.nbytes for tensor in tensors.values()) for name, tensors in files.items()
    }
    assert rows[-1] == {"soup": {name: 0.25 for name in files}}
    assert (
        told
        == "This soup was not evaluated, so that nothing is known here of its accuracy. Add --evaluate to find out.\n"
    )
    digests = {name: entry["digest"] for name, entry in recipe_of(tmp_path / "soup")["ingredients"].items()}
    assert digests == {name: digest_of(tensors) for name, tensors in files.items()}
    for name, tensor in load_file(tmp_path / "soup").items():
        if tensor.is_floating_point():
            wanted = torch.stack([tensors[name].double() for tensors in files.values()]).mean(0)
            torch.testing.assert_close(tensor.double(), wanted, rtol=1e-6, atol=1e-7)
    read.clear()
    opening._examined.cache_clear()
    assert {each.name: each.digest for each in sc.open_zoo(folder).ingredients} == digests
    assert {name for name, _ in read} == {"base"}
    assert not evaluated


def test_a_card_says_what_is_not_evaluated_and_what_evaluates_it(
    export: Callable[..., Any], linear_zoo: Make, tmp_path: Path
) -> None:
    folder = linear_zoo(3)
    export(folder)
    card = (tmp_path / "soup.md").read_text()
    assert "This soup was not evaluated" in card
    assert f"\npython -m soup_core export {folder.name} --evaluate --soup m0,m1,m2 -o soup\n" in card
    assert recipe_of(tmp_path / "soup")["accuracy"] == {}


def test_what_is_known_is_told_without_an_image_being_run(
    export: Callable[..., Any], linear_zoo: Make, tmp_path: Path, evaluated: list[sc.Soup]
) -> None:
    folder = linear_zoo(3)
    zoo = sc.open_zoo(folder)
    evaluate = sc.Evaluator(zoo, device="cpu")
    found = evaluate(sc.uniform_soup(zoo))
    rows, told = export(folder)
    assert rows[-1]["held_out"]["correct"] == found.correct
    assert told.startswith("Not every ingredient was evaluated alone")
    row = f"| held-out | {found.correct} of {found.total}"
    assert row in (card := (tmp_path / "soup.md").read_text())
    assert "| not evaluated | |" in card
    evaluate.singles()
    evaluated.clear()
    rows, told = export(folder)
    assert told == ""
    known = (tmp_path / "soup").read_bytes(), recipe_of(tmp_path / "soup")["accuracy"]["held_out"]
    assert known[1]["correct"] == found.correct
    assert known[1]["best_single"]["correct"] == max(each.correct for each in evaluate.singles().values())
    assert not evaluated
    export(folder, "--evaluate", "--device", "cpu")
    assert (tmp_path / "soup").read_bytes() == known[0]


def test_evaluate_finds_out_what_is_not_known(
    export: Callable[..., Any], linear_zoo: Make, tmp_path: Path, evaluated: list[sc.Soup]
) -> None:
    folder = linear_zoo(3)
    rows, told = export(folder, "--evaluate")
    assert len(set(evaluated)) == 4
    zoo = sc.open_zoo(folder)
    assert rows[-1]["held_out"]["correct"] == sc.Evaluator(zoo)(sc.uniform_soup(zoo)).correct
    assert told == ""


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_row_26_what_is_found_broken_in_the_reading_is_left_out_and_told(
    export: Callable[..., Any], tmp_path: Path, wrong: float
) -> None:
    files = random_linears(3)
    files["m1"]["head.bias"][1] = wrong
    folder = write_zoo(tmp_path / "z", files)
    rows, told = export(folder)
    assert "m1 was left out: m1.safetensors holds NaN or infinity in head.bias; leave this checkpoint out" in told
    assert rows[-1]["soup"] == {"m0": 0.5, "m2": 0.5}
    written = load_file(tmp_path / "soup")
    assert all(torch.equal(written[name], (files["m0"][name] + files["m2"][name]) / 2) for name in written)
    opening._examined.cache_clear()
    assert [each.name for each in sc.open_zoo(folder, examine=False).excluded] == ["m1"]  # known without a reading


def test_row_26_a_broken_ingredient_that_is_named_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = random_linears(3)
    files["m1"]["head.bias"][1] = math.nan
    folder = write_zoo(tmp_path / "z", files)
    words = ["soup_core", "export", str(folder), "--soup", "m0,m1", "-o", str(tmp_path / "soup")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "The ingredient m1 cannot be used: m1.safetensors holds NaN" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "soup").exists()


def test_row_19_a_file_replaced_while_it_is_summed_is_refused_and_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linear_zoo: Make
) -> None:
    folder = linear_zoo(3)
    zoo = sc.open_zoo(folder, examine=False)
    (other := tmp_path / "other").write_bytes((folder / "m1.safetensors").read_bytes())
    fill = Checkpoint._fill

    def replaced(checkpoint: Checkpoint, *given: Any) -> None:
        fill(checkpoint, *given)
        with suppress(FileNotFoundError):  # on either thread, once
            other.replace(folder / "m1.safetensors")

    monkeypatch.setattr(Checkpoint, "_fill", replaced)
    with pytest.raises(sc.CheckpointError, match=r"m1\.safetensors has changed since it was opened"):
        sc.export_soup(sc.Export(sc.uniform_soup(zoo), zoo), tmp_path / "soup")
    assert not (tmp_path / "soup").exists()
    assert default_store().file(f"content {zoo.by_name['m1'].checkpoint.identity}") is None
    assert default_store().file(f"content {zoo.by_name['m0'].checkpoint.identity}") is not None


def test_a_part_of_the_tensors_makes_no_digest(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2), examine=False)
    checkpoint = zoo.by_name["m0"].checkpoint
    checkpoint.read("head.weight")
    assert not checkpoint.is_examined
    assert default_store().file(f"content {checkpoint.identity}") is None
