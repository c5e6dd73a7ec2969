"""Icons drawn as small grey pictures by resvg, bright on black, and without near copies of each other."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soup_core.errors import DataError

SIDE = 28  # pixels, as Fashion-MNIST's
LEVELS = 16  # of grey, since antialiased edges show no more and the files become smaller by an eighth
NEAR_COPY = 0.12  # of the ink of two pictures, by which they differ at least to count as two
EMPTY = 3.0  # mean grey, below which there is no picture to recognise
Picture = NDArray[np.uint8]


def drawn(svg: str) -> Picture:
    """An icon as SIDE×SIDE uint8, 255 where it is drawn, in LEVELS shades.

    Raises DataError where resvg-py is not installed, or cannot draw it.
    """
    try:
        import resvg_py  # for this alone, so no requirement of the app
        from PIL import Image
    except ImportError as error:
        raise DataError("Icons are drawn by resvg-py; install it by pip install resvg-py==0.5.0.") from error
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=SIDE, height=SIDE, background="#ffffff", skip_system_fonts=True
        )
    except ValueError as error:
        raise DataError(f"resvg cannot draw an icon: {error}. Leave it out of the concepts.") from error
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        grey = 255 - np.asarray(image.convert("L")).astype(np.float64)
    step = 255 / (LEVELS - 1)
    return (np.round(grey / step) * step).astype(np.uint8)


def without_copies(pictures: Sequence[Picture]) -> list[int]:
    """Which of a concept's pictures are kept: no empty one, and the first of those that are nearly the same.

    Sets copy each other's drawings, and a drawing to train on must not be one to judge by as well.
    """
    kept: list[int] = []
    if not pictures:
        return kept
    flat = np.stack(pictures).reshape(len(pictures), -1).astype(np.float32)
    ink = flat.mean(1)
    for index in range(len(flat)):
        if ink[index] < EMPTY:
            continue
        apart = np.abs(flat[kept] - flat[index]).mean(1) / ((ink[kept] + ink[index]) / 2)
        if not kept or apart.min() >= NEAR_COPY:
            kept.append(index)
    return kept


def is_bold(pictures: Sequence[Picture], share: float) -> list[bool]:
    """Which of a concept's pictures are among the `share` of them with the most ink."""
    ink = np.array([picture.mean() for picture in pictures])
    bold = np.argsort(-ink, kind="stable")[: round(share * len(ink))]
    return [index in set(bold.tolist()) for index in range(len(ink))]
