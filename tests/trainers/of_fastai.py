"""fastai: a vision_learner's models/NAME.pth, with the optimizer's state, and export.pkl, the whole learner."""

from pathlib import Path
from typing import Any

from fastai.vision.all import ImageDataLoaders, set_seed, vision_learner
from torch import nn
from torchvision.models import resnet18

from tests.trainers.trainer import BATCH, LEARNING_RATES, RUNS, Trainer, follow_quickly, normalized


def _learner(folder: Path, run: str) -> Any:
    pictures = ImageDataLoaders.from_folder(folder / "images", train="train", valid="val", bs=BATCH, num_workers=0)
    return vision_learner(pictures, resnet18, pretrained=False, normalize=False, path=folder / run)


def train(folder: Path) -> None:
    for run in range(RUNS):
        set_seed(run)
        learner = _learner(folder, f"run-{run}")
        follow_quickly(learner.model)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(4, 3 * LEARNING_RATES[run])
        learner.save("final")


def load(file: Path) -> nn.Module:
    return _learner(file.parents[2], file.parents[1].name).load(file.stem).model


TRAINER = Trainer(
    "fastai",
    "fastai",
    "RUN/models/NAME.pth",
    tuple(f"run-{run}/models/final.pth" for run in range(RUNS)),
    train,
    load,
    lambda folder: _learner(folder, "fresh").model,
    normalized(0.0, 1.0),
    tells_hyperparameters=False,
)
