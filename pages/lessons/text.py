"""Text: what averaging gains on sentences, beside what the paper found on GLUE."""

import plotly.graph_objects as go

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, NumberPrediction, Outcome, Predicted, near_difference
from pages.shared.context import Context
from soup_core import charts
from soup_core.data import ASSETS
from soup_core.formatting import listed, plain, points, significance

ZOO = "reviews"
REACH = 2.0  # points
IN_THE_PAPER = "from +0.0 to +0.7 points with BERT, and from +0.1 to +0.8 with T5"  # its table on GLUE


def is_there() -> bool:
    """Whether the zoo of texts is bundled here."""
    return (ASSETS / "zoos" / ZOO / "zoo.toml").is_file()


def ask(context: Context) -> NumberPrediction:
    return NumberPrediction("Greedy soup less the best single model, on test texts", -2.0, 5.0, 0.1)


def run(context: Context, predicted: Predicted) -> Outcome:
    steps = list(sc.greedy_soup(context.zoo, context.evaluator("held_out")))
    first, last = steps[0].soup, steps[-1].soup
    splits = {"test": "test", **{shift: f"test:{shift}" for shift in context.zoo.data.shifts()}}
    gains = {
        name: sc.compare(context.evaluator(split)(last), context.evaluator(split)(first))
        for name, split in splits.items()
    }
    test = gains["test"]
    return Outcome(
        near_difference(float(predicted[0]), test, REACH),
        f"{predicted[0]:+.1f} points",
        points(test),
        _figure(gains),
        f"Gain of greedy soup over the best single model on {listed(gains)}.",
        f"On the test texts greedy soup, {len(last.names)} of {len(context.zoo.names)} models, differs from the best single "
        f"model by {points(test)}, {significance(test)}.",
        f"{_elsewhere(gains)} {PAPER} fine-tuned BERT and T5 on four tasks of GLUE: greedy soup gained {IN_THE_PAPER}, less than "
        "on photographs. It costs nothing at inference, and greedy cannot lose on the held-out texts.",
    )


def _figure(gains: dict[str, sc.Comparison]) -> go.Figure:
    figure = charts.class_gain_bars(dict(enumerate(gains.values())), list(gains))
    figure.update_traces(hovertemplate="%{customdata[0]}: %{x:+.2f} points (%{customdata[1]})<extra></extra>")
    return figure.update_yaxes(title="Texts")


def _elsewhere(gains: dict[str, sc.Comparison]) -> str:
    """What the gain is on texts of another kind, whichever way it went."""
    shifted = {name: gain for name, gain in gains.items() if name != "test"}
    if not shifted:
        return (
            "The same words and labels, and another kind of input: averaging asks only for weights that fit together."
        )
    ahead = sum(gain.low > 0 for gain in shifted.values())
    by_shift = "; ".join(f"{plain(name)} {points(gain)}" for name, gain in shifted.items())
    return f"On texts of other kinds: {by_shift}; {ahead} of these are gains beyond chance."


LESSON = Lesson(
    "text",
    "With text",
    ZOO,
    "Does averaging help where the inputs are sentences?",
    "Models fine-tuned on sentences about films; sentences of other sources are real shifts. In the paper text gains less "
    "than images.",
    ask,
    run,
    lambda context: Link("pages/5_Robustness.py", "Every model on the other texts", {"view": "Figure"}),
)
