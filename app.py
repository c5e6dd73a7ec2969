"""Home: choose a zoo, the headline comparison, and the greedy curve beneath."""

import streamlit as st

import soup_core as sc
from pages.shared import page
from soup_core import charts

here = page.begin(
    "Model Soups Explorer",
    "A **model soup** is one model whose weights are the average of several fine-tuned ones: often more accurate than "
    "the best of them, at the cost of one "
    "([Wortsman et al. 2022](https://arxiv.org/abs/2203.05482)).",
)
zoo = here.zoo
st.subheader(page.plain(zoo.title), anchor=False)
headline = st.container()
curve = st.empty()
note = st.empty()

with page.errors_shown():
    held_out, test = here.evaluator("held_out"), here.evaluator("test")
    with headline, st.spinner("Comparing on the test images…"):
        columns = st.columns(3)
        steps = []
        for step in sc.greedy_soup(zoo, held_out):
            steps.append(step)
        best_name = steps[0].candidate
        best = test(sc.Soup({best_name: 1.0}))
        uniform = test(sc.uniform_soup(zoo))
        greedy = test(steps[-1].soup)
    names = steps[-1].soup.names
    cards = (
        ("Best single model", best, f"{page.plain(best_name)}, chosen on held-out images"),
        ("Uniform soup", uniform, f"average of all {len(zoo.names)}"),
        ("Greedy soup", greedy, f"average of {len(names)}" if len(names) > 1 else "keeps the best one alone"),
    )
    size = sum(tensor.numel() for tensor in zoo.reference.parameters())
    for column, (label, evaluation, what) in zip(columns, cards, strict=True):
        comparison = sc.compare(evaluation, best)
        with column:
            st.metric(
                f"{label}: test accuracy",
                charts.percent(evaluation),
                "the one to beat" if evaluation is best else page.points(comparison),
                border=True,
                delta_arrow="off" if evaluation is best else "auto",
                delta_color="off" if comparison.low <= 0 <= comparison.high else "normal",
                help=f"{charts.counts(evaluation)}; the interval is 95 %, paired with the best single model "
                f"(McNemar p = {comparison.p_value:.2g}).",
            )
            st.caption(f"{what}. Inference: 1 model, {size:,} weights, 1 forward pass.")
    with curve:
        page.chart(
            charts.greedy_curve(steps, candidates=len(zoo.names)), "curve",
            f"Greedy search over {len(zoo.names)} candidates; {len(names)} were accepted.",
        )  # fmt: skip
    gain = sc.compare(greedy, best)
    selection = (
        100
        * (steps[-1].soup != steps[0].soup)
        * (held_out(steps[-1].soup).accuracy - held_out(sc.Soup({best_name: 1.0})).accuracy)
    )
    if len(names) == 1:
        sentence = "Here no average beats the best model on the held-out images, so greedy keeps that model alone."
    else:
        sure = "more than chance explains" if gain.low > 0 else "within what chance explains"
        sentence = (
            f"Averaging {len(names)} of {len(zoo.names)} models changes test accuracy by {page.points(gain)}, {sure}; "
            f"on the held-out images that chose them it was {selection:+.2f} points."
        )
    note.markdown(f"**{sentence}**")

st.markdown("Next:")
for column, (path, label) in zip(
    st.columns(3),
    (
        ("pages/1_Ingredients.py", "Toggle ingredients yourself"),
        ("pages/2_Greedy.py", "Watch the greedy search"),
        ("pages/3_Interpolation.py", "Walk the line between two"),
    ),
    strict=True,
):
    column.page_link(path, label=label, icon=":material/arrow_forward:")
