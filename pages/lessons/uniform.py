"""Uniform can lose: averaging one model after another, the best first, until all are in."""

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, NumberPrediction, Outcome, Predicted, near_difference
from pages.shared.context import Context
from soup_core.analysis.ablations import NumberStep, number_averaged
from soup_core.charts.ablations import number_averaged_curve
from soup_core.formatting import points, significance


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction("Average of all less the best single model, on the held-out images", -2.0, 2.0, 0.05)


def run(context: Context, predicted: Predicted) -> Outcome:
    steps = list(number_averaged(context.zoo, context.evaluator("held_out")))
    first, last, test = steps[0], steps[-1], context.evaluator("test")
    gain, tested = sc.compare(last.held_out.soup, first.held_out.soup), sc.compare(test(last.soup), test(first.soup))
    return Outcome(
        near_difference(float(predicted[0]), gain),
        f"{predicted[0]:+.2f} points",
        points(gain),
        number_averaged_curve(steps, models=len(steps)),
        f"Held-out accuracy of the average of the first models, up to all {len(steps)}.",
        meaning(gain, len(steps)),
        f"{peak(steps)} A weak model has the same share in the average as a good one, which is why greedy tries each before "
        f"it lets it in ({PAPER}). The held-out images also chose the best single model, which can flatter it: on the test "
        f"images the average of all differs from it by {points(tested)}, {significance(tested)}.",
    )


def meaning(gain: sc.Comparison, models: int) -> str:
    """What the run says, whichever way it went."""
    sentence = f"The average of all {models} differs from the best single model by {points(gain)}, {significance(gain)}"
    if gain.high < 0 or gain.low > 0:
        return f"{sentence}: it {'loses' if gain.high < 0 else 'wins'} here."
    return f"{sentence}: {'it is behind, but these images cannot tell' if gain.difference < 0 else 'it does not lose context'}."


def peak(steps: list[NumberStep]) -> str:
    """Which of the averages does best; of equal ones that of the fewest models."""
    best = max(steps, key=lambda step: (step.held_out.soup.correct, -step.count))
    if best is steps[-1]:
        return "No average of fewer does as well."
    gain = points(sc.compare(best.held_out.soup, steps[-1].held_out.soup))
    which = "the best model alone" if best.count == 1 else f"the average of the first {best.count}"
    return f"Nothing here does better than {which}: {gain} against the average of all."


LESSON = Lesson(
    "uniform",
    "Uniform can lose",
    "fashion",
    "Does the average of all models beat the best one?",
    "Uniform soup averages every model, good and bad. Order them by held-out accuracy, best first, and average the first "
    "one, two, three, until all are in.",
    ask,
    run,
    lambda context: Link(
        "pages/1_Ingredients.py", "Average one after another", {"view": "Ablations", "ablation": "How many"}
    ),
)
