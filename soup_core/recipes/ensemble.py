"""Ensemble: Lakshminarayanan et al. 2017 (arXiv 1612.01474).

The average of several models' outputs, at the cost of running all of them; the soup's costlier rival.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluation, ModelOutputs, row_blocks
from soup_core.recipes.recipe import About, Parameter, Recipe, one_of
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup

AVERAGES = ("probabilities", "logits")
AVERAGE = Parameter("average", "choice", one_of(AVERAGES), "probabilities", choices=AVERAGES)
APPROXIMATE = " from logits kept in half precision"


def ensemble(evaluate: ModelOutputs, names: Iterable[str], *, average: str = "probabilities") -> Evaluation:
    """The evaluation of the named models' averaged outputs; see `ensembles`, which says what it raises."""
    (evaluation,) = ensembles(evaluate, [names], average=average)
    return evaluation


def ensembles(
    evaluate: ModelOutputs, several: Iterable[Iterable[str]], *, average: str = "probabilities"
) -> list[Evaluation]:
    """The evaluations of several ensembles, each of the named models' averaged outputs; what is known is not run again.

    A model that stands in more than one of them is run once. `precision` says so where logits were kept in half
    precision. Raises CoefficientError as `averaged_outputs` does.
    """
    wanted = [_members(evaluate, names, average) for names in several]
    keys = [_key(evaluate, names, average) for names in wanted]
    known = {key: evaluation for key in keys if (evaluation := evaluate.recall(key)) is not None}
    unknown = {key: names for key, names in zip(keys, wanted, strict=True) if key not in known}
    for (key, names), total in zip(unknown.items(), _summed(evaluate, list(unknown.values()), average), strict=True):
        known[key] = evaluate.measured(_parts(total, len(names), average))
        evaluate.record(key, known[key])
    return [replace(known[key], precision=_precision(evaluate)) for key in keys]


def averaged_outputs(evaluate: ModelOutputs, names: Iterable[str], *, average: str = "probabilities") -> Tensor:
    """The ensemble's logits (float64, N×outputs): averaged ones, or the logarithms of averaged probabilities.

    One model's are held at a time. Raises CoefficientError where no name is given, or for another average.
    """
    members = _members(evaluate, names, average)
    (total,) = _summed(evaluate, [members], average)
    return total.sub_(math.log(len(members))) if average == "probabilities" else total.div_(len(members))


def _members(evaluate: ModelOutputs, names: Iterable[str], average: str) -> list[str]:
    chosen = sorted(set(names))
    if average not in AVERAGES or not chosen:
        raise CoefficientError(
            f"An ensemble averages {' or '.join(AVERAGES)} of at least one model; found {average!r} of {len(chosen)}."
        )
    evaluate.zoo.check_names(chosen)
    return chosen


def _key(evaluate: ModelOutputs, names: Sequence[str], average: str) -> str:
    content = [evaluate.logits_are_approximate, average, *(evaluate.key(Soup.single(name)) for name in names)]
    return hashlib.sha256(json.dumps(["ensemble", *content]).encode()).hexdigest()


def successive(evaluate: ModelOutputs, *, average: str = "probabilities") -> Callable[[Iterable[str]], Evaluation]:
    """What evaluates ensembles that follow from each other: one that holds an earlier one and a model more runs that model.

    The last ensemble's summed scores are held, and those that it was made from: float64, N×outputs each. Models are
    added in the order in which they are named. Raises CoefficientError as `averaged_outputs` does.
    """
    kept: list[tuple[frozenset[str], Tensor]] = []

    def evaluated(names: Iterable[str]) -> Evaluation:
        in_order = list(dict.fromkeys(names))
        members = _members(evaluate, in_order, average)
        key = _key(evaluate, members, average)
        if (known := evaluate.recall(key)) is None:
            start = max((each for each in kept if each[0] <= set(members)), key=lambda each: len(each[0]), default=None)
            kept[:] = [start] if start else []
            total = start[1].clone() if start else None
            for name in in_order:
                if start is None or name not in start[0]:
                    total = _added(total, evaluate.logits(Soup.single(name)), average)
            assert total is not None, "it has a model that the one it was made from has not"
            kept.append((frozenset(members), total))
            known = evaluate.measured(_parts(total, len(members), average))
            evaluate.record(key, known)
        return replace(known, precision=_precision(evaluate))

    return evaluated


def _summed(evaluate: ModelOutputs, several: Sequence[Sequence[str]], average: str) -> list[Tensor]:
    """The summed scores of several ensembles; each model's logits are held once, and only while they are added."""
    totals: list[Tensor | None] = [None] * len(several)
    holding: dict[str, list[int]] = {}
    for index, names in enumerate(several):
        for name in names:
            holding.setdefault(name, []).append(index)
    for name in sorted(holding):
        logits = evaluate.logits(Soup.single(name))
        for index in holding[name]:
            totals[index] = _added(totals[index], logits, average)
    return [total for total in totals if total is not None]


def _added(total: Tensor | None, logits: Tensor, average: str) -> Tensor:
    """The sum with one model's scores more, in its own place; without one, a new one (float64, N×outputs)."""
    first = total is None
    total = torch.empty(logits.shape, dtype=torch.float64) if total is None else total
    for rows in row_blocks(*logits.shape):
        scores, part = logits[rows].double(), total[rows]
        if average == "probabilities":  # added as logarithms: one that is too small for float64 is still no zero
            scores = scores.log_softmax(1)
        if first:
            part.copy_(scores)
        elif average == "probabilities":
            torch.logaddexp(part, scores, out=part)
        else:
            part.add_(scores)
    return total


def _parts(total: Tensor, count: int, average: str) -> Iterator[Tensor]:
    """The average of so many models' summed scores, block by block."""
    for rows in row_blocks(*total.shape):
        yield total[rows] - math.log(count) if average == "probabilities" else total[rows] / count


def _precision(evaluate: ModelOutputs) -> str:
    return evaluate.precision + (APPROXIMATE if evaluate.logits_are_approximate else "")


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
