"""peft under transformers' Trainer: adapters over one base, run-N/checkpoint-M/adapter_model.safetensors."""

from pathlib import Path

import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from tests.trainers.of_transformers import Logits, fit, make_base, transform
from tests.trainers.trainer import RUNS, Trainer


def train(folder: Path) -> None:
    transformers.logging.set_verbosity_error()
    make_base(folder)
    for run in range(RUNS):
        transformers.set_seed(run)
        base = transformers.ViTForImageClassification.from_pretrained(folder / "base")
        config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
        fit(get_peft_model(base, config), folder, run)


def load(file: Path) -> nn.Module:
    base = transformers.ViTForImageClassification.from_pretrained(file.parents[1] / "base")
    return Logits(PeftModel.from_pretrained(base, str(file)).merge_and_unload())


TRAINER = Trainer(
    "peft",
    "peft",
    "RUN/checkpoint-N/{adapter_config.json, adapter_model.safetensors} and the base's folder",
    tuple(f"run-{run}/checkpoint-*" for run in range(RUNS)),
    train,
    load,
    lambda folder: Logits(transformers.AutoModelForImageClassification.from_pretrained(folder / "base")),
    transform,
    tells_hyperparameters=False,
)
