"""Icons parted for a zoo: other concepts to pretrain on; thin icons to train on, to hold out and to test; filled ones as a shift.

What one family draws of one concept, in all its variants, lies in one part. No model sees a filled icon.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soup_core.finetune.icons.collections import IconSet, icon_sets, icons_of
from soup_core.finetune.icons.concepts import Concepts, concepts, plain_name
from soup_core.finetune.icons.drawing import Picture, drawn, is_bold, without_copies

BOLD_SHARE = 0.3
PARTS = {"train": 0.30, "held_out": 0.27, "test": 0.43}
SHIFT = "shift.filled"
ORDER_SEED = 2203
PRETRAIN_CONCEPTS = 250
PRETRAIN_SETS = 15  # a name in fewer sets is seldom a thing
Pictures = dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Icon:
    """One icon as a picture: its set, whose drawing it is, and what it shows."""

    prefix: str
    family: str
    concept: str
    picture: Picture


@dataclass(frozen=True)
class PartedIcons:
    """Pictures and labels by part, the classes' names, and of how many icons of each set the parts to ship are made."""

    parts: Pictures
    classes: tuple[str, ...]
    sets: tuple[IconSet, ...]
    counts: Mapping[str, int]


def parted_icons(package: Path) -> PartedIcons:
    """All icons of an unpacked @iconify/json that show a concept, drawn and parted.

    "pretrain" is labelled by other concepts than the rest. Raises DataError where the folder is none, or without resvg-py.
    """
    table, sets = concepts(), icon_sets(package)
    icons = _gathered(package, sets, table)
    counts: Counter[str] = Counter()
    parts: dict[str, list[tuple[Picture, int]]] = defaultdict(list)
    for label, concept in enumerate(table.names):
        for part, icon in _parted(icons.pop(concept)):
            parts[part].append((icon.picture, label))
            counts[icon.prefix] += 1
    for label, concept in enumerate(icons):
        for bold, icon in _by_boldness(icons[concept]):
            if not bold:
                parts["pretrain"].append((icon.picture, label))
    return PartedIcons({part: _tensors(pairs) for part, pairs in parts.items()}, table.names, sets, counts)


def _gathered(package: Path, sets: Iterable[IconSet], table: Concepts) -> dict[str, list[Icon]]:
    """Icons by concept: those of the table, and, by their plain names, the ones that most icons show beside them."""
    named: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for each in sets:
        for name, svg in icons_of(package, each.prefix):
            if plain := plain_name(name):
                named[plain].append((each.prefix, svg))
    others = sorted(
        (name for name in named if name not in table.by_name and len({p for p, _ in named[name]}) >= PRETRAIN_SETS),
        key=lambda name: (-len(named[name]), name),
    )
    icons: dict[str, list[Icon]] = {concept: [] for concept in table.names}
    for name in (*table.by_name, *others[:PRETRAIN_CONCEPTS]):
        concept = table.by_name.get(name, f"other: {name}")
        drawings = [Icon(prefix, table.family(prefix), concept, drawn(svg)) for prefix, svg in named[name]]
        icons.setdefault(concept, []).extend(drawings)
    return {concept: _distinct(drawings) for concept, drawings in icons.items()}


def _distinct(icons: list[Icon]) -> list[Icon]:
    return [icons[index] for index in without_copies([icon.picture for icon in icons])]


def _by_boldness(icons: list[Icon]) -> Iterator[tuple[bool, Icon]]:
    yield from zip(is_bold([icon.picture for icon in icons], BOLD_SHARE), icons, strict=True)


def _parted(icons: list[Icon]) -> Iterator[tuple[str, Icon]]:
    """A concept's icons with their parts; filled ones of a family that is trained on are left out."""
    for bold, icon in _by_boldness(icons):
        part = part_of(icon.family, icon.concept)
        if not bold:
            yield part, icon
        elif part != "train":
            yield SHIFT, icon


def part_of(family: str, concept: str) -> str:
    """Where a family's drawings of a concept belong, by chance that depends on nothing but the two names."""
    digest = hashlib.sha256(f"{family} {concept}".encode()).digest()
    chance = int.from_bytes(digest[:8]) / 2**64
    for part, share in PARTS.items():
        chance -= share
        if chance < 0:
            return part
    return part


def _tensors(pairs: list[tuple[Picture, int]]) -> tuple[Tensor, Tensor]:
    """Images (uint8, N×1×28×28) and labels (int64, N), in an order by chance, so that any part of them has all classes."""
    order = torch.from_numpy(np.random.default_rng(ORDER_SEED).permutation(len(pairs)))
    images = torch.from_numpy(np.stack([picture for picture, _ in pairs])).unsqueeze(1)
    return images[order], torch.tensor([label for _, label in pairs])[order]
