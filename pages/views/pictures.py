"""What is classified: some of a zoo's images as they are, and what a real shift makes of them, with the numbers beside."""

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

import soup_core as sc
from pages.shared.context import Context
from pages.shared.sentences import sentences
from soup_core.data import bundled_set
from soup_core.formatting import percent, plain, points

SHOWN = 12  # classes, one image of each
GAP, TIMES = 4, 2  # pixels between images, and how many times as large they are drawn


def draw(context: Context, best: sc.Soup, greedy: sc.Soup) -> None:
    """Images of the test split and of each real shift, and both soups' accuracies on them.

    Nothing without such a shift, and nothing of images that are not bundled, which would have to be decoded first.
    """
    data = context.zoo.data
    shifts = data.real_shifts() if bundled_set(data.source) else ()
    if not shifts:
        return
    st.markdown("##### What is classified", help="One image of each of some classes, the same in every row.")
    for split in ("test", *(f"test:{shift}" for shift in shifts)):
        _row(context, split, best, greedy)


def _row(context: Context, split: str, best: sc.Soup, greedy: sc.Soup) -> None:
    evaluate = context.evaluator(split)
    one, other = evaluate(best), evaluate(greedy)
    _, _, shift = split.partition(":")
    where = f"Under the shift {plain(shift)}" if shift else f"Test {context.zoo.data.things}"
    gain = points(sc.compare(other, one))
    st.markdown(f"{where}: best single model {percent(one)}, greedy soup {percent(other)}, {gain}")
    if evaluate.data.tokens is not None:
        _sentences(evaluate.data, context.zoo.data.classes)
        return
    strip, names = _strip(evaluate.data, context.zoo.data.classes)
    st.image(strip, output_format="PNG", alt=f"{where}, an image each of {', '.join(names)}")


def _sentences(split: sc.data.Split, classes: tuple[str, ...]) -> None:
    """The first text of each class, as literal text."""
    for label in split.labels.unique().tolist()[:SHOWN]:
        text = " / ".join(sentences(split, int((split.labels == label).nonzero()[0, 0])))
        st.caption(f"{plain(classes[label]) if label < len(classes) else label}: “{plain(text)}”")


def _strip(split: sc.data.Split, classes: tuple[str, ...]) -> tuple[NDArray[np.uint8], list[str]]:
    """An image of every so manieth class in a row, and the classes' names."""
    count = int(split.labels.max()) + 1
    labels = torch.linspace(0, count - 1, min(SHOWN, count)).round().long().tolist()
    images = [split.images[(split.labels == label).nonzero()[0, 0]] for label in labels]
    gap = torch.full((*images[0].shape[:2], GAP), 255, dtype=torch.uint8)
    row = torch.cat([part for image in images for part in (image, gap)][:-1], 2)
    pixels = row.permute(1, 2, 0).numpy().repeat(TIMES, 0).repeat(TIMES, 1)
    return (pixels if pixels.shape[2] == 3 else pixels[..., 0]), [classes[label] for label in labels]
