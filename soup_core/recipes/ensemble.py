"""Ensemble: the average of several models' outputs, at the cost of running all of them; the soup's costlier rival."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, Trial, best_first, measure
from soup_core.recipes.about import About
from soup_core.recipes.greedy import GreedyStep, keep_improvements
from soup_core.soup import Soup, uniform
from soup_core.zoo import Zoo

AVERAGES = ("probabilities", "logits")
APPROXIMATE = " from logits kept in half precision"
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
    """The evaluation of the named models' averaged outputs; see `ensembles`."""
    (found,) = ensembles(evaluate, [names], average=average)
    return found


def ensembles(
    evaluate: Evaluator, several: Iterable[Iterable[str]], *, average: str = "probabilities"
) -> list[Evaluation]:
    """The evaluations of several ensembles, each of the named models' averaged outputs; what is known is not run again.

    A model that stands in more than one of them is run once. `precision` says so where logits were kept in half
    precision. Raises CoefficientError as `averaged_outputs` does.
    """
    wanted = [_members(evaluate, names, average) for names in several]
    keys = [_key(evaluate, names, average) for names in wanted]
    known = {key: found for key in keys if (found := evaluate.recall(key)) is not None}
    unknown = {key: names for key, names in zip(keys, wanted, strict=True) if key not in known}
    for key, outputs in zip(unknown, _averaged(evaluate, list(unknown.values()), average), strict=True):
        known[key] = measure(outputs, evaluate.data.labels)
        evaluate.record(key, known[key])
    precision = evaluate.precision + (APPROXIMATE if evaluate.logits_are_approximate else "")
    return [replace(known[key], precision=precision) for key in keys]


def averaged_outputs(evaluate: Evaluator, names: Iterable[str], *, average: str = "probabilities") -> Tensor:
    """The ensemble's logits (float64, N×num_classes): averaged ones, or the logarithms of averaged probabilities.

    One model's are held at a time. Raises CoefficientError where no name is given, or for another average.
    """
    (outputs,) = _averaged(evaluate, [_members(evaluate, names, average)], average)
    return outputs


def greedy_ensemble(
    zoo: Zoo, evaluate: Evaluator, *, average: str = "probabilities", ties: bool = False
) -> Iterator[GreedyStep]:
    """Greedy choice of an ensemble's members, a step a candidate; `soup` names them, each with the same share."""
    singles = evaluate.singles()
    names = best_first(singles)
    first = Trial(singles[names[0]], singles[names[0]].correct, 0)

    def judge(members: Soup, errors_below: int) -> Trial:
        found = ensemble(evaluate, members.names, average=average)
        return Trial(found, found.correct, 0)

    yield from keep_improvements(uniform(names[:1]), names, first, Soup.add, judge, ties=ties)


def _members(evaluate: Evaluator, names: Iterable[str], average: str) -> list[str]:
    chosen = sorted(set(names))
    if average not in AVERAGES or not chosen:
        raise CoefficientError(
            f"An ensemble averages {' or '.join(AVERAGES)} of at least one model; found {average!r} of {len(chosen)}."
        )
    evaluate.zoo.check_names(chosen)
    return chosen


def _key(evaluate: Evaluator, names: Sequence[str], average: str) -> str:
    content = [evaluate.logits_are_approximate, average, *(evaluate.key(Soup.single(name)) for name in names)]
    return hashlib.sha256(json.dumps(["ensemble", *content]).encode()).hexdigest()


def _averaged(evaluate: Evaluator, several: Sequence[Sequence[str]], average: str) -> list[Tensor]:
    """The averaged outputs of several ensembles; each model's logits are held once, and only while they are added."""
    totals: dict[int, Tensor] = {}
    for name in sorted({name for names in several for name in names}):
        logits = evaluate.logits(Soup.single(name)).double()
        scores = logits.log_softmax(1) if average == "probabilities" else logits
        for place, names in enumerate(several):
            if name not in names:
                continue
            if place not in totals:
                totals[place] = scores
            else:  # probabilities are added as logarithms: one that is too small for float64 is still no zero
                add = torch.logaddexp if average == "probabilities" else torch.add
                totals[place] = add(totals[place], scores)
    return [
        totals[place] - math.log(len(names)) if average == "probabilities" else totals[place] / len(names)
        for place, names in enumerate(several)
    ]
