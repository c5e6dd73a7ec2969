"""Lightning's own Trainer with the callback: the zoo opens, and counts as the plain network with the weights of the end."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets

import soup_core as sc
from soup_core.zoo import user_ingredients
from tests.callbacks.sweeps import TRANSFORM, correct, new_network

pl = pytest.importorskip("lightning.pytorch", exc_type=ImportError)
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging  # noqa: E402  (skipped before where it is not installed)

from soup_core.callbacks.lightning import SoupCallback  # noqa: E402  (skipped before where it is not installed)

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's own advice, on workers, loggers and devices


class Classifier(pl.LightningModule):
    """A network as one attribute, beside a loss with weights of its own."""

    def __init__(self, learning_rate: float = 0.02) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = new_network()
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(3))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss: Tensor = self.criterion(self.model(batch[0]), batch[1])
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("worse", float(self.current_epoch))  # so that the first epoch is the best
        F.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams.learning_rate, weight_decay=0.01)


def fit(
    images: Path, module: Classifier, *callbacks: Callback, seed: int = 1, ckpt: str | None = None, **options: Any
) -> Any:
    pl.seed_everything(seed, verbose=False)
    loaders = [
        DataLoader(datasets.ImageFolder(str(images / split), TRANSFORM), batch_size=6, shuffle=split == "train")
        for split in ("train", "val")
    ]
    options = {"max_epochs": 2, "logger": False, "enable_progress_bar": False, "enable_model_summary": False} | options
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=list(callbacks), default_root_dir=images.parent / "logs", **options
    )
    trainer.fit(module, *loaders, ckpt_path=ckpt)
    return trainer


@pytest.fixture
def sweep(tmp_path: Path, photographs: Path) -> Path:
    folder = tmp_path / "sweep"
    shutil.copytree(photographs, folder / "photos")
    return folder


def written(folder: Path, name: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = safetensors.torch.load_file(folder / f"{name}.safetensors")
    return tensors


def test_fits_become_a_zoo_without_further_edits(sweep: Path) -> None:
    images, counts = sweep / "photos", {}
    for seed, rate in ((1, 0.02), (2, 0.05)):
        module = Classifier(rate)
        callback = SoupCallback(sweep, data="imagefolder:photos", architecture="torchvision:shufflenet_v2_x0_5")
        fit(images, module, callback, seed=seed, enable_checkpointing=False)
        counts[f"run-{seed}"] = correct(module.model, images)
    zoo = sc.open_zoo(sweep)
    evaluate = sc.Evaluator(zoo)
    assert {name: evaluate(sc.Soup.single(name)).correct for name in zoo.names} == counts
    assert zoo.base is not None
    assert evaluate(sc.Soup.single(sc.BASE)).correct == correct(new_network(), images)
    assert [dict(each.hyperparameters) for each in zoo.ingredients] == [
        {"seed": seed, "learning_rate": rate, "epochs": 2} for seed, rate in ((1, 0.02), (2, 0.05))
    ]


def test_the_best_checkpoint_or_the_average_is_what_is_written(sweep: Path) -> None:
    images, best = sweep / "photos", ModelCheckpoint(sweep.parent / "kept", monitor="worse", save_top_k=1)
    options = {"data": "imagefolder:photos", "network": "model"}
    module = Classifier()
    fit(images, module, best, SoupCallback(sweep, weights="best", name="best", **options))
    kept = torch.load(best.best_model_path)["state_dict"]
    assert best.best_model_path.endswith("epoch=0-step=3.ckpt")
    assert all(tensor.equal(kept[f"model.{name}"]) for name, tensor in written(sweep, "best").items())
    assert not written(sweep, "best")["fc.weight"].equal(module.model.fc.weight)
    averaged, average = Classifier(), WeightAveraging()
    fit(images, averaged, SoupCallback(sweep, name="average", **options), average, enable_checkpointing=False)
    assert average._average_model is not None
    means = average._average_model.module.model.state_dict()
    assert all(tensor.equal(means[name]) for name, tensor in written(sweep, "average").items())
    assert not written(sweep, "average")["fc.weight"].equal(module.model.fc.weight)


def test_a_fit_that_goes_on_keeps_the_base_it_began_with(sweep: Path) -> None:
    images, last = sweep / "photos", ModelCheckpoint(sweep.parent / "kept", save_last=True)
    options = {"data": "imagefolder:photos", "architecture": "torchvision:shufflenet_v2_x0_5"}
    fit(images, Classifier(), last, SoupCallback(sweep, **options), max_epochs=1)
    fit(
        images, Classifier(), SoupCallback(sweep, **options), ckpt=str(last.last_model_path), enable_checkpointing=False
    )
    zoo = sc.open_zoo(sweep)
    assert zoo.base is not None
    assert [user_ingredients.origin_of(each.checkpoint).start_digest for each in zoo.ingredients] == [
        zoo.base.digest
    ] * 2
    assert [each.hyperparameters["epochs"] for each in zoo.ingredients] == [1, 2]


def test_what_is_wrong_is_said_before_the_first_step(sweep: Path) -> None:
    module = Classifier()
    with pytest.raises(sc.SoupError, match="need a ModelCheckpoint"):
        fit(sweep / "photos", module, SoupCallback(sweep, data="imagefolder:photos", weights="best"))
    with pytest.raises(sc.SoupError, match=r"torchvision:resnet18"):
        fit(
            sweep / "photos",
            module,
            SoupCallback(sweep, data="imagefolder:photos", architecture="torchvision:resnet18"),
        )
    assert module.model.state_dict()["fc.weight"].equal(new_network().state_dict()["fc.weight"])
    with pytest.raises(sc.SoupError, match="weights are those of"):
        SoupCallback(sweep, weights="first")
