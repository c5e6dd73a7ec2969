"""What changed between two models on the same images: confusion counts, gains by class, and which images they are.

All take probabilities (N×C) and labels (N); a model predicts its most probable class.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.evaluation import Comparison, compare_bits


def confusion(probabilities: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """Counts of images (C×C): the true class by row, the predicted one by column."""
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(1)
    counts: NDArray[np.int64] = cells.bincount(minlength=classes**2).reshape(classes, classes).numpy()
    return counts


def confusion_difference(ours: Tensor, theirs: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """Our confusion counts less theirs (C×C): on the diagonal more is better, off it less."""
    return confusion(ours, labels) - confusion(theirs, labels)


def most_changed(difference: NDArray[np.int64], classes: int) -> list[int]:
    """The numbers of so many classes at most, in their order, whose rows and columns of a difference (C×C) hold the most.

    >>> most_changed(np.array([[0, 1, 0], [0, 0, 0], [0, -3, 3]]), 2)
    [1, 2]
    """
    moved = np.abs(difference)
    order = np.argsort(-(moved.sum(0) + moved.sum(1)), kind="stable")
    return sorted(int(number) for number in order[:classes])


def class_gains(ours: Tensor, theirs: Tensor, labels: Tensor) -> dict[int, Comparison]:
    """Our accuracy against theirs, from probabilities (N×C), on the images of each class among the labels (N)."""
    right = [(probabilities.argmax(1) == labels).numpy() for probabilities in (ours, theirs)]
    return {int(label): compare_bits(*(bits[(labels == label).numpy()] for bits in right)) for label in labels.unique()}


def decided_by_one(
    ours: Tensor, theirs: Tensor, labels: Tensor, *, true: int | None = None, predicted: int | None = None
) -> tuple[Sequence[int], Sequence[int]]:
    """The images of which only we, and those of which only they, predict a class, the surest first.

    From probabilities (N×C) and labels (N) to indices of images. `predicted` is that class, without it the right one of
    each image; with `true`, only images of that class count.
    """
    wanted = labels if predicted is None else torch.full_like(labels, predicted)
    within = torch.ones_like(labels, dtype=torch.bool) if true is None else labels == true
    say = [probabilities.argmax(1) == wanted for probabilities in (ours, theirs)]
    return _surest(ours, wanted, within & say[0] & ~say[1]), _surest(theirs, wanted, within & say[1] & ~say[0])


def _surest(probabilities: Tensor, wanted: Tensor, chosen: Tensor) -> list[int]:
    indices = chosen.nonzero().flatten()
    sure = probabilities[indices, wanted[indices]]
    order: list[int] = indices[sure.argsort(descending=True, stable=True)].tolist()
    return order
