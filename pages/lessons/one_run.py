"""Along one run: the average of its latest checkpoints against the last one."""

import soup_core as sc
from pages.lessons.lesson import Lesson, Link, NumberPrediction, Outcome, Predicted, near_difference
from pages.shared.context import Context
from soup_core import charts
from soup_core.formatting import points, significance

LAST = 5


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction(
        f"Average of the latest {LAST} less the last checkpoint, on the test images", -2.0, 2.0, 0.05
    )


def run(context: Context, predicted: Predicted) -> Outcome:
    zoo, test = context.zoo, context.evaluator("test")
    last, lawa, ema = (
        test(soup) for soup in (sc.Soup.single(zoo.names[-1]), sc.lawa_soup(zoo, last=LAST), sc.ema_soup(zoo))
    )
    gain, moving = sc.compare(lawa, last), sc.compare(ema, last)
    return Outcome(
        near_difference(float(predicted[0]), gain),
        f"{predicted[0]:+.2f} points",
        points(gain),
        charts.accuracy_points(
            [("last checkpoint", "ingredient", last), (f"latest {LAST}", "lawa", lawa), ("moving average", "ema", ema)],
            images="test",
            predicted=100 * last.accuracy + float(predicted[0]),
        ),
        f"Test accuracy: last checkpoint {charts.percent(last)}, average of the latest {LAST} {charts.percent(lawa)}.",
        f"The average of the latest {LAST} checkpoints differs from the last by {points(gain)}, {significance(gain)}.",
        "While the learning rate is high the weights wander about a minimum, and their average can lie nearer to it than each "
        "of them, as the weights of a falling learning rate do ([Kaddour 2022](https://arxiv.org/abs/2209.14981)). A moving "
        f"average of all of them differs from the last by {points(moving)}, {significance(moving)}.",
    )


LESSON = Lesson(
    "run",
    "Along one run",
    "fashion-trajectory",
    "Can one training run be its own soup?",
    "One run, a checkpoint after each epoch, at a learning rate that does not fall. Average the latest checkpoints instead "
    "of taking the last.",
    ask,
    run,
    lambda context: Link(
        "pages/1_Ingredients.py", "Choose the checkpoints yourself", {"in": list(context.zoo.names[-LAST:])}
    ),
)
