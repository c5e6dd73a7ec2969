"""How accuracy grows with the number of models averaged (Wortsman et al. 2022, arXiv 2203.05482, appendix B)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from soup_core.evaluation import Evaluation, Evaluator
from soup_core.recipes.ensemble import successive
from soup_core.recipes.greedy import candidate_order
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.zoo import Zoo

Ensemble = Callable[[Iterable[str]], Evaluation]


@dataclass(frozen=True)
class Averaged:
    """One split's evaluations of the k-th model alone, and of the first k models' uniform soup and ensemble."""

    single: Evaluation
    soup: Evaluation
    ensemble: Evaluation


@dataclass(frozen=True)
class NumberStep:
    """The first `count` models of an order, the last of which is `name`: held out, and on the split that reports."""

    count: int
    name: str
    soup: Soup
    held_out: Averaged
    report: Averaged | None


@dataclass(frozen=True)
class NumberBandStep:
    """The same curve of the uniform soup in one shuffled order: an evaluation for each number of models."""

    seed: int
    names: tuple[str, ...]
    held_out: tuple[Evaluation, ...]
    report: tuple[Evaluation, ...] | None


def number_averaged(
    zoo: Zoo, evaluate: Evaluator, *, order: str | Sequence[str] = "accuracy", report: Evaluator | None = None
) -> Iterator[NumberStep]:
    """Average the first k models of an order, k = 1, 2, …, yielding the uniform soup's and the ensemble's evaluations.

    `order` is as in greedy_soup; `report` evaluates the same on another split, for reporting alone. The ensemble runs no
    model of its own: it averages kept logits. Source: Wortsman et al. 2022, arXiv 2203.05482, its curves over the number
    of models.
    """
    names = _ordered(zoo, evaluate, order)

    together, reported = successive(evaluate), successive(report) if report else None

    def averaged(evaluate: Evaluator, ensemble: Ensemble, first: list[str], soup: Soup) -> Averaged:
        return Averaged(evaluate(Soup.single(first[-1])), evaluate(soup), ensemble(first))

    for count, soup in enumerate(growing_soups(zoo, names), 1):
        first = names[:count]
        yield NumberStep(
            count,
            first[-1],
            soup,
            averaged(evaluate, together, first, soup),
            averaged(report, reported, first, soup) if report and reported else None,
        )


def number_averaged_band(
    zoo: Zoo, evaluate: Evaluator, *, orders: int = 20, report: Evaluator | None = None
) -> Iterator[NumberBandStep]:
    """The uniform soup's curve in shuffled orders, of seeds 0 up to `orders`: how much is due to averaging alone.

    Source: Wortsman et al. 2022, arXiv 2203.05482, its curves over the number of models.
    """
    for seed in range(orders):
        names = _ordered(zoo, evaluate, f"random:{seed}")
        soups = growing_soups(zoo, names)
        held_out = tuple(evaluate.many(soups))
        yield NumberBandStep(seed, tuple(names), held_out, tuple(report.many(soups)) if report else None)


def _ordered(zoo: Zoo, evaluate: Evaluator, order: str | Sequence[str]) -> list[str]:
    names = candidate_order(evaluate.singles(), order)
    zoo.check_names(names)
    return names


def growing_soups(zoo: Zoo, names: Sequence[str]) -> list[Soup]:
    """The uniform soups of the first name, of the first two, and so on."""
    return [uniform_soup(zoo, names[:count]) for count in range(1, len(names) + 1)]
