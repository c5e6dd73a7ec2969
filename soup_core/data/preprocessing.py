"""From an image of any size to a network's input: resized and cropped once, normalised on the device batch by batch."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
CropOffset = Literal["round", "floor"]
Backend = Literal["pil", "torchvision"]


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


Size = int | tuple[int, int]


@dataclass(frozen=True)
class Preprocessing:
    """The shorter side is resized to `resize` pixels, and the middle of `crop` pixels cut out, as uint8.

    A size is one number for both sides, or height and width. With `stretch` both sides are resized, whatever the image's
    shape; with `border`, a colour a channel, the longer one is, and the rest filled with that colour. `crop_offset` says
    what becomes of a middle between two pixels: rounded to even as torchvision does, or down as transformers does.
    `backend` resizes: Pillow, or torchvision's kernels for tensors, which round otherwise.
    """

    resize: Size
    crop: Size
    interpolation: Interpolation = "bilinear"
    stretch: bool = False
    crop_offset: CropOffset = "round"
    backend: Backend = "pil"
    border: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what it gives."""
        return _height_and_width(self.crop)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Preprocessing":
        """What a table of its fields says, where lists stand for tuples, as JSON and TOML have them."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
        }
        return cls(**given)

    def scaled(self, side: int) -> "Preprocessing":
        """The same for squares of another side."""
        resize, crop = (_height_and_width(each)[0] for each in (self.resize, self.crop))
        return replace(self, resize=round(side * resize / crop), crop=side)

    def keeps(self, width: int, height: int) -> bool:
        """Whether images of this size stay as they are."""
        return self.shape == (height, width) and self._size(width, height) == (width, height)

    def __call__(self, image: "Image") -> "Image":
        """The pixels that torchvision's, timm's or transformers' own steps give; a crop beyond the image is black."""
        from PIL import Image

        resized = _resized(image, self._size(*image.size), self.interpolation, self.backend)
        height, width = self.shape
        left, top = self._begin(resized.width, width), self._begin(resized.height, height)
        if self.border is None:
            return resized.crop((left, top, left + width, top + height))
        colour = self.border if len(resized.getbands()) > 1 else self.border[0]
        filled = Image.new(resized.mode, (width, height), colour)
        filled.paste(resized, (-left, -top))
        return filled

    def table(self) -> dict[str, Any]:
        """As zoo.toml says it: sizes and interpolation, and what else differs from the usual."""
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        usual = {each.name: each.default for each in fields(self) if each.name != "interpolation"}
        return {name: value for name, value in given.items() if value != usual.get(name, MISSING)}

    @property
    def identity(self) -> dict[str, Any]:
        """What keys are made of: fields that came later are left out at their usual values, so that old keys stay."""
        return {"stretch": False, **self.table()}

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing."""
        target_height, target_width = _height_and_width(self.resize)
        if self.stretch:
            return target_width, target_height
        if self.border is None and target_height == target_width:
            shorter = min(width, height)
            across, down = (
                target_width if side == shorter else int(target_width * side / shorter) for side in (width, height)
            )
            return across, down
        shares = height / target_height, width / target_width
        ratio = min(shares) if self.border is None else max(shares)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _begin(self, side: int, crop: int) -> int:
        if side <= crop:
            return -((crop - side) // 2)
        return (side - crop) // 2 if self.crop_offset == "floor" else round((side - crop) / 2)


def _height_and_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _resized(image: "Image", size: tuple[int, int], interpolation: Interpolation, backend: Backend) -> "Image":
    """The image of this width and height."""
    from PIL import Image

    if backend == "pil":
        return image.resize(size, Image.Resampling[interpolation.upper()])
    from torchvision.transforms import InterpolationMode  # takes long to import
    from torchvision.transforms.v2 import functional

    pixels = functional.pil_to_tensor(image)
    mode = InterpolationMode(interpolation)
    return as_image(functional.resize(pixels, [size[1], size[0]], interpolation=mode, antialias=True))


def as_image(pixels: Tensor) -> "Image":
    """An image of uint8 pixels, C×H×W with one channel or three."""
    from PIL import Image

    return Image.fromarray((pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).contiguous().numpy())
