"""Home: choose a zoo, the headline comparison, every recipe against its cost, and the greedy search."""

import streamlit as st

import soup_core as sc
from pages.shared import attribution, doubts, drawing, page, scores, work
from pages.views import export, home, pictures
from pages.views.outputs import home as outputs_home
from soup_core import charts
from soup_core.analysis.face_off import recipes_of
from soup_core.evaluation import compare_values
from soup_core.export import entry_rows
from soup_core.formatting import plain, points, score, score_change, significance
from soup_core.jobs import Progress

context = page.begin(
    "Home",
    "A **model soup** averages the weights of several fine-tuned models "
    "([Wortsman et al. 2022](https://arxiv.org/abs/2203.05482)).",
    "Model Soups Explorer",
    on_outputs=outputs_home.draw,
)
zoo = context.zoo
doubt = st.container()
st.subheader(plain(zoo.title), anchor=False)
if layout := zoo.data.layout():
    folders = (f"{split.replace('_', '-')} {plain(folder)}" for split, folder in layout.items())
    st.caption(f"{'Files' if zoo.data.holds_texts else 'Folders'} of {zoo.data.things}: {'; '.join(folders)}.")
headline, note = st.container(), st.empty()
seen, onward, against_cost, search = st.container(), st.container(), st.container(), st.container()

with drawing.errors_shown():
    with doubt:
        doubts.callout(context)
    held_out, test = context.evaluator("held_out"), context.evaluator("test")
    with headline, st.spinner(f"Comparing on the test {zoo.data.things}…"):
        columns = [column.empty() for column in st.columns(3)]
        uniform = test(sc.uniform_soup(zoo))
        steps = home.greedy_steps(context, columns[1], uniform)
        best_name = steps[0].candidate
        best = test(sc.Soup.single(best_name))
        greedy = test(steps[-1].soup)
    names = steps[-1].soup.names
    cards = (
        ("Best single model", best, f"{plain(best_name)}, chosen on held-out {zoo.data.things}"),
        ("Uniform soup", uniform, f"Average of all {len(zoo.names)}"),
        ("Greedy soup", greedy, f"Average of {len(names)}" if len(names) > 1 else "Keeps the best one alone"),
    )
    size = sum(tensor.numel() for tensor in zoo.reference.parameters())
    for column, (label, evaluation, what) in zip(columns, cards, strict=True):
        metric, comparison = evaluation.metric, compare_values(evaluation, best)
        with column:
            st.metric(
                f"{label}: test {metric.name}",
                score(evaluation),
                "the one to beat" if evaluation is best else score_change(comparison, metric),
                border=True,
                delta_arrow="off" if evaluation is best else "auto",
                delta_color=scores.tone(comparison, metric),
                help=f"{what}. Inference: 1 model, {size:,} weights, 1 forward pass. {charts.counts(evaluation)}; the interval "
                f"is 95 %, paired with the best single model ({scores.test_in_words(comparison)}).",
            )
    gain = compare_values(greedy, best)
    chosen_by = held_out(steps[-1].soup)
    selection = compare_values(chosen_by, held_out(steps[0].soup))
    if len(names) == 1:
        sentence = (
            f"Here no average beats the best model on the held-out {zoo.data.things}, so greedy keeps that model alone."
        )
    else:
        gained = f"{scores.by_name(gain, greedy.metric)} on test {zoo.data.things}"
        sentence = f"Averaging {len(names)} of {len(zoo.names)} models: {gained}, at the cost of one."
    note.markdown(f"**{sentence}**")
    with seen:
        pictures.draw(context, steps[0].soup, steps[-1].soup)
    with search:
        st.markdown("##### The greedy search", help="Each candidate stays only if the average gets better.")
        drawing.chart(
            charts.greedy_curve(steps, candidates=len(zoo.names)),
            "curve",
            f"Greedy search over {len(zoo.names)} candidates; {len(names)} were accepted.",
        )
        if len(names) > 1:
            st.caption(
                f"Its gain on the test {zoo.data.things} is {significance(gain)}; on the held-out {zoo.data.things}, which chose "
                f"its models, it was {scores.short_change(selection, chosen_by.metric)}."
            )

with onward:
    for column, (path, label) in zip(
        st.columns(4),
        (
            ("pages/1_Ingredients.py", "Toggle ingredients"),
            ("pages/2_Greedy.py", "Watch greedy choose"),
            ("pages/3_Interpolation.py", "Walk between two"),
            ("pages/7_Learn.py", "Take a lesson"),
        ),
        strict=True,
    ):
        column.page_link(path, label=label, icon=":material/arrow_forward:", width="stretch")


def draw(progress: Progress) -> None:
    """The entries so far as a chart and a table."""
    entries: tuple[sc.RecipeResult, ...] = progress.steps
    drawing.chart(
        charts.cost_chart(entries, best),
        "cost",
        f"Test accuracy of {len(entries)} recipes against the number of models that each runs for one {zoo.data.thing}.",
    )
    if entries:
        with st.expander(f"{len(entries)} recipes: what each gains, costs and does"):
            st.dataframe(
                [row(entry) for entry in entries],
                hide_index=True,
                alt="Every recipe with its test accuracy, its gain over the best single model, and its cost.",
            )
            export.table_buttons(lambda: entry_rows(entries, best), "recipes")
            for entry in entries:
                st.markdown(f"**{entry.about.name}.** {entry.about.text} ([{entry.about.paper}]({entry.about.link}))")


def row(entry: sc.RecipeResult) -> dict[str, object]:
    """An entry as a row of the table."""
    cost = entry.cost
    return {
        "recipe": entry.about.name,
        "test": charts.percent(entry.test),
        "against the best single": points(sc.compare(entry.test, best)),
        "held-out": charts.percent(entry.held_out),
        **({f"test {entry.test.metric.name}": score(entry.test)} if entry.test.measured else {}),
        "models run": cost.models,
        f"time {'a text' if zoo.data.holds_texts else 'an image'}": f"{1e6 * cost.seconds_per_image:.0f} µs",
        "weights": f"{cost.megabytes:.1f} MB",
    }


with against_cost, drawing.errors_shown():
    # the browser has the cores first: this is the page that a server's first visitor waits for
    job = work.job_of(context, work.task(context, "face-off"), "Compare all recipes", rest=work.PAINT_SECONDS)
    if job is None:
        st.caption("On a zoo of this size it takes a while.")
    else:
        work.follow(job, recipes_of(zoo), "Comparing recipes", draw)

attribution.draw(zoo)
