"""CLIP's visual tower with a linear head, as the model-soups release keeps it: "model_soups:ViT-B-32".

"open_clip:NAME" is the same with any of open_clip's towers. Radford et al. 2021, arXiv 2103.00020; the release:
https://github.com/mlfoundations/model-soups
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from soup_core.architectures.optional import library
from soup_core.data import Normalization, Preprocessing
from soup_core.errors import ZooError

# What the release's files still hold of the text tower, which classifies nothing.
TEXT_TOWER = (
    "model.token_embedding.weight",
    "model.positional_embedding",
    "model.ln_final.*",
    "model.text_projection",
    "model.logit_scale",
    "model.logit_bias",
    "model.transformer.*",
    "model.text.*",
)
QUICK = "-quickgelu"  # ends open_clip's names of towers with OpenAI's activation
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}
OPENAI = Normalization((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class ImageClassifier(nn.Module):
    """Features of the visual tower, scaled to length one, times the head's matrix: N×3×H×W to N×num_classes logits."""

    def __init__(self, visual: nn.Module, features: int, num_classes: int) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"visual": visual})
        self.classification_head = nn.Linear(features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """N×3×H×W normalised images to N×num_classes logits."""
        logits: Tensor = self.classification_head(F.normalize(self.model["visual"](images), dim=-1))
        return logits


def build(name: str, num_classes: int, /) -> nn.Module:
    """The classifier with random weights. Raises ZooError for a name that open_clip does not have."""
    open_clip, _ = _configuration(name)
    arguments = tower(name)
    return ImageClassifier(open_clip.CLIP(text_cfg=NO_TEXT, **arguments).visual, arguments["embed_dim"], num_classes)


def build_openai(name: str, num_classes: int, /) -> nn.Module:
    """The classifier with OpenAI's activation in its tower, under OpenAI's name for it, "ViT-B-32" or "ViT-B/32"."""
    return build(_quick(name), num_classes)


def tower(name: str) -> dict[str, Any]:
    """What open_clip makes a visual tower from: the same for several names, where these differ in the text tower alone.

    Raises ZooError for a name that open_clip does not have.
    """
    _, config = _configuration(name)
    vision = {**config["vision_cfg"], "timm_model_pretrained": False, "output_tokens": False}
    return {"embed_dim": config["embed_dim"], "vision_cfg": vision, "quick_gelu": config.get("quick_gelu", False)}


def preprocessing(name: str, options: Mapping[str, Any]) -> tuple[Preprocessing, Normalization] | None:
    """What the first of open_clip's weights for this tower expect, OpenAI's where there are none.

    Raises ZooError for a name that open_clip does not have.
    """
    open_clip, config = _configuration(name)
    tags = open_clip.list_pretrained_tags_by_model(name)
    expected = (open_clip.get_pretrained_cfg(name, tags[0]) if tags else None) or {}
    size = config["vision_cfg"].get("image_size", 224)
    if not isinstance(size, int):
        return None
    normalization = Normalization(tuple(expected.get("mean", OPENAI.mean)), tuple(expected.get("std", OPENAI.std)))
    return Preprocessing(
        size, size, "bilinear" if expected.get("interpolation") == "bilinear" else "bicubic"
    ), normalization


def preprocessing_openai(name: str, options: Mapping[str, Any]) -> tuple[Preprocessing, Normalization] | None:
    """OpenAI's own."""
    return preprocessing(_quick(name), options)


def _quick(name: str) -> str:
    return name.replace("/", "-") + QUICK


def _configuration(name: str) -> tuple[ModuleType, Mapping[str, Any]]:
    open_clip = library("open_clip", "open_clip_torch")
    if name not in open_clip.list_models():
        raise ZooError(f'open_clip has no model {name!r}; expected a name such as "ViT-B-32" or "ViT-B-32-quickgelu".')
    config: Mapping[str, Any] = open_clip.get_model_config(name)
    return open_clip, config
