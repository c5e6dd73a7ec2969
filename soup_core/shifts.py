"""Distribution shifts: corruptions of the test images at severities 1 to 5, the same tensor on every run.

The corruptions and their severities follow the idea of Hendrycks & Dietterich 2019 (arXiv 1903.12261), scaled to small
images; the image operations are torchvision's.
"""

import zlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from soup_core.errors import DataError


def shifted(images: Tensor, shift: str) -> Tensor:
    """Corrupt uint8 images (N×C×H×W) by "NAME-SEVERITY", for instance "blur-3"; the input is left as it was.

    Raises DataError for a name or severity that does not exist.
    """
    name, _, severity = shift.rpartition("-")
    if name not in SHIFTS or severity not in ("1", "2", "3", "4", "5"):
        raise DataError(f"There is no shift {shift!r}; expected one of {', '.join(SHIFTS)}, with a severity -1 to -5.")
    generator = torch.Generator().manual_seed(zlib.crc32(shift.encode()))
    return SHIFTS[name](images, int(severity), generator)


def noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise; the standard deviation is a share of the full range."""
    sigma = (0.06, 0.10, 0.14, 0.19, 0.25)[severity - 1]
    drawn = torch.randn(images.shape, generator=generator)
    return (images + 255 * sigma * drawn).round_().clamp_(0, 255).to(torch.uint8)


def blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian blur; sigma in pixels of a 28-pixel image."""
    sigma = (0.6, 0.8, 1.0, 1.3, 1.7)[severity - 1] * _scale(images)
    kernel = 2 * round(3 * sigma) + 1
    blurred: Tensor = _torchvision().gaussian_blur(images, [kernel, kernel], [sigma, sigma])
    return blurred


def contrast(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Less contrast around each image's mean."""
    faint: Tensor = _torchvision().adjust_contrast(images, (0.7, 0.55, 0.42, 0.32, 0.24)[severity - 1])
    return faint


def brightness(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Every pixel brighter by a share of the full range."""
    amount = round(255 * (0.08, 0.14, 0.2, 0.27, 0.35)[severity - 1])
    return (images.to(torch.int16) + amount).clamp_(max=255).to(torch.uint8)


def rotation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Turned by an angle to either side, by chance for each image."""
    angle = (6.0, 11.0, 16.0, 22.0, 30.0)[severity - 1]
    turned = images.clone()
    left = torch.rand(len(images), generator=generator) < 0.5
    for side, degrees in ((left, angle), (~left, -angle)):
        turned[side] = _torchvision().rotate(
            images[side], degrees, interpolation=_torchvision().InterpolationMode.BILINEAR
        )
    return turned


def translation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Moved by a number of pixels in one of eight directions, by chance for each image; black comes in."""
    pixels = round((1, 2, 3, 4, 5)[severity - 1] * _scale(images))
    moved = images.clone()
    directions = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    drawn = torch.randint(len(directions), (len(images),), generator=generator)
    for index, (x, y) in enumerate(directions):
        chosen = drawn == index
        moved[chosen] = _torchvision().affine(
            images[chosen], angle=0, translate=[x * pixels, y * pixels], scale=1, shear=[0, 0]
        )
    return moved


def pixelation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Made smaller, then as large as before without smoothing."""
    share = (0.75, 0.61, 0.5, 0.4, 0.32)[severity - 1]
    height, width = images.shape[-2:]
    small = _torchvision().resize(images, [round(height * share), round(width * share)], antialias=True)
    coarse: Tensor = _torchvision().resize(
        small, [height, width], interpolation=_torchvision().InterpolationMode.NEAREST
    )
    return coarse


def occlusion(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A black square somewhere in each image."""
    side = round((5, 7, 9, 11, 13)[severity - 1] * _scale(images))
    height, width = images.shape[-2:]
    top = torch.randint(height - side + 1, (len(images), 1, 1, 1), generator=generator)
    left = torch.randint(width - side + 1, (len(images), 1, 1, 1), generator=generator)
    rows = torch.arange(height).view(1, 1, -1, 1)
    columns = torch.arange(width).view(1, 1, 1, -1)
    covered = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return images.masked_fill(covered, 0)


def _torchvision() -> Any:
    # Imported when first needed, since it takes longer than everything else that the first page waits for.
    from torchvision.transforms.v2 import functional

    return functional


def _scale(images: Tensor) -> float:
    return min(images.shape[-2:]) / 28


SHIFTS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    corruption.__name__: corruption
    for corruption in (noise, blur, contrast, brightness, rotation, translation, pixelation, occlusion)
}
