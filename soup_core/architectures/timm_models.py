"""timm's classifiers, under its own names: "timm:resnet18", or with a tag, "timm:vit_base_patch16_224.augreg_in1k"."""

import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, get_args

from torch import nn

from soup_core.architectures.optional import library
from soup_core.data import Interpolation, Normalization, Preprocessing
from soup_core.data.preprocessing import Size
from soup_core.errors import ZooError

# Tables that follow from the network's size: older releases kept them in checkpoints.
LEFT_OUT = ("*.relative_position_index", "*.relative_coords_table", "*.attn_mask", "*attention_bias_idxs")
# What timm's scripts call what they do to images, in args.yaml and on the command line.
DATA_SETTINGS = ("input_size", "img_size", "in_chans", "chans", "crop_pct", "crop_mode", "interpolation", "mean", "std")
LEVELS = 255


def build(name: str, num_classes: int, /, **options: Any) -> nn.Module:
    """The network with random weights. Raises ZooError for a name that timm does not have."""
    timm = _timm(name)
    # Said here, so that no option can say otherwise: no weights from anywhere.
    module: nn.Module = timm.create_model(
        name, pretrained=False, checkpoint_path=None, cache_dir=None, num_classes=num_classes, **options
    )
    return module


def preprocessing(
    name: str, options: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Preprocessing, Normalization]:
    """What timm does to images for evaluation: a run's own settings first, then what this name's weights expect.

    `settings` are those of timm's args.yaml. Raises ZooError for a name timm lacks, and for settings that it cannot use.
    """
    timm = _timm(name)
    config = timm.models.get_pretrained_cfg(name)
    given = {key: options[key] for key in ("img_size", "in_chans") if key in options}
    given |= {key: settings[key] for key in DATA_SETTINGS if settings.get(key) not in (None, "")}
    try:
        expected = timm.data.resolve_data_config(given, pretrained_cfg=config.to_dict() if config else {})
        channels, *size = expected["input_size"]
        channels = options.get("in_chans", channels)
        resized = [math.floor(side / expected["crop_pct"]) for side in size]
        mean, std = (_for_channels(expected[each], channels) for each in ("mean", "std"))
        words = Preprocessing(
            _size(resized),
            _size(size),
            expected["interpolation"],
            stretch=expected["crop_mode"] == "squash",
            border=tuple(round(LEVELS * value) for value in mean) if expected["crop_mode"] == "border" else None,
        )
    except (AssertionError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        said = ", ".join(f"{key} = {value!r:.40}" for key, value in given.items())
        raise ZooError(
            f"timm cannot prepare images by the settings {said} ({type(error).__name__}: {error}). Say preprocessing and "
            "normalize in zoo.toml."
        ) from error
    if words.interpolation not in get_args(Interpolation):
        raise ZooError(
            f"The interpolation {words.interpolation!r} of {name} is none of {', '.join(get_args(Interpolation))}. Say "
            "preprocessing and normalize in zoo.toml."
        )
    return words, Normalization(mean, std)


def _size(sides: Sequence[int]) -> Size:
    height, width = (int(side) for side in sides)
    return height if height == width else (height, width)


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One value a channel; where there are others as many, all have the mean, as timm's own loader has it."""
    given = tuple(float(value) for value in values)
    return given if len(given) == channels else (sum(given) / len(given),) * channels


def _timm(name: str) -> ModuleType:
    timm = library("timm", "timm")
    if not timm.is_model(name):  # names with another scheme would be fetched, or read from anywhere on the disk
        raise ZooError(f'timm has no model {name!r}; expected a name such as "resnet18" or "vit_base_patch16_224".')
    return timm
