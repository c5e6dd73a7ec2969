"""The first eleven blocks of MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) under a linear head, without BatchNorm.

A BatchNorm whose statistics stay as they are multiplies and shifts each channel by constants, and so is folded into the
convolution before it (Jacob et al. 2018, arXiv 1712.05877, section 3.2). What is left of it is a bias a channel.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM = 32  # channels of the first block, a plain convolution
RESIDUALS = (  # of each that follows: by what its channels are widened, how many it gives, its stride
    (1, 16, 1),
    *((6, 24, 2), (6, 24, 1)),
    *((6, 32, 2), (6, 32, 1), (6, 32, 1)),
    *((6, 64, 2), (6, 64, 1), (6, 64, 1), (6, 64, 1)),
)
EPSILON = 1e-5  # of torchvision's BatchNorm
SIDES = range(16, 1025)  # pixels, from one position of the last block on


class MobileNetV2Blocks(nn.Module):
    """MobileNetV2 up to its last block of 64 channels, their means over the image, and a linear layer.

    Input N×1×H×W, given to the three colours alike, or N×3×H×W; it is scaled to `side` pixels first. Output
    N×num_classes logits. The convolutions have the names that torchvision's have. Raises ValueError for a side out of range.
    """

    def __init__(self, num_classes: int, *, side: int = 56) -> None:
        super().__init__()
        if not isinstance(side, int) or side not in SIDES:
            raise ValueError(f"side is a whole number of pixels from {SIDES[0]} to {SIDES[-1]}, not {side!r}")
        self.side = side
        blocks: list[nn.Module] = [_convolution(3, STEM, 3, 2)]
        incoming = STEM
        for widened, channels, stride in RESIDUALS:
            blocks.append(InvertedResidual(incoming, channels, widened * incoming, stride))
            incoming = channels
        self.features = nn.Sequential(*blocks)
        self.head = nn.Linear(incoming, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """N×1×H×W or N×3×H×W normalised images to N×num_classes logits."""
        scaled = F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)
        features = self.features(scaled.expand(-1, 3, -1, -1))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class InvertedResidual(nn.Module):
    """A block that widens its channels, filters each alone, and narrows them; added to its input where their shapes agree."""

    def __init__(self, incoming: int, channels: int, hidden: int, stride: int) -> None:
        super().__init__()
        widening = [_convolution(incoming, hidden, 1, 1)] if hidden != incoming else []
        filtering = _convolution(hidden, hidden, 3, stride, groups=hidden)
        self.conv = nn.Sequential(*widening, filtering, nn.Conv2d(hidden, channels, 1))
        self.is_added = stride == 1 and incoming == channels

    def forward(self, inputs: Tensor) -> Tensor:
        """N×C×H×W to N×C'×H'×W', the sides divided by the stride."""
        narrowed: Tensor = self.conv(inputs)
        return inputs + narrowed if self.is_added else narrowed


def _convolution(incoming: int, channels: int, kernel: int, stride: int, *, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(incoming, channels, kernel, stride, padding=kernel // 2, groups=groups)
    return nn.Sequential(convolution, nn.ReLU6())


def from_torchvision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The `features` of MobileNetV2Blocks from torchvision's MobileNetV2, each BatchNorm folded into the convolution before it.

    Raises KeyError where a tensor of torchvision's is missing.
    """
    with torch.device("meta"):
        names = [name for name in MobileNetV2Blocks(1).features.state_dict() if name.endswith("weight")]
    folded = {}
    for name in names:
        convolution = f"features.{name.removesuffix('.weight')}"
        before, _, index = convolution.rpartition(".")
        norm = f"{before}.{int(index) + 1}"
        weight = tensors[f"{convolution}.weight"].double()
        mean, variance = tensors[f"{norm}.running_mean"].double(), tensors[f"{norm}.running_var"].double()
        scale = tensors[f"{norm}.weight"].double() / torch.sqrt(variance + EPSILON)
        folded[f"{convolution}.weight"] = (weight * scale[:, None, None, None]).float()
        folded[f"{convolution}.bias"] = (tensors[f"{norm}.bias"].double() - mean * scale).float()
    return folded
