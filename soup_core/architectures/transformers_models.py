"""Image classifiers of transformers, from a folder of the zoo that holds config.json: "transformers:FOLDER".

Only the configuration is read, never weights nor code from the folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.architectures.optional import library
from soup_core.data import Interpolation, Normalization, Preprocessing
from soup_core.errors import ZooError

# Tables that follow from the network's size: older releases kept them in checkpoints.
LEFT_OUT = ("*.position_ids", "*.relative_position_index", "*.relative_coords_table")
RESAMPLING: Mapping[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
CONVNEXT_WITHOUT_CROP = 384  # from this size on, its images are stretched and not cut


def build(folder: str, num_classes: int, /) -> nn.Module:
    """The network that config.json describes, with random weights; it gives logits instead of an object that holds them.

    Raises ZooError where the folder holds no configuration of an image classifier.
    """
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise ZooError(f"There is no {file.parent.name}/config.json; expected the folder of a transformers model.")
    transformers = library("transformers", "transformers")
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **given)
        config.num_labels = num_classes
        config._attn_implementation = None  # transformers' own, not a kernel that the file names
        module: nn.Module = transformers.AutoModelForImageClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        first = next(iter(str(error).strip().splitlines()), "")
        raise ZooError(
            f"{file.parent.name}/config.json describes no image classifier that transformers can build: {first}"
        ) from error
    if module.main_input_name != "pixel_values":
        raise ZooError(f"{file.parent.name}/config.json describes a network that takes no images.")
    module.register_forward_hook(_logits)  # a hook leaves the names of the tensors as they are in the files
    return module


def _logits(module: nn.Module, inputs: Any, output: Any) -> Tensor:
    logits: Tensor = output.logits
    return logits


def stored_names(module: nn.Module) -> dict[str, str]:
    """The module's names of tensors by those in its library's files, where these differ: newer releases renamed some.

    Tensors that the library would cut or join on the way are not among them.
    """
    try:
        from transformers.core_model_loading import revert_weight_conversion
    except ImportError:  # releases that kept one name for both
        return {}
    tensors = module.state_dict()
    names = {id(tensor): name for name, tensor in tensors.items()}
    model: Any = module  # one that the library made
    stored = revert_weight_conversion(model, tensors)
    return {new: names[id(tensor)] for new, tensor in stored.items() if names.get(id(tensor), new) != new}


def preprocessing(folder: str, options: Mapping[str, Any]) -> tuple[Preprocessing, Normalization] | None:
    """What the folder's preprocessor_config.json says, or None where there is none, or none that can be said so."""
    if not (Path(folder) / "preprocessor_config.json").is_file():
        return None
    transformers = library("transformers", "transformers")
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        expected = processor.to_dict()
        resize, crop, stretch = _sizes(expected)
        interpolation = RESAMPLING[expected["resample"]]
        scale = 255 * expected["rescale_factor"] if expected["do_rescale"] else 255.0
        mean, std = (expected["image_mean"], expected["image_std"]) if expected["do_normalize"] else ([0.0], [1.0])
        values = [tuple(value / scale for value in each) for each in (mean, std)]
    except (OSError, ValueError, TypeError, KeyError, ImportError):
        return None
    return Preprocessing(resize, crop, interpolation, stretch), Normalization(*values)


def _sizes(expected: Mapping[str, Any]) -> tuple[int, int, bool]:
    """The side after resizing, the crop, and whether both sides are resized to it.

    Raises KeyError or ValueError where these do not say it.
    """
    if not expected["do_resize"] or expected.get("rescale_offset"):
        raise ValueError("not of the kind that is resized, cropped and normalised")
    size, cropped = expected["size"], expected.get("crop_size") if expected.get("do_center_crop") else None
    resize = int(size.get("shortest_edge") or size["height"])
    crop = int(cropped["height"]) if cropped else resize
    if {*size.values()} - {resize} or (cropped and cropped["width"] != crop):
        raise ValueError("not square")
    if share := expected.get("crop_pct"):
        cut = resize < CONVNEXT_WITHOUT_CROP
        return int(resize / share) if cut else resize, crop, not cut
    return resize, crop, "shortest_edge" not in size
