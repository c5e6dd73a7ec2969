"""mmengine: work_dirs/EXPERIMENT/epoch_N.pth; with its EMAHook `state_dict` is the average, and `ema_state_dict` the raw."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
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
    # mmengine 0.10.7 does not know that torch refuses unknown classes by default, such as those of its own log.
    with patch.dict(os.environ, {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}):
        load_checkpoint(module, str(file), map_location="cpu")
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
