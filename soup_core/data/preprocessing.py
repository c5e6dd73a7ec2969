"""From an image of any size to a network's input: resized and cropped once, normalised on the device batch by batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Interpolation = Literal["nearest", "bilinear", "bicubic"]


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation, one value a channel or one for all, on the 0 to 1 scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Turn uint8 images (N×C×H×W) into normalised float32 ones of the same shape."""
        # One multiplication and one addition, instead of a division by 255, a subtraction and a division.
        scale = torch.tensor([1 / (255 * s) for s in self.std], device=images.device).view(1, -1, 1, 1)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)], device=images.device).view(
            1, -1, 1, 1
        )
        values = images.to(torch.float32, copy=True)
        return torch.addcmul(shift, values, scale, out=values)


@dataclass(frozen=True)
class Preprocessing:
    """The shorter side is resized to `resize` pixels, or both with `stretch`, and the middle `crop`×`crop` cut out, as uint8."""

    resize: int
    crop: int
    interpolation: Interpolation = "bilinear"
    stretch: bool = False

    def __call__(self, image: "Image") -> "Image":
        """The pixels that torchvision's antialiased Resize and CenterCrop give; a crop beyond the image is black."""
        from PIL.Image import Resampling

        shorter = min(image.size)
        width, height = (
            self.resize if side == shorter or self.stretch else int(self.resize * side / shorter) for side in image.size
        )
        resized = image.resize((width, height), Resampling[self.interpolation.upper()])
        left, top = self._begin(width), self._begin(height)
        return resized.crop((left, top, left + self.crop, top + self.crop))

    def _begin(self, side: int) -> int:
        return round((side - self.crop) / 2) if side > self.crop else -((self.crop - side) // 2)
