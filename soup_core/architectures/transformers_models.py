"""Image classifiers of transformers, from a folder of the zoo that holds config.json: "transformers:FOLDER".

Only the configuration is read, never weights nor code from the folder.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from soup_core.architectures.optional import library
from soup_core.errors import ZooError

# Tables that follow from the network's size: older releases kept them in checkpoints.
LEFT_OUT = ("*.position_ids", "*.relative_position_index", "*.relative_coords_table")


def build(folder: str, num_classes: int, /) -> nn.Module:
    """The network that config.json describes, with random weights.

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
    return module


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
