"""Ensemble: the average of several models' outputs, at the cost of running all of them; the soup's costlier rival."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, Trial, measure
from soup_core.recipes.about import About
from soup_core.recipes.greedy import GreedyStep, candidate_order, walk
from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo

AVERAGES = ("probabilities", "logits")
ABOUT = About(
    "Ensemble",
    "Lakshminarayanan et al. 2017",
    "https://arxiv.org/abs/1612.01474",
    "Runs every model on every image and averages what they say, as probabilities or as logits. It needs no common "
    "valley, so it works for models with different starts too. It fails at the bill: time and memory grow with the "
    "number of models. Its probabilities are less sure than those of its members, which mends models that are too sure "
    "of themselves, and spoils the calibration of models that are not.",
)
GREEDY_ABOUT = About(
    "Greedy ensemble",
    "Caruana et al. 2004",
    "https://doi.org/10.1145/1015330.1015432",
    "Chooses the models of an ensemble as greedy soup chooses its ingredients: from the best on, each next one only if "
    "the ensemble's held-out accuracy rises. Usually a few models are enough for most of the gain. Like greedy soup it "
    "is as good as the held-out images can tell, and it still costs as many forward passes as it has models.",
)


def ensemble(evaluate: Evaluator, names: Iterable[str], *, average: str = "probabilities") -> Evaluation:
    """The evaluation of the named models' averaged outputs, from their kept logits; see `averaged_outputs`.

    `precision` says so where logits were kept in half precision.
    """
    found = measure(averaged_outputs(evaluate, names, average=average), evaluate.data.labels)
    approximate = " from logits kept in half precision" if evaluate.logits_are_approximate else ""
    return replace(found, precision=evaluate.precision + approximate)


def averaged_outputs(evaluate: Evaluator, names: Iterable[str], *, average: str = "probabilities") -> Tensor:
    """The ensemble's logits (float64, N×num_classes): averaged ones, or the logarithms of averaged probabilities.

    One model's are held at a time. Raises CoefficientError where no name is given, or for another average.
    """
    chosen = sorted(set(names))
    if average not in AVERAGES or not chosen:
        raise CoefficientError(
            f"An ensemble averages {' or '.join(AVERAGES)} of at least one model; found {average!r} of {len(chosen)}."
        )
    evaluate.zoo.check_names(chosen)
    total: Tensor | None = None
    for name in chosen:
        scores = _scores(evaluate, name, average)
        if total is None:
            total = scores
        else:  # probabilities are added as logarithms: one that is too small for float64 is still no zero
            total = torch.logaddexp(total, scores) if average == "probabilities" else total + scores
    assert total is not None
    return total - math.log(len(chosen)) if average == "probabilities" else total / len(chosen)


def greedy_ensemble(
    zoo: Zoo, evaluate: Evaluator, *, average: str = "probabilities", ties: bool = False
) -> Iterator[GreedyStep]:
    """Greedy choice of an ensemble's members, a step a candidate; `soup` names them, each with the same share."""
    singles = {name: evaluate(Soup({name: 1.0})) for name in zoo.names}
    names = candidate_order(singles, "accuracy")
    first = Trial(singles[names[0]], singles[names[0]].correct, 0)

    def judge(members: Soup, errors_below: int) -> Trial:
        found = ensemble(evaluate, members.names, average=average)
        return Trial(found, found.correct, 0)

    yield from walk(uniform(names[:1]), names, first, Soup.add, judge, ties=ties)


def _scores(evaluate: Evaluator, name: str, average: str) -> Tensor:
    logits = evaluate.logits(Soup({name: 1.0})).double()
    return logits.log_softmax(1) if average == "probabilities" else logits
