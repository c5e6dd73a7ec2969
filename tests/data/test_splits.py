from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import soup_core as sc
from soup_core.data import FASHION_NORMALIZATION, SHIFTS, Data, Normalization, shifted, shifts

FASHION = Data("fashion_mnist", Path("."), FASHION_NORMALIZATION)


def test_the_bundled_splits_are_as_described_and_apart() -> None:
    held_out, test, train = (FASHION.split(name) for name in ("held_out", "test", "train"))
    assert [tuple(split.images.shape) for split in (held_out, test, train)] == [
        (5_000, 1, 28, 28),
        (10_000, 1, 28, 28),
        (10_000, 1, 28, 28),
    ]
    assert [split.labels.unique().tolist() for split in (held_out, test, train)] == 3 * [list(range(10))]
    seen = {image.numpy().tobytes() for image in train.images}
    assert not any(image.numpy().tobytes() in seen for image in held_out.images)


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_is_the_same_tensor_each_time_and_grows_with_severity(name: str) -> None:
    images = FASHION.split("test").images[:400]
    before = images.clone()
    one, again, five = shifted(images, f"{name}-1"), shifted(images, f"{name}-1"), shifted(images, f"{name}-5")
    assert torch.equal(one, again)
    assert torch.equal(images, before)
    assert one.dtype == torch.uint8
    assert one.shape == images.shape
    change = [(moved.float() - images.float()).abs().mean() for moved in (one, five)]
    assert 0 < change[0] < change[1]


@pytest.mark.parametrize("name", SHIFTS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 3), (3, 5, 40), (3, 224, 224)])
def test_a_shift_takes_images_of_any_size_grey_or_in_colour(name: str, shape: tuple[int, ...]) -> None:
    images = torch.randint(0, 256, (4, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for severity in (1, 5):
        moved = shifted(images, f"{name}-{severity}")
        assert (moved.shape, moved.dtype) == (images.shape, torch.uint8)
    if shape[1] == 224:
        assert not torch.equal(moved, images)


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_made_in_parts_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (7, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    whole = shifted(images, f"{name}-3")
    monkeypatch.setattr(shifts, "PART", 2 * 3 * 32 * 32)
    assert torch.equal(shifted(images, f"{name}-3"), whole)


def test_colours_are_shifted_alike() -> None:
    grey = torch.randint(0, 256, (8, 1, 28, 28), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    colour = grey.expand(-1, 3, -1, -1).contiguous()
    for name in set(SHIFTS) - {"noise"}:
        alone, three = shifted(grey, f"{name}-4").int(), shifted(colour, f"{name}-4").int()
        # A grey image's mean is exact, and that of three channels a weighted sum, which may round to the next number.
        assert int((alone - three).abs().max()) <= (name == "contrast"), name


def test_blur_is_the_gaussian_of_two_dimensions_and_grows_with_the_root_of_the_size() -> None:
    images = torch.zeros(1, 1, 112, 112, dtype=torch.uint8)
    images[:, :, 56, 56] = 255
    sigma = 1.7 * 2  # 112 pixels are four times 28
    squares = ((torch.arange(112) - 56) ** 2).float()
    around = torch.exp(-(squares[:, None] + squares[None]) / (2 * sigma**2))
    expected = 255 * around / (2 * torch.pi * sigma**2)
    assert float((shifted(images, "blur-5")[0, 0].float() - expected).abs().max()) < 0.6


def test_images_of_other_channels_have_no_made_shift() -> None:
    with pytest.raises(sc.DataError, match="1 or 3 channels; these have 4"):
        shifted(torch.zeros(1, 4, 8, 8, dtype=torch.uint8), "blur-1")


def test_there_are_at_least_six_corruptions_at_five_severities() -> None:
    assert len(SHIFTS) >= 6
    assert len(FASHION.shifts()) == 5 * len(SHIFTS)
    assert len(FASHION.split("test:blur-3")) == 10_000


@pytest.mark.parametrize("name", ["held-out", "test:fog-3", "test:blur-6", "held_out:blur-1", "test:blur"])
def test_an_unknown_split_is_refused(name: str) -> None:
    with pytest.raises(sc.DataError, match="There is no"):
        FASHION.split(name)


def test_normalization_is_by_channel() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (images.float() / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    torch.testing.assert_close(Normalization(mean, std)(images), expected, atol=1e-6, rtol=1e-5)


BAD_TENSORS = {
    "float images": ({"test.images": torch.zeros(2, 1, 2, 2)}, "must be uint8"),
    "flat images": ({"test.images": torch.zeros(2, 4, dtype=torch.uint8)}, "N×C×H×W"),
    "labels": ({"test.labels": torch.zeros(3, dtype=torch.int64)}, r"labels must be int64 of shape \(2,\)"),
    "lacking": ({"test.labels": None}, "no tensor test.labels"),
    "channels": (
        {"test.images": torch.zeros(2, 3, 2, 2, dtype=torch.uint8)},
        "images have 3 channels, but normalize in zoo.toml gives 2 means",
    ),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensors_of_another_kind_are_refused(case: str, tmp_path: Path) -> None:
    changed, message = BAD_TENSORS[case]
    tensors = {
        "test.images": torch.zeros(2, 1, 2, 2, dtype=torch.uint8),
        "test.labels": torch.tensor([0, 1]),
        **changed,
    }
    save_file({k: v for k, v in tensors.items() if v is not None}, tmp_path / "d.safetensors")
    with pytest.raises(sc.DataError, match=message):
        Data("tensors:d.safetensors", tmp_path, Normalization((0.0, 0.0), (1.0, 1.0))).split("test")


def test_given_shifts_come_before_made_ones(tmp_path: Path) -> None:
    pixels, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    tensors = {
        "test.images": pixels,
        "test.labels": labels,
        "shift.night.images": pixels + 1,
        "shift.night.labels": labels.clone(),
    }
    save_file(tensors, tmp_path / "d.safetensors")
    data = Data("tensors:d.safetensors", tmp_path, Normalization((0.0,), (1.0,)))
    assert data.shifts()[0] == "night"
    assert int(data.split("test:night").images.max()) == 1
    assert int(data.split("test:brightness-1").images.min()) > 0
