"""A fine-tuning on the Train page: as it goes on, and what greedy makes of what came out."""

from collections.abc import Mapping, Sequence

import streamlit as st

import soup_core as sc
from pages.shared import caching, drawing
from pages.shared.context import Context
from soup_core import charts
from soup_core.analysis.acceptance import Acceptance, acceptances
from soup_core.evaluation import best_first
from soup_core.finetune import FinetuneStep, Hyperparameters
from soup_core.formatting import plain, points, significance
from soup_core.jobs import Progress


def draw(context: Context, singles: Mapping[str, sc.Evaluation], progress: Progress) -> None:
    """The runs so far: numbers, then accuracy and loss, then what greedy makes of the outcome."""
    zoo, steps = context.zoo, progress.steps
    if caching.zoo_stamp(zoo.folder) != context.zoo_key.stamp:
        st.rerun()  # a new ingredient is there, which this run of the page has not opened
    if not steps:
        st.info("Training begins; accuracy and loss will be drawn here, epoch by epoch.")
        return
    names = [step.name for step in steps if step.name in zoo.names] if progress.ended else []
    with drawing.errors_shown():
        accepted = list(acceptances(zoo, context.evaluator("held_out"), [name for name in names if name]))
        if accepted:
            _numbers(context, singles, accepted)
        else:
            _progress(steps[-1], singles)
    before = singles[best_first({name: singles[name] for name in zoo.names if name not in names})[0]]
    left, right = st.columns(2)
    with left:
        drawing.chart(
            charts.training_accuracy(steps, before),
            "accuracy",
            f"Held-out accuracy after each epoch of {steps[-1].run} runs, against the best single model.",
        )
    with right:
        drawing.chart(
            charts.training_losses(steps), "loss", f"Loss over {steps[-1].epoch} epochs of run {steps[-1].run}."
        )
    if accepted or progress.state == "done":
        st.markdown(f"**{_meaning(steps, accepted)}**")


def _progress(step: FinetuneStep, singles: Mapping[str, sc.Evaluation]) -> None:
    first, second, third = st.columns(3)
    change = step.held_out.accuracy - max(each.accuracy for each in singles.values())
    first.metric(
        "Held-out accuracy",
        charts.percent(step.held_out),
        f"{100 * change:+.2f} to the best single",
        delta_color="off",
        help=charts.counts(step.held_out),
    )
    second.metric("Epoch", f"{step.epoch} of {step.hyperparameters.epochs}")
    if step.runs > 1:
        third.metric("Run", f"{step.run} of {step.runs}", help=_recorded(step.hyperparameters))
    else:
        third.metric("Training loss", f"{step.loss:.3f}", help="The mean over the epoch, in nats.")


def _numbers(context: Context, singles: Mapping[str, sc.Evaluation], acceptances: Sequence[Acceptance]) -> None:
    zoo, held_out = context.zoo, context.evaluator("held_out")
    new = [each.name for each in acceptances]
    best = max(acceptances, key=lambda each: each.single.correct)
    rival = singles[best_first({name: singles[name] for name in zoo.names if name not in new})[0]]
    columns = st.columns(3)
    comparison = sc.compare(best.single, rival)
    columns[0].metric(
        f"{plain(best.name)}{', the best' if len(new) > 1 else ''}: held-out accuracy",
        charts.percent(best.single),
        f"{100 * comparison.difference:+.2f} points",
        delta_color="off" if comparison.spans_zero else "normal",
        help=f"{charts.counts(best.single)}; against the best single model before {points(comparison)}.",
    )
    taken = sum(each.accepted for each in acceptances)
    columns[1].metric(
        "Greedy", f"takes {taken} of {len(new)}" if len(new) > 1 else "takes it" if taken else "leaves it out"
    )
    order = best_first({name: singles[name] for name in zoo.names})
    known = [name for name in order if name not in new]
    with_new, without = (list(sc.greedy_soup(zoo, held_out, order=names))[-1].soup for names in (order, known))
    after, before = held_out(with_new), held_out(without)
    comparison = sc.compare(after, before)
    columns[2].metric(
        "Greedy soup, held-out",
        charts.percent(after),
        f"{100 * comparison.difference:+.2f} points",
        delta_color="off" if comparison.spans_zero else "normal",
        help=f"{charts.counts(after)}; against greedy without what is new {points(comparison)}.",
    )


def _meaning(steps: Sequence[FinetuneStep], acceptances: Sequence[Acceptance]) -> str:
    lost = sum(step.diverged for step in steps)
    if not acceptances:
        if lost:
            return "The numbers are no longer finite, so nothing was added; try a lower learning rate."
        return "What these runs made is no longer in the zoo; train again to have it back."
    if len(acceptances) > 1:
        taken = [plain(each.name) for each in acceptances if each.accepted]
        added = (
            f"Of {len(acceptances)} new ingredients greedy takes {len(taken)}{': ' if taken else ''}{', '.join(taken)}."
        )
        return f"{added} {lost} runs ended in numbers that are not finite, and added none." if lost else added
    (one,) = acceptances
    name, change = plain(one.name), points(one.comparison)
    counted = f"{one.after.correct:,} of {one.after.total:,} held-out images right instead of {one.before.correct:,}, {change}"
    sure = f", {significance(one.comparison)}" if one.comparison.spans_zero else ""
    if one.starts:
        return f"Greedy starts from {name}, now the best single model: it gets {counted}{sure}."
    verb = "takes" if one.accepted else "leaves out"
    return f"Greedy {verb} {name}: with it the soup gets {counted}{sure}."


def _recorded(hyperparameters: Hyperparameters) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in hyperparameters.recorded().items())
