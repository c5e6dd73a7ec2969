"""transformers' Trainer: run-N/checkpoint-M with trainer_state.json, whose best is taken; and a base beside them."""

from pathlib import Path
from typing import Any

import transformers
from PIL import Image
from torch import Tensor, nn
from torchvision import datasets

from tests.trainers.pictures import CLASSES
from tests.trainers.trainer import BATCH, EPOCHS, LEARNING_RATES, RUNS, Trainer

PROCESSOR = transformers.ViTImageProcessor(size={"height": 48, "width": 48})
ORDER = tuple(reversed(CLASSES))  # another than the folders'


def transform(image: Image.Image) -> Tensor:
    pixels: Tensor = PROCESSOR(image, return_tensors="pt")["pixel_values"][0]
    return pixels


def make_base(folder: Path) -> None:
    config = transformers.ViTConfig(
        image_size=48,
        patch_size=16,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        id2label=dict(enumerate(ORDER)),
        label2id={name: index for index, name in enumerate(ORDER)},
    )
    transformers.set_seed(0)
    transformers.ViTForImageClassification(config).save_pretrained(folder / "base")
    PROCESSOR.save_pretrained(folder / "base")


def examples(folder: Path, split: str) -> list[dict[str, Any]]:
    pictures = datasets.ImageFolder(str(folder / "images" / split), transform)
    return [{"pixel_values": pixels, "labels": ORDER.index(CLASSES[label])} for pixels, label in pictures]


def fit(module: nn.Module, folder: Path, run: int) -> None:
    """Trained as the library's own image classification example does it, best loss last."""
    arguments = transformers.TrainingArguments(
        str(folder / f"run-{run}"),
        num_train_epochs=EPOCHS,
        learning_rate=LEARNING_RATES[run],
        per_device_train_batch_size=BATCH,
        save_strategy="epoch",
        eval_strategy="epoch",
        load_best_model_at_end=True,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=run,
    )
    trainer = transformers.Trainer(
        module,
        arguments,
        train_dataset=examples(folder, "train"),
        eval_dataset=examples(folder, "val"),
        processing_class=PROCESSOR,
    )
    trainer.train()


def train(folder: Path) -> None:
    transformers.logging.set_verbosity_error()
    make_base(folder)
    for run in range(RUNS):
        transformers.set_seed(run)
        fit(transformers.ViTForImageClassification.from_pretrained(folder / "base"), folder, run)


class Logits(nn.Module):
    """A network of the library with its own order of classes put into that of the folders, as the pictures are labelled."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(pixels).logits
        return logits[:, [ORDER.index(name) for name in CLASSES]]

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        return self.network.load_state_dict(*arguments, **options)


def load(file: Path) -> nn.Module:
    return Logits(transformers.ViTForImageClassification.from_pretrained(file.parent))


TRAINER = Trainer(
    "transformers' Trainer",
    "transformers",
    "RUN/checkpoint-N/{config.json, model.safetensors, preprocessor_config.json, trainer_state.json, training_args.bin}",
    tuple(f"run-{run}/checkpoint-*/model.safetensors" for run in range(RUNS)),
    train,
    load,
    lambda folder: Logits(transformers.AutoModelForImageClassification.from_pretrained(folder / "base")),
    transform,
    tells_hyperparameters=False,
)
