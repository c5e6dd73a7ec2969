"""ignite: its ModelCheckpoint's files, the last two of each run, with the model and the optimizer."""

from pathlib import Path

import torch
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import Checkpoint, ModelCheckpoint
from torch import nn

from tests.trainers.trainer import EPOCHS, LEARNING_RATES, RUNS, Trainer, images, normalized, started


def train(folder: Path) -> None:
    for run in range(RUNS):
        module = started()
        torch.manual_seed(run)
        optimizer = torch.optim.AdamW(module.parameters(), LEARNING_RATES[run])
        trainer = create_supervised_trainer(module, optimizer, nn.CrossEntropyLoss())
        keep = ModelCheckpoint(str(folder / f"run-{run}"), "epoch", n_saved=2)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, keep, {"model": module, "optimizer": optimizer})
        trainer.run(images(folder, "train", normalized()), EPOCHS)


def load(file: Path) -> nn.Module:
    module = started()
    Checkpoint.load_objects({"model": module}, torch.load(file))
    return module


TRAINER = Trainer(
    "ignite",
    "pytorch-ignite",
    "RUN/PREFIX_checkpoint_N.pt",
    tuple(f"run-{run}/epoch_checkpoint_30.pt" for run in range(RUNS)),
    train,
    load,
    lambda folder: started(),
    normalized(),
    tells_hyperparameters=False,
)
