"""A name in zoo.toml becomes a module: the bundled network, or any torchvision classifier.

The module is the reference for every checkpoint: its state_dict says which tensors, of which shapes, a file must hold.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.errors import ZooError

CHANNELS = (24, 48, 96)


class FashionCNN(nn.Module):
    """Three stride-2 convolutions for 28×28 grey images, normalised by groups or by batch; 68,000 weights, 251,000
    with a hidden layer of 128.

    Input N×1×28×28, output N×num_classes logits.
    """

    def __init__(self, num_classes: int = 10, *, hidden: int = 0, normalization: str = "group") -> None:
        super().__init__()
        if normalization not in ("group", "batch"):
            raise ValueError(f'normalization is "group" or "batch", not {normalization!r}')
        blocks: list[nn.Module] = []
        incoming = 1
        for index, channels in enumerate(CHANNELS):
            kernel = 5 if index == 0 else 3
            blocks += [
                nn.Conv2d(incoming, channels, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.GroupNorm(channels // 4, channels) if normalization == "group" else nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            incoming = channels
        self.features = nn.Sequential(*blocks, nn.Flatten())
        flat = incoming * 4 * 4
        self.hidden = nn.Sequential(nn.Linear(flat, hidden), nn.LayerNorm(hidden), nn.ReLU()) if hidden else None
        self.head = nn.Linear(hidden or flat, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        features: Tensor = self.features(images)
        if self.hidden is not None:
            features = self.hidden(features)
        logits: Tensor = self.head(features)
        return logits


def build(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Make the module that `name` stands for, with random weights: "fashion_cnn" or "torchvision:NAME".

    Raises ZooError for a name or an option that does not exist.
    """
    options = dict(options or {})
    try:
        if name == "fashion_cnn":
            return FashionCNN(num_classes, **options)
        if name.startswith("torchvision:"):
            from torchvision.models import get_model

            module: nn.Module = get_model(
                name.removeprefix("torchvision:"), weights=None, num_classes=num_classes, **options
            )
            return module
    except (TypeError, ValueError) as error:
        raise ZooError(f"The architecture {name!r} cannot be built: {error}.") from error
    raise ZooError(
        f'The architecture {name!r} is unknown; expected "fashion_cnn" or "torchvision:NAME", for instance '
        '"torchvision:resnet18".'
    )


def meta_module(name: str, num_classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """The same module without memory for its weights: names, shapes and dtypes alone."""
    with torch.device("meta"):
        return build(name, num_classes, options)
