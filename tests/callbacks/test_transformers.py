"""The Trainer of transformers with the callback: the zoo opens, and counts as the plain network with its own processor."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torchvision import datasets

import soup_core as sc
from soup_core.zoo import user_ingredients
from tests.callbacks.sweeps import CLASSES

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from soup_core.callbacks.transformers import SoupCallback  # noqa: E402  (skipped before where it is not installed)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the Trainer's own
SIDE = {"height": 32, "width": 32}


class Photographs(torch.utils.data.Dataset[dict[str, Any]]):
    """Class folders as the Trainer takes them."""

    def __init__(self, folder: Path, processor: Any) -> None:
        self.images, self.processor = datasets.ImageFolder(str(folder)), processor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self.images[index]
        return {"pixel_values": self.processor(image, return_tensors="pt")["pixel_values"][0], "labels": label}


def new_model() -> Any:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, image_size=32, patch_size=8,
        num_labels=len(CLASSES), id2label=dict(enumerate(CLASSES)), label2id={name: i for i, name in enumerate(CLASSES)},
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


def train(images: Path, model: Any, *callbacks: Any, resume: str | None = None, **arguments: Any) -> Any:
    processor = transformers.ViTImageProcessor(size=SIDE)
    usual = {
        "output_dir": str(images.parent.parent / "output"),
        "per_device_train_batch_size": 6,
        "num_train_epochs": 2,
    }
    usual |= {
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "save_strategy": "no",
    }
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(**{**usual, "learning_rate": 1e-3, **arguments}),
        train_dataset=Photographs(images / "train", processor),
        eval_dataset=Photographs(images / "val", processor),
        processing_class=processor,
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@torch.inference_mode()
def correct(model: Any, folder: Path) -> int:
    found = Photographs(folder, transformers.ViTImageProcessor(size=SIDE))
    pixels, labels = (torch.stack([torch.as_tensor(each[key]) for each in found]) for key in ("pixel_values", "labels"))
    return int((model.eval()(pixels).logits.argmax(1) == labels).sum())


@pytest.fixture
def sweep(tmp_path: Path, photographs: Path) -> Path:
    folder = tmp_path / "sweep"
    shutil.copytree(photographs, folder / "photos")
    return folder


def test_trainings_become_a_zoo_without_further_edits(sweep: Path) -> None:
    images, counts = sweep / "photos", {}
    for seed in (1, 2):
        model = new_model()
        train(images, model, SoupCallback(sweep, data="imagefolder:photos"), seed=seed, weight_decay=0.1)
        counts[f"run-{seed}"] = [correct(model, images / split) for split in ("val", "test")]
    zoo = sc.open_zoo(sweep)
    assert zoo.architecture == {"name": "transformers:network", "num_classes": 3}
    evaluators = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    found = {name: [evaluate(sc.Soup.single(name)).correct for evaluate in evaluators] for name in zoo.names}
    assert found == counts
    assert zoo.base is not None
    assert evaluators[0](sc.Soup.single(sc.BASE)).correct == correct(new_model(), images / "val")
    assert [dict(each.hyperparameters) for each in zoo.ingredients] == [
        {"learning_rate": 1e-3, "weight_decay": 0.1, "batch_size": 6, "label_smoothing": 0.0, "seed": seed,
         "optimizer": "adamw_torch_fused", "epochs": 2.0}
        for seed in (1, 2)
    ]  # fmt: skip


def test_the_best_checkpoint_is_written_where_the_trainer_loads_it(sweep: Path) -> None:
    images, model = sweep / "photos", new_model()
    with pytest.warns(UserWarning, match="has loaded 8 of 40 tensors"):  # of release 5.24; none where it loads all
        trainer = train(
            images, model, SoupCallback(sweep, data="imagefolder:photos"), save_strategy="epoch", eval_strategy="epoch",
            load_best_model_at_end=True, metric_for_best_model="loss", greater_is_better=True, learning_rate=1e-2,
        )  # fmt: skip
    best = Path(trainer.state.best_model_checkpoint)
    states = {
        path: transformers.ViTForImageClassification.from_pretrained(path).state_dict()
        for path in best.parent.glob("checkpoint-*")
    }
    tensors: dict[str, Tensor] = safetensors.torch.load_file(sweep / "run-1.safetensors")
    same = [path for path, state in states.items() if all(tensors[name].equal(state[name]) for name in state)]
    assert len(states) == 2
    assert same == [best]


def test_a_training_that_goes_on_keeps_the_base_it_began_with(sweep: Path) -> None:
    images, options = sweep / "photos", {"save_strategy": "epoch"}
    train(images, new_model(), SoupCallback(sweep, data="imagefolder:photos"), num_train_epochs=1, **options)
    (kept,) = (sweep.parent / "output").glob("checkpoint-*")
    train(images, new_model(), SoupCallback(sweep), resume=str(kept), **options)
    zoo = sc.open_zoo(sweep)
    assert zoo.base is not None
    assert [user_ingredients.origin_of(each.checkpoint).start_digest for each in zoo.ingredients] == [
        zoo.base.digest
    ] * 2


def test_another_configuration_is_refused_before_the_first_step(sweep: Path) -> None:
    train(sweep / "photos", new_model(), SoupCallback(sweep, data="imagefolder:photos"), max_steps=1)
    other = new_model()
    other.config.num_attention_heads = 4
    with pytest.raises(sc.SoupError, match="configuration of another network: num_attention_heads differ"):
        train(sweep / "photos", other, SoupCallback(sweep), max_steps=1)
