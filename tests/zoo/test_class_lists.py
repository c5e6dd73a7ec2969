"""Where a network's outputs have their names from: in and beside checkpoints, by who trained, or by asking."""

import json
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import yaml

import soup_core as sc
from soup_core import cli
from soup_core.zoo.class_files import names_in, names_in_text, read_names
from soup_core.zoo.class_lists import class_choice
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import (
    Proposal,
    propose,
    read_classes,
    with_architecture,
    with_classes,
    with_source,
)  # fmt: skip
from tests.class_folders import correct, write_sweep

NAMES = ["elk", "ant", "dog", "bee"]
NUMBERS = [str(number) for number in range(1, 12)]
Write = Callable[[Path, Sequence[str]], None]


def as_config(folder: Path, names: Sequence[str]) -> None:
    (folder / "config.json").write_text(json.dumps({"id2label": {str(n): name for n, name in enumerate(names)}}))


def as_label2id(folder: Path, names: Sequence[str]) -> None:
    (folder / "config.json").write_text(json.dumps({"label2id": {name: number for number, name in enumerate(names)}}))


def as_timms_config(folder: Path, names: Sequence[str]) -> None:
    (folder / "config.json").write_text(json.dumps({"architecture": "x", "label_names": list(names)}))


def as_lines(folder: Path, names: Sequence[str]) -> None:
    (folder / "classes.txt").write_text("\n".join(names) + "\n")


def as_numbered_lines(folder: Path, names: Sequence[str]) -> None:
    lines = [f"{number} {name}" for number, name in enumerate(names)]
    (folder / "labels.txt").write_text("\n".join(reversed(lines)))


def as_indices(folder: Path, names: Sequence[str]) -> None:
    (folder / "class_to_idx.json").write_text(json.dumps({name: names.index(name) for name in sorted(names)}))


def as_keras_indices(folder: Path, names: Sequence[str]) -> None:
    content = {str(number): [f"n{number}", name] for number, name in enumerate(names)}
    (folder / "class_index.json").write_text(json.dumps(content))


def as_ultralytics(folder: Path, names: Sequence[str]) -> None:
    (folder / "data.yaml").write_text(yaml.safe_dump({"nc": len(names), "names": dict(enumerate(names))}))


def as_a_class_map_of_timm(folder: Path, names: Sequence[str]) -> None:
    (folder / "class_map.txt").write_text("\n".join(names))
    (folder / "a_classes.txt").write_text("\n".join(sorted(names)))
    (folder / "args.yaml").write_text(yaml.safe_dump({"model": "x", "class_map": "/elsewhere/class_map.txt"}))


def proposed(folder: Path, names: Sequence[str]) -> Proposal:
    proposal = propose(folder, list(inspect_folder(folder)))
    return with_architecture(proposal, {"name": "test_linear", "num_classes": len(names)})


def counts(folder: Path, proposal: Proposal) -> dict[str, int]:
    with_architecture(proposal, proposal.architecture or {}).write(replace_old=True)
    text = (folder / "zoo.toml").read_text()
    (folder / "zoo.toml").write_text(text.replace("[data]", "[data]\nnormalize = { mean = [0.0], std = [1.0] }"))
    return {name: found.correct for name, found in sc.Evaluator(sc.open_zoo(folder)).singles().items()}


@pytest.mark.parametrize(
    "write",
    [as_config, as_label2id, as_timms_config, as_lines, as_numbered_lines, as_indices, as_keras_indices, as_ultralytics,
     as_a_class_map_of_timm],
)  # fmt: skip
def test_names_beside_the_checkpoints_decide(tmp_path: Path, write: Write) -> None:
    files = [tmp_path / "run" / "a.safetensors"]
    files[0].parent.mkdir()
    for place in (tmp_path, files[0].parent):
        write(place, NAMES)
        choice = class_choice(tmp_path, files, sorted(NAMES), len(NAMES))
        assert not choice.question
        assert choice.lists[0].classes == tuple(NAMES)
        assert choice.lists[0].kind == "named"


def test_a_sweep_whose_config_has_another_order_is_counted_by_name(tmp_path: Path) -> None:
    models = write_sweep(tmp_path / "sweep", NAMES, dict.fromkeys(("train", "val", "test"), NAMES))
    folder = tmp_path / "sweep"
    as_config(folder, NAMES)
    proposal = proposed(folder, NAMES)
    assert proposal.data["classes"] == NAMES
    assert not proposal.questions
    images = folder / "images/val"
    assert counts(folder, proposal) == {name: correct(model, images, NAMES) for name, model in models.items()}
    usual = {name: correct(model, images, sorted(NAMES)) for name, model in models.items()}
    (folder / "config.json").unlink()
    assert counts(folder, proposed(folder, NAMES)) == usual != {n: correct(m, images, NAMES) for n, m in models.items()}


def test_names_in_the_usual_order_need_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, sorted(NAMES), dict.fromkeys(("train", "val"), NAMES))
    as_config(folder, sorted(NAMES))
    assert "classes" not in proposed(folder, NAMES).data
    as_config(folder, [f"LABEL_{number}" for number in range(4)])
    proposal = proposed(folder, NAMES)
    assert [each.kind for each in proposal.class_choice.lists] == ["text"]
    assert not proposal.questions


def test_names_that_disagree_with_the_folders_are_asked_about(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, NAMES, dict.fromkeys(("train", "val"), NAMES))
    as_config(folder, ["elk", "ant", "dog", "wasp"])
    proposal = proposed(folder, NAMES)
    (question,) = proposal.questions
    assert "config.json names them: elk, ant, dog, wasp; but bee among the folders is none of them" in question
    with pytest.raises(sc.ZooError, match="Which class folder is which output"):
        proposal.write()
    answered = with_classes(proposal, read_classes(proposal, "elk, ant, dog, bee"))
    assert not answered.questions
    assert answered.data["classes"] == NAMES
    assert with_source(answered, "imagefolder:images").data["classes"] == NAMES


def test_runs_with_different_orders_are_not_averaged_unasked(tmp_path: Path) -> None:
    files = [tmp_path / name / "model.safetensors" for name in "ab"]
    for file, names in zip(files, (NAMES, sorted(NAMES)), strict=True):
        file.parent.mkdir()
        as_config(file.parent, names)
    choice = class_choice(tmp_path, files, sorted(NAMES), 4)
    assert "would mix classes" in choice.question
    as_config(files[1].parent, [name.upper() for name in NAMES])  # the same, otherwise spelled
    assert not class_choice(tmp_path, files, sorted(NAMES), 4).question


def test_the_order_of_folders_is_decided_by_who_trained_or_asked(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    models = write_sweep(folder, NUMBERS, dict.fromkeys(("train", "val", "test"), NUMBERS))
    proposal = proposed(folder, NUMBERS)
    (question,) = proposal.questions
    assert "1, 10, 11, 2 and 7 more (torchvision's ImageFolder" in question
    assert [each.kind for each in proposal.class_choice.lists] == ["text", "natural"]
    images = folder / "images/val"
    for kind, order in {"text": sorted(NUMBERS), "natural": NUMBERS}.items():
        answered = with_classes(proposal, read_classes(proposal, kind))
        assert answered.data.get("classes", sorted(NUMBERS)) == order
        assert counts(folder, answered) == {name: correct(model, images, order) for name, model in models.items()}
    (folder / "args.yaml").write_text(yaml.safe_dump({"model": "resnet18", "crop_pct": 1.0, "data_dir": "/data"}))
    decided = proposed(folder, NUMBERS)
    assert not decided.questions
    assert decided.data["classes"] == NUMBERS


def test_names_that_timm_takes_for_the_same_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "args.yaml").write_text(yaml.safe_dump({"model": "resnet18", "crop_pct": 1.0}))
    files = [tmp_path / "a.pt"]
    assert "Which outputs are Bee, bee? timm takes" in class_choice(tmp_path, files, ["Bee", "ant", "bee"], 3).question
    assert not class_choice(tmp_path, files, ["Bee", "ant", "wasp"], 3).question


def test_some_of_the_classes_are_asked_about_and_answered_by_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    models = write_sweep(folder, NUMBERS, dict.fromkeys(("train", "valid", "test"), ("3", "10")))
    proposal = proposed(folder, NUMBERS)
    (question,) = proposal.questions
    assert question.startswith("Which of the network's 11 outputs are the 2 class folders 10, 3?")
    as_lines(tmp_path, NUMBERS)
    answered = with_classes(proposal, read_classes(proposal, str(tmp_path / "classes.txt"), anywhere=True))
    expected = {name: correct(model, folder / "images/valid", NUMBERS) for name, model in models.items()}
    assert counts(folder, answered) == expected
    as_lines(folder, NUMBERS)
    assert proposed(folder, NUMBERS).data["classes"] == NUMBERS
    (tmp_path / "classes.txt").write_text("one")
    with pytest.raises(sc.ZooError, match=r"classes\.txt is no list of the network's 11 classes"):
        read_classes(proposal, str(tmp_path / "classes.txt"), anywhere=True)


def test_row_18_a_page_reads_lists_of_the_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, NUMBERS, dict.fromkeys(("train", "val"), NUMBERS))
    proposal = proposed(folder, NUMBERS)
    as_lines(tmp_path, NUMBERS)
    for given in ("../classes.txt", str(tmp_path / "classes.txt"), "a\0b", "x" * 9999):
        with pytest.raises(sc.ZooError, match="is no file here, and of the network's 11 outputs it names 1"):
            read_classes(proposal, given)
    as_lines(folder, NUMBERS)
    assert read_classes(proposal, "classes.txt") == tuple(NUMBERS)


def test_folders_of_imagenet_stand_in_its_order(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    choice = class_choice(tmp_path, [], ["n02102040", "n01440764"], 1000)
    (found,) = choice.lists
    assert [found.classes.index(name) for name in ("n01440764", "n02102040")] == [0, 217]  # tench, English springer
    assert not choice.question


@pytest.mark.parametrize("key", ["names", "vocab", "class_names", "class_to_idx"])
def test_names_within_a_checkpoint_decide(tmp_path: Path, key: str) -> None:
    value: object = {name: number for number, name in enumerate(NAMES)} if key == "class_to_idx" else NAMES
    if key == "names":
        value = dict(enumerate(NAMES))  # as ultralytics has them
    folder = tmp_path / "sweep"
    for name, model in write_sweep(folder, NAMES, dict.fromkeys(("train", "val"), NAMES)).items():
        (folder / f"{name}.safetensors").unlink()
        torch.save(
            {"epoch": 3, "hyper_parameters": {"lr": 0.1, key: value}, "state_dict": model}, folder / f"{name}.pt"
        )
    proposal = proposed(folder, NAMES)
    assert proposal.data["classes"] == NAMES
    assert proposal.class_choice.lists[0].reason == "run-1.pt names them"


def test_what_timm_writes_has_its_order(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    for name, model in write_sweep(folder, NUMBERS, dict.fromkeys(("train", "val"), NUMBERS)).items():
        (folder / f"{name}.safetensors").unlink()
        torch.save({"epoch": 3, "arch": "x", "version": 2, "state_dict": model}, folder / f"{name}.pth.tar")
    assert proposed(folder, NUMBERS).data["classes"] == NUMBERS


@pytest.mark.parametrize(
    "content", [None, 3, [], {"names": ["a"]}, {"names": {"a": 0, "b": 2}}, {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}},
                {"names": {"0": True, "1": None}}, {"classes": [1, 2]}, {"names": {"9" * 9: "a", "1": "b"}}]
)  # fmt: skip
def test_what_is_no_list_of_names_is_none(content: object) -> None:
    assert list(names_in(content, 2)) == []


def test_lists_of_lines() -> None:
    assert list(names_in_text("cat,1\ndog,0", 2)) == [("dog", "cat")]
    assert list(names_in_text("1 cat\n2 dog", 2)) == [("cat", "dog")]
    assert list(names_in_text("n2 cat, tabby\nn1 dog", 2)) == [("n2 cat, tabby", "n1 dog"), ("n2", "n1")]
    assert list(names_in_text("10\n9", 2)) == [("10", "9")]
    assert list(names_in_text("a\nb\nc", 2)) == []


def test_row_54_what_cannot_be_read_is_no_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "classes.txt")
    (tmp_path / "labels.json").write_text("[" * 100_000)
    (tmp_path / "names.yaml").write_text("a: [")
    (tmp_path / "class.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "real").write_text("a\nb")
    (tmp_path / "class_link.txt").symlink_to(tmp_path / "real")
    for file in tmp_path.iterdir():
        assert file.name == "real" or read_names(file, 2) == []


@pytest.mark.parametrize("names", [("Train", "Val", "Test"), ("training", "valid"), ("train", "testing")])
def test_images_are_found_by_each_spelling(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, ("a", "b"), dict.fromkeys(names, ("a", "b")))
    (folder / "images").rename(folder / "photos")
    assert propose(folder, list(inspect_folder(folder))).data["source"] == "imagefolder:photos"


def test_init_asks_for_the_order_and_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, NUMBERS, dict.fromkeys(("train", "val"), NUMBERS))

    def init(*options: str) -> object:
        network = ("--architecture", "test_linear", "--num-classes", "11")
        monkeypatch.setattr(sys, "argv", ["soup_core", "init", str(folder), *network, *options, "--json"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code

    assert init() == 2
    assert "In which order are the class folders the network's outputs" in capsys.readouterr().err
    assert not (folder / "zoo.toml").exists()
    assert not init("--classes", "natural")
    assert tomllib.loads((folder / "zoo.toml").read_text())["data"]["classes"] == NUMBERS
