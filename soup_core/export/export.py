"""A soup on its way out: its title, its recipe, and where it stands on held-out and test images."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

from soup_core.evaluation import Comparison, Evaluation, Evaluator, best_first, compare
from soup_core.export.tables import counted
from soup_core.soup import Soup, uniform
from soup_core.version import __version__
from soup_core.zoo import Zoo


@dataclass(frozen=True)
class Standing:
    """A soup and the best single model on the same images, whose digest is `split`."""

    split: str
    evaluation: Evaluation
    best: Evaluation

    @property
    def gain(self) -> Comparison:
        """The soup against the best single model."""
        return compare(self.evaluation, self.best)


@dataclass(frozen=True, eq=False)
class Export:
    """A soup on its way out, with the evaluators that say what it is worth; `test` only where that was asked for.

    Nothing is evaluated before it is needed. An empty title becomes `title_of(soup)`; the format is one of FORMATS.
    """

    soup: Soup
    held_out: Evaluator
    test: Evaluator | None = None
    title: str = ""
    format: str = "safetensors"

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or title_of(self.soup))

    @property
    def zoo(self) -> Zoo:
        """Where the ingredients are."""
        return self.held_out.zoo

    @cached_property
    def best(self) -> str:
        """The name of the best single model by held-out accuracy."""
        return best_first(self.held_out.singles())[0]

    @cached_property
    def standings(self) -> Mapping[str, Standing]:
        """Where the soup stands on "held_out", and on "test" where asked."""
        return {
            split: Standing(evaluate.data.digest, evaluate(self.soup), evaluate(Soup.single(self.best)))
            for split, evaluate in (("held_out", self.held_out), ("test", self.test))
            if evaluate is not None
        }

    @cached_property
    def recipe(self) -> str:
        """All that is known of the soup, as one line of JSON in ASCII."""
        content = {
            "title": self.title,
            "soup": json.loads(self.soup.to_json()),
            "batch_norm": self.soup.batch_norm if self.zoo.has_batch_norm else None,
            "ingredients": {
                each.name: {"file": each.file.name, "digest": each.digest, "hyperparameters": {**each.hyperparameters}}
                for each in self.zoo.members(self.soup)
            },
            "zoo": {
                "name": self.zoo.name,
                "title": self.zoo.title,
                "digest": self.zoo.digest,
                "architecture": dict(self.zoo.architecture),
                "normalization": asdict(self.zoo.data.normalization),
            },
            "splits": {
                split: {"digest": each.split, "images": each.evaluation.total} for split, each in self.standings.items()
            },
            "accuracy": {split: self._standing(each) for split, each in self.standings.items()},
            "computed": {"device": self.held_out.device.partition(":")[0], "precision": self.held_out.precision},
            "made_by": {"soup_core": __version__, "torch": torch.__version__},
        }
        return json.dumps(_finite(content), allow_nan=False)

    def _standing(self, standing: Standing) -> dict[str, Any]:
        gain = standing.gain
        return {
            **counted(standing.evaluation),
            "best_single": {"name": self.best, **counted(standing.best)},
            "against_best_single": {
                "difference": gain.difference,
                "p_value": gain.p_value,
                "gained": gain.gained,
                "lost": gain.lost,
                "interval": [gain.low, gain.high],
            },
        }


def title_of(soup: Soup, kind: str = "") -> str:
    """One line: the kind of soup, where it has one, and of how many ingredients; a single model is its name."""
    if soup == uniform(soup.names[:1], batch_norm=soup.batch_norm):
        return soup.names[0]
    even = soup == uniform(soup.names, batch_norm=soup.batch_norm)
    count = len(soup.names)
    return f"{kind or ('Uniform soup' if even else 'Soup')} of {count} ingredient{'s' if count > 1 else ''}"


def _finite(value: Any) -> Any:
    """JSON has no infinity; a hyperparameter may be one."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
