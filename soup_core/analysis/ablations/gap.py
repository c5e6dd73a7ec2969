"""How much held-out accuracy flatters what was chosen on it, by the number of images that choose."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soup_core.errors import SoupError
from soup_core.evaluation import Estimate, Evaluation, Evaluator, Judge, Trial, best_first, sample_mean
from soup_core.recipes.greedy import GreedyStep, keep_improvements
from soup_core.soup import Soup
from soup_core.zoo import Zoo

SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


@dataclass(frozen=True)
class GapStep:
    """Greedy soups chosen on `size` held-out images: a draw's gain over its best single model, there and in the report.

    Gains are shares of the images; `gap` is the first gain less the second, the mean over draws.
    """

    size: int
    held_out_gains: tuple[float, ...]
    report_gains: tuple[float, ...]

    @property
    def draws(self) -> int:
        """How many gains each mean is of; a single one has no interval."""
        return len(self.held_out_gains)

    @property
    def held_out_gain(self) -> Estimate:
        """The mean gain on the images that chose the soup."""
        return sample_mean(self.held_out_gains)

    @property
    def report_gain(self) -> Estimate:
        """The mean gain on the images that only report."""
        return sample_mean(self.report_gains)

    @property
    def gap(self) -> Estimate:
        """The mean selection gap: how much the first gain flatters."""
        return sample_mean(np.subtract(self.held_out_gains, self.report_gains))


def greedy_on(zoo: Zoo, evaluate: Evaluator, images: NDArray[np.int64], *, ties: bool = False) -> Iterator[GreedyStep]:
    """The greedy search on some of the evaluator's images, by their indices (n,), from the correctness bits kept.

    The decisions are those of greedy_soup on these images alone; only soups that nobody has met are run, on the whole
    split. The steps' evaluations have neither loss nor calibration error. Source: Wortsman et al. 2022, arXiv
    2203.05482, recipe 1.
    """

    def trial(soup: Soup) -> tuple[Evaluation, Trial]:
        evaluation = _only(evaluate(soup), images)
        return evaluation, Trial.whole(evaluation, 0)

    singles = {name: trial(Soup.single(name)) for name in zoo.names}
    names = best_first({name: evaluation for name, (evaluation, _) in singles.items()})
    yield from keep_improvements(
        Soup.single(names[0]), names, singles[names[0]][1], Soup.add, lambda soup, _: trial(soup)[1], ties=ties
    )


def selection_gap(
    zoo: Zoo,
    evaluate: Evaluator,
    report: Evaluator,
    *,
    sizes: Sequence[int] | None = None,
    draws: int = 20,
    seed: int = 0,
    ties: bool = False,
) -> Iterator[GapStep]:
    """How much a greedy soup's gain flatters, for each size of the held-out set: so many draws without replacement.

    Draws of one size are independent given the held-out images there are, so the intervals are about these images
    alone, and shrink as draws overlap more; the whole set can be drawn once, which has no interval. Image indices
    of a draw: numpy's default_rng([seed, size, draw]).choice(total, size, replace=False). Raises SoupError for a size
    that the held-out set does not have. Source: the greedy search of Wortsman et al. 2022, arXiv 2203.05482; the gap is
    the overfitting in model selection of Cawley & Talbot 2010 (JMLR 11).
    """
    total = evaluate.total
    wanted = [*(size for size in SIZES if size < total), total] if sizes is None else list(sizes)
    if impossible := [size for size in wanted if not 1 <= size <= total]:
        raise SoupError(f"There are {total:,} held-out images to draw from; found a size of {impossible[0]:,}.")
    for size in wanted:
        held_out_gains, report_gains = [], []
        for draw in range(draws if size < total else 1):
            images = np.random.default_rng([seed, size, draw]).choice(total, size, replace=False)
            accepted = [step for step in greedy_on(zoo, evaluate, images, ties=ties) if step.accepted]
            first, last = accepted[0], accepted[-1]  # whose counts are known, and not mere bounds
            held_out_gains.append((last.correct_at_most - first.correct_at_most) / size)
            report_gains.append((report(last.soup).correct - report(first.soup).correct) / report.total)
        yield GapStep(size, tuple(held_out_gains), tuple(report_gains))


def _only(evaluation: Evaluation, images: NDArray[np.int64]) -> Evaluation:
    """What is known of an evaluation on some of its images: counts and bits, and what the metric says of these."""
    bits = evaluation.bits()[images]
    few = Evaluation(int(bits.sum()), len(bits), math.nan, math.nan, np.packbits(bits).tobytes())
    if evaluation.measured is None:
        return few
    whole = Judge(evaluation.metric, evaluation.measured.truth)
    return whole.of(images).judged(few, evaluation.measured.answers[images])
