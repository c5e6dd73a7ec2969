"""How a folder of transformers has its images prepared: in words of our own where these give its processor's pixels.

Whether they do is seen by comparing, on images whose sizes tell one way of rounding from another; where they do not, the
processor itself is proposed.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from soup_core.architectures.optional import library
from soup_core.data import Interpolation, Normalization, Preprocessing, Processor
from soup_core.data.preprocessing import Backend, CropOffset
from soup_core.data.processors import SIDE_AT_MOST, configured, opened
from soup_core.errors import DataError, ZooError

if TYPE_CHECKING:
    from PIL.Image import Image

RESAMPLING: Mapping[int, Interpolation] = {  # as Pillow numbers them
    0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming",
}  # fmt: skip
LEVIT_SHARE = 256 / 224  # of the size that stands there, which LeViT's resizes to
ODD = ((41, 23), (23, 54), (37, 37), (130, 71))  # width and height
FOLDERS_AT_MOST = 200
DEPTH = 3


def preprocessing(folder: str, zoo_folder: Path) -> tuple[Preprocessing | Processor, Normalization] | None:
    """What the processor says that a run's folder has, or one around or beside it; None where there is none.

    Raises ZooError for one that gives no images of bytes that are normalised, by its name.
    """
    processor = found(Path(folder), zoo_folder)
    if processor is None:
        return None
    library("transformers", "transformers")
    try:
        normalization = processor.normalization
        return in_words(processor) or processor, normalization
    except DataError as error:
        raise ZooError(str(error)) from error


def found(folder: Path, zoo_folder: Path) -> Processor | None:
    """The processor of a run's folder: its own, else that of a folder around it, else the one that all others have.

    Raises ZooError for files that cannot be used.
    """
    zoo_folder = zoo_folder.resolve()
    around = [each for each in (folder, *folder.parents) if each.is_relative_to(zoo_folder)]
    try:
        for each in around:
            if processor := configured(each):
                return processor
        others = [processor for each in _folders_below(zoo_folder) if (processor := configured(each))]
    except DataError as error:
        raise ZooError(str(error)) from error
    return others[0] if len({each.digest for each in others}) == 1 else None


def _folders_below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Folders within, not by links, at most so deep."""
    below = sorted(Path(each) for each in os.scandir(folder) if each.is_dir(follow_symlinks=False))
    for each in below[:FOLDERS_AT_MOST]:
        yield each
        if depth > 1:
            yield from _folders_below(each, depth - 1)


def in_words(processor: Processor) -> Preprocessing | None:
    """The Preprocessing that gives the processor's pixels on every image tried, None where none does.

    Raises DataError as the processor does.
    """
    said: Mapping[str, Any] = opened(processor).to_dict()
    shapes = {(made.height, made.width) for made in map(processor, _images(ODD[:3]))}
    interpolation = RESAMPLING.get(said.get("resample", -1))
    if len(shapes) > 1 or interpolation is None:
        return None
    ((height, width),) = shapes
    sides = tuple(dict.fromkeys(_sides(said, min(height, width))))
    crop = height if height == width else (height, width)
    own = getattr(opened(processor), "backend", None)
    backends = [each for each in get_args(Backend) if own in (each, None)]
    fitting = [
        Preprocessing(side, crop, interpolation, stretch, offset, backend)
        for side, stretch, offset, backend in product(sides, (False, True), get_args(CropOffset)[::-1], backends)
    ]
    for image in _images((*ODD, *_telling(sides, height, width))):
        theirs = np.asarray(processor(image))
        fitting = [words for words in fitting if np.array_equal(np.asarray(words(image)), theirs)]
        if not fitting:
            return None
    found = fitting[0]
    return replace(found, crop_offset="round") if found.stretch and found.resize == found.crop else found


def default_processor(folder: Path) -> tuple[Preprocessing, Normalization] | None:
    """What the processor of a network's family does where nobody has changed it, at the network's own image size.

    None where config.json names no family that has one, and where no Preprocessing says what that does.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        library("transformers", "transformers")
        known: Any = import_module("transformers.models.auto.image_processing_auto")
        kinds = known.IMAGE_PROCESSOR_MAPPING_NAMES[config["model_type"]]
        made = known.get_image_processor_class_from_name(kinds.get("torchvision") or kinds["pil"])
        with TemporaryDirectory() as scratch:
            made(**_sized(made, config.get("image_size"))).save_pretrained(scratch)
            processor = configured(Path(scratch))
            words = in_words(processor) if processor else None
            return (words, processor.normalization) if words and processor else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, DataError, ZooError):
        return None


def _sized(processor: Any, side: Any) -> dict[str, Any]:
    """The sizes of a processor's class for another image size; none where the network names none."""
    if not isinstance(side, int) or not 0 < side <= SIDE_AT_MOST:
        return {}
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    old = next(iter((crop or processor.size).values())) if isinstance(crop or processor.size, dict) else side
    scaled = {key: round(value * side / old) for key, value in processor.size.items()}
    return {"size": scaled, **({"crop_size": {"height": side, "width": side}} if crop else {})}


def _sides(said: Mapping[str, Any], crop: int) -> Iterator[int | tuple[int, int]]:
    """What may be meant by the sizes that a processor names."""
    size = said.get("size") or {}
    height, width = size.get("height"), size.get("width")
    if height and width:
        yield int(height) if height == width else (int(height), int(width))
    for side in filter(None, (size.get("shortest_edge"), said.get("resize_short"), height)):
        yield int(side)
        yield int(LEVIT_SHARE * side)
        if share := said.get("crop_pct"):
            yield int(side / share)
    yield crop


def _telling(sides: tuple[int | tuple[int, int], ...], height: int, width: int) -> list[tuple[int, int]]:
    """Widths and heights whose middle lies between two pixels, such that rounding down and to even differ."""
    square = [side for side in sides if isinstance(side, int)]
    beyond = [(side, crop + 4 * max(0, side - crop) + 3) for side in square for crop in (height, width)]
    return [size for pair in dict.fromkeys(beyond) for size in (pair, pair[::-1])]


def _images(sizes: Iterable[tuple[int, int]]) -> "list[Image]":
    """Images of noise, of these widths and heights."""
    from PIL import Image

    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in sizes]
