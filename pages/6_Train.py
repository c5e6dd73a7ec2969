"""Train: one more fine-tuning of the base, or a random search of several; the new ingredients join the zoo."""

from dataclasses import asdict
from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import address, caching, drawing, page, scores, work
from pages.views import train, training_controls
from soup_core import charts
from soup_core.evaluation import best_first
from soup_core.finetune import training_images
from soup_core.formatting import labels, plain, score, visible
from soup_core.jobs import Task
from soup_core.zoo import user_ingredients

context = page.begin(
    "Train", "Fine-tune the base once more: the new ingredient joins the zoo, and if greedy takes it, the soup."
)
zoo = context.zoo
itself = caching.open_zoo(  # without what was added, so that adding to it changes no job
    caching.ZooKey(str(zoo.folder), context.zoo_key.stamp)
)
with drawing.errors_shown():
    held_out = context.evaluator("held_out")
    singles = context.singles()
side = held_out.data.side


def asked() -> Task:
    """The controls' runs, from the base, or from an ingredient where there is none."""
    runs, start = training_controls.settings(itself, side), sc.BASE
    if zoo.base is None:
        best = best_first({name: singles[name] for name in itself.names})[0]
        start = st.selectbox(
            "Start from",
            itself.names,
            itself.names.index(best),
            **address.bound("start", of_zoo=True),
            format_func=labels(itself.names, visible),
            width=200,
            help="This zoo has no base. A random start would give a stranger, which does not soup; the "
            "new one will soup with the ingredient that it starts from.",
        )
    arguments = {"hyperparameters": [asdict(each) for each in runs], "start": start, "beside": zoo.name}
    computing = context.device, context.precision, context.memory
    return Task("finetune", str(zoo.folder), *computing, arguments=arguments, metric=zoo.metric)


def waiting() -> None:
    """What a new ingredient will have to beat."""
    steps = list(sc.greedy_soup(zoo, held_out))
    best, greedy = steps[0], held_out(steps[-1].soup)
    first, second, third = st.columns(3)
    alone = singles[best.candidate]
    first.metric(scores.label("Best single model, held-out", alone), score(alone), help=plain(best.candidate))
    second.metric(scores.label("Greedy soup, held-out", greedy), score(greedy), help=charts.counts(greedy))
    third.metric("In the greedy soup", f"{len(steps[-1].soup.names)} of {len(zoo.names)}")
    drawing.chart(
        charts.ingredient_points(singles, steps[-1].soup.names),
        "points",
        f"Held-out accuracy of {len(zoo.names)} ingredients; those in the greedy soup are filled.",
    )
    st.markdown("**Greedy takes a new ingredient if the soup that it meets then gets more held-out images right.**")


def own() -> None:
    """What was added to this zoo, to be looked at and removed."""
    names = [path.stem for path in user_ingredients.files_of(zoo.name)]
    if not names:
        return
    with st.expander(f"Added by you: {len(names)}"):
        rows = [
            {"ingredient": name, "held-out": charts.percent(singles[name]), **zoo.by_name[name].hyperparameters}
            for name in names
            if name in singles
        ]
        st.dataframe(rows, hide_index=True, alt="The added ingredients with their accuracy and hyperparameters.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            gone = st.pills("Take away", names, selection_mode="multi", key=address.of_zoo("gone"), format_func=plain)
            if st.button("Remove", disabled=not gone, icon=":material/delete:"):
                with drawing.errors_shown():
                    for name in gone:
                        user_ingredients.remove(zoo.name, name)
                st.rerun()


with st.container(horizontal=True, vertical_alignment="bottom"):
    task = asked()
    begun = st.button("Train", type="primary", icon=":material/model_training:")
if begun:
    with drawing.errors_shown():
        training_images(itself)
        caching.jobs().submit(task, itself, again=True)
job = caching.jobs().latest("finetune", itself)
if job is None:
    with drawing.errors_shown():
        waiting()
else:
    total = sum(int(each["epochs"]) for each in job.task.arguments["hyperparameters"])
    work.follow(job, total, "Training", partial(train.draw, context, singles))
own()
