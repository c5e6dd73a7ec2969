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
    """A soup and the best single model, where that is known, on the same images, whose digest is `split`."""

    split: str
    evaluation: Evaluation
    best: Evaluation | None

    @property
    def gain(self) -> Comparison | None:
        """The soup against the best single model."""
        return compare(self.evaluation, self.best) if self.best else None


@dataclass(frozen=True, eq=False)
class Export:
    """A soup on its way out, with the evaluators that say what it is worth; `test` only where that was asked for.

    Nothing is evaluated before it is needed; without `evaluates` nothing at all, and what is known already is told. In
    the place of the evaluator `held_out` may be the zoo itself, where no images are asked. An empty title becomes
    `title_of(soup)`; the format is one of FORMATS.
    """

    soup: Soup
    held_out: Evaluator | Zoo
    test: Evaluator | None = None
    title: str = ""
    format: str = "safetensors"
    evaluates: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or title_of(self.soup))

    @property
    def zoo(self) -> Zoo:
        """Where the ingredients are."""
        return self.held_out if isinstance(self.held_out, Zoo) else self.held_out.zoo

    @property
    def evaluator(self) -> Evaluator | None:
        """What evaluates on held-out images, None where these are not asked."""
        return None if isinstance(self.held_out, Zoo) else self.held_out

    @cached_property
    def best(self) -> str | None:
        """The name of the best single model by held-out accuracy, None where that is not known of each."""
        if self.evaluator is None:
            return None
        if self.evaluates:
            return best_first(self.evaluator.singles())[0]
        if not all(each.checkpoint.is_examined for each in self.zoo.ingredients):  # keys take their digests
            return None
        singles = {name: self.evaluator.known(Soup.single(name)) for name in self.zoo.names}
        known = {name: evaluation for name, evaluation in singles.items() if evaluation}
        return best_first(known)[0] if len(known) == len(singles) else None

    @cached_property
    def standings(self) -> Mapping[str, Standing]:
        """Where the soup stands on "held_out", and on "test" where asked, as far as that is known or evaluated now."""
        found = {}
        for split, evaluate in (("held_out", self.evaluator), ("test", self.test)):
            if evaluate and (evaluation := self._evaluation(evaluate, self.soup)):
                best = self._evaluation(evaluate, Soup.single(self.best)) if self.best else None
                found[split] = Standing(evaluate.data.digest, evaluation, best)
        return found

    def _evaluation(self, evaluate: Evaluator, soup: Soup) -> Evaluation | None:
        return evaluate(soup) if self.evaluates else evaluate.known(soup)

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
                "architecture": dict(self.zoo.architecture),
                "normalization": asdict(self.zoo.data.normalization),
            },
            "splits": {
                split: {"digest": each.split, "images": each.evaluation.total} for split, each in self.standings.items()
            },
            "accuracy": {split: self._standing(each) for split, each in self.standings.items()},
            "computed": self._computed,
            "made_by": {"soup_core": __version__, "torch": torch.__version__},
        }
        return json.dumps(_finite(content), allow_nan=False)

    @property
    def _computed(self) -> dict[str, str] | None:
        if self.evaluator is None or not self.standings:
            return None
        return {"device": self.evaluator.device.partition(":")[0], "precision": self.evaluator.precision}

    def _standing(self, standing: Standing) -> dict[str, Any]:
        gain = standing.gain
        if gain is None or standing.best is None:
            return counted(standing.evaluation)
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
