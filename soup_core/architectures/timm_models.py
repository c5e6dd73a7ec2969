"""timm's classifiers, under its own names: "timm:resnet18", or with a tag, "timm:vit_base_patch16_224.augreg_in1k"."""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from soup_core.architectures.optional import library
from soup_core.data import Normalization, Preprocessing
from soup_core.errors import ZooError

# Tables that follow from the network's size: older releases kept them in checkpoints.
LEFT_OUT = ("*.relative_position_index", "*.relative_coords_table", "*.attn_mask", "*attention_bias_idxs")


def build(name: str, num_classes: int, /, **options: Any) -> nn.Module:
    """The network with random weights. Raises ZooError for a name that timm does not have."""
    timm = _timm(name)
    # Said here, so that no option can say otherwise: no weights from anywhere.
    module: nn.Module = timm.create_model(
        name, pretrained=False, checkpoint_path=None, cache_dir=None, num_classes=num_classes, **options
    )
    return module


def preprocessing(name: str, options: Mapping[str, Any]) -> tuple[Preprocessing, Normalization] | None:
    """What the weights of this name's tag, or of its default one, expect. Raises ZooError for a name timm lacks."""
    timm = _timm(name)
    config = timm.models.get_pretrained_cfg(name)
    given = {"img_size": options["img_size"]} if "img_size" in options else {}
    expected = timm.data.resolve_data_config(given, pretrained_cfg=config.to_dict() if config else {})
    _, height, width = expected["input_size"]
    if (
        height != width
        or len(expected["mean"]) != options.get("in_chans", 3)
        or expected["interpolation"] not in ("bilinear", "bicubic")
    ):
        return None
    resized = math.floor(height / expected["crop_pct"])
    return (
        Preprocessing(resized, height, expected["interpolation"]),
        Normalization(tuple(expected["mean"]), tuple(expected["std"])),
    )


def _timm(name: str) -> ModuleType:
    timm = library("timm", "timm")
    if not timm.is_model(name):  # names with another scheme would be fetched, or read from anywhere on the disk
        raise ZooError(f'timm has no model {name!r}; expected a name such as "resnet18" or "vit_base_patch16_224".')
    return timm
