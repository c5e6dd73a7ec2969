"""Ensemble: Lakshminarayanan et al. 2017 (arXiv 1612.01474).

The average of several models' outputs, at the cost of running all of them; the soup's costlier rival.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, Evaluator, measure
from soup_core.recipes.recipe import About, Parameter, Recipe, one_of
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup

AVERAGES = ("probabilities", "logits")
AVERAGE = Parameter("average", "choice", one_of(AVERAGES), "probabilities", choices=AVERAGES)
APPROXIMATE = " from logits kept in half precision"


def ensemble(evaluate: Evaluator, names: Iterable[str], *, average: str = "probabilities") -> Evaluation:
    """The evaluation of the named models' averaged outputs; see `ensembles`, which says what it raises."""
    (evaluation,) = ensembles(evaluate, [names], average=average)
    return evaluation


def ensembles(
    evaluate: Evaluator, several: Iterable[Iterable[str]], *, average: str = "probabilities"
) -> list[Evaluation]:
    """The evaluations of several ensembles, each of the named models' averaged outputs; what is known is not run again.

    A model that stands in more than one of them is run once. `precision` says so where logits were kept in half
    precision. Raises CoefficientError as `averaged_outputs` does.
    """
    wanted = [_members(evaluate, names, average) for names in several]
    keys = [_key(evaluate, names, average) for names in wanted]
    known = {key: evaluation for key in keys if (evaluation := evaluate.recall(key)) is not None}
    unknown = {key: names for key, names in zip(keys, wanted, strict=True) if key not in known}
    for key, outputs in zip(unknown, _averaged(evaluate, list(unknown.values()), average), strict=True):
        known[key] = measure(outputs, evaluate.data.labels)
        evaluate.record(key, known[key])
    precision = evaluate.precision + (APPROXIMATE if evaluate.logits_are_approximate else "")
    return [replace(known[key], precision=precision) for key in keys]


def averaged_outputs(evaluate: Evaluator, names: Iterable[str], *, average: str = "probabilities") -> Tensor:
    """The ensemble's logits (float64, N×outputs): averaged ones, or the logarithms of averaged probabilities.

    One model's are held at a time. Raises CoefficientError where no name is given, or for another average.
    """
    (outputs,) = _averaged(evaluate, [_members(evaluate, names, average)], average)
    return outputs


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
        for index, names in enumerate(several):
            if name not in names:
                continue
            if index not in totals:
                totals[index] = scores
            else:  # probabilities are added as logarithms: one that is too small for float64 is still no zero
                add = torch.logaddexp if average == "probabilities" else torch.add
                totals[index] = add(totals[index], scores)
    return [
        totals[index] - math.log(len(names)) if average == "probabilities" else totals[index] / len(names)
        for index, names in enumerate(several)
    ]


RECIPE = Recipe(
    "ensemble",
    About(
        "Ensemble",
        "Lakshminarayanan et al. 2017",
        "https://arxiv.org/abs/1612.01474",
        "Runs every model on every image and averages what they say, as probabilities or as logits. It needs no "
        "common valley, so it works for models with different starts too. It fails at the bill: time and memory grow "
        "with the number of models. Its probabilities are less sure than those of its members, which mends models "
        "that are too sure of themselves, and spoils the calibration of models that are not.",
    ),
    lambda zoo, evaluate, names=None, average=None: uniform_soup(zoo, names),
    parameters=(Parameter("names", "names", "Names"), AVERAGE),
    averages="outputs",
    command="ensemble",
)
