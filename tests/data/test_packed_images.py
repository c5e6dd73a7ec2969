"""Bundled images: what is written comes back, nothing is unpacked before it is looked at, damage is said."""

import json
from pathlib import Path

import pytest
import torch

import soup_core as sc
from soup_core.data import splits
from soup_core.data.packed_images import PackedImages, is_packed, read_packed, write_packed


def written(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (30, 1, 6, 5), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (30,), generator=generator)
    write_packed(folder, {"held_out": (images, labels)})
    return images, labels


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    images, labels = written(tmp_path)
    packed, read = read_packed(tmp_path, "held_out")
    assert torch.equal(packed.tensor, images)
    assert torch.equal(read, labels)
    assert sc.data.Split("held_out", packed, read).digest == sc.data.Split("held_out", images, labels).digest
    assert (is_packed(tmp_path, ("held_out",)), is_packed(tmp_path, ("held_out", "test"))) == (True, False)


def test_labels_and_digest_take_no_image(tmp_path: Path) -> None:
    images, labels = written(tmp_path)
    (tmp_path / "held_out.png").unlink()
    split = sc.data.Split("held_out", *read_packed(tmp_path, "held_out"))
    assert (len(split), split.shape, split.digest) == (
        30,
        (30, 1, 6, 5),
        sc.data.Split("held_out", images, labels).digest,
    )
    with pytest.raises(sc.DataError, match=r"held_out\.png are missing or damaged .*; restore assets/data"):
        _ = split.images


@pytest.mark.parametrize("harm", ["cut", "another image", "no image", "another shape"])
def test_damaged_images_are_refused(harm: str, tmp_path: Path) -> None:
    images, labels = written(tmp_path)
    file, record = tmp_path / "held_out.png", tmp_path / "splits.json"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-200])
    elif harm == "no image":
        file.write_bytes(b"<html>")
    elif harm == "another shape":
        record.write_text(record.read_text().replace("6,", "7,"))
    else:
        kept = record.read_bytes()
        write_packed(tmp_path, {"held_out": (255 - images, labels)})
        record.write_bytes(kept)
    with pytest.raises(sc.DataError, match=r"held_out\.png are missing or damaged .*; restore assets/data"):
        _ = read_packed(tmp_path, "held_out")[0].tensor


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"held_out": {"shape": [2, 1, 1, 1], "labels": "AA=="}}'])
def test_a_damaged_record_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text(content)
    with pytest.raises(sc.DataError, match=r"splits\.json are missing or damaged"):
        read_packed(tmp_path, "held_out")


def test_the_record_of_the_bundled_images_is_what_they_are() -> None:
    folder = sc.data.FASHION_MNIST
    assert set(json.loads((folder / "splits.json").read_bytes())) == {"held_out", "test", "train"}
    for name in ("held_out", "test", "train"):
        packed, labels = read_packed(folder, name)
        assert isinstance(packed, PackedImages)
        assert len(packed.tensor) == len(labels)  # whose digest is checked as they are unpacked


def test_what_is_known_of_a_bundled_zoo_takes_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        splits, "shared_splits", splits.SharedSplits(splits.KEPT_BYTES)
    )  # others may have unpacked theirs
    zoo = sc.open_zoo("fashion")
    for split in ("held_out", "test"):
        evaluate = sc.Evaluator(zoo, split, "cpu")
        assert evaluate.trial(sc.uniform_soup(zoo)).images_evaluated == 0
        assert isinstance(evaluate.data.pixels, PackedImages)
        assert "tensor" not in evaluate.data.pixels.__dict__
