"""Home of a zoo of outputs: the best single model against its ensembles, the search for the greedy one, and all models."""

import streamlit as st

import soup_core as sc
from pages.shared import drawing, scores
from pages.shared.outputs import Outputs
from pages.views import export
from soup_core import charts
from soup_core.analysis.outputs import on_test
from soup_core.evaluation import accuracy_interval, best_first, compare_values
from soup_core.formatting import plain, score, score_change, significance
from soup_core.recipes.greedy_ensemble import greedy_ensemble

LABELS = {"best": "Best single model", "ensemble": "Ensemble of all", "greedy-ensemble": "Greedy ensemble"}


def draw(outputs: Outputs) -> None:
    """Draw the headline, the greedy search, and the table of models."""
    zoo, held_out = outputs.zoo, outputs.evaluator("held_out")
    st.subheader(plain(zoo.title), anchor=False)
    with drawing.waiting("Comparing on the test images"):
        steps = list(greedy_ensemble(zoo, held_out))
        found = {member.role: (member, its) for member, its in on_test(held_out).items() if member.role in LABELS}
    best, greedy = found["best"][1], found["greedy-ensemble"][1]
    for column, (role, label) in zip(st.columns(len(LABELS)), LABELS.items(), strict=True):
        member, evaluation = found[role]
        count, comparison, metric = len(member.soup.names), compare_values(evaluation, best), evaluation.metric
        what = f"{plain(member.soup.names[0])}, chosen on the held-out images"
        if role != "best":
            what = f"Averages what {count} models say, and costs as many"
        with column:
            st.metric(
                f"{label}: test {metric.name}",
                score(evaluation),
                "the one to beat" if role == "best" else score_change(comparison, metric),
                border=True,
                delta_arrow="off" if role == "best" else "auto",
                delta_color=scores.tone(comparison, metric),
                help=f"{what}. {charts.counts(evaluation)}; the interval is 95 %, paired with the best single model "
                f"({scores.test_in_words(comparison)}).",
            )
    chosen, gain = found["greedy-ensemble"][0].soup.names, compare_values(greedy, best)
    if len(chosen) == 1:
        st.markdown(
            "**Here no ensemble beats the best model on the held-out images, so greedy keeps that model alone.**"
        )
    else:
        st.markdown(
            f"**Averaging what {len(chosen)} of {len(zoo.names)} models say: {scores.by_name(gain, greedy.metric)} on test images, "
            f"{significance(gain)}, at the cost of {len(chosen)}.**"
        )
    st.markdown(
        "##### The search for the greedy ensemble",
        help="From the best model on, each next one joins only if what all say together gets better on the held-out images "
        "(Caruana et al. 2004).",
    )
    drawing.chart(
        charts.greedy_curve(steps, candidates=len(zoo.names), label="greedy ensemble so far"),
        "curve",
        f"Greedy search over {len(zoo.names)} candidates for an ensemble; {len(chosen)} were accepted.",
    )
    _models(outputs)


def _models(outputs: Outputs) -> None:
    """All models, best on the held-out images first, with intervals."""
    evaluations = {split: outputs.evaluator(split).singles() for split in ("held_out", "test")}
    order = best_first(evaluations["held_out"])
    st.markdown("##### Models, best on the held-out images first")
    st.dataframe(
        [
            {
                "model": name,
                "held-out": _with_interval(evaluations["held_out"][name]),
                "test": _with_interval(evaluations["test"][name]),
                **_by_metric(evaluations["test"][name]),
                "test loss": evaluations["test"][name].loss,
                "calibration error (%)": 100 * evaluations["test"][name].ece,
                **_own(outputs, name),
            }
            for name in order
        ],
        hide_index=True,
        column_config={
            "test loss": st.column_config.NumberColumn(format="%.4f", help="Mean cross-entropy in nats."),
            "calibration error (%)": st.column_config.NumberColumn(format="%.2f"),
        },
        alt="Every model with its held-out and test accuracy, 95 % intervals, loss and calibration error.",
    )
    export.table_buttons(
        lambda: (
            {
                "model": name,
                **{
                    f"{split}_{key}": value for split in evaluations for key, value in _counts(evaluations[split][name])
                },
            }
            for name in order
        ),
        "models",
    )


def _by_metric(evaluation: sc.Evaluation) -> dict[str, object]:
    return {f"test {evaluation.metric.name}": score(evaluation)} if evaluation.measured else {}


def _own(outputs: Outputs, name: str) -> dict[str, object]:
    given = outputs.zoo.by_name[name].hyperparameters
    return {f"{key} ": value for key, value in given.items()}  # the space parts them from the columns before


def _counts(evaluation: sc.Evaluation) -> tuple[tuple[str, object], ...]:
    low, high = accuracy_interval(evaluation)
    return ("correct", evaluation.correct), ("total", evaluation.total), ("low", low), ("high", high)


def _with_interval(evaluation: sc.Evaluation) -> str:
    low, high = accuracy_interval(evaluation)
    return f"{charts.percent(evaluation)} ({100 * low:.2f} to {100 * high:.2f})"
