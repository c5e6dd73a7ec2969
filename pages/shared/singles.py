"""Every ingredient's own evaluation; until all are known, how far they are and the best one so far are in sight."""

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import soup_core as sc
from pages.shared import drawing
from pages.shared.context import Context
from soup_core.evaluation import best_first
from soup_core.formatting import plain, score


def evaluated(
    context: Context, place: DeltaGenerator | None = None, before: Callable[[], object] | None = None
) -> dict[str, sc.Evaluation]:
    """Each ingredient alone on the held-out images, by name, in the zoo's order; what is not known is evaluated now.

    `place` says meanwhile how many are evaluated; a click ends it, and what was evaluated is kept. Where any is unknown,
    `before` is called first.
    """
    evaluate, names = context.evaluator("held_out"), context.zoo.names
    found: dict[str, sc.Evaluation] = {}
    caption: DeltaGenerator | None = None
    with drawing.errors_shown():
        for count, name in enumerate(names):
            soup = sc.Soup.single(name)
            if (known := evaluate.known(soup)) is None:
                if caption is None:
                    caption = (place or st).empty()
                    if before:
                        before()
                tell = partial(caption.caption, _words(found, count, len(names)))
                tell()
                with sc.interruptible(tell):
                    known = evaluate(soup)
            found[name] = known
    if caption:
        caption.empty()
    return found


def _words(found: dict[str, sc.Evaluation], count: int, total: int) -> str:
    if not found:
        return f"Evaluating each of {total} ingredients, once"
    best = best_first(found)[0]
    return (
        f"Evaluating each ingredient, once: {count} of {total}; the best so far is {plain(best)}, {score(found[best])}"
    )
