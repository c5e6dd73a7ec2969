"""skorch: its Checkpoint callback's params.pt, criterion.pt, optimizer.pt and history.json a run."""

from pathlib import Path

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint
from torch import nn
from torchvision import datasets

from tests.trainers.trainer import BATCH, EPOCHS, LEARNING_RATES, RUNS, Trainer, normalized, started


def _classifier(run: int, place: Path) -> NeuralNetClassifier:
    module = started()
    torch.manual_seed(run)
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=LEARNING_RATES[run],
        batch_size=BATCH,
        max_epochs=EPOCHS,
        callbacks=[Checkpoint(monitor=None, dirname=str(place))],
        verbose=0,
    )


def train(folder: Path) -> None:
    pictures = datasets.ImageFolder(str(folder / "images/train"), normalized())
    for run in range(RUNS):
        _classifier(run, folder / f"run-{run}").fit(pictures, torch.tensor(pictures.targets).numpy())


def load(file: Path) -> nn.Module:
    classifier = _classifier(0, file.parent).initialize()
    classifier.load_params(f_params=str(file))
    return classifier.module_


TRAINER = Trainer(
    "skorch",
    "skorch",
    "RUN/{params.pt, criterion.pt, optimizer.pt, history.json}",
    tuple(f"run-{run}/params.pt" for run in range(RUNS)),
    train,
    load,
    lambda folder: started(),
    normalized(),
    tells_hyperparameters=False,
)
