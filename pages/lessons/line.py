"""The line between two models, sketched before it is walked: two fine-tunings of one base."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, Outcome, Predicted, is_number, near
from pages.shared import address, drawing
from pages.shared.context import Context
from soup_core import charts, formatting
from soup_core.analysis.interpolation import CONNECTED_BELOW
from soup_core.evaluation import best_first
from soup_core.formatting import significance

SKETCHED = {0.25: "¼", 0.5: "½", 0.75: "¾"}
ALPHAS = (*(step / 10 for step in range(11)), *SKETCHED)
REACH = 10.0  # points
ENTEZARI = "[Entezari et al. 2022](https://arxiv.org/abs/2110.06296)"
FRANKLE = "[Frankle et al. 2020](https://arxiv.org/abs/1912.05671)"
AINSWORTH = "[Ainsworth et al. 2023](https://arxiv.org/abs/2209.04836)"


@dataclass(frozen=True)
class Sketch:
    """Accuracy at three alphas, each a slider, between two ends that are known."""

    ends: tuple[sc.Evaluation, sc.Evaluation]

    def draw(self, key: str, so_far: Predicted) -> Predicted:
        """The curve as it is sketched, and the sliders beneath."""
        above = st.container()
        columns = st.columns(len(SKETCHED))
        predicted = {}
        for column, (alpha, name) in zip(columns, SKETCHED.items(), strict=True):
            with column:
                predicted[alpha] = st.slider(
                    f"Accuracy at alpha {name}",
                    0.0,
                    100.0,
                    50.0,
                    0.5,
                    format="%.1f %%",
                    **address.bound(f"guess:{key}:{name}", of_zoo=False),
                )
        with above:
            drawing.chart(charts.sketched_line(predicted, self.ends), f"sketch-{key}", "Your sketch of the line.")
        return tuple(predicted.values())

    def fits(self, predicted: Predicted) -> bool:
        """A percentage an alpha."""
        return len(predicted) == len(SKETCHED) and all(is_number(each, 0, 100) for each in predicted)


def ends_of(context: Context) -> tuple[str, str]:
    """The two best models on the held-out images."""
    first, second = best_first(context.singles())[:2]
    return first, second


def ask(context: Context) -> Sketch:
    first, second = (context.evaluator("held_out")(sc.Soup.single(name)) for name in ends_of(context))
    return Sketch((first, second))


def score(predicted: Sequence[float], points: Sequence[sc.LinePoint]) -> int:
    """The mean of the three places' scores: 100 within the accuracy's interval, 0 ten points outside it."""
    evaluations = {point.alpha: point.evaluation for point in points}
    scores = []
    for alpha, each in zip(SKETCHED, predicted, strict=True):
        low, high = sc.accuracy_interval(evaluations[alpha])
        scores.append(near(each, 100 * low, 100 * high, REACH))
    return round(sum(scores) / len(scores))


def run(context: Context, predicted: Predicted) -> Outcome:
    evaluate, (a, b) = context.evaluator("held_out"), ends_of(context)
    points = list(sc.line(evaluate, sc.Soup.single(a), sc.Soup.single(b), ALPHAS))
    evaluations = {point.alpha: point.evaluation for point in points}
    sketch = dict(zip(SKETCHED, map(float, predicted), strict=True))
    barrier = sc.error_barrier(points)
    better = max(evaluations[0.0], evaluations[1.0], key=lambda end: end.correct)
    return Outcome(
        score(list(sketch.values()), points),
        ", ".join(f"{each:.1f}" for each in sketch.values()) + " %",
        ", ".join(charts.percent(evaluations[alpha]).removesuffix(" %") for alpha in SKETCHED) + " %",
        charts.sketched_line(sketch, (evaluations[0.0], evaluations[1.0]), points),
        f"Your sketch and the real line from {a} to {b} at {len(points)} values of alpha.",
        meaning(barrier, sc.compare(evaluations[0.5], better), evaluations[0.5]),
        why(barrier, shared=context.zoo.base is not None),
    )


def meaning(barrier: sc.Barrier, middle: sc.Comparison, evaluation: sc.Evaluation) -> str:
    """What the run says, whichever way it went."""
    sentence = (
        f"The middle has {charts.percent(evaluation)}, {formatting.points(middle)} against the better end, {significance(middle)}; the "
        f"error barrier is {100 * barrier.height:.2f} points"
    )
    return f"{sentence}: {'no wall between them' if barrier.connected else 'a wall lies between them'}."


def why(barrier: sc.Barrier, *, shared: bool) -> str:
    """Why there is a wall, or why there is none, between two models that share a start or not."""
    sentence = (
        f"The barrier is how far the error rises above a straight line between the ends' errors ({ENTEZARI}); below "
        f"{100 * CONNECTED_BELOW:g} points two networks count as linearly connected ({FRANKLE}). "
    )
    if shared and barrier.connected:
        return sentence + (
            "These two started from one base. Such models often lie in one valley of the loss, where their average can be "
            f"as good as they are, or better ({PAPER})."
        )
    if shared:
        return sentence + (
            "These two started from one base, which is no warrant: runs that part too early in training can end in "
            f"different valleys ({FRANKLE}), and so can runs at a high learning rate ({PAPER})."
        )
    if barrier.connected:
        return sentence + (
            f"These two share no start. Between such networks there usually is a wall ({ENTEZARI}); between these two none "
            "was found."
        )
    return sentence + (
        "These two share no start. Networks can compute much the same with their neurons in another order, so that the "
        "average of their weights mixes what does not belong together. Where neurons were first put into the same order, "
        f"the wall became lower, in some networks it was gone ({AINSWORTH})."
    )


def onward(context: Context) -> Link:
    a, b = ends_of(context)
    return Link("pages/3_Interpolation.py", "Walk this line, and beyond its ends", {"a": a, "b": b})


LESSON = Lesson(
    "line",
    "The line",
    "fashion",
    "What lies between two fine-tunings of one base?",
    "Walk in a straight line from one model's weights to another's: alpha 0 is the first, 1 the second, ½ their average. "
    "Sketch the accuracy.",
    ask,
    run,
    onward,
)
