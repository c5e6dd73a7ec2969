"""mmengine: work_dirs/EXPERIMENT/epoch_N.pth; with its EMAHook `state_dict` is the average, and `ema_state_dict` the raw."""

from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainers.trainer import EPOCHS, LEARNING_RATES, RUNS, Trainer, images, normalized, started


class Classifier(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = started()

    def forward(self, pixels: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        logits = self.backbone(pixels)
        return {"loss": F.cross_entropy(logits, labels)} if mode == "loss" else logits


def train(folder: Path) -> None:
    for run in range(RUNS):
        Runner(
            Classifier(),
            work_dir=str(folder / f"work_dirs/run-{run}"),
            train_dataloader=images(folder, "train", normalized()),
            train_cfg={"by_epoch": True, "max_epochs": EPOCHS},
            optim_wrapper={"optimizer": {"type": "AdamW", "lr": LEARNING_RATES[run]}},
            custom_hooks=[{"type": "EMAHook", "momentum": 0.3}],
            randomness={"seed": run},
            log_level="ERROR",
            experiment_name=f"{folder.name}-{run}",
        ).train()


def load(file: Path) -> nn.Module:
    module = Classifier()
    # mmengine 0.10.7 calls torch.load without weights_only=False, and so cannot read its own file on torch from 2.6 on.
    module.load_state_dict(torch.load(file, weights_only=False)["state_dict"])
    return module


TRAINER = Trainer(
    "mmengine",
    "mmengine",
    "work_dirs/EXPERIMENT/{TIME.py, epoch_N.pth, last_checkpoint}",
    tuple(f"work_dirs/run-{run}/epoch_5.pth" for run in range(RUNS)),
    train,
    load,
    lambda folder: started(),
    normalized(),
    tells_hyperparameters=False,
)
