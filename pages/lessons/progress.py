"""A reader's progress: the answers to lessons, with their scores, kept in the address and for the session."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.lessons.lesson import Predicted, is_number
from pages.shared import session
from soup_core.formatting import plain


@dataclass(frozen=True)
class Answer:
    """What was predicted in a lesson, and its score, None until the run has given it."""

    predicted: Predicted
    score: int | None = None


def answers() -> dict[str, Answer]:
    """By lesson, what the address holds, or the session: a change of page clears the address."""
    text = st.query_params.get("answered") or st.session_state.get(session.ANSWERED)
    if text is None:
        return {}
    try:
        kept = read(text)
    except ValueError as error:
        begin_again()
        st.warning(f"The answers in the address cannot be read: {plain(str(error))}")
        return {}
    st.session_state[session.ANSWERED] = text
    if "answered" not in st.query_params:
        st.query_params["answered"] = text
    return kept


def read(text: str) -> dict[str, Answer]:
    """Read {lesson: [score or null, what was predicted, …]}. Raises ValueError for anything else."""
    try:
        content = json.loads(text)
        kept = {key: (score, tuple(predicted)) for key, (score, *predicted) in content.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"expected JSON of lessons and lists, found {text[:60]!r}.") from error
    for key, (score, predicted) in kept.items():
        if not (score is None or (isinstance(score, int) and is_number(score, 0, 100))):
            raise ValueError(f"a score is a whole number from 0 to 100, found {score!r} in {key!r}.")
        if not all(isinstance(each, str) or is_number(each, -math.inf, math.inf) for each in predicted):
            raise ValueError(f"an answer is of numbers and words, found another thing in {key!r}.")
    return {key: Answer(predicted, score) for key, (score, predicted) in kept.items()}


def keep(key: str, predicted: Predicted, score: int | None = None) -> None:
    """Keep an answer for the session and in the address."""
    _write({**answers(), key: Answer(predicted, score)})


def drop(key: str) -> None:
    """Let an answer go."""
    _write({other: answer for other, answer in answers().items() if other != key})


def begin_again() -> None:
    """Let all answers go."""
    _write({})


def _write(kept: Mapping[str, Answer]) -> None:
    if not kept:
        st.session_state.pop(session.ANSWERED, None)
        st.query_params.pop("answered", None)
        return
    content = {key: [answer.score, *answer.predicted] for key, answer in kept.items()}
    text = json.dumps(content, separators=(",", ":"))
    st.session_state[session.ANSWERED] = st.query_params["answered"] = text
