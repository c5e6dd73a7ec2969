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
from soup_core.evaluation import compare_bits
from soup_core.evaluation.evaluation import Evaluation, measure
from soup_core.evaluation.statistics import Z_95


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

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """The cross-entropy of each image, in the order that explains most."""
        outputs = self.order.outputs if self.order else None
        logits = self.logits.double() if outputs is None else self.logits.double()[:, list(outputs)]
        return torch.nn.functional.cross_entropy(logits, self.labels, reduction="none").numpy()

    @property
    def correct(self) -> int:
        """How many images are right, in the order that explains most."""
        return int(self.bits.sum())


def most_right(tried: Iterable[TriedPreparation]) -> TriedPreparation:
    """The way with most images right; of equals, that of the lowest loss."""
    return max(tried, key=lambda each: (each.correct, -float(each.losses.mean())))


def is_better(one: TriedPreparation, other: TriedPreparation) -> bool:
    """Whether one way is better than another by more than chance explains: by images right, or by their losses.

    Losses tell where counts do not: a network that is right on nearly all images either way is surer on those that it
    knows. The interval is that of the mean of paired differences.
    """
    if compare_bits(one.bits, other.bits).low > 0:
        return True
    if one.correct < other.correct:
        return False
    gains = other.losses - one.losses
    return bool(gains.mean() > Z_95 * gains.std() / np.sqrt(len(gains)))


def tried_preparation(
    model: Model, images: Sample, preparation: Preparation, logits: torch.Tensor | None = None
) -> TriedPreparation:
    """One way, tried. Raises as `Model.logits` does."""
    found = model.logits(images, preparation)[0] if logits is None else logits
    return TriedPreparation(
        preparation, found, images.labels, explaining_order(found, images.labels, model.zoo.data.classes)
    )


def searched(
    model: Model, images: Sample, first: Preparation, sizes: Sequence[Preparation], *, every: bool
) -> list[TriedPreparation]:
    """Every way that was tried, in order: normalisations in the first one's size, then sizes, then interpolations.

    With `every`, each size with each normalisation; else each choice is made with the best of those before. Ways that give
    images which the network does not take are passed over. Raises OutOfMemory where not even one image fits.
    """
    tried: dict[Preparation, TriedPreparation] = {}

    def add(preparations: Iterable[Preparation]) -> None:
        for each in _evaluated(model, images, [way for way in dict.fromkeys(preparations) if way not in tried]):
            tried[each.preparation] = each

    scales = [first, *normalizations(first, images)]
    add(scales)
    if tried:
        kept = scales if every else [most_right(tried.values()).preparation]
        add([Preparation(way.preprocessing, each.normalization) for way in sizes for each in kept])
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
