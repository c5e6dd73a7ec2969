"""A zoo: checkpoints of one architecture, and the images that judge them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

from soup_core import architectures
from soup_core.architectures.outlines import outline
from soup_core.checkpoints import Checkpoint
from soup_core.data import Data
from soup_core.errors import CoefficientError, ZooError
from soup_core.soup import Soup

BASE = "base"
RESERVED = (BASE, "tensors", "batch_norm")  # they have a meaning of their own in a soup
GRANULARITIES = ("model", "layer", "tensor")
Value = bool | int | float | str
MetricKey = Literal[
    "accuracy", "top-5", "balanced-accuracy", "macro-f1", "log-loss", "auroc", "worst-class", "worst-group"
]  # what they mean stands in evaluation/metrics.py


def known_metric(metric: str) -> MetricKey:
    """The key of a metric. Raises ZooError for one that is none."""
    known: tuple[MetricKey, ...] = get_args(MetricKey)
    for key in known:
        if key == metric:
            return key
    raise ZooError(f"The metric is one of {', '.join(known)}; found {metric!r}.")


@dataclass(frozen=True, eq=False)
class Ingredient:
    """One checkpoint of a zoo, checked against its architecture, and the hyperparameters that made it."""

    name: str
    file: Path
    hyperparameters: Mapping[str, Value]
    checkpoint: Checkpoint

    @property
    def digest(self) -> str:
        """The digest of the checkpoint's content; the file is read through where that was not done yet."""
        return self.checkpoint.digest


@dataclass(frozen=True)
class Excluded:
    """An ingredient of zoo.toml that cannot be used, and why, in one sentence."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Zoo:
    """Checkpoints of one architecture and the images that judge them; `ingredients` keeps zoo.toml's order.

    `architecture` is zoo.toml's, as a name, classes and options; `network` is the same with the digest of the file that it
    rests on, if it rests on one. `metric` is what its soups are selected by.
    """

    name: str
    title: str
    folder: Path
    architecture: Mapping[str, Any]
    network: Mapping[str, Any]
    data: Data
    ingredients: tuple[Ingredient, ...]
    base: Ingredient | None
    excluded: tuple[Excluded, ...]
    metric: MetricKey = "accuracy"

    def judged_by(self, metric: str) -> "Zoo":
        """The same zoo with its soups selected by another metric. Raises ZooError for one that is none."""
        key = known_metric(metric)
        return self if key == self.metric else replace(self, metric=key)

    @cached_property
    def by_name(self) -> Mapping[str, Ingredient]:
        """Ingredients by name, in the zoo's order, the base last under "base"."""
        named = {ingredient.name: ingredient for ingredient in self.ingredients}
        return {**named, BASE: self.base} if self.base else named

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Where each ingredient stands in the zoo's order, the base last."""
        return {name: index for index, name in enumerate(self.by_name)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The ingredients' names in the zoo's order, without the base."""
        return tuple(ingredient.name for ingredient in self.ingredients)

    @cached_property
    def reference(self) -> nn.Module:
        """The architecture without memory for its weights: names, shapes, and which of them are buffers."""
        return architectures.meta_module(**architectures.arguments(self.architecture, self.folder))

    @cached_property
    def outline(self) -> nn.Module:
        """The names, shapes and dtypes of the architecture's tensors, its ties and its BatchNorm layers, and no more."""
        return outline(self.architecture, self.folder)

    @cached_property
    def has_batch_norm(self) -> bool:
        """Whether the network holds running statistics of BatchNorm, for which a soup has a choice."""
        return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self.outline.modules())

    @property
    def is_trajectory(self) -> bool:
        """Whether the ingredients are checkpoints along one run: only the number of epochs differs, and it rises."""
        kinds = [dict(ingredient.hyperparameters) for ingredient in self.ingredients]
        epochs = [kind.pop("epochs", None) for kind in kinds]
        numbers = [epoch for epoch in epochs if isinstance(epoch, (int, float))]
        rises = len(numbers) == len(epochs) > 1 and all(a < b for a, b in pairwise(numbers))
        return rises and all(kind == kinds[0] for kind in kinds)

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """The architecture's state_dict without memory: names, shapes and dtypes."""
        return dict(self.outline.state_dict())

    @cached_property
    def buffers(self) -> frozenset[str]:
        """The names of the tensors that are not trained, BatchNorm's running statistics among them."""
        named = {name for name, _ in self.outline.named_buffers(remove_duplicate=False)}
        return frozenset(named.intersection(self.tensors))  # those that no file holds are tables of the network

    @cached_property
    def floating(self) -> tuple[str, ...]:
        """The names of the tensors that are averaged: the parameters, then the buffers, integers left out."""
        names = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        return tuple(sorted(names, key=lambda name: name in self.buffers))

    def groups(self, granularity: str) -> dict[str, str]:
        """Which group each floating tensor belongs to, where a recipe has one coefficient a "model", "layer" or "tensor".

        A layer is the module that holds the tensor; a buffer goes with the first parameter of its layer. Raises
        CoefficientError for another granularity.
        """
        if granularity not in GRANULARITIES:
            raise CoefficientError(f"Coefficients are one a {', '.join(GRANULARITIES)}; found {granularity!r}.")
        if granularity == "model":
            return dict.fromkeys(self.floating, "model")
        layers = {name: name.rpartition(".")[0] or name for name in self.floating}
        if granularity == "layer":
            return layers
        first: dict[str, str] = {}
        for name in self.floating:
            first.setdefault(layers[name], name)
        return {name: first[layers[name]] if name in self.buffers else name for name in self.floating}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that numbers on this zoo rest on, but for the images: network, data's settings, files, order."""
        return self._over({name: each.digest for name, each in self.by_name.items()})

    @property
    def earlier_digest(self) -> str | None:
        """The digest by which older records name the zoo, None where that of a file is not known."""
        digests = {name: each.checkpoint.earlier_digest for name, each in self.by_name.items()}
        return self._over(digests) if all(digests.values()) else None

    def _over(self, digests: Mapping[str, str | None]) -> str:
        content = [dict(self.network), self.data.settings(), [[name, digest] for name, digest in digests.items()]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def evaluations_file(self) -> Path:
        """Where evaluations that come with the zoo are kept, one JSON object a line."""
        return self.folder / "evaluations.jsonl"

    def module(self) -> nn.Module:
        """A new module of the zoo's architecture, in evaluation mode, with random weights.

        Raises ZooError where the file that makes the network has changed since the zoo was opened.
        """
        module = architectures.build(**architectures.arguments(self.architecture, self.folder)).eval()
        if self.network != architectures.network(self.architecture, self.folder):
            raise ZooError(
                f"The file that makes the network of {self.name} has changed since the zoo was opened; reload."
            )
        return module

    def members(self, soup: Soup) -> tuple[Ingredient, ...]:
        """The ingredients of a soup in the zoo's order. Raises CoefficientError for a name the zoo has not."""
        self.check_names(soup.names)
        if unknown := sorted(set(soup.tensors) - set(self.tensors)):
            raise CoefficientError(
                f"The zoo {self.name} has no tensor {unknown[0]!r}; coefficients of single tensors take the names of the "
                "architecture's."
            )
        return tuple(self.by_name[name] for name in sorted(soup.names, key=self.position.__getitem__))

    def check_names(self, names: Iterable[str]) -> None:
        """Raise CoefficientError where a name is not an ingredient of this zoo, with the reason if it is known."""
        reasons = {excluded.name: excluded.reason for excluded in self.excluded}
        for name in names:
            if name in reasons:
                raise CoefficientError(f"The ingredient {name} cannot be used: {reasons[name]}")
            if name not in self.by_name:
                known = ", ".join(self.by_name)
                raise CoefficientError(f"There is no ingredient {name!r} in the zoo {self.name}; it has {known}.")
