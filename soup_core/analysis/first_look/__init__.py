"""A first look at a zoo: whether a few images are judged above chance at all, in which preparation, and if not, why not."""

from soup_core.analysis.first_look.doubt import Doubt, doubt_of
from soup_core.analysis.first_look.look import FirstLook, first_look
from soup_core.analysis.first_look.preparations import Preparation
from soup_core.analysis.first_look.proposed import TriedProposal, can_be_tried, tried
from soup_core.analysis.first_look.search import TriedPreparation

__all__ = [
    "Doubt",
    "FirstLook",
    "Preparation",
    "TriedPreparation",
    "TriedProposal",
    "can_be_tried",
    "doubt_of",
    "first_look",
    "refusal",
    "tried",
]
