"""Networks as fastai's vision_learner makes them of torchvision's: "fastai:resnet18", without fastai.

The body is torchvision's network up to its pooling, the head fastai's own with its defaults. Source: fastai 2.8,
fastai/vision/learner.py (create_body, create_head) and fastai/layers.py.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from soup_core.architectures import torchvision_models
from soup_core.data import Normalization, Preprocessing
from soup_core.errors import ZooError

# Where fastai cuts a network, counted from its children's end, and only for these normalises: with ImageNet's statistics.
CUTS: Mapping[str, int] = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), -2),
    **dict.fromkeys(("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "alexnet"), -2),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1", "densenet121", "densenet161", "densenet169", "densenet201"), -1),
}
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AS_DECODED = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SIZES = (32, 64, 128)  # of an image that is sent through the body, to count its channels


class ConcatenatedPool(nn.Module):
    """Maximum, then mean over all places: N×C×H×W to N×2C×1×1."""

    def forward(self, features: Tensor) -> Tensor:
        """Pool the features."""
        return torch.cat([features.amax((2, 3), keepdim=True), features.mean((2, 3), keepdim=True)], 1)


def build(name: str, num_classes: int, /, *, hidden: int = 512) -> nn.Module:
    """The network with random weights; `hidden` is the width of its head. Raises ZooError where fastai could not cut it."""
    body = _body(name)
    features = 2 * _channels(name, body)
    head = nn.Sequential(
        ConcatenatedPool(),
        nn.Flatten(),
        nn.BatchNorm1d(features),
        nn.Dropout(0.25),
        nn.Linear(features, hidden, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(hidden),
        nn.Dropout(0.5),
        nn.Linear(hidden, num_classes, bias=False),
    )
    return nn.Sequential(body, head)


def preprocessing(name: str, options: Mapping[str, Any]) -> tuple[Preprocessing, Normalization]:
    """Images of 224 pixels, normalised where vision_learner does so of itself: for pretrained networks of the table."""
    return Preprocessing(224, 224, "bilinear"), IMAGENET if name in CUTS else AS_DECODED


def _body(name: str) -> nn.Sequential:
    children = list(torchvision_models.build(name, 2).children())
    cut = CUTS.get(name, next((n for n in reversed(range(len(children))) if _pools(children[n])), 0))
    if not children[:cut]:
        raise ZooError(f"fastai cuts a network before its last pooling layer, and {name} has none there.")
    return nn.Sequential(*children[:cut])


def _pools(module: nn.Module) -> bool:
    return any(re.search(r"Pool[123]d$", type(each).__name__) for each in module.modules())


@torch.no_grad()
def _channels(name: str, body: nn.Sequential) -> int:
    body.eval()
    try:
        for size in SIZES:
            try:
                return int(body(torch.zeros(1, 3, size, size)).shape[1])
            except (RuntimeError, ValueError):  # smaller than its kernels
                continue
    finally:
        body.train()
    raise ZooError(f"fastai makes no classifier of {name}: its layers cannot be run one after another.")
