"""What timm and torchvision do to images for evaluation, pixel by pixel; transformers' is beside its processors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg, list_pretrained
from torchvision import transforms

from soup_core.architectures.timm_models import preprocessing as timm_preprocessing
from soup_core.data import Preprocessing

NOISE = np.random.default_rng(5)
WIDTHS_AND_HEIGHTS = ((97, 41), (43, 90), (61, 61), (5, 9))


def drawn(width: int, height: int) -> Image.Image:
    return Image.fromarray(NOISE.integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def expected_by_timm() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name of timm's weights for each way in which it prepares images for any of them."""
    seen = set()
    for name in list_pretrained():
        config = resolve_data_config({}, pretrained_cfg=get_pretrained_cfg(name).to_dict())
        if (key := repr(config)) not in seen:
            seen.add(key)
            yield name, config


def assert_as_timm(name: str, settings: dict[str, Any], images: list[Image.Image]) -> None:
    config = resolve_data_config(settings, pretrained_cfg=get_pretrained_cfg(name).to_dict())
    words, normalization = timm_preprocessing(name, {}, settings)
    theirs, normalised = (create_transform(**config, is_training=False, normalize=each) for each in (False, True))
    for image in images:
        ours = pixels(words(image))
        assert torch.equal(ours, theirs(image)), (name, config, image.size)
    torch.testing.assert_close(normalization(ours[None])[0], normalised(images[-1]), atol=1e-5, rtol=1e-5)


def test_every_way_of_timm_is_timms_own_at_an_eighth_of_its_size() -> None:
    images, modes = [drawn(*size) for size in WIDTHS_AND_HEIGHTS], set()
    for name, config in expected_by_timm():
        small = [3, *(max(8, side // 8) for side in config["input_size"][1:])]
        assert_as_timm(name, {"input_size": small}, images)
        modes.add((config["crop_mode"], config["interpolation"]))
    assert {mode for mode, _ in modes} == {"center", "squash", "border"}


@pytest.mark.soak
def test_every_way_of_timm_is_timms_own() -> None:
    images = [drawn(640, 311), drawn(301, 480), drawn(9, 5), drawn(224, 224)]
    for name, _ in expected_by_timm():
        assert_as_timm(name, {}, images)


@pytest.mark.parametrize("interpolation", ["nearest", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(24, 24), (31, 18), (18, 31)])
def test_a_runs_own_settings_are_done_as_timm_does(interpolation: str, mode: str, size: tuple[int, int]) -> None:
    settings = {
        "input_size": [3, *size],
        "crop_pct": 0.77,
        "interpolation": interpolation,
        "crop_mode": mode,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.5],
    }
    assert_as_timm("resnet18", settings, [drawn(*size) for size in WIDTHS_AND_HEIGHTS])


@pytest.mark.parametrize("resize", [12, 8])
def test_a_middle_between_two_pixels_is_torchvisions_or_rounded_down(resize: int) -> None:
    theirs = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(9)])
    down = Preprocessing(resize, 9, crop_offset="floor")
    differ = 0
    for width in range(20, 60):
        image = drawn(width, 20)
        ours = Preprocessing(resize, 9)(image)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs(image)))
        differ += not np.array_equal(np.asarray(ours), np.asarray(down(image)))
    assert differ


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_the_kernels_for_tensors_are_torchvisions(interpolation: Any) -> None:
    from torchvision.transforms import InterpolationMode, v2

    theirs = v2.Compose(
        [v2.PILToTensor(), v2.Resize((17, 23), InterpolationMode(interpolation), antialias=True), v2.CenterCrop(12)]
    )
    ours = Preprocessing((17, 23), 12, interpolation, stretch=True, backend="torchvision")
    for size in WIDTHS_AND_HEIGHTS:
        image = drawn(*size)
        assert torch.equal(pixels(ours(image)), theirs(image))
        assert ours(image.convert("L")).mode == "L"


def test_grey_images_are_bordered_in_grey() -> None:
    found = Preprocessing(10, 10, border=(7, 8, 9))(Image.new("L", (20, 10), 200))
    assert np.asarray(found)[0].tolist() == [7] * 10
    assert np.asarray(found)[5].tolist() == [200] * 10


def test_keys_of_old_preprocessings_stay() -> None:
    before = {"resize": 8, "crop": 6, "interpolation": "bilinear", "stretch": False}  # all fields that there once were
    assert Preprocessing(8, 6).identity == before
    assert Preprocessing(8, 6, crop_offset="floor").identity == {**before, "crop_offset": "floor"}


@pytest.mark.parametrize(
    "words",
    [
        Preprocessing(256, 224),
        Preprocessing((8, 9), (4, 5), "lanczos", True, "floor", "torchvision"),
        Preprocessing(8, 8, "bicubic", border=(1, 2, 3)),
    ],
)
def test_a_table_says_all(words: Preprocessing) -> None:
    assert Preprocessing.from_table(words.table()) == words
    assert Preprocessing(256, 224).table() == {"resize": 256, "crop": 224, "interpolation": "bilinear"}
