"""What a transform makes of an image, and what zoo.toml says of it, are the same pixels; what it cannot say is named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.models import ResNet18_Weights
from torchvision.transforms import InterpolationMode, v2

import soup_core as sc
from soup_core.callbacks.images import described
from soup_core.data import Normalization, Preprocessing

BICUBIC = InterpolationMode.BICUBIC


def compose(*steps: Any) -> transforms.Compose:
    return transforms.Compose([*steps])


def of_timm() -> Callable[[Image.Image], Tensor]:
    timm = pytest.importorskip("timm")
    made: Callable[[Image.Image], Tensor] = timm.data.create_transform(
        (3, 48, 48), crop_pct=0.9, interpolation="bicubic"
    )
    return made


def of_transformers() -> Any:
    return pytest.importorskip("transformers").ViTImageProcessor(size={"height": 40, "width": 40})


def as_said(table: dict[str, Any], image: Image.Image) -> Tensor:
    if "preprocessing" in table:
        image = Preprocessing(**table["preprocessing"])(image)
    pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)[None]
    normalize = table.get("normalize", {"mean": [0.0], "std": [1.0]})
    return Normalization(tuple(normalize["mean"]), tuple(normalize["std"]))(pixels)[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ResNet18_Weights.DEFAULT.transforms(),
        lambda: compose(transforms.Resize(70, BICUBIC), transforms.CenterCrop(64), transforms.ToTensor()),
        lambda: compose(
            transforms.Resize((48, 48)), compose(transforms.ToTensor()), transforms.Normalize([0.5], [0.25])
        ),
        lambda: compose(
            transforms.Resize([50]), v2.CenterCrop(40), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)
        ),
        transforms.ToTensor,
        of_timm,
        of_transformers,
    ],
)
def test_a_transform_is_said_as_it_is(make: Callable[[], Any]) -> None:
    transform = make()
    rng = np.random.default_rng(0)
    for size in ((90, 120), (131, 77)):
        image = Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8))
        processor = hasattr(transform, "to_json_string")
        expected = transform(image, return_tensors="pt")["pixel_values"][0] if processor else transform(image)
        torch.testing.assert_close(as_said(described(transform), image), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([transforms.RandomResizedCrop(32)], "step RandomResizedCrop"),
        ([transforms.Resize(32), transforms.ToTensor()], "their own shape"),
        ([transforms.CenterCrop(32)], "does not resize"),
        ([transforms.Resize((32, 40))], "makes 32×40 pixels"),
        ([transforms.Resize(32, InterpolationMode.NEAREST_EXACT)], "interpolates by 'nearest-exact'"),
        ([transforms.ToTensor(), transforms.Resize((32, 32))], "step Resize"),
        ([transforms.Resize(32, max_size=40)], "step Resize"),
        ([v2.ToDtype(torch.float32)], "step ToDtype"),
        ([transforms.Grayscale(3)], "step Grayscale"),
    ],
)
def test_what_zoo_toml_cannot_say_is_named(steps: list[Any], sentence: str) -> None:
    with pytest.raises(sc.SoupError, match=sentence):
        described(compose(*steps))


def test_tensors_are_resized_as_tensors() -> None:
    transform = v2.Compose([v2.ToImage(), v2.Resize((40, 40)), v2.ToDtype(torch.float32, scale=True)])
    table = described(transform)
    assert table["preprocessing"]["backend"] == "torchvision"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8))
    torch.testing.assert_close(as_said(table, image), transform(image), atol=1e-6, rtol=0)


def test_grey_images_have_one_mean() -> None:
    grey = [transforms.Grayscale(), transforms.ToTensor()]
    assert described(compose(*grey)) == {"normalize": {"mean": [0.0], "std": [1.0]}}
    assert described(compose(*grey, transforms.Normalize([0.5], [0.25]))) == {
        "normalize": {"mean": [0.5], "std": [0.25]}
    }
