"""Lightning: version_N folders with hparams.yaml and the last epoch's file, a loss with weights of its own beside the network."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from tests.trainers.trainer import EPOCHS, LEARNING_RATES, RUNS, Trainer, images, normalized, started


class Classifier(L.LightningModule):
    def __init__(self, lr: float = 1e-3, weight_decay: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = started()
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(4))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(pixels)

    def training_step(self, batch: Any, index: int) -> Tensor:
        return self.criterion(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), self.hparams["lr"], weight_decay=self.hparams["weight_decay"])


def train(folder: Path) -> None:
    for run in range(RUNS):
        L.seed_everything(run, verbose=False)
        trainer = L.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Classifier(LEARNING_RATES[run]), images(folder, "train", normalized()))


TRAINER = Trainer(
    "Lightning",
    "lightning",
    "lightning_logs/version_N/{hparams.yaml, checkpoints/epoch=…-step=….ckpt}",
    tuple(f"lightning_logs/version_{run}/checkpoints/epoch=4-step=30.ckpt" for run in range(RUNS)),
    train,
    lambda file: Classifier.load_from_checkpoint(file, map_location="cpu"),
    lambda folder: started(),
    normalized(),
)
