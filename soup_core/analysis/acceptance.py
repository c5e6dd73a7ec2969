"""What a greedy search makes of one ingredient: whether it stays, and what it changes on the held-out images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from soup_core.evaluation import Comparison, Evaluation, Evaluator, compare
from soup_core.recipes.greedy import greedy_soup
from soup_core.soup import Soup
from soup_core.zoo import Zoo


@dataclass(frozen=True)
class Acceptance:
    """An ingredient's turn in the search: the soup `before` and `after` it, and how the two differ.

    Where the search starts from it, `starts`, `after` is the ingredient alone and `before` the next best one.
    """

    name: str
    accepted: bool
    starts: bool
    single: Evaluation
    before: Evaluation
    after: Evaluation
    comparison: Comparison


def acceptances(zoo: Zoo, evaluate: Evaluator, names: Sequence[str]) -> Iterator[Acceptance]:
    """The turns of these ingredients in a greedy search over the whole zoo, in the order in which they come."""
    zoo.check_names(list(names))
    if not names:
        return
    steps = list(greedy_soup(zoo, evaluate))
    for index, step in enumerate(steps):
        if step.candidate in names:
            if index:
                before = steps[index - 1].soup
                after = before.add(step.candidate)
            else:
                before, after = Soup.single(steps[min(1, len(steps) - 1)].candidate), step.soup
            pair = evaluate(before), evaluate(after)
            single = evaluate(Soup.single(step.candidate))
            yield Acceptance(step.candidate, step.accepted, index == 0, single, *pair, compare(pair[1], pair[0]))
