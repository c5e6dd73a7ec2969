"""A first look at a zoo that is proposed and not written yet, and the proposal with what that found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from soup_core.analysis.first_look.chance import standing
from soup_core.analysis.first_look.look import SECONDS, FirstLook, first_look
from soup_core.data import BUNDLED_SETS
from soup_core.evaluation import compare_bits
from soup_core.evaluation.evaluation import is_correct
from soup_core.runtime.files import listed, shown
from soup_core.zoo import zoo_from
from soup_core.zoo.class_lists import ClassList
from soup_core.zoo.proposal import Proposal, with_classes


@dataclass(frozen=True, eq=False)
class TriedProposal:
    """A proposal after a look at a few images, with what that has decided, and what is to be said, the gravest first.

    `proposal` still asks what the look could not decide. `is_doubtful` says that a person should look before it is written.
    """

    proposal: Proposal
    look: FirstLook
    sentences: tuple[str, ...]
    is_doubtful: bool


def can_be_tried(proposal: Proposal) -> bool:
    """Whether all is known that a look needs; of the order of class folders a look may decide."""
    return not (_assumed(proposal) if proposal.class_choice.by_trial else proposal).questions


def tried(proposal: Proposal, *, device: str = "auto", seconds: float = SECONDS) -> TriedProposal:
    """Run the first ingredient of a proposal, which needs not be written, on a few held-out images: see `first_look`.

    Where no preparation is known, the one that is found best is taken; so is an order of classes that readers of images use,
    where it alone explains the answers. A permutation that was found from the answers is only told. Raises ZooError where
    no ingredient is usable, and as `first_look` does.
    """
    assumed = _assumed(proposal)
    zoo = zoo_from(assumed.zoo_file(), proposal.folder)
    look = first_look(zoo, prepared=_is_prepared(proposal), device=device, seconds=seconds)
    settled, sentences = proposal, [look.sentence]
    if assumed is not proposal:
        order, told = _decided(look, proposal.class_choice.lists)
        settled = with_classes(proposal, order) if order else proposal
        sentences = [told, *sentences]
    elif look.doubt:
        sentences = [look.doubt.sentence, *(sentences if len(look.tried) > 1 else [])]
        if look.doubt.classes and look.best.order and look.best.order.is_known:
            settled = with_classes(proposal, look.doubt.classes)
            sentences.append("This order of classes is taken; correct it in zoo.toml if it is another.")
    if not _is_prepared(proposal) and look.best is not look.given:
        settled = replace(settled, data={**settled.data, **look.best.preparation.table()})
    return TriedProposal(settled, look, tuple(sentences), look.is_doubtful)


def _is_prepared(proposal: Proposal) -> bool:
    """Whether somebody has said how the images are prepared: the runs, or a person."""
    return proposal.are_images_told or proposal.data.get("source") in BUNDLED_SETS


def _assumed(proposal: Proposal) -> Proposal:
    """The proposal with the likelier order of class folders, where a person would be asked for it."""
    choice = proposal.class_choice
    if not choice.by_trial or proposal.classes:
        return proposal
    return with_classes(proposal, choice.lists[0].classes)


def _decided(look: FirstLook, lists: Sequence[ClassList]) -> tuple[tuple[str, ...], str]:
    """Of the orders of class folders the one that is right on more images than every other, if there is one; and the counts."""
    first = lists[0].classes
    bits: dict[tuple[str, ...], NDArray[np.bool_]] = {}
    labels: Mapping[tuple[str, ...], torch.Tensor] = {
        each.classes: torch.tensor([each.classes.index(name) for name in first])[look.best.labels] for each in lists
    }
    for each in lists:
        bits[each.classes] = is_correct(look.best.logits, labels[each.classes]).numpy()
    ranked = sorted(lists, key=lambda each: -int(bits[each.classes].sum()))
    total = len(look.best.labels)
    counts = listed(
        f"{listed(map(shown, each.classes), 4)} ({each.reason}): {bits[each.classes].sum()} of {total}"
        for each in ranked
    )
    best = ranked[0].classes
    clear = all(compare_bits(bits[best], bits[each.classes]).low > 0 for each in ranked[1:])
    if clear and not standing(look.best.logits, labels[best]).near_chance:
        return (
            best,
            f"The order of class folders was not known; held-out images right by each: {counts}. The first is taken.",
        )
    return (
        (),
        f"The order of class folders is not known, and a few images do not decide on it; right by each: {counts}.",
    )
