"""The bundled zoos' network."""

from torch import Tensor, nn

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
        """N×1×28×28 normalised images to N×num_classes logits."""
        features: Tensor = self.features(images)
        if self.hidden is not None:
            features = self.hidden(features)
        logits: Tensor = self.head(features)
        return logits
