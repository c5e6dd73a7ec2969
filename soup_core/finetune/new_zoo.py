"""A zoo where there was none: an architecture, images, and a base from which every run starts.

With weights the base gets a new head by a linear probe, so that fine-tuning does not begin by spoiling the features
(Kumar et al. 2022, arXiv 2202.10054). Without any it is trained in whole: runs from random weights would be strangers.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from soup_core import architectures
from soup_core.checkpoints import Checkpoint
from soup_core.data import UNNORMALIZED, UNNORMALIZED_COLOUR, Data, Normalization, Preprocessing, Processor
from soup_core.errors import CheckpointError, DataError, ZooError
from soup_core.evaluation import Evaluator
from soup_core.finetune.augmentation import augmentations_for
from soup_core.finetune.hyperparameters import Hyperparameters
from soup_core.finetune.sweep import FinetuneRun, FinetuneStep, tensors_digest, training_images
from soup_core.runtime.files import listed
from soup_core.zoo import BASE, Ingredient, Zoo, user_ingredients
from soup_core.zoo.toml import FORMAT, ZooHeader, checked, preprocessing_table

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SIDE = 224
CROP_SHARE = 0.875  # of the shorter side, as torchvision's and timm's weights mostly expect
BASE_EPOCHS = 8


def planned_zoo(folder: Path, architecture: str, source: str, *, pretrained: bool, side: int = SIDE) -> Zoo:
    """A zoo that has no file yet: its classes counted in the images' labels, its normalisation what the weights expect.

    What pretrained weights for three channels expect is read off their metadata, ImageNet's where there is none; else
    mean and deviation are the training images' own. Image files become squares of `side` pixels. Raises DataError for a
    source that is none of those with a path.
    """
    kind, _, path = source.partition(":")
    if kind not in ("tensors", "imagefolder") or not path:
        raise DataError(f"The images of a new zoo come from tensors:FILE or imagefolder:PATH; found {source!r}.")
    images, own = Path(path).resolve(), folder.resolve()
    source = f"{kind}:{images.relative_to(own) if images.is_relative_to(own) else images}"
    data = Data(source, folder, UNNORMALIZED)
    expected = architectures.proposed_preprocessing({"name": architecture, "num_classes": 1000}, folder)
    usual = Preprocessing(round(SIDE / CROP_SHARE), SIDE)
    cut, normalization = expected if pretrained and expected else (usual, IMAGENET)
    if isinstance(cut, Processor):  # one that has its own size
        cut = usual
    if kind == "imagefolder":
        preprocessing = cut.scaled(side)
        data = replace(data, normalization=UNNORMALIZED_COLOUR, preprocessing=preprocessing)
    splits = [data.split(name) for name in ("train", "held_out")]
    classes = max(len(data.classes), *(int(split.labels.max()) + 1 for split in splits))
    if not pretrained or splits[0].images.shape[1] != 3:
        normalization = measured_normalization(splits[0].images)
    table = {"name": architecture, "num_classes": classes}
    return Zoo(
        name=folder.resolve().name,
        title=f"{architecture.rpartition(':')[2]}: fine-tunings of one base",
        folder=folder,
        architecture=table,
        network=architectures.network(table, folder),
        data=replace(data, normalization=normalization, num_classes=classes),
        ingredients=(),
        base=None,
        excluded=(),
    )


def header(zoo: Zoo) -> ZooHeader:
    """The zoo.toml of a planned zoo, up to its ingredients. Raises ZooError for images that no zoo.toml can name."""
    normalize = {key: [round(value, 6) for value in values] for key, values in asdict(zoo.data.normalization).items()}
    preprocessing = preprocessing_table(zoo.data.preprocessing, zoo.folder) if zoo.data.preprocessing else None
    table = {
        "format": FORMAT,
        "title": zoo.title,
        "architecture": zoo.architecture,
        "base": _base_file(zoo).name,
        "data": {"source": zoo.data.source, "normalize": normalize, "preprocessing": preprocessing},
    }
    return checked(ZooHeader, table, f"{zoo.name}/zoo.toml")


def measured_normalization(images: Tensor) -> Normalization:
    """Mean and standard deviation of each channel of uint8 images (N×C×H×W), on the 0 to 1 scale."""
    values = torch.stack([torch.bincount(channel.flatten().int(), minlength=256) for channel in images.unbind(1)])
    shades = torch.arange(256, dtype=torch.float64) / 255
    share = values.double() / values.sum(1, keepdim=True)
    mean = (share * shades).sum(1)
    variance = (share * (shades - mean[:, None]) ** 2).sum(1)
    return Normalization(
        tuple(round(value, 6) for value in mean.tolist()),
        tuple(round(max(math.sqrt(value), 1 / 255), 6) for value in variance.tolist()),
    )


def head_names(zoo: Zoo) -> frozenset[str]:
    """The tensors whose shape follows the number of classes: the head. Raises ZooError where there are none."""
    larger = {**zoo.architecture, "num_classes": int(zoo.architecture["num_classes"]) + 1}
    more = architectures.meta_module(**architectures.arguments(larger, zoo.folder)).state_dict()
    head = frozenset(name for name, tensor in zoo.tensors.items() if more[name].shape != tensor.shape)
    if not head:
        raise ZooError(
            f"No tensor of {zoo.architecture['name']} follows the number of classes, so there is no head to make."
        )
    return head


def make_base(
    zoo: Zoo, evaluate: Evaluator, *, weights: Mapping[str, Tensor] | None, seed: int = 0
) -> Iterator[FinetuneStep]:
    """Make the base of a planned zoo, yielding after each epoch; stopped, it goes on.

    `weights`, a state_dict, that fit the whole network are the base as they are; with another head, a new one is
    trained on them. Raises CheckpointError where anything but the head does not fit, DataError where the network does
    not take the images.
    """
    images = training_images(zoo)
    torch.manual_seed(seed)
    module = zoo.module()
    _try(zoo, module, images.images[:2])
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    head = head_names(zoo)
    fitting = {n: t for n, t in (weights or {}).items() if n in start and t.shape == start[n].shape}
    if weights is not None and (unfit := sorted(set(start) - set(fitting) - head)):
        raise CheckpointError(
            f"The weights do not fit {zoo.architecture['name']}: {listed(unfit)} are missing or of another shape; only the head may "
            "differ."
        )
    start |= {name: tensor.to(start[name].dtype) for name, tensor in fitting.items()}
    parameters = {name for name, _ in module.named_parameters()}
    digest = tensors_digest(start)
    run = FinetuneRun(zoo, evaluate, images, start, digest, only=None if weights is None else head & parameters)
    hyperparameters = Hyperparameters(
        1e-3, 0.01, BASE_EPOCHS, augmentation=augmentations_for(min(images.images.shape[2:]))[1], seed=seed
    )
    key, file = run.key(hyperparameters), _base_file(zoo)
    ended = _made_by(file, key)
    if head <= set(fitting):
        if not ended:
            user_ingredients.save(
                file, start, user_ingredients.Origin(run=key, start="weights", start_digest=digest, hyperparameters={})
            )
        return
    for step in run.steps(hyperparameters, ended=ended):
        if step.diverged:
            raise ZooError(f"Training the base of {zoo.name} ended in numbers that are not finite; give --weights.")
        if step.epoch < BASE_EPOCHS:
            yield step
    if not ended:
        origin = user_ingredients.Origin(
            run=key, start="weights", start_digest=digest, hyperparameters=hyperparameters.recorded()
        )
        user_ingredients.save(file, run.weights(hyperparameters), origin)
    run.forget(hyperparameters)
    yield replace(step, name=BASE)


def with_base(zoo: Zoo) -> Zoo:
    """The planned zoo with the base that `make_base` has made."""
    return replace(zoo, base=Ingredient(BASE, _base_file(zoo), {}, Checkpoint(_base_file(zoo))))


def downloaded(architecture: str) -> dict[str, Tensor]:
    """The state_dict that torchvision offers for an architecture, fetched. Raises ZooError where there is none."""
    kind, _, name = architecture.partition(":")
    if kind != "torchvision":
        raise ZooError(f"Weights are fetched for torchvision:NAME alone; for {architecture} give --weights FILE.")
    from torchvision.models import get_model_weights

    try:
        weights: dict[str, Tensor] = get_model_weights(name).DEFAULT.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        raise ZooError(f"The weights of {architecture} could not be fetched ({error}); give --weights FILE.") from error
    return weights


def _base_file(zoo: Zoo) -> Path:
    return zoo.folder / "base.safetensors"


def _made_by(file: Path, run: str) -> bool:
    """Whether the file is there and made by this run. Raises ZooError where it was made by something else."""
    if not file.exists():
        return False
    try:
        origin = user_ingredients.origin_of(Checkpoint(file))
    except CheckpointError:
        origin = None
    if origin is None or origin.run != run:
        raise ZooError(f"{file} is there already, and was not made with these settings; choose another folder.")
    return True


def _try(zoo: Zoo, module: torch.nn.Module, images: Tensor) -> None:
    with torch.inference_mode(), architectures.failures_in_words(zoo.architecture, module, images):
        module(zoo.data.normalization(images))
