"""Learned coefficients: a share a model, by gradient descent on the held-out loss."""

from collections.abc import Mapping

import soup_core as sc
from pages.lessons.lesson import PAPER, Choice, Lesson, Link, Outcome, Predicted
from pages.shared.context import Context
from soup_core import charts
from soup_core.evaluation import best_first
from soup_core.formatting import plain, points, significance

MODELS = 6
EPOCHS = 1


def names_of(context: Context) -> list[str]:
    return best_first(context.singles())[:MODELS]


def ask(context: Context) -> Choice:
    return Choice("Largest share, models from best to worst", tuple(names_of(context)))


def run(context: Context, predicted: Predicted) -> Outcome:
    evaluate, names = context.evaluator("held_out"), names_of(context)
    steps = list(sc.learned_soup(context.zoo, evaluate, granularity="model", names=names, epochs=EPOCHS))
    final = steps[-1]
    taken = steps[final.best_index].coefficients[0]
    shares = {name: float(share) for name, share in zip(final.names, taken, strict=True)}
    largest = max(names, key=lambda name: shares[name])
    gain = sc.compare(evaluate(final.soup), evaluate(sc.uniform_soup(context.zoo, names)))
    return Outcome(
        score(str(predicted[0]), shares),
        f"{plain(str(predicted[0]))}: {100 * shares[str(predicted[0])]:.0f} %",
        f"{plain(largest)}: {100 * shares[largest]:.0f} %",
        charts.coefficient_lines(steps),
        f"Coefficients of {len(names)} models over {final.index} rounds.",
        meaning(names, largest, shares, final.best_index, gain),
        f"Descent lowers the loss of the mix, not of its parts ({PAPER}, learned soup): a model counts for what it adds to "
        "the others. A lower loss need not mean more images right. Coefficients can also fit the images of the descent too "
        "closely, so some are kept back, and the round with the lowest loss on these is taken. Here it ran for "
        f"{EPOCHS} epoch{'s' if EPOCHS > 1 else ''}.",
    )


def score(predicted: str, shares: Mapping[str, float]) -> int:
    """The chosen model's share in percent of the largest one."""
    return round(100 * max(0.0, shares[predicted]) / max(shares.values()))


def meaning(names: list[str], largest: str, shares: Mapping[str, float], round_: int, gain: sc.Comparison) -> str:
    """What the run says, whichever way it went."""
    if round_ == 0:
        return "No round lowered the loss on the images kept back, so the equal shares of the start are kept."
    rank = names.index(largest) + 1
    of = "the best model alone" if rank == 1 else f"number {rank} of {len(names)} when alone"
    return (
        f"{plain(largest)}, {of}, takes {100 * shares[largest]:.0f} %; from equal shares the learned soup differs "
        f"by {points(gain)} on the held-out images, {significance(gain)}."
    )


LESSON = Lesson(
    "learned",
    "Learned coefficients",
    "fashion",
    "Which model gets the largest share, if gradient descent decides?",
    "The best models are mixed, each with one coefficient. All start equal; descent on the held-out loss moves them, and "
    "together they stay 1.",
    ask,
    run,
    lambda context: Link("pages/4_Learned.py", "Learn all coefficients", {"granularity": "a model"}),
)
