"""Classifiers of images and of texts by transformers, from a folder of the zoo that holds config.json: "transformers:FOLDER".

Only the configuration is read, never weights nor code from the folder.
"""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.architectures.optional import library
from soup_core.errors import ZooError

# Tables that follow from the network's size: older releases kept them in checkpoints.
LEFT_OUT = ("*.position_ids", "*.relative_position_index", "*.relative_coords_table")
OF_IMAGES, OF_TEXTS = "ForImageClassification", "ForSequenceClassification"  # within the names of architectures
CONFIGURATION_AT_MOST = 5_000_000  # bytes


def build(folder: str, num_classes: int, /) -> nn.Module:
    """The network that config.json describes, with random weights; one of texts takes them as `Tokens` gives them.

    Raises ZooError where the folder holds no configuration of a classifier of images or texts.
    """
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise ZooError(f"There is no {file.parent.name}/config.json; expected the folder of a transformers model.")
    transformers = library("transformers", "transformers")
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    takes_texts = classifies_texts(file)
    kind = (
        transformers.AutoModelForSequenceClassification if takes_texts else transformers.AutoModelForImageClassification
    )
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **given)
        config.num_labels = num_classes
        config._attn_implementation = None  # transformers' own, not a kernel that the file names
        module: nn.Module = kind.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        first = next(iter(str(error).strip().splitlines()), "")
        raise ZooError(
            f"{file.parent.name}/config.json describes no classifier of images or texts that transformers can build: {first}"
        ) from error
    if takes_texts:
        return _taking_tokens(module, file)
    if module.main_input_name != "pixel_values":
        raise ZooError(f"{file.parent.name}/config.json describes a network that takes no images.")
    return module


def classifies_texts(file: Path) -> bool:
    """Whether a config.json says that its network classifies texts."""
    try:
        if file.stat().st_size > CONFIGURATION_AT_MOST:
            return False
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    kinds = content.get("architectures") if isinstance(content, Mapping) else None
    return isinstance(kinds, list) and any(OF_TEXTS in str(each) for each in kinds)


def _taking_tokens(module: nn.Module, file: Path) -> nn.Module:
    """The module, called with one tensor (int64, n×3×L): tokens, attention mask and segments, as its own arguments.

    Segments are passed on where the network tells them apart; others add them to the words, or do not know them.
    """
    known = inspect.signature(module.forward).parameters
    if not {"input_ids", "attention_mask"} <= set(known):
        raise ZooError(
            f"{file.parent.name}/config.json describes a network that takes no texts with an attention mask."
        )
    has_segments = "token_type_ids" in known and bool(getattr(module.config, "type_vocab_size", 0))

    def named(_module: nn.Module, given: tuple[Any, ...], others: dict[str, Any]) -> Any:
        if len(given) != 1 or not isinstance(given[0], Tensor) or given[0].ndim != 3:
            return given, others
        ids, mask, segments = given[0].unbind(1)
        return (), {
            "input_ids": ids,
            "attention_mask": mask,
            **({"token_type_ids": segments} if has_segments else {}),
            **others,
        }

    module.register_forward_pre_hook(named, with_kwargs=True)  # leaves the names of the tensors as they are
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
