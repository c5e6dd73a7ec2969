"""A zoo of outputs as values: models by what they say of labelled images, and the labels that judge it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from soup_core.errors import CoefficientError, DataError
from soup_core.runtime.files import shown
from soup_core.zoo.outputs.files import Arrays, Place
from soup_core.zoo.zoo import Excluded, MetricKey, Value, known_metric

NUMBERS_AT_ONCE = 2**21
SUM_WITHIN = 5e-3  # of 1: in half precision a row of a thousand probabilities is within 1e-3


@dataclass(frozen=True, eq=False)
class LabelledSplit:
    """Labels (int64, N) of a split of images, and the groups (int64, N) that they belong to where there are any."""

    name: str
    labels: Tensor
    groups: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the labels."""
        return hashlib.sha256(self.labels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class OutputsModel:
    """One model: its name, the arrays that hold its outputs by split, what made it, and a digest of its outputs by split.

    `are_probabilities` says whether its outputs are these, whose logarithms then serve as logits.
    """

    name: str
    file: Path
    hyperparameters: Mapping[str, Value]
    arrays: Arrays
    places: Mapping[str, Place]
    are_probabilities: bool
    digests: Mapping[str, str]

    def logits(self, split: str) -> Tensor:
        """Its logits (N×C, float32 or float64) of a split; see `as_logits`. Raises SoupError where the file has changed."""
        outputs = self.arrays.numbers(self.arrays.places[self.places[split]])
        return as_logits(outputs) if self.are_probabilities else widened(outputs)


@dataclass(frozen=True, eq=False)
class OutputsZoo:
    """Models whose outputs are known on the same labelled images; `models` keeps zoo.toml's order.

    `splits` are "held_out", "test", then "test:SHIFT" of each shift; `classes` are the names of the outputs, empty where
    nobody has named them. `metric` is what models and ensembles are selected by.
    """

    name: str
    title: str
    folder: Path
    num_classes: int
    classes: tuple[str, ...]
    splits: Mapping[str, LabelledSplit]
    models: tuple[OutputsModel, ...]
    excluded: tuple[Excluded, ...]
    notices: tuple[str, ...]
    metric: MetricKey = "accuracy"

    @cached_property
    def by_name(self) -> Mapping[str, OutputsModel]:
        """The models by name, in the zoo's order."""
        return {model.name: model for model in self.models}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The models' names in the zoo's order."""
        return tuple(self.by_name)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Where each model stands in the zoo's order."""
        return {name: index for index, name in enumerate(self.names)}

    @property
    def shifts(self) -> tuple[str, ...]:
        """The splits that are distribution shifts of the test images."""
        return tuple(split for split in self.splits if split.startswith("test:"))

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for every output, as text for people: its number where nobody has named it."""
        return tuple(map(shown, self.classes)) or tuple(map(str, range(self.num_classes)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that numbers on this zoo rest on: outputs, labels, order."""
        labels = {name: split.digest for name, split in self.splits.items()}
        content = [labels, [[model.name, dict(model.digests)] for model in self.models]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def judged_by(self, metric: str) -> "OutputsZoo":
        """The same zoo with models and ensembles selected by another metric. Raises ZooError for one that is none."""
        return replace(self, metric=known_metric(metric))

    def split(self, name: str) -> LabelledSplit:
        """The labels of a split. Raises DataError where there is none of that name."""
        if name not in self.splits:
            raise DataError(f"There is no split {name!r} in {self.name}; expected one of {', '.join(self.splits)}.")
        return self.splits[name]

    def check_names(self, names: Iterable[str]) -> None:
        """Raise CoefficientError where a name is not a model of this zoo, with the reason if it is known."""
        reasons = {excluded.name: excluded.reason for excluded in self.excluded}
        for name in names:
            if name in reasons:
                raise CoefficientError(f"The model {name} cannot be used: {reasons[name]}")
            if name not in self.by_name:
                raise CoefficientError(
                    f"There is no model {name!r} in the zoo {self.name}; it has {', '.join(self.names)}."
                )


def are_probabilities(outputs: Tensor) -> bool:
    """Whether outputs (N×C) are probabilities: finite, none below 0, and each row's sum 1.

    >>> are_probabilities(torch.tensor([[0.25, 0.75], [1.0, 0.0]])), are_probabilities(torch.tensor([[2.0, -1.0]]))
    (True, False)
    """
    rows = max(1, NUMBERS_AT_ONCE // max(1, outputs.shape[1]))
    return all(
        bool((part >= 0).all()) and bool((part.sum(1, dtype=torch.float64) - 1).abs().le(SUM_WITHIN).all())
        for part in outputs.split(rows)
    )


def as_logits(probabilities: Tensor) -> Tensor:
    """The logarithms of probabilities (N×C), whose softmax they are again.

    A zero becomes the smallest normal number of float32, 1e-38: its logarithm would be infinite, and an image of that
    class is wrong at a price of 87 nats.
    """
    wide = widened(probabilities)
    return wide.clamp_min(torch.finfo(torch.float32).tiny).log()


def widened(outputs: Tensor) -> Tensor:
    """Outputs in float32 at least, in which those of narrower types are exact."""
    return outputs if outputs.dtype == torch.float64 else outputs.float()
