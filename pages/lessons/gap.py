"""The selection gap: a gain reported on the images that chose the soup."""

from pages.lessons.lesson import PAPER, Lesson, Link, NumberPrediction, Outcome, Predicted, near
from pages.shared.context import Context
from pages.views.ingredients.ablations.following import mean_in_words
from soup_core.analysis.ablations import GapStep, selection_gap
from soup_core.charts.ablations import selection_gap_curve

IMAGES = 400  # of the held-out images, from which the small sets are drawn
SIZES = (100, 200)
DRAWS = 16
REACH = 1.0  # points


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction(f"Gain on the {SIZES[-1]} images that chose, less the gain on test", -2.0, 2.0, 0.05)


def run(context: Context, predicted: Predicted) -> Outcome:
    steps = list(selection_gap(context.zoo, context.few(IMAGES), context.evaluator("test"), sizes=SIZES, draws=DRAWS))
    gap = steps[-1].gap
    return Outcome(
        near(float(predicted[0]), 100 * gap.low, 100 * gap.high, REACH),
        f"{predicted[0]:+.2f} points",
        mean_in_words(gap),
        selection_gap_curve(steps),
        f"Gain where the soup was chosen and on test, for sets of {', '.join(str(step.size) for step in steps)} images.",
        meaning(steps),
        "Among many candidates some look better by chance, and a choice can take those "
        "([Cawley & Talbot 2010](https://jmlr.org/papers/v11/cawley10a.html)). Who chooses on the test images has no images "
        "left to tell. So here held-out images choose and test images only report, as in "
        f"{PAPER}. The {DRAWS} draws are from the same {IMAGES} images, and the intervals are over draws.",
    )


def meaning(steps: list[GapStep]) -> str:
    """What the run says, whichever way it went."""
    last = steps[-1]
    sentence = (
        f"Chosen on {last.size} images, greedy gains {mean_in_words(last.held_out_gain)} there and {mean_in_words(last.report_gain)} on test, "
        f"a gap of {mean_in_words(last.gap)}"
    )
    if last.gap.low > 0:
        return f"{sentence}: the report on the images that chose flatters."
    if last.gap.high < 0:
        return f"{sentence}: here the images that chose understate the gain on test."
    return f"{sentence}: in {last.draws} draws the gap is within what chance explains."


LESSON = Lesson(
    "gap",
    "The selection gap",
    "fashion",
    "You choose on the images that you also report on. Does that flatter, and by how much?",
    "Greedy soup is chosen on a few images and its gain over the best single model reported on the same ones, several times "
    "on different draws. The test images took no part.",
    ask,
    run,
    lambda context: Link(
        "pages/1_Ingredients.py", "Grow the held-out set", {"view": "Ablations", "ablation": "Held-out size"}
    ),
)
