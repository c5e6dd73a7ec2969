"""torchvision's classifiers, under its own names: "torchvision:resnet18"."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from soup_core.data import Normalization, Preprocessing
from soup_core.errors import ZooError

VIT_SIZE = 224  # what VisionTransformer is built for where `image_size` does not say otherwise
# Their first weights are drawn by scipy, which takes long, and torchvision warns of it; they are loaded anyway.
DRAWN_SLOWLY = ("googlenet", "inception_v3")


def build(name: str, num_classes: int, /, **options: Any) -> nn.Module:
    """The network with random weights. Raises ZooError for a name that is no classifier."""
    models = _models(name)
    if name in DRAWN_SLOWLY:
        options = {"init_weights": False, **options}
    module: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **options)
    return module


def preprocessing(name: str, options: Mapping[str, Any]) -> tuple[Preprocessing, Normalization] | None:
    """What torchvision's default weights expect, or those of its weights that are for the network's image size.

    Raises ZooError for a name that is no classifier.
    """
    known = _models(name).get_model_weights(name)
    presets = [each.transforms() for each in [known.DEFAULT, *known]]
    size = options.get("image_size", VIT_SIZE) if name.startswith("vit_") else presets[0].crop_size[0]
    preset = next((each for each in presets if each.crop_size[0] == size), None)
    resize = preset.resize_size[0] if preset else size
    chosen = preset or presets[0]
    return Preprocessing(resize, size, chosen.interpolation.value), Normalization(tuple(chosen.mean), tuple(chosen.std))


def _models(name: str) -> Any:
    from torchvision import models  # takes long to import

    # Its models for other tasks are not classifiers, and some of them fetch weights even where none are asked for.
    if name not in models.list_models(module=models):
        raise ZooError(f'torchvision has no classifier {name!r}; expected a name such as "resnet18".')
    return models
