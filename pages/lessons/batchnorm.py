"""BatchNorm statistics: three ways to make those of a soup."""

from dataclasses import replace

import soup_core as sc
from pages.lessons.lesson import Choice, Lesson, Link, Outcome, Predicted
from pages.shared.context import Context
from soup_core import charts
from soup_core.evaluation import best_first
from soup_core.formatting import points, significance
from soup_core.soup import BatchNorm

WAYS: dict[str, BatchNorm] = {
    "averaged like the weights": "averaged",
    "re-estimated with the soup": "re-estimated",
    "the first model's": "first",
}


def ask(context: Context) -> Choice:
    return Choice("The uniform soup is best with its statistics", tuple(WAYS))


def run(context: Context, predicted: Predicted) -> Outcome:
    evaluate, soup = context.evaluator("held_out"), sc.uniform_soup(context.zoo)
    evaluations = {way: evaluate(replace(soup, batch_norm=kind)) for way, kind in WAYS.items()}
    best = max(evaluations, key=lambda way: evaluations[way].correct)
    singles = context.singles()
    single = singles[best_first(singles)[0]]
    gain = sc.compare(evaluations[best], single)
    return Outcome(
        score(str(predicted[0]), {way: each.correct for way, each in evaluations.items()}),
        WAYS[str(predicted[0])],
        WAYS[best],
        charts.accuracy_points(
            [*((WAYS[way], "uniform", each) for way, each in evaluations.items()), ("best single", "best", single)],
            images="held-out",
        ),
        ", ".join(f"{way}: {charts.percent(each)}" for way, each in evaluations.items()),
        meaning(evaluations, best),
        "BatchNorm subtracts a running mean and divides by a running deviation, which each model took from its own "
        "activations. The soup's activations are those of no model. Running training images through the soup once gives "
        "statistics that fit it, as in stochastic weight averaging "
        "([Izmailov et al. 2018](https://arxiv.org/abs/1803.05407)). The soup at its best here differs from the best single "
        f"model by {points(gain)}, {significance(gain)}.",
    )


def score(predicted: str, correct: dict[str, int]) -> int:
    """100 for the best way, 0 for any other."""
    return 100 if correct[predicted] == max(correct.values()) else 0


def meaning(evaluations: dict[str, sc.Evaluation], best: str) -> str:
    """What the run says, whichever way it went."""
    worst = min(evaluations, key=lambda way: evaluations[way].correct)
    if evaluations[best].correct == evaluations[worst].correct:
        return "All three ways get equally many images right here."
    second = max((way for way in evaluations if way != best), key=lambda way: evaluations[way].correct)
    last, near = sc.compare(evaluations[best], evaluations[worst]), sc.compare(evaluations[best], evaluations[second])
    return (
        f"No statistics do better than those {best}: {points(near)} against {second}, {significance(near)}, and "
        f"{points(last)} against {worst}, {significance(last)}."
    )


LESSON = Lesson(
    "batchnorm",
    "BatchNorm",
    "fashion-batchnorm",
    "Which BatchNorm statistics does a soup need?",
    "These networks have BatchNorm, whose running statistics are no weights: they were measured. A soup can average them, "
    "measure anew, or take one model's.",
    ask,
    run,
    lambda context: Link("pages/1_Ingredients.py", "Change the statistics of any soup", {"batch_norm": "re-estimated"}),
)
