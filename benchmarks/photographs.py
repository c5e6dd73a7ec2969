"""A zoo as people have it, made from seeds: class folders of JPEG pictures in colour, and fine-tunings saved by torch.save.

The pictures are the bundled ones at 64 pixels, in two colours of chance, a dark and a light one, with noise over them. A base is
trained for a moment, and fine-tuned by several learning rates, numbers of steps, and seeds.
"""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from benchmarks.published_greedy import loader, network
from soup_core.data import Split

SIDE, CLASSES, QUALITY = 64, 10, 90
COUNTS = {"train": 1600, "val": 2000, "test": 500}
NORMALIZE = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3)
BATCH_SIZE = 32


def pictures(grey: Tensor, generator: torch.Generator) -> Tensor:
    """Grey images (N×1×H×W, uint8) as N×3×SIDE×SIDE, uint8, in colours."""
    shapes = F.interpolate(grey.float() / 255, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    front, back = (torch.rand(len(grey), 3, 1, 1, generator=generator) / 2 for _ in range(2))
    noise = 0.1 * torch.randn(len(grey), 3, SIDE, SIDE, generator=generator)
    return (255 * (shapes * (front + 0.5) + (1 - shapes) * back + noise)).clamp(0, 255).byte()


def write_pictures(split: Split, counts: dict[str, int], folder: Path) -> None:
    """JPEG files of the first images of a split, a folder a class, below a folder for each count."""
    generator = torch.Generator().manual_seed(0)
    images = zip(pictures(split.images, generator), split.labels.tolist(), strict=True)
    for part, count in counts.items():
        for label in range(CLASSES):
            (folder / part / f"class-{label}").mkdir(parents=True)
        for index, (image, label) in enumerate(itertools.islice(images, count)):
            content = io.BytesIO()
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(content, "JPEG", quality=QUALITY)
            (folder / part / f"class-{label}" / f"{index:05}.jpg").write_bytes(content.getvalue())


def trained(model: nn.Module, images: Tensor, labels: Tensor, *, rate: float, steps: int, seed: int) -> nn.Module:
    """The model after so many steps of AdamW."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    for _ in range(steps):
        batch = torch.randint(len(images), (BATCH_SIZE,), generator=generator)
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def architecture_of(name: str) -> dict[str, object]:
    """A network of torchvision or timm for these pictures, as zoo.toml has it."""
    return {"name": name, "num_classes": CLASSES, **({"img_size": SIDE} if name.startswith("timm:") else {})}


def fine_tunings(name: str, folder: Path, base_steps: int, count: int) -> Iterator[tuple[str, nn.Module]]:
    """So many fine-tunings of one base, each with its name."""
    torch.manual_seed(0)
    batches = list(loader(folder / "images" / "train", NORMALIZE))
    images, labels = torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])
    base = trained(network(architecture_of(name)), images, labels, rate=1e-3, steps=base_steps, seed=0)
    start = {key: value.clone() for key, value in base.state_dict().items()}
    for index in range(count):
        base.load_state_dict(start)
        rate = LEARNING_RATES[index % len(LEARNING_RATES)]
        yield f"ft-{index:02}", trained(base, images, labels, rate=rate, steps=6 + index // 2, seed=index + 1)


def write_zoo(name: str, folder: Path, base_steps: int, count: int = 12) -> Path:
    """Checkpoints of a network of that name beside `images`, and zoo.toml."""
    written = ", ".join(f"{key} = {json.dumps(value)}" for key, value in architecture_of(name).items())
    lines = [
        "format = 1",
        f'title = "Fine-tunings of {name}"',
        f"architecture = {{ {written} }}",
        "[data]",
        'source = "imagefolder:images"',
        f"normalize = {{ mean = {NORMALIZE['mean']}, std = {NORMALIZE['std']} }}",
    ]
    for ingredient, model in fine_tunings(name, folder, base_steps, count):
        torch.save(model.state_dict(), folder / f"{ingredient}.pt")
        lines += ["[[ingredients]]", f'name = "{ingredient}"', f'file = "{ingredient}.pt"']
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder
