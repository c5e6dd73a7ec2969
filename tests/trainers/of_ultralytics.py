"""ultralytics: runs/classify/trainN/weights with whole pickled models in half precision; a factory makes its network."""

import os
from pathlib import Path

from torch import nn
from torchvision import transforms

os.environ["YOLO_OFFLINE"] = "true"  # before it is imported: no look for another release, nothing reported
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel

from tests.trainers.trainer import BATCH, LEARNING_RATES, RUNS, Trainer

NETWORK = "yolo11n-cls.yaml"
FACTORY = f'''"""The network of these runs, as ultralytics makes it."""
import torch
from ultralytics.nn.tasks import ClassificationModel


class Logits(ClassificationModel):
    """Its evaluation gives probabilities and logits; a soup is judged by the logits."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().forward(pixels)[1]


def build(num_classes: int) -> ClassificationModel:
    return Logits("{NETWORK}", nc=num_classes, verbose=False)
'''


def train(folder: Path) -> None:
    for run in range(RUNS):
        YOLO(NETWORK).train(
            data=str(folder / "images"),
            epochs=10,
            imgsz=64,
            batch=BATCH,
            device="cpu",
            optimizer="AdamW",
            lr0=LEARNING_RATES[run],
            seed=run,
            workers=0,
            project=str(folder / "runs/classify"),
            plots=False,
            verbose=False,
        )
    (folder / "network.py").write_text(FACTORY)


def load(file: Path) -> nn.Module:
    return YOLO(str(file)).model.float()


TRAINER = Trainer(
    "ultralytics",
    "ultralytics",
    "runs/classify/trainN/{args.yaml, results.csv, weights/{best.pt, last.pt}}",
    tuple(f"runs/classify/train{f'-{run + 1}' if run else ''}/weights/best.pt" for run in range(RUNS)),
    train,
    load,
    lambda folder: ClassificationModel(NETWORK, nc=4, verbose=False),
    transforms.ToTensor(),
    ("--architecture", "factory:network.py:build", "--num-classes", "4"),
)
