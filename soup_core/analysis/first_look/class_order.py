"""Whether a model is right in another order of the classes: one that readers of images use, or one found from its answers.

A permutation is found by the assignment that explains most answers (Kuhn 1955, doi 10.1002/nav.3800020109) on one half of
the images and judged on the other, so that a model which only guesses is not explained by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.analysis.first_look.chance import standing
from soup_core.data.class_names import natural_order, text_order
from soup_core.evaluation import compare_bits
from soup_core.evaluation.evaluation import is_correct

SURE = 0.001  # of McNemar's p
UNQUESTIONED = 0.75  # of the images right: from here on no other order is looked for
ONE_TO_ONE = 0.85  # of what the commonest answer to each class explains, by a permutation
SURER = 1.5  # times chance, in the mean, is an answer of a model that was trained
MUCH = 0.1  # of the images, that another order must have right beyond the given one


@dataclass(frozen=True, eq=False)
class ClassOrder:
    """Another order of the classes: the output that stands for each label, in words, and which images are right by it.

    `bits` (N booleans) judge a permutation that was found from the answers on images that it was not found from;
    `is_known` says that it is none of these, but an order that readers of images use.
    """

    outputs: tuple[int, ...]
    words: str
    bits: NDArray[np.bool_]
    is_known: bool

    @property
    def correct(self) -> int:
        """How many images are right."""
        return int(self.bits.sum())

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The classes' names in the order of the outputs; empty where nobody has named them, or an output has no name."""
        if len(classes) != len(self.outputs) or sorted(self.outputs) != list(range(len(classes))):
            return ()
        return tuple(classes[self.outputs.index(output)] for output in range(len(classes)))


def explaining_order(logits: Tensor, labels: Tensor, classes: Sequence[str] = ()) -> ClassOrder | None:
    """The order of classes by which a model's logits (N×C) are right on far more images; None where there is none.

    `classes` are the labels' names, where they have any. An order that readers of images use goes before a permutation
    that explains no more.
    """
    given = is_correct(logits, labels).numpy()
    if given.mean() >= UNQUESTIONED:
        return None
    best: ClassOrder | None = None
    for words, outputs in _known_orders(logits.shape[1], classes):
        bits = is_correct(logits, torch.tensor(outputs)[labels]).numpy()
        if _explains(bits, given) and (best is None or bits.sum() > best.correct):
            best = ClassOrder(outputs, words, bits, is_known=True)
    own = _in_its_own_order(logits, labels)
    if own is not None and _explains(own, best.bits if best else given):
        found = tuple(_assigned(_evidence(logits, labels)).tolist())
        best = ClassOrder(found, "as its own answers have them", own, is_known=False)
    if best is None or standing(logits, torch.tensor(best.outputs)[labels]).near_chance:
        return None
    return best


def _in_its_own_order(logits: Tensor, labels: Tensor) -> NDArray[np.bool_] | None:
    """Which images a permutation has right that was found on the other half of them; None for answers that guess.

    A head that was not trained gives all images of a class the same answer too, but with no confidence, and to several
    classes the same: a permutation then explains less than if each class had the answer that it gets most often.
    """
    if float(logits.nan_to_num().softmax(1).amax(1).mean()) < SURER / logits.shape[1]:
        return None
    half = _halves(labels)
    bits, commonest = (np.zeros(len(labels), np.bool_) for _ in range(2))
    for judged in (half, ~half):
        evidence = _evidence(logits[~judged], labels[~judged])
        for into, outputs in ((bits, _assigned(evidence)), (commonest, evidence.argmax(1))):
            into[judged.numpy()] = is_correct(logits[judged], outputs[labels[judged]]).numpy()
    return bits if bits.sum() >= ONE_TO_ONE * commonest.sum() else None


def _known_orders(outputs: int, classes: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The orders that readers of images use, and numbers that are one off, as output by label."""
    if len(classes) == outputs:
        for words, ordered in (
            ("in natural order without regard to case, as timm's reader has them", natural_order(classes)),
            ("in the order of their text, as torchvision's ImageFolder has them", text_order(classes)),
        ):
            if tuple(ordered) != tuple(classes):
                yield words, tuple(ordered.index(name) for name in classes)
    for words, step in (("one number further, as if counted from 1", 1), ("one number before", -1)):
        yield words, tuple((label + step) % outputs for label in range(outputs))


def _explains(bits: NDArray[np.bool_], given: NDArray[np.bool_]) -> bool:
    found = compare_bits(bits, given)
    return found.p_value < SURE and found.value >= MUCH


def _halves(labels: Tensor) -> Tensor:
    """Every second image of each class (N booleans)."""
    half = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        half[torch.nonzero(labels == label).flatten()[::2]] = True
    return half


def _evidence(logits: Tensor, labels: Tensor) -> Tensor:
    """How often each label gets each answer (C×C), and among equals what is given more weight."""
    classes = logits.shape[1]
    answers = torch.nn.functional.one_hot(logits.nan_to_num().argmax(1), classes).double()
    counts = 1e-6 * torch.eye(classes, dtype=torch.float64)
    return counts.index_add_(0, labels, answers + 1e-3 * logits.nan_to_num().double().softmax(1))


def _assigned(evidence: Tensor) -> Tensor:
    """The output of each label, C of them, that together explain most answers; where none speaks, the label's own."""
    from scipy.optimize import linear_sum_assignment  # takes long to import

    rows, outputs = linear_sum_assignment(evidence.numpy(), maximize=True)
    found = torch.arange(len(evidence))
    found[torch.from_numpy(rows)] = torch.from_numpy(outputs)
    return found
