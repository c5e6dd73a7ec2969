"""Distribution shifts: corruptions of the test images at severities 1 to 5, the same tensor on every run.

The corruptions and their severities follow the idea of Hendrycks & Dietterich 2019 (arXiv 1903.12261), for images of any
size, grey or colour; the image operations are torchvision's.
"""

import zlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from soup_core.errors import DataError
from soup_core.runtime.interruption import yield_point

PART = 2**24  # numbers that are worked on at once, since some operations need many times an image's memory


def shifted(images: Tensor, shift: str) -> Tensor:
    """Corrupt uint8 images (N×C×H×W) by "NAME-SEVERITY", for instance "blur-3"; the input is left as it was.

    Raises DataError for a name or severity that does not exist, and for images of neither one nor three channels.
    """
    name, _, severity = shift.rpartition("-")
    if name not in SHIFTS or severity not in ("1", "2", "3", "4", "5"):
        raise DataError(f"There is no shift {shift!r}; expected one of {', '.join(SHIFTS)}, with a severity -1 to -5.")
    if images.shape[1] not in (1, 3):
        raise DataError(
            f"The shift {shift} is made of images with 1 or 3 channels; these have {images.shape[1]}. Give shifts of "
            "their own instead: shift.NAME in a tensors file, or folders under [data.shifts]."
        )
    generator = torch.Generator().manual_seed(zlib.crc32(shift.encode()))
    return SHIFTS[name](images, int(severity), generator)


def noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise on uint8 images (N×C×H×W); the standard deviation is a share of the full range."""
    sigma = (0.06, 0.10, 0.14, 0.19, 0.25)[severity - 1]

    def noisy(part: Tensor) -> Tensor:
        drawn = torch.randn(part.shape, generator=generator)
        return (part + 255 * sigma * drawn).round_().clamp_(0, 255)

    return _by_parts(noisy, images)


def blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian blur (N×C×H×W); sigma in pixels of a 28-pixel image, and with the root of the size in larger ones.

    So do the sigmas of Hendrycks & Dietterich grow, from 0.4 to 1.0 at 32 pixels to 1 to 6 at 224.
    """
    scale = _scale(images)
    sigma = (0.6, 0.8, 1.0, 1.3, 1.7)[severity - 1] * min(scale, scale**0.5)
    side = 2 * round(3 * sigma) + 1

    def blurred(part: Tensor) -> Tensor:
        across = _torchvision().gaussian_blur(part.to(torch.float32), [side, 1], [sigma, sigma])
        both: Tensor = _torchvision().gaussian_blur(across, [1, side], [sigma, sigma])
        return both.round_()

    return _by_parts(blurred, images)


def contrast(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Less contrast around each image's mean (N×C×H×W)."""
    share = (0.7, 0.55, 0.42, 0.32, 0.24)[severity - 1]
    return _by_parts(lambda part: _torchvision().adjust_contrast(part, share), images)


def brightness(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Every pixel brighter by a share of the full range (N×C×H×W)."""
    amount = round(255 * (0.08, 0.14, 0.2, 0.27, 0.35)[severity - 1])
    return _by_parts(lambda part: (part.to(torch.int16) + amount).clamp_(max=255), images)


def rotation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Turned by an angle to either side, by chance for each image (N×C×H×W)."""
    angle = (6.0, 11.0, 16.0, 22.0, 30.0)[severity - 1]
    left = torch.rand(len(images), generator=generator) < 0.5

    def turned(part: Tensor, left: Tensor) -> Tensor:
        found = torch.empty_like(part)
        for side, degrees in ((left, angle), (~left, -angle)):
            found[side] = _torchvision().rotate(
                part[side], degrees, interpolation=_torchvision().InterpolationMode.BILINEAR
            )
        return found

    return _by_parts(turned, images, left)


def translation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Moved by a number of pixels in one of eight directions, by chance for each image (N×C×H×W); black comes in."""
    pixels = round((1, 2, 3, 4, 5)[severity - 1] * _scale(images))
    directions = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    drawn = torch.randint(len(directions), (len(images),), generator=generator)

    def moved(part: Tensor, drawn: Tensor) -> Tensor:
        found = torch.empty_like(part)
        for index, (x, y) in enumerate(directions):
            chosen = drawn == index
            found[chosen] = _torchvision().affine(
                part[chosen], angle=0, translate=[x * pixels, y * pixels], scale=1, shear=[0, 0]
            )
        return found

    return _by_parts(moved, images, drawn)


def pixelation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Made smaller, then as large as before without smoothing (N×C×H×W)."""
    share = (0.75, 0.61, 0.5, 0.4, 0.32)[severity - 1]
    height, width = images.shape[-2:]
    size = [max(1, round(length * share)) for length in (height, width)]

    def coarse(part: Tensor) -> Tensor:
        grey = part.flatten(0, 1).unsqueeze(1)  # torch fails where three channels become a single pixel
        small = _torchvision().resize(grey, size, antialias=True)
        found: Tensor = _torchvision().resize(
            small, [height, width], interpolation=_torchvision().InterpolationMode.NEAREST
        )
        return found.view(part.shape)

    return _by_parts(coarse, images)


def occlusion(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A black square somewhere in each image (N×C×H×W)."""
    side = round((5, 7, 9, 11, 13)[severity - 1] * _scale(images))
    height, width = images.shape[-2:]
    top = torch.randint(height - side + 1, (len(images), 1, 1, 1), generator=generator)
    left = torch.randint(width - side + 1, (len(images), 1, 1, 1), generator=generator)
    rows = torch.arange(height).view(1, 1, -1, 1)
    columns = torch.arange(width).view(1, 1, 1, -1)

    def covered(part: Tensor, top: Tensor, left: Tensor) -> Tensor:
        square = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
        return part.masked_fill(square, 0)

    return _by_parts(covered, images, top, left)


def _by_parts(operation: Callable[..., Tensor], images: Tensor, *drawn: Tensor) -> Tensor:
    """The operation on some images at a time, with what was drawn by chance for each of them."""
    changed = torch.empty_like(images)
    size = max(1, PART // images[0].numel())
    for begin in range(0, len(images), size):
        part = slice(begin, begin + size)
        changed[part] = operation(images[part], *(each[part] for each in drawn))
        yield_point()
    return changed


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
