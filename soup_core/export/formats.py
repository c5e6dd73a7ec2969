"""Formats that other libraries load, and which of them suits an architecture."""

import copy

from soup_core.errors import SoupError
from soup_core.export.export import Export

FORMATS = ("safetensors", "torchvision", "timm", "transformers")


def suited(export: Export) -> tuple[str, str]:
    """The text of config.json and the prefix of the names for transformers, else two empty texts; refuse what cannot be."""
    architecture = str(export.zoo.architecture["name"])
    if export.format not in FORMATS:
        raise SoupError(f"The format is one of {', '.join(FORMATS)}; found {export.format!r}.")
    if export.format in ("torchvision", "timm") and not architecture.startswith(f"{export.format}:"):
        raise SoupError(
            f"The format {export.format} is for an architecture {export.format}:NAME, and that of the zoo "
            f"{export.zoo.name} is {architecture}; take safetensors, which suits all."
        )
    if export.format != "transformers":
        return "", ""
    for name, module in export.zoo.reference.named_modules():
        prefix = f"{name}." if name else ""
        if hasattr(getattr(module, "config", None), "to_json_string") and all(
            tensor.startswith(prefix) for tensor in export.zoo.tensors
        ):
            config = copy.deepcopy(module.config)
            config.architectures = [type(module).__name__]
            return config.to_json_string(), prefix
    raise SoupError(
        f"The format transformers is for networks of that library, and that of the zoo {export.zoo.name} is "
        f"{architecture}; take safetensors, which suits all."
    )
