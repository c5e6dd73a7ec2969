"""What can be asked for as long work: every recipe, and a registry of other generators, on a zoo's held-out images."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from soup_core.analysis import ablations, face_off
from soup_core.analysis.calibration import calibrations
from soup_core.analysis.interpolation import PlanePoint, plane_points, plane_through
from soup_core.analysis.pairs import (
    IngredientPrediction,
    PairAdvantage,
    PairBarrier,
    pair_advantages,
    pair_barriers,
    predictions,
    sampled_pairs,
)
from soup_core.analysis.robustness import robustness
from soup_core.evaluation import Evaluator
from soup_core.finetune import finetune
from soup_core.recipes import RECIPES
from soup_core.recipes.greedy import greedy_band
from soup_core.runtime.store import Store
from soup_core.soup import BatchNorm, Soup
from soup_core.weight_space.gram import gram
from soup_core.zoo import Zoo


def _plane(zoo: Zoo, evaluate: Evaluator, *, corners: list[str], resolution: int = 21) -> Iterator[PlanePoint]:
    a, b, c = (Soup.from_json(corner) for corner in corners)
    yield from plane_points(evaluate, plane_through(gram(zoo, evaluate.store), a, b, c), resolution=resolution)


def _number_averaged(zoo: Zoo, evaluate: Evaluator, *, report: bool = False) -> Iterator[ablations.NumberStep]:
    yield from ablations.number_averaged(zoo, evaluate, report=evaluate.on("test") if report else None)


def _number_band(
    zoo: Zoo, evaluate: Evaluator, *, orders: int = 20, report: bool = False
) -> Iterator[ablations.NumberBandStep]:
    on_test = evaluate.on("test") if report else None
    yield from ablations.number_averaged_band(zoo, evaluate, orders=orders, report=on_test)


def _selection_gap(zoo: Zoo, evaluate: Evaluator, **options: Any) -> Iterator[ablations.GapStep]:
    yield from ablations.selection_gap(zoo, evaluate, evaluate.on("test"), **options)


def _pairs(
    zoo: Zoo, evaluate: Evaluator, *, budget: int, seed: int = 0, batch_norm: BatchNorm = "averaged"
) -> Iterator[PairAdvantage]:
    found = gram(zoo, evaluate.store)
    yield from pair_advantages(evaluate, found, sampled_pairs(zoo, budget, seed), batch_norm=batch_norm)


def _barriers(
    zoo: Zoo,
    evaluate: Evaluator,
    *,
    budget: int,
    seed: int = 0,
    alphas: Sequence[float] = (0.5,),
    batch_norm: BatchNorm = "averaged",
) -> Iterator[PairBarrier]:
    yield from pair_barriers(evaluate, sampled_pairs(zoo, budget, seed), alphas=alphas, batch_norm=batch_norm)


def _predictions(zoo: Zoo, evaluate: Evaluator) -> Iterator[IngredientPrediction]:
    yield from predictions(evaluate)


TASKS: Mapping[str, Callable[..., Iterator[Any]]] = {
    "band": greedy_band,
    "plane": _plane,
    "pairs": _pairs,
    "barriers": _barriers,
    "predictions": _predictions,
    "face-off": face_off.face_off,
    "number-averaged": _number_averaged,
    "number-averaged-band": _number_band,
    "shapley": ablations.shapley,
    "selection-gap": _selection_gap,
    "robustness": robustness,
    "calibration": calibrations,
    "finetune": finetune,
}  # beside the recipes


def tasks() -> dict[str, Callable[..., Iterator[Any]]]:
    """All that can be asked for: the recipes that are in the registry now, by their keys, and the other tasks."""
    return {**{key: recipe.steps for key, recipe in RECIPES.items()}, **TASKS}


@dataclass(frozen=True)
class Task:
    """What is asked for: one of `tasks` with its arguments, on a zoo, how it is to be computed and what is selected by."""

    recipe: str
    zoo: str
    device: str = "cpu"
    precision: str = "float32"
    memory: float | None = None
    images: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "accuracy"

    def to_json(self) -> str:
        """One line of JSON, the same for equal tasks; the metric is left out where it is accuracy, as it always was."""
        content = asdict(self)
        if self.metric == "accuracy":
            del content["metric"]
        return json.dumps(content, sort_keys=True)

    def key(self, zoo: Zoo) -> str:
        """Digest of the task and of the zoo's content."""
        return hashlib.sha256(f"{self.to_json()} {zoo.digest}".encode()).hexdigest()

    def run(self, zoo: Zoo, store: Store) -> Iterator[Any]:
        """The task's generator, on held-out images. Raises SoupError for a metric that does not suit them."""
        zoo = zoo.judged_by(self.metric)
        evaluate = Evaluator(
            zoo, "held_out", self.device, precision=self.precision, images=self.images, memory=self.memory, store=store
        )
        return tasks()[self.recipe](zoo, evaluate, **self.arguments)
