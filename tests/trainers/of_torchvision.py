"""torchvision's reference script for classification: model_N.pth and checkpoint.pth with the parsed arguments in them."""

import argparse
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torchvision.models import shufflenet_v2_x0_5

from tests.trainers.trainer import BATCH, EPOCHS, LEARNING_RATES, RUNS, Trainer, fit, normalized, started


def train(folder: Path) -> None:
    for run in range(RUNS):
        place = folder / f"run-{run}"
        place.mkdir()
        args = argparse.Namespace(model="shufflenet_v2_x0_5", lr=LEARNING_RATES[run], epochs=EPOCHS, batch_size=BATCH)
        module = started(shufflenet_v2_x0_5)
        for epoch, optimizer in enumerate(fit(module, folder, normalized(), run, epochs=10, times=5)):
            schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20])
            content = {
                "model": module.state_dict(),
                "optimizer": optimizer.state_dict(),
                "lr_scheduler": schedule.state_dict(),
                "epoch": epoch,
                "args": args,
            }
            torch.save(content, place / f"model_{epoch}.pth")
            torch.save(content, place / "checkpoint.pth")


def _content(file: Path) -> dict[str, Any]:
    """As the script itself reads it, which trusts the arguments in it."""
    with patch.dict(os.environ, {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}):
        content: dict[str, Any] = torch.load(file)
    return content


def load(file: Path) -> nn.Module:
    module = started(shufflenet_v2_x0_5)
    module.load_state_dict(_content(file)["model"])
    return module


TRAINER = Trainer(
    "torchvision's references",
    "torchvision",
    "RUN/{model_N.pth, checkpoint.pth}",
    tuple(f"run-{run}/checkpoint.pth" for run in range(RUNS)),
    train,
    load,
    lambda folder: started(shufflenet_v2_x0_5),
    normalized(),
)
