"""The preparation by which an ingredient has most of a few images right, out of a few, one choice after the other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from soup_core.analysis.first_look.class_order import ClassOrder, explaining_order
from soup_core.analysis.first_look.model import Model
from soup_core.analysis.first_look.preparations import Preparation, bicubic, normalizations
from soup_core.data.sample import Sample
from soup_core.errors import DataError
from soup_core.evaluation.evaluation import Evaluation, measure


@dataclass(frozen=True, eq=False)
class TriedPreparation:
    """A way to prepare the images, and what an ingredient makes of them then.

    `order` is the one by which it is right on far more images, where there is one: a wrong order of classes would hide
    which way is the right one.
    """

    preparation: Preparation
    logits: torch.Tensor
    labels: torch.Tensor
    order: ClassOrder | None

    @cached_property
    def evaluation(self) -> Evaluation:
        """Its evaluation in the given order of classes."""
        return measure(self.logits, self.labels)

    @property
    def bits(self) -> NDArray[np.bool_]:
        """Whether each image is right (N booleans), in the order that explains most."""
        return self.order.bits if self.order else self.evaluation.bits()

    @property
    def correct(self) -> int:
        """How many images are right, in the order that explains most."""
        return int(self.bits.sum())


def most_right(tried: Iterable[TriedPreparation]) -> TriedPreparation:
    """The way with most images right, the first of equals."""
    return max(tried, key=lambda each: each.correct)


def tried_preparation(
    model: Model, images: Sample, preparation: Preparation, logits: torch.Tensor | None = None
) -> TriedPreparation:
    """One way, tried. Raises as `Model.logits` does."""
    found = model.logits(images, preparation)[0] if logits is None else logits
    return TriedPreparation(
        preparation, found, images.labels, explaining_order(found, images.labels, model.zoo.data.classes)
    )


def searched(model: Model, images: Sample, first: Preparation, sizes: Iterable[Preparation]) -> list[TriedPreparation]:
    """Every way that was tried, in order: normalisations in the first one's size, then sizes, then interpolations.

    Each choice is made with the best of those before. Ways that give images which the network does not take are passed
    over. Raises OutOfMemory where not even one image fits.
    """
    tried: dict[Preparation, TriedPreparation] = {}

    def add(preparations: Iterable[Preparation]) -> None:
        for each in _evaluated(model, images, [way for way in preparations if way not in tried]):
            tried[each.preparation] = each

    add([first, *normalizations(first, images)])
    if tried:
        add([Preparation(way.preprocessing, most_right(tried.values()).preparation.normalization) for way in sizes])
        add(bicubic(most_right(tried.values()).preparation))
    return list(tried.values())


def _evaluated(model: Model, images: Sample, preparations: Sequence[Preparation]) -> Iterator[TriedPreparation]:
    try:
        every = model.logits(images, *preparations)
    except DataError:
        if len(preparations) > 1:
            for each in preparations:
                yield from _evaluated(model, images, [each])
        return
    for preparation, logits in zip(preparations, every, strict=True):
        yield tried_preparation(model, images, preparation, logits)
