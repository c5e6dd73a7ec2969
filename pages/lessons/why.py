"""Why average weights at all: greedy soup against the best single model, on the test images."""

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, NumberPrediction, Outcome, Predicted, near_difference
from pages.shared.context import Context
from soup_core import charts
from soup_core.formatting import points, significance


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction("Greedy soup less the best single model, on the test images", -2.0, 2.0, 0.05)


def run(context: Context, predicted: Predicted) -> Outcome:
    test = context.evaluator("test")
    steps = list(sc.greedy_soup(context.zoo, context.evaluator("held_out")))
    best, uniform, greedy = (test(soup) for soup in (steps[0].soup, sc.uniform_soup(context.zoo), steps[-1].soup))
    gain, models = sc.compare(greedy, best), len(steps[-1].soup.names)
    return Outcome(
        near_difference(float(predicted[0]), gain),
        f"{predicted[0]:+.2f} points",
        points(gain),
        charts.accuracy_points(
            [("best single", "best", best), ("uniform soup", "uniform", uniform), ("greedy soup", "greedy", greedy)],
            images="test",
            predicted=100 * best.accuracy + float(predicted[0]),
        ),
        f"Test accuracy: best single model {charts.percent(best)}, uniform soup {charts.percent(uniform)}, greedy soup "
        f"{charts.percent(greedy)}.",
        meaning(gain, models, len(context.zoo.names)),
        "All models started from one base. The paper finds that such models often lie in one valley of the loss, so that "
        f"their average can be better than each of them ({PAPER}). However many are in it, a soup costs one model at "
        "inference.",
    )


def meaning(gain: sc.Comparison, models: int, of: int) -> str:
    """What the run says, whichever way it went."""
    if models == 1:
        return f"On the held-out images no other model helps the best of {of}, so greedy keeps that one alone."
    sentence = (
        f"The average of {models} of {of} models differs from the best of them by {points(gain)}, {significance(gain)}"
    )
    if gain.low > 0:
        return f"{sentence}: one model, and better than the one that would have been kept."
    return f"{sentence}: on these images averaging {'costs' if gain.high < 0 else 'is not shown to gain'} accuracy."


LESSON = Lesson(
    "why",
    "Why average",
    "fashion",
    "Is the average of fine-tuned models better than the best of them?",
    "A sweep leaves many fine-tunings of one base. Usually the best on held-out images is kept. Greedy soup instead "
    "averages the weights of those that help there.",
    ask,
    run,
    lambda context: Link("app.py", "Compare all recipes"),
)
