"""Class folders are labelled by name: some of the classes, folders beyond them, orders, spellings of splits."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import soup_core as sc
from soup_core.data import matched, natural_order, text_order
from soup_core.recipes import learned
from soup_core.recipes.ensemble import ensemble
from tests.class_folders import correct, logits, make_images, read, write_sweep, zoo_toml
from tests.zoos import random_linears, write_zoo

EVERY = [f"n{number:08d}" for number in range(9)]
SOME = [EVERY[number] for number in (2, 5, 7)]
PLACES = [2, 5, 7]
NAMED = f"classes = {EVERY}"
Models = dict[str, dict[str, Tensor]]
Sweep = Callable[..., tuple[sc.Zoo, Models]]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A zoo of two linear models that tell `order` apart, with these splits."""

    def make(order: Sequence[str] = EVERY, data: str = "", **splits: Sequence[str]) -> tuple[sc.Zoo, Models]:
        folder = tmp_path / "sweep"
        models = write_sweep(folder, order, splits)
        (folder / "zoo.toml").write_text(zoo_toml(order, data))
        return sc.open_zoo(folder), models

    return make


def singles(zoo: sc.Zoo, split: str) -> dict[str, int]:
    return {name: found.correct for name, found in sc.Evaluator(zoo, split).singles().items()}


def plain(models: Models, folder: Path, order: Sequence[str], among: Sequence[str] = ()) -> dict[str, int]:
    """The counts of torchvision's folder and a matrix product."""
    return {name: correct(model, folder, order, among) for name, model in models.items()}


def test_folders_of_some_classes_are_matched_by_name(sweep: Sweep) -> None:
    zoo, models = sweep(data=NAMED, train=SOME, val=SOME, test=SOME)
    for split, folder in {"held_out": "val", "test": "test"}.items():
        assert singles(zoo, split) == plain(models, zoo.folder / "images" / folder, EVERY)
    images, places = read(zoo.folder / "images/val", SOME)
    by_place = {name: int((logits(model, images).argmax(1) == places).sum()) for name, model in models.items()}
    assert singles(zoo, "held_out") != by_place
    (notice,) = zoo.data.notices()
    assert notice.startswith(f"held_out and test have 3 of the network's 9 classes, not {EVERY[0]}, ")
    assert "judged over all of them" in notice


def test_too_few_folders_without_names_ask(sweep: Sweep) -> None:
    zoo, _ = sweep(train=SOME, val=SOME, test=SOME)
    with pytest.raises(sc.DataError, match=r"tells 9 classes apart, and imagefolder:images has 3 .*classes = \["):
        sc.Evaluator(zoo, "held_out")


def test_present_restricts_to_the_sets_own_classes(sweep: Sweep) -> None:
    zoo, models = sweep(data=f'{NAMED}\noutputs = "present"', train=SOME, val=SOME, test=SOME[1:])
    folder = zoo.folder / "images/test"
    evaluate = sc.Evaluator(zoo, "test")
    assert list(evaluate.outputs) == PLACES  # the set's, of which the test images lack one
    expected = plain(models, folder, EVERY, SOME)
    assert singles(zoo, "test") == expected != plain(models, folder, EVERY)
    images, labels = read(folder, EVERY)
    places = torch.tensor([PLACES.index(label) for label in labels.tolist()])
    assert torch.equal(evaluate.data.labels, places)
    scores = {name: logits(model, images)[:, PLACES] for name, model in models.items()}
    single = sc.Soup({"run-1": 1.0})
    assert torch.allclose(evaluate.logits(single), scores["run-1"], atol=1e-5)
    loss = torch.nn.functional.cross_entropy(scores["run-1"].double(), places)
    assert evaluate(single).loss == pytest.approx(float(loss), abs=1e-5)
    together = torch.stack([each.softmax(1) for each in scores.values()]).mean(0)
    assert ensemble(evaluate, ["run-1", "run-2"]).correct == int((together.argmax(1) == places).sum())
    assert list(sc.Evaluator(zoo, "test:noise-1").outputs) == PLACES


def test_a_soup_is_learned_over_the_outputs_that_are_judged(sweep: Sweep) -> None:
    zoo, models = sweep(data=f'{NAMED}\noutputs = "present"', train=SOME, val=SOME, test=SOME)
    evaluate = sc.Evaluator(zoo, "held_out")
    start, once, *_ = sc.learned_soup(zoo, evaluate, epochs=1)
    images, labels = read(zoo.folder / "images/val", EVERY)
    places = torch.tensor([PLACES.index(label) for label in labels.tolist()])
    mean = {key: (models["run-1"][key] + models["run-2"][key]) / 2 for key in models["run-1"]}
    scores = logits(mean, images)[:, PLACES].double()
    losses = torch.nn.functional.cross_entropy(scores, places, reduction="none")
    train, fold = learned._parted(evaluate.total, 0)
    assert start.fold.loss == pytest.approx(float(losses[fold].mean()), abs=1e-5)
    assert once.loss == pytest.approx(float(losses[train].mean()), abs=1e-5)  # of one batch, before its step


def test_the_store_tells_both_ways_of_judging_apart(sweep: Sweep) -> None:
    zoo, models = sweep(data=NAMED, train=SOME, val=SOME, test=SOME)
    images, soup = zoo.folder / "images/test", sc.Soup({"run-1": 1.0})
    assert singles(zoo, "test") == plain(models, images, EVERY)
    (zoo.folder / "zoo.toml").write_text(zoo_toml(EVERY, f'{NAMED}\noutputs = "present"'))
    again = sc.open_zoo(zoo.folder)
    assert again.digest != zoo.digest
    assert sc.Evaluator(again, "test").key(soup) != sc.Evaluator(zoo, "test").key(soup)
    assert singles(again, "test") == plain(models, images, EVERY, SOME)


def test_splits_that_lack_a_class_or_have_one_more(sweep: Sweep) -> None:
    zoo, models = sweep(train=EVERY, val=EVERY[1:], test=[*EVERY, "n00000099"])
    for split, folder in {"held_out": "val", "test": "test"}.items():
        assert singles(zoo, split) == plain(models, zoo.folder / "images" / folder, EVERY)
    notices = zoo.data.notices()
    assert any(each.startswith("held_out has 8 of the network's 9 classes, not n00000000;") for each in notices)
    assert "test has images in n00000099 beyond the network's 9 classes, left out." in notices
    (zoo.folder / "images/test" / EVERY[0]).rename(zoo.folder / "images/test/renamed")
    with pytest.raises(sc.DataError, match=r"images/test has n00000099, renamed, which are none .* lacks n00000000"):
        sc.Evaluator(sc.open_zoo(zoo.folder), "test")


@pytest.mark.parametrize(("said", "among"), [("", SOME), (', outputs = "present"', SOME), (', outputs = "all"', EVERY)])
def test_a_shift_of_some_classes(sweep: Sweep, said: str, among: Sequence[str]) -> None:
    data = f'shifts.rendition = {{ folder = "rendition"{said} }}'
    zoo, models = sweep(data=data, train=EVERY, val=EVERY, test=EVERY)
    make_images(zoo.folder / "rendition", SOME, EVERY, seed=8)
    assert singles(zoo, "test:rendition") == plain(models, zoo.folder / "rendition", EVERY, among)
    assert len(sc.Evaluator(zoo, "test:rendition").outputs) == len(among)
    (notice,) = zoo.data.notices()
    assert notice.startswith("test:rendition has 3 of the network's 9 classes")
    assert ("over 3 alone, as the makers of ImageNet-A" in notice) == (among == SOME)


def test_an_order_of_the_outputs_is_a_list_of_names(sweep: Sweep) -> None:
    numbers = [str(number) for number in range(1, 12)]
    zoo, models = sweep(numbers, f"classes = {numbers}", train=numbers, val=numbers, test=numbers)
    images = zoo.folder / "images/val"
    expected = plain(models, images, numbers)
    assert singles(zoo, "held_out") == expected
    (zoo.folder / "zoo.toml").write_text(zoo_toml(numbers, ""))
    assert singles(sc.open_zoo(zoo.folder), "held_out") == plain(models, images, sorted(numbers)) != expected


def test_natural_order_is_timms(tmp_path: Path) -> None:
    create_dataset = pytest.importorskip("timm.data").create_dataset
    capitals = ["Zebra", "ant", "Bee", "img2", "img10", "x", "10x", "x1y2", "x1y10"]
    for folder, names in {"numbers": ["1", "2", "10", "11"], "capitals": capitals}.items():
        make_images(tmp_path / folder, names, names, each=1)
        by_timm = create_dataset("", root=str(tmp_path / folder)).reader.class_to_idx
        assert natural_order(names) == tuple(sorted(by_timm, key=by_timm.__getitem__)) != text_order(names)
    assert natural_order(["b²", "1²", "x", "01", "1"]) == ("01", "1", "1²", "b²", "x")  # int("²") is an error


@pytest.mark.parametrize(
    ("name", "classes", "output"),
    [
        ("cat", ["dog", "cat"], 1),
        ("Great_White", ["cat", "great white"], 1),
        ("tench", ["cat", "tench, Tinca tinca"], 1),
        ("cafe\u0301", ["x", "caf\u00e9"], 1),
        ("cat", ["Cat", "CAT"], None),
        ("crane", ["crane", "crane"], None),
        ("n01440764", ["tench"], None),
    ],
)
def test_names_are_matched(name: str, classes: list[str], output: int | None) -> None:
    assert matched([name], classes).get(name) == output


def test_the_same_text_goes_first() -> None:
    assert matched(["Cat", "cat"], ["cat", "Cat"]) == {"Cat": 1, "cat": 0}
    assert matched(["Cat", "CAT"], ["cat"]) == {}


def test_names_must_be_as_many_as_outputs(sweep: Sweep) -> None:
    with pytest.raises(sc.ZooError, match=r"num_classes = 9 outputs; found 2 names"):
        sweep(data='classes = ["a", "b"]', train=EVERY)


@pytest.mark.parametrize(
    "names",
    [("Train", "Val", "Test"), ("training", "valid", "testing"), ("TRAIN", "dev", "TEST"), ("train", "Eval", "test")],
)
def test_each_spelling_of_a_split_is_found(sweep: Sweep, names: tuple[str, str, str]) -> None:
    zoo, models = sweep(**dict.fromkeys(names, EVERY))
    assert singles(zoo, "held_out") == plain(models, zoo.folder / "images" / names[1], EVERY)
    assert zoo.data.layout() == dict(zip(("train", "held_out", "test"), names, strict=True))
    assert zoo.data.notices() == ()


def test_what_became_no_split_and_what_was_divided_is_told(sweep: Sweep) -> None:
    zoo, _ = sweep(Training=EVERY, Testing=EVERY, unlabelled=EVERY[:1])
    (zoo.folder / "images/notes").mkdir()
    assert zoo.data.layout() == {"held_out": "a share of Training", "test": "Testing", "train": "the rest of Training"}
    unused, divided = zoo.data.notices()
    assert unused.startswith("Images in unlabelled are passed over")
    assert divided.startswith("Nothing is held out by its name (val, valid,")
    (zoo.folder / "images/Testing").rename(zoo.folder / "images/Valid")
    zoo = sc.open_zoo(zoo.folder)
    assert zoo.data.layout()["test"] == "the rest of Valid"
    assert any("one folder or file Valid is divided" in each for each in zoo.data.notices())
    make_images(zoo.folder / "images/val", EVERY, EVERY)
    with pytest.raises(sc.DataError, match="both Valid and val for one split"):
        sc.Evaluator(sc.open_zoo(zoo.folder), "held_out")


def test_tensors_and_their_shifts_are_judged_over_what_they_have(tmp_path: Path) -> None:
    folder, model = tmp_path / "zoo", random_linears(1)["m0"]
    write_zoo(folder, {"m0": model}, extra='outputs = "present"\nshifts = { bright = { outputs = "all" } }')
    tensors = load_file(folder / "data.safetensors")
    for split in ("held_out", "test", "train"):
        kept = tensors[f"{split}.labels"] != 1
        tensors |= {f"{split}.{part}": tensors[f"{split}.{part}"][kept] for part in ("images", "labels")}
    tensors |= {f"shift.bright.{part}": tensors[f"test.{part}"].clone() for part in ("images", "labels")}
    save_file(tensors, folder / "data.safetensors")
    zoo = sc.open_zoo(folder)
    scores = logits(model, tensors["test.images"].float() / 255)
    among = torch.tensor([0, 2])[scores[:, [0, 2]].argmax(1)]
    assert singles(zoo, "test")["m0"] == int((among == tensors["test.labels"]).sum())
    over_all = int((scores.argmax(1) == tensors["test.labels"]).sum())
    assert singles(zoo, "test:bright")["m0"] == over_all != singles(zoo, "test")["m0"]
