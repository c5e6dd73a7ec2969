"""timm's train.py: its CheckpointSaver, args.yaml and summary.csv in output/train/EXPERIMENT."""

import argparse
from pathlib import Path

import timm
import yaml
from timm.utils import CheckpointSaver, ModelEmaV3, update_summary
from torch import nn

from tests.trainers.trainer import EPOCHS, LEARNING_RATES, RUNS, Trainer, correct, fit, normalized, started

MODEL = "test_resnet"
OWN = {"img_size": 64, "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3}


def train(folder: Path) -> None:
    for run in range(RUNS):
        place = folder / f"output/train/2026113{run}-120000-{MODEL}-64"
        place.mkdir(parents=True)
        args = argparse.Namespace(model=MODEL, num_classes=4, lr=LEARNING_RATES[run], epochs=EPOCHS, seed=run, **OWN)
        (place / "args.yaml").write_text(yaml.safe_dump(vars(args)))
        module = started()
        average = ModelEmaV3(module, decay=0.3)
        saver = None
        for epoch, optimizer in enumerate(fit(module, folder, normalized(), run)):
            average.update(module)
            saver = saver or CheckpointSaver(module, optimizer, args=args, model_ema=average, checkpoint_dir=str(place))
            top1 = correct(average.module, folder, "val", normalized()) * 2.5
            update_summary(epoch, {"loss": 1.0}, {"top1": top1}, str(place / "summary.csv"), write_header=not epoch)
            saver.save_checkpoint(epoch, metric=top1)


def load(file: Path) -> nn.Module:
    """With the average, as timm's validate.py does by --use-ema and its fine-tuning by default."""
    return timm.create_model(MODEL, num_classes=4, checkpoint_path=str(file))


TRAINER = Trainer(
    "timm's train.py",
    "timm",
    "output/train/EXPERIMENT/{args.yaml, summary.csv, checkpoint-N.pth.tar, last.pth.tar, model_best.pth.tar}",
    tuple(f"output/train/2026113{run}-120000-{MODEL}-64/model_best.pth.tar" for run in range(RUNS)),
    train,
    load,
    lambda folder: started(),
    normalized(),
)
