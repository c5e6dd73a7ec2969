"""Image folders and torchvision's data sets: made files against torchvision itself, and what is wrong with them told."""

import io
import json
import os
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from torch import Tensor
from torchvision import datasets, transforms

import soup_core as sc
from soup_core import cli
from soup_core.data import UNNORMALIZED, UNNORMALIZED_COLOUR, Data, HeldOut, Interpolation, Preprocessing, sources
from soup_core.data import decoding as images
from soup_core.data import splits as data_module
from soup_core.data.bundled_sets import FASHION_CLASSES, FASHION_NORMALIZATION
from soup_core.formatting import plain
from soup_core.runtime.files import home
from tests.patience import PATIENCE
from tests.zoos import random_linears, write_zoo

SMALL = Preprocessing(resize=12, crop=10)
MODES = ("RGB", "L", "P", "RGBA", "CMYK", "1")


def drawn(seed: int, size: tuple[int, int] = (17, 23)) -> Image.Image:
    """Smooth colours, as photographs have them, so that JPEG keeps something of them."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def make_images(folder: Path, classes: Mapping[str, int], seed: int = 0) -> Path:
    """So many images of each class, of many modes, formats and sizes; the second has an EXIF orientation."""
    for label, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image = drawn(1000 * seed + 100 * label + index, (17 + index % 5, 23 - index % 3))
            exif = Image.Exif()
            exif[0x0112] = 6
            if index % 2:
                mode = "RGB" if index == 1 else ("L", "CMYK", "RGB")[index % 3]
                image.convert(mode).save(folder / name / f"{index}.JPG", exif=exif if index == 1 else b"")
            else:
                image.convert(("RGB", "L", "P", "RGBA", "1")[index % 5]).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Training, validation and test images of three classes."""
    for seed, (part, count) in enumerate({"train": 10, "val": 6, "test": 5}.items()):
        make_images(tmp_path / "pets" / part, {"cat": count, "dog": count + 1, "<b>![a](x.y)": count}, seed)
    return tmp_path / "pets"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded in this process from here on."""
    names: list[str] = []
    original = images._loaded
    monkeypatch.setattr(images, "_loaded", lambda item: names.append(item[0]) or original(item))
    return names


def folder_data(folder: Path, **settings: Any) -> Data:
    settings = {"normalization": UNNORMALIZED_COLOUR, "preprocessing": SMALL, **settings}
    return Data(f"imagefolder:{folder.name}", folder.parent, **settings)


def by_torchvision(folder: Path, preprocessing: Preprocessing = SMALL, *, grey: bool = False) -> tuple[Tensor, Tensor]:
    steps = [
        *([transforms.Grayscale()] if grey else []),
        transforms.Resize(
            preprocessing.resize, interpolation=transforms.InterpolationMode(preprocessing.interpolation)
        ),
        transforms.CenterCrop(preprocessing.crop),
        transforms.PILToTensor(),
    ]
    read = list(datasets.ImageFolder(str(folder), transforms.Compose(steps)))
    return torch.stack([image for image, _ in read]), torch.tensor([label for _, label in read])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_a_folder_is_what_torchvision_makes_of_it(pets: Path, interpolation: Interpolation) -> None:
    (pets / "test" / "cat" / "inner").mkdir()
    for seed, suffix in enumerate(("webp", "tif", "bmp", "ppm", "pgm", "JPEG")):
        image = drawn(seed).convert("L" if suffix == "pgm" else "RGB")
        image.save(pets / "test" / "cat" / ("inner" if seed % 2 else ".") / f"9.{suffix}")
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(pets / "test" / "cat" / "deep.png")
    for preprocessing in (Preprocessing(12, 10, interpolation), Preprocessing(8, 11, interpolation)):
        data = folder_data(pets, preprocessing=preprocessing)
        assert data.classes == ("<b>![a](x.y)", "cat", "dog")
        for split, part in {"held_out": "val", "test": "test", "train": "train"}.items():
            found = data.split(split)
            expected = by_torchvision(pets / part, preprocessing)
            assert torch.equal(found.images, expected[0])
            assert torch.equal(found.labels, expected[1])


def test_one_mean_makes_the_images_grey(pets: Path) -> None:
    found = folder_data(pets, normalization=UNNORMALIZED).split("test")
    assert found.images.shape[1] == 1
    assert torch.equal(found.images, by_torchvision(pets / "test", grey=True)[0])


def test_images_of_one_size_need_no_preprocessing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "sized" / "test" / name).mkdir(parents=True)
        for index in range(3):
            drawn(index + ord(name)).save(tmp_path / "sized" / "test" / name / f"{index}.png")
    data = folder_data(tmp_path / "sized", preprocessing=None, held_out=HeldOut(0.3))
    assert [len(data.split(split)) for split in ("held_out", "test")] == [2, 4]
    assert data.split("test").images.shape[1:] == (3, 23, 17)
    drawn(9, (20, 20)).save(tmp_path / "sized" / "test" / "b" / "9.png")
    with pytest.raises(sc.DataError, match=r"9\.png has 20×20 pixels.*17×23.*preprocessing = \{"):
        folder_data(tmp_path / "sized", preprocessing=None).split("test")


def test_large_collections_are_decoded_in_a_process_of_their_own(
    pets: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "SMALL_BYTES", 0)
    data = folder_data(pets)
    steps = list(data.decode("test"))
    assert (steps[-1].done, steps[-1].total) == (16, 16)
    expected = by_torchvision(pets / "test")
    assert torch.equal(data.split("test").images, expected[0])
    assert torch.equal(data.split("test").labels, expected[1])
    assert opened == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("os.kill(os.getpid(), 11)", r"ended unexpectedly \(code -11\) after 0 of 0"),
        ("print(json.dumps({'done': 3, 'total': 16})); sys.exit(1)", r"ended unexpectedly \(code 1\) after 3 of 16"),
        ("print(json.dumps({'error': 'They are too large.'}))", "They are too large"),
    ],
)
def test_a_process_that_fails_is_told(pets: Path, script: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SMALL_BYTES", 0)
    start = subprocess.Popen
    script = f"import json, os, sys; sys.stdin.read(); {script}"
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: start([command[0], "-c", script], **how))
    with pytest.raises(sc.DataError, match=message):
        folder_data(pets).split("test")


def test_the_process_tells_how_far_it_is_and_why_it_ends(
    pets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoding = folder_data(pets)._origin("test").decoding
    assert decoding is not None
    for budget in ("1e-9", "8"):
        monkeypatch.setenv("SOUP_IMAGES", budget)
        monkeypatch.setattr("sys.stdin", io.StringIO(decoding.request()))
        images.main()
    error, *_, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert error["error"].startswith("These 16 images would take")
    assert last == {"done": 16, "total": 16}
    assert decoding.ready


def test_stopping_ends_the_process(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SMALL_BYTES", 0)
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **how: started.append(start(*a, **how)) or started[-1])
    steps = folder_data(pets).decode("test")
    next(steps)
    steps.close()
    assert started[0].returncode is not None


def test_a_second_opening_decodes_nothing(pets: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = folder_data(pets).split("test")
    assert len(opened) == 16
    data_module.shared_splits.forget()
    del opened[:]
    digest = first.digest
    del first
    again = folder_data(pets)
    assert list(again.decode("test")) == []
    assert again.split("test").digest == digest
    assert opened == []
    changed = pets / "test" / "cat" / "0.png"
    drawn(77).save(changed)
    assert folder_data(pets).split("test").digest != digest
    assert len(opened) == 16


def test_what_was_interrupted_goes_on_after_its_last_block(
    pets: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "BLOCK_BYTES", 5 * 3 * 10 * 10)
    monkeypatch.setattr(images, "TOLD_SECONDS", 0.0)
    steps = folder_data(pets).decode("test")
    while next(steps).done < 10:
        pass
    steps.close()
    begun = set(opened)
    del opened[:]
    found = folder_data(pets).split("test")
    assert torch.equal(found.images, by_torchvision(pets / "test")[0])
    assert len(begun) >= 10
    assert len(opened) == 6
    assert len(list(home().glob("images/*/*.safetensors"))) == 4


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_row_45_damaged_blocks_are_made_again(pets: Path, harm: str) -> None:
    digest = folder_data(pets).split("test").digest
    data_module.shared_splits.forget()
    (block,) = home().glob("images/*/00000.safetensors")
    content = bytearray(block.read_bytes())
    header = 8 + struct.unpack("<Q", content[:8])[0]
    content[-1 if harm == "flip" else header] ^= 1
    if harm == "remove":
        block.unlink()
    else:
        block.write_bytes(content if harm == "flip" else content[:-5])
    assert folder_data(pets).split("test").digest == digest


def test_row_40_a_full_disk_is_told(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(sc.SoupError, match="No space left on device"):
        folder_data(pets).split("test")
    assert not list(home().glob("images/*/*"))


def test_what_does_not_fit_the_budget_is_refused_with_its_size(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_IMAGES", "0.000004")
    with pytest.raises(sc.DataError, match=r"16 images would take .* shape \(3, 10, 10\), and at most 4e-06 GB"):
        folder_data(pets).split("test")
    monkeypatch.setenv("SOUP_IMAGES", "many")
    with pytest.raises(sc.SoupError, match="found 'many'"):
        folder_data(pets).split("test")


def test_a_held_out_share_is_taken_out_of_train_by_class(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    make_images(folder / "train", {"a": 10, "b": 20})
    make_images(folder / "test", {"a": 3, "b": 3}, seed=1)
    data = folder_data(folder, held_out=HeldOut(0.3, seed=4))
    held_out, train, test = (data.split(name) for name in ("held_out", "train", "test"))
    assert torch.bincount(held_out.labels).tolist() == [3, 6]
    assert torch.bincount(train.labels).tolist() == [7, 14]
    assert torch.equal(test.images, by_torchvision(folder / "test")[0])
    whole = {image.numpy().tobytes() for image in by_torchvision(folder / "train")[0]}
    parts = [{image.numpy().tobytes() for image in split.images} for split in (held_out, train)]
    assert parts[0] | parts[1] == whole
    assert not parts[0] & parts[1]
    assert folder_data(folder, held_out=HeldOut(0.3, seed=5)).split("held_out").digest != held_out.digest


@pytest.mark.parametrize("layout", ["", "test", "val"])
def test_one_part_alone_is_divided_into_held_out_and_test(tmp_path: Path, layout: str) -> None:
    folder = tmp_path / "one"
    make_images(folder / layout, {"a": 5, "train": 10})
    data = folder_data(folder)
    assert data.classes == ("a", "train")
    assert [torch.bincount(data.split(name).labels).tolist() for name in ("held_out", "test")] == [[1, 2], [4, 8]]
    with pytest.raises(sc.DataError, match="has no training images"):
        data.split("train")


def test_train_alone_has_nothing_to_report_on(tmp_path: Path) -> None:
    make_images(tmp_path / "alone" / "train", {"a": 4})
    with pytest.raises(sc.DataError, match="training images alone"):
        folder_data(tmp_path / "alone").split("test")


def test_the_held_out_share_depends_on_names_alone() -> None:
    names = [f"a/{index}.png" for index in range(100)]
    rule = HeldOut(0.2, seed=3)

    def chosen(among: list[str]) -> set[str]:
        return {name for name, taken in zip(among, rule.chosen(among, [0] * len(among)), strict=True) if taken}

    assert len(chosen(names)) == 20
    assert chosen(names[::-1]) == chosen(names)
    renamed = ["z.png", *names[1:]]
    assert len(chosen(renamed) ^ chosen(names)) <= 2
    assert HeldOut(0.2).chosen(["a", "b"], [0, 0]).count(True) == 1
    assert HeldOut(0.9).chosen(["a", "b"], [0, 0]).count(True) == 1


def test_the_order_in_which_files_are_listed_makes_no_difference(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = folder_data(pets).split("train").digest
    data_module.shared_splits.forget()
    walk = os.walk

    def backwards(*given: Any, **how: Any) -> object:
        return [(place, inner[::-1], names[::-1]) for place, inner, names in walk(*given, **how)][::-1]

    monkeypatch.setattr(sources.os, "walk", backwards)
    assert folder_data(pets).split("train").digest == key


def broken(folder: Path) -> dict[str, str]:
    """Files that are no image any more, and what is said of each."""
    cut = (folder / "cat" / "1.JPG").read_bytes()[:-20]
    (folder / "cat" / "3.JPG").write_bytes(cut)
    (folder / "cat" / "empty.png").write_bytes(b"")
    (folder / "dog" / "page.jpg").write_bytes(b"<html>")
    (folder / "dog" / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    png = bytearray((folder / "dog" / "0.png").read_bytes())
    png[len(png) // 2] ^= 255
    (folder / "dog" / "0.png").write_bytes(png)
    return {
        "test/cat/3.JPG": "truncated",
        "test/cat/empty.png": "known format",
        "test/dog/page.jpg": "known format",
        "test/dog/script.png": "known format",
        "test/dog/0.png": "damaged",
    }


def test_damaged_files_are_left_out_and_told(pets: Path) -> None:
    expected = broken(pets / "test")
    data = folder_data(pets)
    assert data.notices() == ()
    assert len(data.split("test")) == 16 + 3 - 5
    damaged = dict(data._origin("test").decoding.contents().damaged)
    assert damaged.keys() == expected.keys()
    assert {name: words for name, words in expected.items() if words not in damaged[name]} == {}, damaged
    (notice,) = data.notices()
    assert notice.startswith("5 images are left out of the split test,")
    assert "test/cat/3.JPG" in notice


def test_images_beyond_pillows_limit_are_left_out(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(1, (100, 100)).save(pets / "test" / "cat" / "0.png")
    for limit in (8_000, 4_000):  # Pillow warns of the first and refuses the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        data = folder_data(pets, preprocessing=Preprocessing(12, 10 + limit % 7))
        assert len(data.split("test")) == 15
        assert "test/cat/0.png: too large to be decoded" in data.notices()[0]


def test_row_20_a_file_that_cannot_be_read_is_named(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder_data(pets)
    assert data.classes
    (pets / "test" / "cat" / "2.png").unlink()
    with pytest.raises(sc.DataError, match=r"test/cat/2\.png cannot be read \(No such file"):
        data.split("test")


def test_nothing_but_damaged_images(tmp_path: Path) -> None:
    (tmp_path / "none" / "a").mkdir(parents=True)
    for index in range(2):
        (tmp_path / "none" / "a" / f"{index}.png").write_bytes(b"no")
    with pytest.raises(sc.DataError, match="no image that can be used"):
        folder_data(tmp_path / "none").split("test")
    with pytest.raises(sc.DataError, match=r"None of these 1 images can be decoded; a/\d\.png: not an image"):
        folder_data(tmp_path / "none", preprocessing=None).split("test")


def test_images_in_two_splits_are_told(pets: Path) -> None:
    twins = {
        "val/cat/0.png": "test/dog/twin.png",
        "val/dog/2.png": "test/dog/2.png",
        "val/dog/1.JPG": "train/cat/x.jpg",
    }
    for one, other in twins.items():
        (pets / other).write_bytes((pets / one).read_bytes())
    data = folder_data(pets)
    for split in ("held_out", "test"):
        data.split(split)
    (notice,) = data.notices()
    assert "2 images are in both splits held_out and test" in notice
    assert any(one in notice and other in notice for one, other in list(twins.items())[:2])
    data.split("train")
    assert len(data.notices()) == 2
    assert "1 image is in both splits held_out and train" in data.notices()[1]
    assert "val/dog/1.JPG and train/cat/x.jpg" in data.notices()[1]


def test_shared_images_of_tensors_are_told(tmp_path: Path, linear_zoo: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = linear_zoo(2)
    assert sc.open_zoo(folder).data.notices() == ()
    tensors = load_file(folder / "data.safetensors")
    tensors["test.images"][5] = tensors["held_out.images"][17]
    save_file(tensors, folder / "data.safetensors")
    (notice,) = sc.open_zoo(folder).data.notices()
    assert "1 image is in both splits held_out and test, for instance image 17 and image 5" in notice


def test_row_18_links_out_of_the_named_folders_are_refused(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    make_images(outside / "cat", {".": 2})
    for link in (pets / "test" / "cat" / "secret.png", pets / "test" / "cow", pets / "linked"):
        link.symlink_to(outside if link.name == "linked" else outside / "cat" / ("0.png" if link.suffix else "."))
        with pytest.raises(sc.DataError, match=f"{link.name} lies outside the zoo's folder"):
            (folder_data(link) if link.name == "linked" else folder_data(pets)).split("test")
        link.unlink()
    with pytest.raises(sc.DataError, match="lies outside"):
        Data(f"imagefolder:{outside}", pets, UNNORMALIZED_COLOUR).split("test")
    with pytest.raises(sc.DataError, match="lies outside"):
        Data(f"tensors:../../{outside.name}/cat/0.png", pets, UNNORMALIZED).split("test")
    (pets / "test" / "cat" / "inner.png").symlink_to(pets / "train" / "cat" / "0.png")
    assert len(folder_data(pets).split("test")) == 17
    (pets / "test" / "cat" / "loop").symlink_to(pets / "test")
    with pytest.raises(sc.DataError, match="loop is a link to a folder within a class"):
        folder_data(pets).split("test")
    monkeypatch.setenv("SOUP_ZOOS", f"{tmp_path / 'nowhere'}{os.pathsep}{outside}")
    assert len(Data(f"imagefolder:{outside}", pets, UNNORMALIZED_COLOUR, SMALL).split("test")) == 1


def test_rows_17_and_37_special_files_are_skipped_and_odd_names_shown(pets: Path) -> None:
    os.mkfifo(pets / "test" / "cat" / "pipe.png")
    os.mkdir(pets / "test" / ".ipynb_checkpoints")
    odd = os.fsencode(pets / "test" / "cat") + b"/\xff\n.png"
    os.link(pets / "test" / "cat" / "0.png", odd)
    with open(os.fsencode(pets / "test" / "cat") + b"/\xfe.png", "wb") as file:
        file.write(b"no image")
    data = folder_data(pets)
    assert len(data.split("test")) == 17
    assert "test/cat/�.png" in data.notices()[0]


def test_a_folder_beyond_the_classes_is_left_out_unless_one_is_missing(pets: Path) -> None:
    make_images(pets / "val", {"cow": 1})
    data = folder_data(pets)
    expected = [label for label in by_torchvision(pets / "val")[1].tolist() if label != 2]  # cow comes third
    assert data.split("held_out").labels.tolist() == [label - (label > 2) for label in expected]
    (notice,) = data.notices()
    assert notice == "held_out has images in cow beyond the network's 3 classes, left out."
    (pets / "val" / "cat").rename(pets / "val" / "kitten")
    with pytest.raises(sc.DataError, match=r"pets/val has cow, kitten, which are none of .* 3 classes, and lacks cat"):
        folder_data(pets).split("held_out")


@pytest.mark.parametrize(
    ("made", "message"), [("nothing", "missing"), ("empty", "no folder of a class"), ("text", "holds no image")]
)
def test_a_folder_without_images_is_refused(made: str, message: str, tmp_path: Path) -> None:
    if made != "nothing":
        (tmp_path / made).mkdir()
    if made == "text":
        (tmp_path / made / "class").mkdir()
        (tmp_path / made / "class" / "notes.txt").write_text("no image")
    with pytest.raises(sc.DataError, match=message):
        folder_data(tmp_path / made).split("test")


def test_two_folders_for_one_split_are_refused(pets: Path) -> None:
    make_images(pets / "held_out", {"cat": 1})
    with pytest.raises(sc.DataError, match="both held_out and val"):
        folder_data(pets).split("test")


def test_real_shifts_are_folders_of_the_same_classes(pets: Path, tmp_path: Path) -> None:
    classes = {"cat": 3, "dog": 2, "<b>![a](x.y)": 4}
    make_images(tmp_path / "night", classes, seed=9)
    make_images(tmp_path / "short", {"cat": 2}, seed=8)
    data = folder_data(pets, shift_folders={"night": "night", "short": "short"})
    assert data.shifts()[:2] == ("night", "short")
    found, expected = data.split("test:night"), by_torchvision(tmp_path / "night")
    assert torch.equal(found.images, expected[0])
    assert torch.equal(found.labels, expected[1])
    assert len(data.split("test:blur-2")) == 16
    assert data.split("test:short").labels.tolist() == [1, 1]
    assert data.split("test:short").outputs == (1,)
    with pytest.raises(sc.DataError, match="expected night, short, or one of noise"):
        data.split("test:day")


def test_the_bundled_images_take_real_shifts_in_their_own_order_of_classes(tmp_path: Path) -> None:
    for name in FASHION_CLASSES:
        (tmp_path / "worn" / name).mkdir(parents=True)
        drawn(len(name), (28, 28)).save(tmp_path / "worn" / name / "0.png")
    data = Data("fashion_mnist", tmp_path, FASHION_NORMALIZATION, shift_folders={"worn": "worn"})
    assert data.split("test:worn").labels.tolist() == [FASHION_CLASSES.index(name) for name in sorted(FASHION_CLASSES)]
    assert data.split("test:worn").images.shape == (10, 1, 28, 28)


def test_a_split_in_use_is_shared_and_memory_is_bounded(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder_data(pets)
    test = data.split("test")
    assert folder_data(pets).split("test") is test
    monkeypatch.setattr(data_module.shared_splits, "most", test.images.nbytes)
    held_out = data.split("held_out")
    assert held_out.images.nbytes > test.images.nbytes
    assert (
        not data_module.shared_splits.kept_bytes
    )  # the other alone is more than may be kept; its user holds the first
    assert data.split("test") is test


def idx(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A root that holds a made MNIST: 30 training and 8 test images."""
    rng, raw = np.random.default_rng(0), tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in {"train": 30, "t10k": 8}.items():
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8) % 3))
    return tmp_path / "root"


def test_a_set_of_torchvision_is_read_from_disk(digits: Path) -> None:
    data = Data("torchvision:MNIST", digits.parent, UNNORMALIZED, root="root", held_out=HeldOut(0.2, seed=1))
    assert data.classes == ()
    test, held_out, train = (data.split(name) for name in ("test", "held_out", "train"))
    there = datasets.MNIST(str(digits), train=False)
    assert torch.equal(test.images[:, 0], there.data)
    assert torch.equal(test.labels, there.targets)
    assert data.classes == tuple(there.classes)
    assert torch.bincount(held_out.labels).tolist() == [2, 2, 2]
    assert torch.bincount(train.labels).tolist() == [8, 8, 8]
    whole = sorted(image.numpy().tobytes() for image in datasets.MNIST(str(digits)).data)
    assert sorted(image.numpy().tobytes() for part in (held_out, train) for image in part.images) == whole
    assert data.notices() == ()
    coloured = Data("torchvision:MNIST", digits.parent, UNNORMALIZED_COLOUR, SMALL, root="root").split("test")
    assert coloured.images.shape == (8, 3, 10, 10)


def test_a_shift_of_a_set_follows_the_order_of_its_classes(digits: Path) -> None:
    names = datasets.MNIST.classes[::-1]
    make_images(digits.parent / "drawn", dict.fromkeys(names[1:], 1))
    data = Data("torchvision:MNIST", digits.parent, UNNORMALIZED, SMALL, root="root", shift_folders={"drawn": "drawn"})
    assert data.notices() == ()
    assert data.split("test:drawn").outputs == tuple(range(9))
    make_images(digits.parent / "drawn", {names[0]: 2})
    data = Data("torchvision:MNIST", digits.parent, UNNORMALIZED, SMALL, root="root", shift_folders={"drawn": "drawn"})
    assert data.split("test:drawn").labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


def test_a_set_without_parts_is_divided(tmp_path: Path) -> None:
    make_images(tmp_path / "eurosat" / "2750", {"Forest": 5, "River": 5})
    data = Data("torchvision:EuroSAT", tmp_path, UNNORMALIZED_COLOUR, SMALL)
    assert [len(data.split(name)) for name in ("held_out", "test")] == [2, 8]
    assert data.classes == ("Forest", "River")
    with pytest.raises(sc.DataError, match="no training images"):
        data.split("train")


def test_a_set_that_is_unknown_missing_or_damaged(digits: Path) -> None:
    with pytest.raises(sc.DataError, match="torchvision:PhotoTour is not known here; expected one of CIFAR10"):
        Data("torchvision:PhotoTour", digits.parent, UNNORMALIZED).split("test")
    for root in ("root", "nowhere"):
        with pytest.raises(sc.DataError, match=rf"{root} does not hold CIFAR10 .* --download"):
            Data("torchvision:CIFAR10", digits.parent, UNNORMALIZED_COLOUR, root=root).split("test")
    (digits / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(sc.DataError, match=r"MNIST could not be read from .* --download"):
        Data("torchvision:MNIST", digits.parent, UNNORMALIZED, root="root").split("test")


def test_fetching_asks_for_every_part_and_fails_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def cifar(root: str, **how: object) -> None:
        asked.append({"root": root, **how})
        if len(asked) > 2:
            raise OSError("no route to host")

    monkeypatch.setattr(datasets, "CIFAR10", cifar)
    data = Data("torchvision:CIFAR10", tmp_path, UNNORMALIZED_COLOUR, root="new")
    data.fetch()
    root = str(tmp_path / "new")
    assert asked == [{"root": root, "train": True, "download": True}, {"root": root, "train": False, "download": True}]
    with pytest.raises(sc.DataError, match=r"could not be fetched into .* \(no route to host\)"):
        data.fetch()
    with pytest.raises(sc.DataError, match="outside the zoo's folder"):
        Data("torchvision:CIFAR10", tmp_path, UNNORMALIZED_COLOUR, root="/elsewhere").fetch()
    with pytest.raises(sc.DataError, match="the source is fashion_mnist"):
        Data("fashion_mnist", tmp_path, UNNORMALIZED).fetch()


def test_the_makers_of_every_known_set_take_the_arguments_given_them() -> None:
    from inspect import signature

    for name, (_, parts) in sources.TORCHVISION.items():
        known = signature(getattr(datasets, name)).parameters
        assert "download" in known, name
        given = {key for arguments in parts.values() for key in arguments}
        assert parts, name
        assert given <= set(known), name
    assert {"train", "split"} <= {
        key for _, parts in sources.TORCHVISION.values() for part in parts.values() for key in part
    }


@pytest.mark.parametrize("size", [(1, 1), (224, 224), (225, 224), (5, 61), (61, 5), (30, 33), (33, 30), (31, 34)])
@pytest.mark.parametrize(("resize", "crop"), [(32, 27), (33, 32), (20, 25), (25, 20)])
def test_preprocessing_is_torchvisions(size: tuple[int, int], resize: int, crop: int) -> None:
    steps = [transforms.Resize(resize, interpolation=transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(crop)]
    expected = transforms.Compose(steps)(drawn(3, size))
    assert np.array_equal(np.asarray(Preprocessing(resize, crop, "bicubic")(drawn(3, size))), np.asarray(expected))
    steps[0] = transforms.Resize((resize, resize), interpolation=transforms.InterpolationMode.BICUBIC)
    stretched = Preprocessing(resize, crop, "bicubic", stretch=True)(drawn(3, size))
    assert np.array_equal(np.asarray(stretched), np.asarray(transforms.Compose(steps)(drawn(3, size))))


@pytest.fixture
def zoo(pets: Path) -> Path:
    """A zoo of linear models of 2×2 grey pixels, judged by the pets."""
    folder = write_zoo(pets.parent / "zoo", random_linears(3))
    pets.rename(folder / "pets")
    make_images(folder / "night", {"cat": 2, "dog": 2, "<b>![a](x.y)": 2}, 7)
    write_data(
        folder,
        'source = "imagefolder:pets"\npreprocessing = { resize = 3, crop = 2, interpolation = "bicubic" }\n'
        'normalize = { mean = [0.5], std = [0.2] }\nshifts = { night = "night" }',
    )
    return folder


def write_data(folder: Path, keys: str) -> None:
    text = (folder / "zoo.toml").read_text()
    head, tail = text.split("[data]")[0], text[text.index("[[ingredients]]") :]
    (folder / "zoo.toml").write_text(f"{head}[data]\n{keys}\n{tail}")


def test_a_zoo_is_judged_by_the_images_of_a_folder(zoo: Path) -> None:
    opened = sc.open_zoo(zoo)
    evaluate = sc.Evaluator(opened, "test:night")
    pixels, labels = by_torchvision(zoo / "night", Preprocessing(3, 2, "bicubic"), grey=True)
    weights = dict(opened.by_name["m1"].checkpoint.read_all())
    inputs = (pixels.double().flatten(1) / 255 - 0.5) / 0.2
    logits = inputs @ weights["head.weight"].double().T + weights["head.bias"].double()
    assert evaluate(sc.Soup({"m1": 1.0})).correct == int((logits.argmax(1) == labels).sum())
    assert torch.allclose(evaluate.logits(sc.Soup({"m1": 1.0})).double(), logits, atol=1e-4)


def test_row_43_decoding_stops_where_work_is_interrupted(zoo: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sc.interruptible(stop):
        sc.Evaluator(sc.open_zoo(zoo), "test")
    assert not sc.open_zoo(zoo).data._ready("test")
    assert sc.Evaluator(sc.open_zoo(zoo), "test").total == 16


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('source = "imagefolder:"', "data.source"),
        ('source = "imagefolder:pets"\npreprocessing = { resize = 3 }', "must have resize and crop, or processor"),
        ('source = "imagefolder:pets"\npreprocessing = { resize = 3, crop = 2, interpolation = "area" }', "'area'"),
        ('source = "imagefolder:pets"\npreprocessing = { resize = [3, 0], crop = 2 }', "data.preprocessing.resize"),
        ('source = "imagefolder:pets"\npreprocessing = { processor = "pets", crop = 2 }', "nothing else may be said"),
        ('source = "imagefolder:pets"\npreprocessing = { processor = "../pets" }', "outside the zoo's folder"),
        ('source = "imagefolder:pets"\npreprocessing = { processor = "pets" }', r"holds no preprocessor_config\.json"),
        (
            'source = "imagefolder:pets"\npreprocessing = { resize = 3, crop = 2, stretch = true, border = [0] }',
            "say one of them",
        ),
        ('source = "imagefolder:pets"\nheld_out = { share = 1.0 }', "data.held_out.share"),
        ('source = "imagefolder:pets"\nroot = "pets"', "no other source has it"),
        ('source = "torchvision:MNIST"', "torchvision:CLASS needs it"),
        ('source = "tensors:data.safetensors"\nheld_out = { share = 0.5 }', "other sources have their splits"),
        ('source = "fashion_mnist"\npreprocessing = { resize = 3, crop = 2 }', "has none"),
    ],
)
def test_a_key_that_does_not_fit_is_named(zoo: Path, keys: str, message: str) -> None:
    write_data(zoo, keys)
    with pytest.raises(sc.ZooError, match=message):
        sc.open_zoo(zoo)


def test_settings_of_the_data_are_part_of_the_zoo(zoo: Path, digits: Path) -> None:
    before = sc.open_zoo(zoo)
    write_data(
        zoo,
        'source = "imagefolder:pets"\npreprocessing = { resize = 3, crop = 2 }\nheld_out = { share = 0.5, seed = 3 }',
    )
    after = sc.open_zoo(zoo)
    assert after.digest != before.digest
    assert after.data.held_out == HeldOut(0.5, 3)
    assert after.data.normalization == UNNORMALIZED_COLOUR
    digits.rename(zoo / "root")
    write_data(zoo, 'source = "torchvision:MNIST"\nroot = "root"\nnormalize = { mean = [0.0], std = [1.0] }')
    assert len(sc.open_zoo(zoo).data.split("test")) == 8


def on_command_line(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["soup_core", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_images_are_decoded_and_listed_on_the_command_line(
    zoo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (zoo / "pets" / "test" / "cat" / "twin.png").write_bytes((zoo / "pets" / "val" / "cat" / "0.png").read_bytes())
    assert on_command_line(monkeypatch, "images", str(zoo), "--json") == 0
    *rows, notice = map(json.loads, capsys.readouterr().out.splitlines())
    assert {row["split"]: row["images"] for row in rows} == {"held_out": 19, "test": 17, "train": 31, "test:night": 6}
    assert rows[1]["digest"] == sc.open_zoo(zoo).data.split("test").digest
    assert "1 image is in both splits held_out and test" in notice["notice"]
    assert on_command_line(monkeypatch, "inspect", str(zoo), "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == notice
    opened = sc.open_zoo(zoo)
    found = {each.what: each for each in sc.preflight_checks(opened, sc.Evaluator(opened), ["m0"])}
    assert (found["images"].verdict, found["images"].sentence) == ("notice", notice["notice"])
    assert on_command_line(monkeypatch, "images", str(zoo), "--download") == 2
    assert "only images of torchvision" in capsys.readouterr().err.lower()


def test_fetching_prints_nothing_on_standard_output(
    zoo: Path, digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(zoo, 'source = "torchvision:MNIST"\nroot = "root"\nnormalize = { mean = [0.0], std = [1.0] }')
    made = sources.made_by_torchvision

    def fetching(dataset: str, root: str, arguments: Mapping[str, object]) -> object:
        if arguments.get("download") and digits.exists():
            print("Downloading")
            Path(root).rmdir()
            digits.rename(root)
        return made(dataset, root, {**arguments, "download": False})

    monkeypatch.setattr(sources, "made_by_torchvision", fetching)
    assert on_command_line(monkeypatch, "images", str(zoo), "--json") == 2
    assert "--download" in capsys.readouterr().err
    assert on_command_line(monkeypatch, "images", str(zoo), "--download", "--json") == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["images"] for line in out.splitlines()] == [6, 8, 24]
    assert "Downloading" in err


@pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")
def test_row_36_a_page_tells_of_decoding_and_of_damage(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    told: list[str] = []
    progress = st.delta_generator.DeltaGenerator.progress
    monkeypatch.setattr(
        st.delta_generator.DeltaGenerator,
        "progress",
        lambda self, value, text=None, **how: told.append(text) or progress(self, value, text, **how),
    )
    (zoo / "pets" / "val" / "cat" / "<i>.png").write_bytes(b"no image")
    page = AppTest.from_file(str(Path(sc.__file__).parent.parent / "app.py"), default_timeout=PATIENCE)
    page.switch_page("pages/1_Ingredients.py")
    page.query_params["zoo"] = "zoo"
    assert not page.run().exception
    assert told[-1] == r"Decoding the images of held_out, once: 20 of 20"
    decoded = len(told)
    assert not page.run().exception
    assert len(told) == decoded
    assert plain("val/cat/<i>.png: not an image of a known format") in page.warning[0].value
