"""accelerate: save_state's numbered folders, and the model of the end saved once more beside them."""

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from safetensors.torch import load_model
from torch import nn
from torch.nn import functional as F

from tests.trainers.trainer import EPOCHS, LEARNING_RATES, RUNS, Trainer, images, normalized, started


def train(folder: Path) -> None:
    for run in range(RUNS):
        place = str(folder / f"run-{run}")
        accelerator = Accelerator(
            cpu=True, project_config=ProjectConfiguration(place, automatic_checkpoint_naming=True)
        )
        module = started()
        torch.manual_seed(run)
        optimizer = torch.optim.AdamW(module.parameters(), LEARNING_RATES[run])
        module, optimizer, batches = accelerator.prepare(module, optimizer, images(folder, "train", normalized()))
        for _ in range(EPOCHS):
            for pixels, labels in batches:
                optimizer.zero_grad()
                accelerator.backward(F.cross_entropy(module(pixels), labels))
                optimizer.step()
            accelerator.save_state()
        accelerator.save_model(module, f"{place}/final")


def load(file: Path) -> nn.Module:
    module = started()
    load_model(module, str(file))
    return module


TRAINER = Trainer(
    "accelerate",
    "accelerate",
    "RUN/{checkpoints/checkpoint_N/model.safetensors, final/model.safetensors}",
    tuple(f"run-{run}/final/model.safetensors" for run in range(RUNS)),
    train,
    load,
    lambda folder: started(),
    normalized(),
    tells_hyperparameters=False,
)
