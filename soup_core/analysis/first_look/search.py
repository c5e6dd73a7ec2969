"""The preparation by which an ingredient has most of a few images right, out of a few, one choice after the other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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

CONTENDERS = 6


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
    further: tuple[NDArray[np.bool_], ...] = ()

    @cached_property
    def evaluation(self) -> Evaluation:
        """Its evaluation in the given order of classes."""
        return measure(self.logits, self.labels)

    @property
    def bits(self) -> NDArray[np.bool_]:
        """Whether each image is right (N booleans), in the order that explains most."""
        return self.order.bits if self.order else self.evaluation.bits()

    @property
    def all_bits(self) -> NDArray[np.bool_]:
        """The same of the further ingredients too, where these were run."""
        return np.concatenate([self.bits, *self.further])

    @property
    def correct(self) -> int:
        """How many images are right, in the order that explains most."""
        return int(self.bits.sum())


def most_right(tried: Iterable[TriedPreparation]) -> TriedPreparation:
    """The way with most images right, the first of equals."""
    return max(tried, key=lambda each: int(each.all_bits.sum()))


def is_better(one: TriedPreparation, other: TriedPreparation) -> bool:
    """Whether one way has more images right than another by more than chance explains."""
    first, second = (one.all_bits, other.all_bits) if len(one.further) == len(other.further) else (one.bits, other.bits)
    return compare_bits(first, second).low > 0


def with_further(tried: Sequence[TriedPreparation], models: Iterable[Model], images: Sample) -> list[TriedPreparation]:
    """The ways with what further ingredients have right by those that may be the best: one may be right by any of these.

    The loss would tell more and is not asked: images of more contrast lower it, whatever the network was trained with.
    """
    best = most_right(tried)
    contenders = [each for each in tried if not is_better(best, each)][:CONTENDERS]
    if len(contenders) < 2:
        return list(tried)
    for model in models:
        found = [tried_preparation(model, images, each.preparation).bits for each in contenders]
        contenders = [
            replace(each, further=(*each.further, bits)) for each, bits in zip(contenders, found, strict=True)
        ]
    known = {each.preparation: each for each in contenders}
    return [known.get(each.preparation, each) for each in tried]


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
