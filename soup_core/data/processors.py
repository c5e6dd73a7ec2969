"""A processor of transformers as the step that decodes: what it gives is taken as it is, whatever its family does.

What it normalises is taken back, as far as each channel is a scaled and shifted copy of whole levels from 0 to 255, so that
images are kept as bytes and normalised on the device as all others are. Only local files are read, and no code among them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from soup_core.data.preprocessing import Normalization, as_image
from soup_core.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

CONFIGURATIONS = (
    "preprocessor_config.json",
    "processor_config.json",
)  # one alone, or that of a model of several inputs
READ_BESIDE = "config.json"  # where the processor's own says no type
BYTES_AT_MOST = 1_000_000
SIDE_AT_MOST = 10_000
SIZES = ("size", "crop_size", "pad_size", "resize_short", "size_divisor", "max_image_size")
LEVELS = 255
OFF_LEVEL = 0.02  # of a level, that rounding in float32 stays well below
NEAR = 3e-7  # of the largest value: two roundings in float32
PROBE = (64, 64)


@dataclass(frozen=True)
class Processor:
    """The processor of transformers that a folder's configuration describes; `digest` is that of its files."""

    processor: str = field(compare=False)
    digest: str

    def __call__(self, image: "Image") -> "Image":
        """The processor's own pixels. Raises DataError where they are no whole levels from 0 to 255, normalised."""
        mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (self.normalization.mean, self.normalization.std))
        levels = (values(self, image) * std + mean) * LEVELS
        whole = levels.round()
        if bool(((levels - whole).abs() > OFF_LEVEL).any()) or bool(((whole < 0) | (whole > LEVELS)).any()):
            raise _unfit(self, "does more to its pixels than to resize, cut, pad with whole levels and normalise them")
        return as_image(whole.to(torch.uint8))

    @property
    def normalization(self) -> Normalization:
        """What its pixels go through last. Raises DataError where black and white do not tell it."""
        return _normalization(self)

    @property
    def identity(self) -> dict[str, Any]:
        """What keys are made of: the content of its files, wherever these lie."""
        return {"processor": self.digest}

    def table(self) -> dict[str, Any]:
        """As zoo.toml says it, but for the folder, which is relative to the zoo there."""
        return {"processor": self.processor}


def configured(folder: Path) -> Processor | None:
    """The processor that a folder's files describe; None where they describe none.

    Raises DataError for files that are too large, no JSON, links out of the folder, or that ask for sizes beyond use.
    """
    content = [(name, text) for name in (*CONFIGURATIONS, READ_BESIDE) if (text := _text(folder / name)) is not None]
    named = {name: _table(folder / name, text) for name, text in content}
    if not any(_describes(name, table) for name, table in named.items()):
        return None
    for name, table in named.items():
        for side in _sides(table):
            if side > SIDE_AT_MOST:
                raise DataError(
                    f"{folder.name}/{name} asks for images of {side:g} pixels; at most {SIDE_AT_MOST:,} are made. "
                    "Correct it there."
                )
    typed = any("image_processor_type" in (table.get("image_processor") or table) for table in named.values())
    read = [(name, text) for name, text in content if name != READ_BESIDE or not typed]
    return Processor(str(folder), hashlib.sha256(repr(read).encode()).hexdigest())


@lru_cache(maxsize=16)
def opened(processor: Processor) -> Any:
    """transformers' own object. Raises DataError where the library is missing or cannot make one from these files."""
    import os

    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    folder = Path(processor.processor)
    if configured(folder) != processor:
        raise DataError(f"The processor in {folder.name} is gone or has changed; open the zoo again.")
    try:
        from transformers import AutoImageProcessor
    except ImportError as error:
        raise DataError(
            f"The processor in {folder.name} needs the package transformers, which is not installed here ({error}). "
            "Install it with: pip install transformers"
        ) from error
    try:
        return AutoImageProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever it says of a value
        raise _unfit(processor, f"cannot be made by transformers: {_first_line(error)}", folder.name) from error


def values(processor: Processor, image: "Image") -> Tensor:
    """What the processor makes of an image, C×H×W. Raises DataError where that is no tensor of one image."""
    own = opened(processor)
    try:
        found = own(image, return_tensors="pt")
    except Exception as error:  # whatever a processor may raise
        raise _unfit(
            processor, f"fails on an image of {_by((image.height, image.width))}: {_first_line(error)}"
        ) from error
    pixels = found.get("pixel_values")
    extra = [name for name in found if name not in ("pixel_values", "pixel_mask")]
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or len(pixels) != 1 or pixels.shape[1] not in (1, 3):
        shape = f" of shape {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else ""
        what = f"pixel_values{shape}" if pixels is not None else ", ".join(found) or "nothing"
        beside = f" beside {', '.join(extra)}" if extra and pixels is not None else ""
        raise _unfit(processor, f"gives {what}{beside} instead of one image of 1 or 3 channels")
    return pixels[0].float()


@lru_cache(maxsize=16)
def _normalization(processor: Processor) -> Normalization:
    """Mean and deviation from what becomes of a black and of a white image: the processor's own words where they give that."""
    from PIL import Image

    black, white = (values(processor, Image.new("RGB", PROBE, (level,) * 3)) for level in (0, LEVELS))
    height, width = black.shape[1:]
    ends = torch.stack([each[:, height // 2, width // 2] for each in (black, white)], 1).double()
    if not bool((ends[:, 1] > ends[:, 0]).all()):
        raise _unfit(processor, "does not tell black from white")
    std = 1 / (ends[:, 1] - ends[:, 0])
    mean = 0.0 - ends[:, 0] * std
    for found in (_own_words(processor, len(ends)), *(_rounded(mean, std, digits) for digits in range(1, 9))):
        if found and (_ends(found) - ends).abs().max() <= NEAR * ends.abs().max():
            return found
    return Normalization(tuple(mean.tolist()), tuple(std.tolist()))


def _own_words(processor: Processor, channels: int) -> Normalization | None:
    own = opened(processor)
    mean, std = (getattr(own, name, None) or () for name in ("image_mean", "image_std"))
    if isinstance(mean, list | tuple) and isinstance(std, list | tuple) and len(mean) == len(std) == channels:
        return Normalization(tuple(map(float, mean)), tuple(map(float, std)))
    return None


def _rounded(mean: Tensor, std: Tensor, digits: int) -> Normalization | None:
    values = [tuple(float(f"{value:.{digits}g}") + 0.0 for value in each.tolist()) for each in (mean, std)]
    return Normalization(*values) if all(values[1]) else None


def _ends(normalization: Normalization) -> Tensor:
    """What becomes of black and white, a row a channel."""
    mean, std = (torch.tensor(each, dtype=torch.float64) for each in (normalization.mean, normalization.std))
    return torch.stack((-mean / std, (1 - mean) / std), 1)


def _unfit(processor: Processor, why: str, name: str | None = None) -> DataError:
    who = name or f"{type(opened(processor)).__name__} in {Path(processor.processor).name}"
    return DataError(
        f"The preprocessing of {who} cannot be said in zoo.toml: it {why}. Say another there (preprocessing = "
        "{ resize = 256, crop = 224 } and normalize), or give images that it has prepared, as tensors:FILE."
    )


def _text(file: Path) -> bytes | None:
    """The content of a regular file within its folder; None where there is none. Raises DataError for other links or sizes."""
    if not file.is_file():
        if file.exists():
            raise DataError(f"{file.parent.name}/{file.name} is no regular file; put the processor's own there.")
        return None
    if not file.resolve().is_relative_to(file.parent.resolve()):
        raise DataError(f"{file.parent.name}/{file.name} is a link out of its folder; put the file itself there.")
    if file.stat().st_size > BYTES_AT_MOST:
        raise DataError(f"{file.parent.name}/{file.name} is larger than the configuration of a processor can be.")
    return file.read_bytes()


def _table(file: Path, text: bytes) -> Mapping[str, Any]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file.parent.name}/{file.name} is no JSON ({error}). Correct it there.") from error
    return table if isinstance(table, dict) else {}


def _describes(name: str, table: Mapping[str, Any]) -> bool:
    """Whether a file of this name says how images are prepared; the network's own does where timm's weights are wrapped."""
    if name == CONFIGURATIONS[0]:
        return bool(table)
    return "image_processor" in table if name == CONFIGURATIONS[1] else "pretrained_cfg" in table


def _sides(table: Mapping[str, Any]) -> Iterator[float]:
    """The numbers that say how large an image becomes."""
    inner = table.get("image_processor")
    if isinstance(inner, dict):
        yield from _sides(inner)
    for key in SIZES:
        value = table.get(key)
        given = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else [value]
        yield from (each for each in given if isinstance(each, int | float))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, reversed(shape)))
