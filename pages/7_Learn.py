"""Learn: short lessons on the bundled zoos; the reader predicts, the models are run, and the difference is explained."""

import streamlit as st

from pages.lessons import LESSONS, progress
from pages.shared import address, drawing, page

TITLES, KEYS = [each.title for each in LESSONS], {each.key for each in LESSONS}

opened = page.head("Learn", "Predict first, then see.")
known = progress.answers()


def go_to(title: str) -> None:
    st.session_state["lesson"] = title


with st.container(horizontal=True, vertical_alignment="bottom"):
    title = st.selectbox("Lesson", TITLES, **address.bound("lesson", of_zoo=False), width=240)
    place = TITLES.index(title)
    st.button("Next", on_click=go_to, args=(TITLES[(place + 1) % len(TITLES)],), icon=":material/arrow_forward:")
    st.button(
        "Begin again",
        on_click=progress.begin_again,
        disabled=not known,
        icon=":material/restart_alt:",
        help="Forget all predictions and scores.",
    )
chosen = LESSONS[place]

with drawing.errors_shown():
    context = opened.on(chosen.zoo)
    asked = chosen.ask(context)
answer = known.get(chosen.key, progress.Answer(()))
answered = asked.fits(answer.predicted)
st.subheader(f"{place + 1}. {chosen.question}", anchor=False, help=chosen.setting if answered else None)
if not answered:
    st.markdown(chosen.setting)
    with st.container(key="prediction"), drawing.errors_shown():
        predicted = asked.draw(chosen.key, answer.predicted)
        whole = asked.fits(predicted)
        st.markdown(f"**{'Ready? Then see the run.' if whole else 'Say what you expect; the run follows.'}**")
        if whole and st.button("See the run", type="primary"):
            progress.keep(chosen.key, predicted)  # a callback would have that of an earlier run
            st.rerun()
else:
    with drawing.waiting("Running the models of this lesson, which takes seconds"):
        outcome = chosen.run(context, answer.predicted)
    if outcome.score != answer.score:
        progress.keep(chosen.key, answer.predicted, outcome.score)
    with st.container(horizontal=True, gap="medium"):
        st.metric("You said", outcome.predicted, width="content")
        st.metric("The run", outcome.result, width="content")
        st.metric("Score", f"{outcome.score} of 100", width="content")
    drawing.chart(outcome.figure, f"lesson-{chosen.key}", outcome.alt)
    st.markdown(f"**{outcome.sentence}**")
    st.markdown(outcome.why)
    onward = chosen.onward(context)
    with st.container(horizontal=True, vertical_alignment="center", key="prediction"):
        st.page_link(
            onward.path,
            label=onward.label,
            icon=":material/arrow_forward:",
            query_params={**context.address, **onward.state},
        )
        st.button("Predict again", on_click=progress.drop, args=(chosen.key,))
given = [answer for key, answer in progress.answers().items() if key in KEYS]
scores = [answer.score for answer in given if answer.score is not None]
st.caption(
    f"Score: {sum(scores)} of {100 * len(LESSONS):,}, with {len(scores)} of {len(LESSONS)} lessons answered. This one runs on "
    f"the zoo {chosen.zoo}, whichever is open."
)
