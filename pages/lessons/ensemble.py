"""Soup against ensemble: the same models averaged in weights or in outputs, and the bill."""

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, NumberPrediction, Outcome, Predicted, near_difference
from pages.shared.context import Context
from soup_core import charts
from soup_core.evaluation import best_first
from soup_core.formatting import points, significance
from soup_core.recipes import RECIPES

MODELS = 8


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction("Ensemble less soup of the same models, on the test images", -2.0, 2.0, 0.05)


def run(context: Context, predicted: Predicted) -> Outcome:
    held_out, test = context.evaluator("held_out"), context.evaluator("test")
    names = best_first(context.singles())[:MODELS]
    soup, best = sc.uniform_soup(context.zoo, names), test(sc.Soup.single(names[0]))
    one = context.cost()
    averaged, together = test(soup), sc.ensemble(test, names)
    soup_about, ensemble_about = RECIPES["uniform"].about, RECIPES["ensemble"].about
    entries = (
        sc.RecipeResult("uniform", soup_about, soup, held_out(soup), averaged, one),
        sc.RecipeResult("ensemble", ensemble_about, soup, sc.ensemble(held_out, names), together, one.of(len(names))),
    )
    gain = sc.compare(together, averaged)
    bill = entries[1].cost
    return Outcome(
        near_difference(float(predicted[0]), gain),
        f"{predicted[0]:+.2f} points",
        points(gain),
        charts.cost_chart(entries, best),
        f"Test accuracy of the soup {charts.percent(averaged)} with one model run, of the ensemble "
        f"{charts.percent(together)} with {bill.models}.",
        f"The ensemble of {len(names)} differs from their soup by {points(gain)}, {significance(gain)}, and runs {bill.models} "
        "models for each image instead of one.",
        f"Here that is {bill.megabytes:.1f} MB of weights and {1e6 * bill.seconds_per_image:.0f} µs an image against "
        f"{one.megabytes:.1f} MB and {1e6 * one.seconds_per_image:.0f} µs. In the paper the two are close for fine-tunings "
        f"of one base, the ensemble often ahead without shift ({PAPER}). Ensembles need no shared start "
        "([Lakshminarayanan et al. 2017](https://arxiv.org/abs/1612.01474)).",
    )


LESSON = Lesson(
    "ensemble",
    "Soup or ensemble",
    "fashion",
    "Is an ensemble better than the soup of the same models?",
    "The soup averages the weights of the best models and runs once. The ensemble runs each of them and averages what they "
    "say, so it pays for every one.",
    ask,
    run,
    lambda context: Link("pages/5_Robustness.py", "See what every recipe costs", {"view": "Cost"}),
)
