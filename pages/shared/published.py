"""A zoo of published results, drawn: what needs accuracies alone; models themselves are not there."""

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from pages.shared import address, drawing
from soup_core.analysis import published
from soup_core.analysis.published import QUANTITIES, TEST, Results, estimate
from soup_core.charts.published import LABELS, MARKED, drop_points, hyperparameter_points, robustness_scatter
from soup_core.formatting import labels, plain, points, visible

UNPAIRED = (
    "Unpaired: published results do not say which images a model has right, so the two count as independent; the 95 % "
    "interval is too wide where both are right on the same images."
)


def draw(results: Results) -> None:
    """Draw the view of a results zoo, from the headline numbers down to what would need weights."""
    st.subheader(plain(results.title), anchor=False)
    for notice in results.notices:
        st.info(plain(notice))
    _headline(results)
    st.caption(f"The best single model is {plain(results.best.name)}, chosen on the held-out set.")
    drawing.chart(
        robustness_scatter(results),
        "published-robustness",
        f"Test accuracy against the mean of five shifts: {len(results.models)} models and {len(results.soups)} soups.",
    )
    if len(results.models) > MARKED:
        st.caption(
            f"The {MARKED} best on the held-out set are marks with their intervals; cells tell how many of all "
            f"{len(results.models):,} lie where, the darker the more."
        )
    st.markdown(f"**{_robustness(results)}**")
    st.markdown("##### Chosen on the held-out set, reported on the others")
    _gains(results)
    _correlations(results)
    with st.expander("All models, best on the held-out set first"):
        st.dataframe(
            [row(model) for model in [*results.ranking, *([results.base] if results.base else [])]],
            hide_index=True,
            column_config=_formats(results),
            alt="Every model with its accuracies in percent and its hyperparameters, best on the held-out set first.",
        )
    if results.hyperparameters:
        st.markdown("##### Hyperparameters")
        _hyperparameters(results)
    st.markdown("##### What each shift costs", help="The share of its test accuracy that a model loses on a shift.")
    shown = {"best on the held-out set": results.best, **{LABELS[soup.kind]: soup for soup in results.soups}}
    drawing.chart(drop_points(shown), "published-drops", "Relative drop from test accuracy on each of five shifts.")
    st.caption(published.NEEDS_WEIGHTS)


def _headline(results: Results) -> None:
    best = results.best
    shown = [("Best single model", best)]
    shown += [(LABELS[soup.kind].capitalize(), soup) for soup in results.soups]
    for column, (label, model) in zip(st.columns(len(shown)), shown, strict=True):
        score = model.scores[published.TEST_SET]
        gain = estimate(model, TEST, against=best)
        column.metric(
            f"{label}, test",
            _percent(score.accuracy),
            "the one to beat" if model is best else f"{100 * gain.value:+.2f} points",
            delta_arrow="off" if model is best else "auto",
            delta_color="off" if gain.spans_zero else "normal",
            help=f"{score.correct:,} of {score.total:,} images"
            + ("." if model is best else f"; against the best single model {points(gain)}. {UNPAIRED}"),
        )


def _robustness(results: Results) -> str:
    if not results.soups:
        return "The folder holds no results of soups, so the models stand alone."
    counts = []
    for soup in results.soups:
        above = sum(model.shifts.value > soup.shifts.value for model in results.models)
        counts.append(f"{above or 'none'} above the {LABELS[soup.kind]}")
    return f"Of {len(results.models)} single models, by their mean over the shifts: {', '.join(counts)}."


def _gains(results: Results) -> None:
    quantities = {**QUANTITIES, "selection gap": published.SELECTION_GAP}
    if results.soups:
        st.dataframe(
            [
                {
                    "against the best single model": LABELS[soup.kind],
                    **{
                        f"{name}, unpaired": points(estimate(soup, quantity, against=results.best))
                        for name, quantity in quantities.items()
                    },
                }
                for soup in results.soups
            ],
            hide_index=True,
            alt="What each soup gains over the best single model, and its selection gap.",
        )
        st.caption(f"The selection gap is the held-out gain less the test gain. {UNPAIRED}")


def _correlations(results: Results) -> None:
    for models, over in published.correlated(results):
        correlations = [
            f"of {one} with {other} accuracy {estimated.value:.3f} ({estimated.low:.3f} to {estimated.high:.3f})"
            for one, other in published.CORRELATED
            if (estimated := published.correlation(models, QUANTITIES[one], QUANTITIES[other]))
        ]
        if correlations:
            st.markdown(f"Correlation over {plain(over)}: {'; '.join(correlations)}.")


def _hyperparameters(results: Results) -> None:
    with st.container(horizontal=True):
        chosen = st.selectbox(
            "Hyperparameter",
            results.hyperparameters,
            **address.bound("published-hyperparameter", of_zoo=True),
            format_func=labels(results.hyperparameters, visible),
        )
        quantity = st.segmented_control(
            "Accuracy",
            list(QUANTITIES),
            default="held-out",
            required=True,
            **address.bound("published-quantity", of_zoo=False),
        )
    drawing.chart(
        hyperparameter_points(results, chosen, quantity),
        f"published-hyperparameter-{chosen}-{quantity}",
        f"{chosen} against {quantity} accuracy of {len(results.models)} models.",
    )
    correlation = published.rank_correlation(results.models, chosen, QUANTITIES[quantity])
    if correlation is not None:
        st.markdown(
            f"Rank correlation of {plain(chosen)} with {quantity} accuracy: {correlation:+.2f} over {len(results.models)} "
            "fine-tuned models; other hyperparameters vary along with it."
        )


def row(model: published.PublishedModel) -> dict[str, object]:
    """A model as a row of the ranking."""
    accuracies = {f"{name} (%)": 100 * model.accuracy(quantity) for name, quantity in QUANTITIES.items()}
    shifts = {f"{shift} (%)": 100 * model.scores[shift].accuracy for shift in published.SHIFTS}
    kind = "base" if model.kind == "base" else "fine-tuned"
    own = {"name": model.name, "kind": kind, **accuracies}
    return own | {name: value for name, value in model.hyperparameters.items() if name not in own} | shifts


def _formats(results: Results) -> dict[str, ColumnConfig]:
    """Two decimals for percents, three digits for hyperparameters that are numbers."""
    values = {name: [model.hyperparameters.get(name) for model in results.models] for name in results.hyperparameters}
    numeric = [name for name, given in values.items() if all(isinstance(value, (int, float)) for value in given)]
    formats = {name: "%.3g" for name in numeric} | {f"{name} (%)": "%.2f" for name in (*QUANTITIES, *published.SHIFTS)}
    return {name: st.column_config.NumberColumn(format=form) for name, form in formats.items()}


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f} %"
