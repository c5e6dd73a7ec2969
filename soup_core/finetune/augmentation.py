"""Random changes to the images that a run trains on; several are joined by a plus, for instance "flip+shift".

Flips, shifts and affine changes draw from the run's own generator; crops and RandAugment (Cubuk et al. 2020, arXiv 1909.13719) are
torchvision's and draw from torch's, which the run seeds for each batch.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PARTS = ("flip", "shift", "affine", "crop", "randaugment")
NONE = "none"
CROP_SHARES = (0.35, 1.0)  # of the area; the images have been cut to their middle once before
DEGREES, SCALES = 10.0, (0.85, 1.15)  # of affine changes, beyond which an arrow points elsewhere
LARGE_SIDE = 64  # pixels, from which on a crop still shows what is on the image


def augmentations_for(side: int | None) -> tuple[str, ...]:
    """What suits images whose shorter side has so many pixels, from nothing to much; without a side, texts: nothing."""
    if side is None:
        return (NONE,)
    if side < LARGE_SIDE:
        return (NONE, "flip", "shift", "flip+shift")
    return (NONE, "flip", "flip+crop", "flip+crop+randaugment")


def is_augmentation(text: str) -> bool:
    """Whether every part of the text is known, and stands in it once."""
    parts = text.split("+")
    return text == NONE or (set(parts) <= set(PARTS) and len(set(parts)) == len(parts))


def augment(images: Tensor, augmentation: str, rng: np.random.Generator, *, reach: int = 2) -> Tensor:
    """Change uint8 images (N×C×H×W), each by chance of its own.

    "crop" cuts out a part and enlarges it, "flip" turns left and right round, "shift" moves by up to `reach` pixels,
    "affine" rotates by up to DEGREES and changes the size within SCALES, "randaugment" applies two of torchvision's
    changes of colour and shape.
    """
    parts = augmentation.split("+")
    count, channels, height, width = images.shape
    if "crop" in parts:
        images = _each(images, _crop(height, width))
    if "flip" in parts:
        flipped = torch.from_numpy(rng.random(count) < 0.5).to(images.device)
        images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
    if "shift" in parts:
        down, right = torch.from_numpy(rng.integers(0, 2 * reach + 1, (2, count))).to(images.device)
        rows = (torch.arange(height, device=images.device) + down[:, None])[:, None, :, None]
        columns = (torch.arange(width, device=images.device) + right[:, None])[:, None, None, :]
        padded = F.pad(images, (reach,) * 4)
        channel = torch.arange(channels, device=images.device)[None, :, None, None]
        images = padded[torch.arange(count, device=images.device)[:, None, None, None], channel, rows, columns]
    if "affine" in parts:
        images = _affine(images, rng)
    if "randaugment" in parts:
        images = _each(images, _randaugment())
    return images


def _affine(images: Tensor, rng: np.random.Generator) -> Tensor:
    angle = np.radians(rng.uniform(-DEGREES, DEGREES, len(images)))
    size = rng.uniform(*SCALES, len(images))
    cosine, sine = np.cos(angle) / size, np.sin(angle) / size
    ratio = images.shape[-2] / images.shape[-1]  # since a grid's coordinates go from -1 to 1 along either side
    rows = np.stack([np.stack([cosine, -sine * ratio], 1), np.stack([sine / ratio, cosine], 1)], 1)
    theta = torch.from_numpy(np.concatenate([rows, np.zeros((len(images), 2, 1))], 2)).float().to(images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False).round().to(torch.uint8)


def _each(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """torchvision changes all images of a batch alike, so each is a batch of its own."""
    return torch.stack([change(image) for image in images])


@cache
def _crop(height: int, width: int) -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    crop: Callable[[Tensor], Tensor] = v2.RandomResizedCrop((height, width), scale=CROP_SHARES, antialias=True)
    return crop


@cache
def _randaugment() -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    change: Callable[[Tensor], Tensor] = v2.RandAugment()
    return change
