"""What a bundled zoo is made of: its runs, what each trains on, from where it starts, with which hyperparameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from soup_core.finetune import Hyperparameters

Parts = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TrainingSet:
    """What the runs of a plan train on.

    `source` is its name in zoo.toml, `classes` their number. `parts` gives uint8 images (N×C×H×W) and int64 labels (N) by
    part, of the folder that a build is given; `check` raises DataError where that folder is none.
    """

    source: str
    classes: int
    parts: Callable[[Path], Parts]
    check: Callable[[Path], None]


@dataclass(frozen=True)
class Pretraining:
    """Training on other classes before a run, from random weights; `images` names the part with these."""

    images: str
    hyperparameters: Hyperparameters


@dataclass(frozen=True)
class Elsewhere:
    """Weights that were made elsewhere, for all but the last layer, from the folder that a build is given.

    With `probe` a new last layer is trained alone, so that it does not spoil the rest when all is (Kumar et al. 2022,
    arXiv 2202.10054).
    """

    weights: Callable[[Path], Mapping[str, Tensor]]
    probe: Hyperparameters


@dataclass(frozen=True)
class PlannedRun:
    """One training run; `start` names the run whose weights it begins with, None for random ones.

    It gives one checkpoint under its own name, or one after each of the epochs in `snapshots`, named for the epoch. After a
    `pretraining` it trains nothing but a new last layer, since the classes are others (a linear probe).
    """

    name: str
    images: str
    hyperparameters: Hyperparameters
    start: str | None = None
    snapshots: tuple[int, ...] = ()
    pretraining: Pretraining | None = None

    def checkpoints(self) -> dict[str, int]:
        """The name of each checkpoint that this run gives, and the epoch after which it is taken."""
        if self.snapshots:
            return {f"epoch-{epoch:02d}": epoch for epoch in self.snapshots}
        return {self.name: self.hyperparameters.epochs}


@dataclass(frozen=True)
class Plan:
    """A bundled zoo: its title, the options of its network, its runs in order, the base's first where it has one.

    `trains_on` is what they train on, `precision` that of the files; they train in float32. A run that starts with no other's
    weights has those of `starts_from`, where there are any.
    """

    title: str
    options: Mapping[str, Any]
    runs: tuple[PlannedRun, ...]
    trains_on: TrainingSet
    precision: Literal["float32", "float16"] = "float32"
    network: str = "fashion_cnn"
    starts_from: Elsewhere | None = None
    recorded: tuple[str, ...] = field(
        default=("learning_rate", "weight_decay", "epochs", "label_smoothing", "mixup", "augmentation", "seed")
    )
