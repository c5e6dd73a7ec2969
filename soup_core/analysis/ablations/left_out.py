"""A soup without each of its ingredients in turn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from soup_core.errors import CoefficientError
from soup_core.evaluation import Comparison, Evaluation, Evaluator, compare
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.zoo import Zoo


@dataclass(frozen=True)
class LeftOut:
    """A soup without one of its ingredients; `comparison` is that soup against the whole, so a loss is below zero."""

    name: str
    soup: Soup
    evaluation: Evaluation
    comparison: Comparison


def leave_one_out(zoo: Zoo, evaluate: Evaluator, names: Iterable[str] | None = None) -> Iterator[LeftOut]:
    """Take each ingredient once out of the uniform soup of the named ones, of all where none are named.

    Raises CoefficientError for fewer than two ingredients. Source: the leave-one-out rival of Ghorbani & Zou 2019,
    arXiv 1904.02868; the paired interval as in `compare`.
    """
    whole = uniform_soup(zoo, names)
    if len(whole.names) < 2:
        raise CoefficientError(
            f"Leaving one out needs at least two ingredients; found {', '.join(whole.names)}. Put another one in."
        )
    with_all = evaluate(whole)
    left = [whole.drop(name) for name in whole.names]
    for name, soup, evaluation in zip(whole.names, left, evaluate.many(left), strict=True):
        yield LeftOut(name, soup, evaluation, compare(evaluation, with_all))
