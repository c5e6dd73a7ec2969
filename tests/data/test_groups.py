import os
from pathlib import Path

import pytest
import torch

import soup_core as sc
from tests.class_folders import logits, read, write_sweep, zoo_toml

ORDER = ("ant", "bee", "cat")


def sweep(tmp_path: Path, rows: dict[str, str] | None = None, head: str = "file,group") -> Path:
    """A sweep whose table says of each held-out and test image the background that it is on, by its number."""
    folder = tmp_path / "sweep"
    write_sweep(folder, ORDER, {"val": ORDER, "test": ORDER})
    images = folder / "images"
    found = {
        str(path.relative_to(images)): f"on {int(path.stem.rpartition('-')[2]) % 2}" for path in images.rglob("*.png")
    }
    table = "\n".join([head, *(f"{name},{group}" for name, group in (found if rows is None else rows).items())])
    (folder / "groups.csv").write_text(table)
    (folder / "zoo.toml").write_text(zoo_toml(ORDER, 'groups = "groups.csv"'))
    return folder


def test_a_table_says_the_groups_of_image_files(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    zoo = sc.open_zoo(folder).judged_by("worst-group")
    split = zoo.data.split("held_out")
    assert split.groups is not None
    assert split.groups.tolist() == [0, 1] * 6  # four images of each class, in the order of their names
    evaluate = sc.Evaluator(zoo)
    images, labels = read(folder / "images" / "val", ORDER)
    model = dict(zoo.by_name["run-1"].checkpoint.read_all())
    right = logits(model, images).argmax(1) == labels
    expected = min(float(right[split.groups == group].float().mean()) for group in (0, 1))
    assert evaluate(sc.Soup({"run-1": 1.0})).value == pytest.approx(expected)


def test_images_without_a_group_are_named_or_all_are(tmp_path: Path) -> None:
    zoo = sc.open_zoo(sweep(tmp_path, {"val/ant/2-0.png": "sand", "test/ant/3-0.png": ""}))
    assert zoo.data.split("test").groups is None
    with pytest.raises(sc.DataError, match=r"11 of 12 images have no group, the first is val/ant/2-1\.png"):
        zoo.data.split("held_out")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_text("name,place\n"), "must have the columns file and group; found name, place"),
        (lambda file: file.unlink(), r"groups\.csv"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "is no file of at most"),
        (lambda file: file.write_bytes(b"\xff\xfe\xff"), "cannot be read"),
        (lambda file: (file.unlink(), file.symlink_to("/etc/passwd")), "passwd|outside|link"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(tmp_path: Path, spoil: object, message: str) -> None:
    folder = sweep(tmp_path)
    assert callable(spoil)
    spoil(folder / "groups.csv")
    with pytest.raises(sc.DataError, match=message):
        sc.open_zoo(folder).data.split("held_out")


def test_groups_belong_to_class_folders(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    file = folder / "zoo.toml"
    file.write_text(file.read_text().replace("imagefolder:images", "tensors:data.safetensors"))
    with pytest.raises(sc.ZooError, match=r"a file of tensors holds held_out\.groups itself"):
        sc.open_zoo(folder)


def test_the_groups_of_a_drawn_part_stay_with_their_images(tmp_path: Path) -> None:
    zoo = sc.open_zoo(sweep(tmp_path))
    part = sc.Evaluator(zoo, images=5)
    assert part.judge.truth.groups is not None
    whole = zoo.data.split("held_out")
    assert whole.groups is not None
    by_image = {image.numpy().tobytes(): int(group) for image, group in zip(whole.images, whole.groups, strict=True)}
    drawn = [by_image[image.numpy().tobytes()] for image in part.data.images]
    assert part.judge.truth.groups.tolist() == drawn
    assert torch.tensor(drawn).shape == (5,)
