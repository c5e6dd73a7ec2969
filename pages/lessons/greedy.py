"""Greedy by hand: the reader accepts or rejects one candidate after the other; the algorithm does the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

import soup_core as sc
from pages.lessons.lesson import PAPER, Lesson, Link, Outcome, Predicted, agreed
from pages.lessons.progress import keep
from pages.shared import drawing
from pages.shared.context import Context
from soup_core import charts
from soup_core.evaluation import best_first
from soup_core.formatting import plain, points, significance

MODELS = 8
DECISIONS = ("accept", "reject")


def walked(evaluate: sc.Evaluator, names: Sequence[str], decisions: Predicted) -> list[sc.GreedyStep]:
    """The search as somebody decides it: a step a candidate, each evaluated with the soup that it meets."""
    soup = sc.Soup.single(names[0])
    first = evaluate(soup)
    steps = [sc.GreedyStep(0, names[0], True, first, first.correct, 0, soup)]
    for index, (name, decision) in enumerate(zip(names[1:], decisions, strict=False), 1):
        changed = soup.add(name)
        evaluation, accepted = evaluate(changed), decision == "accept"
        soup = changed if accepted else soup
        steps.append(sc.GreedyStep(index, name, accepted, evaluation, evaluation.correct, 0, soup))
    return steps


@dataclass(frozen=True)
class Play:
    """A decision a candidate; what each of them did is shown once it is decided."""

    context: Context
    names: tuple[str, ...]

    def draw(self, key: str, so_far: Predicted) -> Predicted:
        """The curve so far, the next candidate, and two buttons."""
        if not self._are_decisions(so_far):
            so_far = ()
        evaluate = self.context.evaluator("held_out")
        steps = walked(evaluate, self.names, so_far)
        name, soup = self.names[len(steps)], evaluate(steps[-1].soup)
        alone = evaluate(sc.Soup.single(name))
        drawing.chart(
            charts.greedy_curve(steps, candidates=len(self.names), label="your soup so far"),
            "by-hand",
            f"Your search so far: {len(steps)} of {len(self.names)} candidates.",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.metric("Your soup", charts.percent(soup), help=charts.counts(soup), width="content")
            st.metric(f"Next: {plain(name)}, alone", charts.percent(alone), help=charts.counts(alone), width="content")
        with st.container(horizontal=True):
            for decision in DECISIONS:
                st.button(
                    decision.capitalize(), on_click=keep, args=(key, (*so_far, decision)), key=f"decide:{decision}"
                )
        settings = self.context.zoo.by_name[name].hyperparameters
        st.caption(plain(", ".join(f"{setting.replace('_', ' ')} {value}" for setting, value in settings.items())))
        return so_far

    def fits(self, predicted: Predicted) -> bool:
        """A decision for every candidate but the first, with which one starts."""
        return len(predicted) == len(self.names) - 1 and all(each in DECISIONS for each in predicted)

    def _are_decisions(self, predicted: Predicted) -> bool:
        return len(predicted) < len(self.names) - 1 and all(each in DECISIONS for each in predicted)


def ask(context: Context) -> Play:
    return Play(context, tuple(best_first(context.singles())[:MODELS]))


def run(context: Context, predicted: Predicted) -> Outcome:
    evaluate, names = context.evaluator("held_out"), ask(context).names
    yours = walked(evaluate, names, predicted)
    greedy = list(sc.greedy_soup(context.zoo, evaluate, order=names, full=True))
    right = [DECISIONS[not step.accepted] for step in greedy[1:]]
    ours, theirs = evaluate(yours[-1].soup), evaluate(greedy[-1].soup)
    same, comparison = sum(a == b for a, b in zip(predicted, right, strict=True)), sc.compare(ours, theirs)
    if yours[-1].soup == greedy[-1].soup:
        verdict = f"and your soup is greedy's, with {charts.percent(ours)}"
    else:
        verdict = f"your soup has {charts.percent(ours)}, greedy's {charts.percent(theirs)}: {points(comparison)}, {significance(comparison)}"
    return Outcome(
        agreed(predicted, right),
        f"{len(yours[-1].soup.names)} models, {charts.percent(ours)}",
        f"{len(greedy[-1].soup.names)} models, {charts.percent(theirs)}",
        charts.two_walks(yours, greedy),
        f"Held-out accuracy of your soup and of greedy's over {len(names)} candidates.",
        f"You decided as greedy did {same} times out of {len(right)}; {verdict}.",
        "Greedy knows nothing of hyperparameters: it tries the average, and keeps it only if more held-out images are "
        f"right; the paper's also where as many are ({PAPER}, recipe 1). It takes no model back, so one early decision can "
        "change all later ones.",
    )


LESSON = Lesson(
    "greedy",
    "Greedy by hand",
    "fashion",
    "Would you let this model into the average?",
    "The best model is in. Candidates come best first. Accept one if you think that the average with it gets more held-out "
    "images right; you see the result after you decided.",
    ask,
    run,
    lambda context: Link("pages/2_Greedy.py", "Watch greedy on all of them", {"step": str(MODELS)}),
)
