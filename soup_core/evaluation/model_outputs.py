"""Models by their outputs: what ensembles and comparisons of models ask of an evaluator, and one that needs no weights."""

import hashlib
import json
from collections.abc import Iterable
from typing import Protocol

from torch import Tensor

from soup_core.errors import SoupError, ZooError
from soup_core.evaluation.evaluation import Evaluation, Judge, measure, measure_parts
from soup_core.evaluation.kept import KeptEvaluations
from soup_core.evaluation.metrics import ACCURACY, Metric, Truth, metric_of
from soup_core.evaluation.shipped import Shipped
from soup_core.runtime.files import shown
from soup_core.runtime.store import Store, default_store
from soup_core.soup import Soup
from soup_core.zoo.outputs import LabelledSplit, OutputsZoo
from soup_core.zoo.toml import NEEDS_WEIGHTS

KEPT_BYTES = 1_000_000_000  # of the logits of one split


class NamedModels(Protocol):
    """A zoo as far as its models' names go."""

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names in the zoo's order."""

    def check_names(self, names: Iterable[str]) -> None:
        """Raise CoefficientError where a name is not a model's."""


class Labelled(Protocol):
    """A split as far as its labels go."""

    @property
    def labels(self) -> Tensor:
        """The number of each image's class (N)."""


class ModelOutputs(Protocol):
    """What an evaluator knows of models by themselves on one split, without an average of their weights."""

    @property
    def zoo(self) -> NamedModels:
        """The models."""

    @property
    def data(self) -> Labelled:
        """The labels."""

    @property
    def precision(self) -> str:
        """How outputs were computed."""

    @property
    def logits_are_approximate(self) -> bool:
        """Whether logits are rounded to half precision."""

    def __call__(self, soup: Soup) -> Evaluation:
        """Evaluate a single model."""

    def logits(self, soup: Soup) -> Tensor:
        """The logits (N×C) of a single model."""

    def singles(self) -> dict[str, Evaluation]:
        """Each model alone, by name, in the zoo's order."""

    def key(self, soup: Soup) -> str:
        """Digest of all that an evaluation rests on."""

    def recall(self, key: str) -> Evaluation | None:
        """What is kept under a key."""

    def record(self, key: str, evaluation: Evaluation) -> None:
        """Keep an evaluation under a key."""

    def measured(self, parts: Iterable[Tensor]) -> Evaluation:
        """The evaluation of logits that come in parts."""


class OutputsEvaluator:
    """Evaluates single models of a zoo of outputs on one of its splits, as an Evaluator does soups.

    Raises DataError for a split that the zoo has not, SoupError where its metric does not suit the held-out images.
    """

    precision, logits_are_approximate = "float32", False

    def __init__(self, zoo: OutputsZoo, split: str = "held_out", *, store: Store | None = None) -> None:
        self.zoo, self.split, self._data = zoo, split, zoo.split(split)
        self.store = store or default_store()
        self.judge = self._judge()
        self._evaluations = KeptEvaluations(self.store, Shipped(), self.judge, self.precision)
        self._logits: dict[str, Tensor] = {}

    def on(self, split: str) -> "OutputsEvaluator":
        """The evaluator of the same zoo on another split."""
        return OutputsEvaluator(self.zoo, split, store=self.store)

    @property
    def data(self) -> LabelledSplit:
        """The labels, and the groups where there are any."""
        return self._data

    @property
    def total(self) -> int:
        """How many images are evaluated."""
        return len(self._data)

    def __call__(self, soup: Soup) -> Evaluation:
        """Evaluate a single model. Raises ZooError for a soup of several, which needs weights."""
        key = self.key(soup)
        if (known := self.recall(key)) is None:
            known = measure(self.logits(soup), self._data.labels, self.judge)
            self.record(key, known)
        return known

    def singles(self) -> dict[str, Evaluation]:
        """Each model alone, by name, in the zoo's order."""
        return {name: self(Soup.single(name)) for name in self.zoo.names}

    def logits(self, soup: Soup) -> Tensor:
        """The logits (N×C, float32 or float64) of a single model, in the split's order; raises as a call does."""
        name = self._single(soup)
        if name not in self._logits:
            logits = self.zoo.by_name[name].logits(self.split)
            if (len(self._logits) + 1) * logits.nbytes > KEPT_BYTES:
                return logits
            self._logits[name] = logits
        return self._logits[name]

    def key(self, soup: Soup) -> str:
        """Digest of outputs and labels: the same key means the same result. Raises as a call does."""
        content = ["outputs", self.zoo.by_name[self._single(soup)].digests[self.split], self._data.digest]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def recall(self, key: str) -> Evaluation | None:
        """The evaluation on this split that the store holds under a key; a damaged one is none."""
        return self._evaluations.find(key, key)

    def record(self, key: str, evaluation: Evaluation) -> None:
        """Keep an evaluation on this split under a key."""
        self._evaluations.keep(key, evaluation)

    def measured(self, parts: Iterable[Tensor]) -> Evaluation:
        """The evaluation of logits that come in parts (n×C), in the split's order."""
        return measure_parts(parts, self._data.labels, self.judge)

    @property
    def metric(self) -> Metric:
        """By which models are selected: the zoo's, or, of images that do not choose, accuracy where it does not suit them."""
        return self.judge.metric

    def _judge(self) -> Judge:
        groups = None if self._data.groups is None else self._data.groups.numpy()
        metric, truth = metric_of(self.zoo.metric), Truth(self._data.labels.numpy(), self.zoo.num_classes, groups)
        if metric.suits(truth):
            return Judge(metric, truth)
        if self.split == "held_out":
            raise SoupError(
                f"The metric {metric.key} is for {metric.condition}, which the zoo {shown(self.zoo.name)} has not; choose another, "
                "or say it as metric in zoo.toml."
            )
        return Judge(ACCURACY, truth)

    def _single(self, soup: Soup) -> str:
        self.zoo.check_names(soup.names)
        if soup != Soup.single(*soup.names[:1]):
            raise ZooError(NEEDS_WEIGHTS.format(name=shown(self.zoo.name)))
        return soup.names[0]
