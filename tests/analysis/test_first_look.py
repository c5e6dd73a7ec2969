"""A first look at a few images: near chance or not, the likeliest reason, and counts that are the plain network's own."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torchvision import transforms

import soup_core as sc
from soup_core import architectures
from soup_core.analysis.first_look import doubt_of, first_look
from soup_core.analysis.first_look.chance import standing
from soup_core.analysis.first_look.class_order import explaining_order
from soup_core.analysis.first_look.look import IMAGES_AT_LEAST
from soup_core.analysis.preflight import overall, preflight_checks
from soup_core.data.sample import sample
from tests.app_pages import open_page, words
from tests.discs import SIDE, Pixels, counted, disc_folders, fitted, read
from tests.zoos import random_linears, write_zoo

Run = Callable[..., tuple[int, str, str]]
NUMBERS = tuple(str(number) for number in range(1, 13))
HALVES = {"mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.fixture(autouse=True)
def pixels_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, numbered: Path) -> None:
    monkeypatch.setenv("SOUP_ZOOS", f"{tmp_path}{os.pathsep}{numbered}")
    built = architectures.build
    monkeypatch.setattr(
        architectures,
        "build",
        lambda name, num_classes, options=None: (
            Pixels(num_classes) if name == "test_pixels" else built(name, num_classes, options)
        ),
    )


def written(folder: Path, files: Sequence[dict[str, Tensor]], source: str, data: str = "", weights: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    classes = len(files[0]["head.bias"])
    lines = ["format = 1", 'title = "Discs"', f'architecture = {{ name = "test_pixels", num_classes = {classes} }}']
    lines += ["[data]", f'source = "{source}"', data]
    for index, tensors in enumerate(files):
        safetensors.torch.save_file(tensors, folder / f"run-{index}.safetensors")
        lines += ["[[ingredients]]", f'name = "run-{index}"', f'file = "run-{index}.safetensors"', weights]
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder


def tensors_zoo(
    folder: Path, files: Sequence[dict[str, Tensor]], splits: dict[str, tuple[Tensor, Tensor]], data: str = ""
) -> Path:
    """A zoo whose images are tensors, from values between 0 and 1."""
    folder.mkdir()
    content = {}
    for name, (images, labels) in splits.items():
        content |= {f"{name}.images": (images * 255).round().to(torch.uint8), f"{name}.labels": labels}
    safetensors.torch.save_file(content, folder / "data.safetensors")
    return written(folder, files, "tensors:data.safetensors", data)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders 1 to 12."""
    folder = tmp_path_factory.mktemp("numbered") / "images"
    disc_folders(folder, NUMBERS)
    return folder


@pytest.fixture(scope="module")
def splits(numbered: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """The same images, labelled in natural order."""
    names = {"train": "train", "held_out": "val", "test": "test"}
    return {split: read(numbered / name, NUMBERS) for split, name in names.items()}


@pytest.fixture
def runs(splits: dict[str, tuple[Tensor, Tensor]]) -> list[dict[str, Tensor]]:
    """Two networks that were trained in natural order."""
    return [fitted(*splits["train"], seed=seed) for seed in range(2)]


def test_chance_is_what_answers_get_that_do_not_look() -> None:
    generator = torch.Generator().manual_seed(0)

    def near(right: float, total: int, shares: Sequence[float]) -> bool:
        """Of a model that is right on a share of the images and guesses by the classes' shares otherwise."""
        classes = len(shares)
        labels = torch.multinomial(torch.tensor(shares), total, replacement=True, generator=generator)
        answers = torch.multinomial(torch.tensor(shares), total, replacement=True, generator=generator)
        looked = torch.rand(total, generator=generator) < right
        return standing(torch.eye(classes)[torch.where(looked, labels, answers)], labels).near_chance

    assert near(0.0, 2000, [0.5, 0.5])
    assert near(0.0, 2000, [1 / 12] * 12)
    assert near(0.0, 2000, [0.9, 0.1]), "nine of ten right, as whoever always says the first"
    assert near(0.02, 5000, [0.1] * 10)
    assert not near(0.4, 2000, [0.5, 0.5]), "70 % of two classes is not 1.5 times chance, and far from it"
    assert not near(0.5, 2000, [0.9, 0.1])
    assert not near(0.1, 2000, [0.005] * 200)
    assert not near(0.0, 5, [0.5, 0.5]), "five images say nothing"


def test_one_answer_to_every_image_is_near_chance() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10).repeat(2)
    at = standing(torch.tensor([[1.0, 0.0]]).repeat(200, 1), labels)
    assert (at.correct, at.near_chance) == (180, True)


def test_row_59_classes_in_another_order_are_told_with_the_order(
    tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]
) -> None:
    zoo = sc.open_zoo(written(tmp_path / "text", runs, f"imagefolder:{numbered}"))
    evaluate = sc.Evaluator(zoo)
    images, labels = read(numbered / "val", sorted(NUMBERS))
    assert evaluate(sc.Soup.single("run-0")).correct == counted(runs[0], images, labels) < 20
    doubt = doubt_of(evaluate)
    assert doubt is not None
    assert (doubt.cause, doubt.near_chance, doubt.models) == ("order of classes", True, 2)
    assert doubt.remedy == f"classes = {json.dumps(list(NUMBERS))}"
    assert doubt.sentence.startswith("near chance: the best of 2 models tried, ")
    corrected = sc.open_zoo(written(tmp_path / "natural", runs, f"imagefolder:{numbered}", doubt.remedy))
    right = counted(runs[0], *read(numbered / "val", NUMBERS))
    assert sc.Evaluator(corrected)(sc.Soup.single("run-0")).correct == right > 80
    assert f"{right} of 96 images are right" in doubt.sentence
    assert doubt_of(sc.Evaluator(corrected)) is None


def test_row_59_preflight_says_it_before_all_other_checks(
    tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]
) -> None:
    zoo = sc.open_zoo(written(tmp_path / "preflight", runs, f"imagefolder:{numbered}"))
    findings = list(preflight_checks(zoo, sc.Evaluator(zoo)))
    assert (findings[0].what, findings[0].verdict) == ("chance", "warning")
    assert "order of classes" in findings[0].sentence
    verdict = overall(findings)
    assert verdict.verdict == "warning"
    assert "see first the check chance" in verdict.sentence


def test_row_59_the_command_line_says_it_on_standard_error_alone(
    run: Run, tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]
) -> None:
    folder = written(tmp_path / "command", runs, f"imagefolder:{numbered}")
    for command in ("uniform", "greedy", "evaluate"):
        code, out, err = run(command, str(folder), "--json")
        assert code == 0
        assert err.startswith("near chance: "), command
        assert len(err.splitlines()) == 1
        assert [json.loads(line) for line in out.splitlines()][-1]["held_out"]["total"] == 96
    corrected = written(folder, runs, f"imagefolder:{numbered}", f"classes = {json.dumps(list(NUMBERS))}")
    assert run("uniform", str(corrected), "--json")[2] == ""


def test_a_permutation_is_found_from_the_answers(
    tmp_path: Path, splits: dict[str, tuple[Tensor, Tensor]], runs: list[dict[str, Tensor]]
) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = {name: (images, order[labels]) for name, (images, labels) in splits.items()}
    zoo = sc.open_zoo(tensors_zoo(tmp_path / "zoo", runs, shuffled))
    evaluate = sc.Evaluator(zoo)
    logits = evaluate.logits(sc.Soup.single("run-0"))
    found = explaining_order(logits, evaluate.data.labels)
    assert found is not None
    assert not found.is_known
    assert found.outputs == tuple(order.argsort().tolist())
    assert found.correct >= counted(runs[0], *splits["held_out"]) - 5
    doubt = doubt_of(evaluate)
    assert doubt is not None
    assert doubt.cause == "order of classes"


def test_answers_that_only_guess_are_explained_by_no_order() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(96, 12, generator=generator)
        assert explaining_order(logits, torch.arange(12).repeat(8), NUMBERS) is None


def test_a_head_that_was_not_trained_is_explained_by_no_order(splits: dict[str, tuple[Tensor, Tensor]]) -> None:
    """It gives each class an answer of its own too, however large its weights are."""
    images, labels = splits["held_out"]
    for seed in range(10):
        torch.manual_seed(seed)
        with torch.inference_mode():
            logits = 100 * Pixels(12)(images)
        assert explaining_order(logits - logits.mean(0), labels) is None


def test_images_normalised_otherwise_than_in_training_are_told(
    tmp_path: Path, splits: dict[str, tuple[Tensor, Tensor]]
) -> None:
    """Each image holds its own negative, so that only the wrong normalisation sees a weight that all pixels share."""
    paired = {
        name: (torch.cat([images[:, :, : SIDE // 2], 1 - images[:, :, : SIDE // 2]], 2), labels)
        for name, (images, labels) in splits.items()
    }
    images, labels = paired["train"]
    tensors = fitted((images - 0.5) / 0.5, labels)
    shared = torch.randn(12, 1, generator=torch.Generator().manual_seed(0))
    tensors["head.weight"] = tensors["head.weight"] + shared
    evaluate = sc.Evaluator(sc.open_zoo(tensors_zoo(tmp_path / "zoo", [tensors], paired)))
    doubt = doubt_of(evaluate)
    assert doubt is not None
    assert (doubt.cause, doubt.near_chance) == ("preprocessing", True)
    corrected = sc.open_zoo(tensors_zoo(tmp_path / "corrected", [tensors], paired, doubt.remedy))
    images, labels = paired["held_out"]
    right = counted(tensors, ((images * 255).round() / 255 - 0.5) / 0.5, labels)
    assert sc.Evaluator(corrected)(sc.Soup.single("run-0")).correct == right > 60
    assert f"{right} of 96" in doubt.sentence


def test_held_out_images_with_other_labels_are_told(
    tmp_path: Path, splits: dict[str, tuple[Tensor, Tensor]], runs: list[dict[str, Tensor]]
) -> None:
    images, labels = splits["held_out"]
    mixed = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    zoo = sc.open_zoo(tensors_zoo(tmp_path / "zoo", runs, {**splits, "held_out": (images, mixed)}))
    doubt = doubt_of(sc.Evaluator(zoo))
    assert doubt is not None
    assert doubt.cause == "split"
    train = sc.Evaluator(zoo, "train")(sc.Soup.single(doubt.name))
    assert f"{train.correct} of {train.total} training images" in doubt.sentence


def test_weights_that_were_not_trained_are_told(tmp_path: Path, splits: dict[str, tuple[Tensor, Tensor]]) -> None:
    torch.manual_seed(0)
    untrained = {name: 0.01 * tensor for name, tensor in Pixels(12).state_dict().items()}
    constant = {**untrained, "head.bias": torch.eye(12)[4]}
    for tensors, cause in ((untrained, "untrained"), (constant, "same answer")):
        zoo = sc.open_zoo(tensors_zoo(tmp_path / cause, [tensors], splits))
        doubt = doubt_of(sc.Evaluator(zoo))
        assert doubt is not None
        assert doubt.cause == cause


def test_weights_at_another_place_of_the_file_are_told(
    tmp_path: Path, splits: dict[str, tuple[Tensor, Tensor]], runs: list[dict[str, Tensor]]
) -> None:
    folder = tensors_zoo(tmp_path / "zoo", runs[:1], splits)
    torch.manual_seed(0)
    torch.save({"model": dict(Pixels(12).state_dict()), "model_ema": runs[0]}, folder / "run-0.pt")
    text = (folder / "zoo.toml").read_text()
    (folder / "zoo.toml").write_text(text.replace("run-0.safetensors", "run-0.pt") + 'weights = "model"\n')
    doubt = doubt_of(sc.Evaluator(sc.open_zoo(folder)))
    assert doubt is not None
    assert (doubt.cause, doubt.remedy) == ("place in the file", 'weights = "model_ema"')


def test_of_unknown_preparations_the_one_is_taken_that_fits(
    run: Run, tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]
) -> None:
    """Images of another size than the network's, normalised by halves in training, and no word of it anywhere."""
    names, folder = ("a", "b", "c", "d"), tmp_path / "sweep"
    disc_folders(folder / "images", names, side=12, each=15)
    prepare = transforms.Compose(
        [transforms.Resize((SIDE, SIDE)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )
    tensors = fitted(*read(folder / "images/train", names, prepare))
    for seed in range(2):
        torch.save(tensors, folder / f"run-{seed}.pt")
    wanted = ("--architecture", "test_pixels", "--num-classes", "4", "--json")
    code, out, err = run("init", str(folder), *wanted)
    assert code == 0, err
    right = counted(tensors, *read(folder / "images/val", names, prepare))
    assert json.loads(out)["tried"] == {"name": "run-0", "correct": right, "total": 60}
    assert f"run-0 has {right} of 60 held-out images right" in err
    assert sc.Evaluator(sc.open_zoo(folder))(sc.Soup.single("run-0")).correct == right > 50


def test_nothing_is_left_behind_where_init_fails(run: Run, tmp_path: Path) -> None:
    folder, names = tmp_path / "sweep", ("a", "b", "c")
    disc_folders(folder / "images", names, each=4)
    torch.save({"head.weight": torch.zeros(3, 7), "head.bias": torch.zeros(3)}, folder / "run-0.pt")
    wanted = ("init", str(folder), "--architecture", "test_pixels", "--num-classes", "3")
    code, out, err = run(*wanted)
    assert (code, out) == (2, "")
    assert "no usable ingredient" in err
    assert not (folder / "zoo.toml").exists()
    (folder / "zoo.toml").write_text("the old one")
    assert run(*wanted, "--force")[0] == 2
    assert (folder / "zoo.toml").read_text() == "the old one"


def test_images_that_cannot_be_tried_leave_nothing_but_where_asked(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    torch.save(Pixels(3).state_dict(), folder / "run-0.pt")
    grey = {f"{split}.images": torch.zeros(6, 1, 5, 5, dtype=torch.uint8) for split in ("held_out", "test")}
    labels = {f"{split}.labels": torch.arange(6) % 3 for split in ("held_out", "test")}
    safetensors.torch.save_file({**grey, **labels}, folder / "data.safetensors")
    wanted = ("init", str(folder), "--architecture", "test_pixels", "--num-classes", "3")
    code, _, err = run(*wanted)
    assert code == 2
    assert "does not take images of 1×5×5" in err
    assert "--no-trial" in err
    assert not (folder / "zoo.toml").exists()
    assert run(*wanted, "--no-trial")[0] == 0
    assert (folder / "zoo.toml").exists()


def test_a_look_takes_classes_in_turn_and_the_same_twice(
    tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]
) -> None:
    zoo = sc.open_zoo(written(tmp_path / "sample", runs, f"imagefolder:{numbered}"))
    drawn = sample(zoo.data, "held_out", 30)
    assert drawn.labels[:12].sort().values.tolist() == list(range(12))
    assert drawn.size == (SIDE, SIDE)
    again = sample(zoo.data, "held_out", 30)
    assert [name for name, _ in drawn.source] == [name for name, _ in again.source]
    (images,) = drawn.images([(None, 3)])
    whole = zoo.data.split("held_out")
    for image, label in zip(images, drawn.labels, strict=True):
        matches = (whole.images == image).flatten(1).all(1)
        assert label in whole.labels[matches]


def test_home_says_it_above_all_else(tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]) -> None:
    written(tmp_path / "made", runs, f"imagefolder:{numbered}")
    test = open_page("app.py")
    assert not test.exception
    assert test.error[0].value.startswith("Near chance\\: the best of 2 models")
    assert test.code[0].value == f"classes = {json.dumps(list(NUMBERS))}"
    assert "order of classes" in words(test)


def test_first_look_of_a_healthy_zoo_is_the_plain_count(
    tmp_path: Path, numbered: Path, runs: list[dict[str, Tensor]]
) -> None:
    data = f"classes = {json.dumps(list(NUMBERS))}"
    look = first_look(sc.open_zoo(written(tmp_path / "healthy", runs, f"imagefolder:{numbered}", data)))
    assert look.doubt is None
    assert look.best.correct == counted(runs[0], *read(numbered / "val", NUMBERS))
    assert len(first_look(sc.open_zoo(tmp_path / "healthy"), seconds=0).best.bits) == IMAGES_AT_LEAST < 96


def test_add_a_zoo_tries_it_before_it_is_written(tmp_path: Path) -> None:
    write_zoo(tmp_path / "made", random_linears(2))
    folder, names = tmp_path / "sweep", ("a", "b", "c")
    disc_folders(folder / "images", names, each=6)
    tensors = fitted(*read(folder / "images/train", names))
    torch.save(tensors, folder / "run-0.pt")
    test = open_page("pages/9_Add_a_zoo.py")
    test.text_input(key=f"{folder}:name").set_value("test_pixels")
    test.number_input(key=f"{folder}:classes").set_value(3).run()
    assert not test.exception
    right = counted(tensors, *read(folder / "images/val", names))
    assert f"has {right} of 18 held-out images right" in "\n".join(
        str(each.value) for each in (*test.success, *test.info)
    )
    assert not (folder / "zoo.toml").exists()
    next(each for each in test.button if each.label == "Write zoo.toml").click().run()
    assert not test.exception
    assert sc.Evaluator(sc.open_zoo(folder))(sc.Soup.single("run-0")).correct == right
