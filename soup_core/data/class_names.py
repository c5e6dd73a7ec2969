"""Which output of a network a folder of images stands for: by its name, where outputs have names, and never by its place.

torchvision's ImageFolder numbers folders in the order of their text, timm's reader in natural order without regard to case:
whoever trained has used one of them, so that a number alone says nothing.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from soup_core.errors import DataError
from soup_core.runtime.files import listed, shown

Outputs = Literal["all", "present"]
Owner = TypeVar("Owner")
LEFT_OUT = -1


class Placement(NamedTuple):
    """Where a collection's own classes stand among a network's outputs: a number each, -1 for those left out.

    `present` are the outputs of which there are images, in their order; `lacking` the names of the others, `beyond` the
    folders of images that are none of them.
    """

    outputs: tuple[int, ...]
    present: tuple[int, ...]
    lacking: tuple[str, ...]
    beyond: tuple[str, ...]


def text_order(names: Sequence[str]) -> tuple[str, ...]:
    """The names as torchvision's ImageFolder orders them, and whoever sorts texts.

    >>> text_order(["b", "img10", "img2", "A"])
    ('A', 'b', 'img10', 'img2')
    """
    return tuple(sorted(names))


def natural_order(names: Sequence[str]) -> tuple[str, ...]:
    """The names as timm's reader orders them: numbers by their value, letters without regard to case; ties by text.

    >>> natural_order(["b", "img10", "img2", "A"])
    ('A', 'b', 'img2', 'img10')
    """
    return tuple(sorted(sorted(names), key=_natural))


def same_in_natural_order(names: Sequence[str]) -> tuple[str, ...]:
    """Names that natural order takes for the same, and timm's reader leaves in the order of a set, another in each process.

    >>> same_in_natural_order(["bee", "ant", "Bee", "01", "1"])
    ('01', '1', 'Bee', 'bee')
    """
    keys = [_natural(name) for name in names]
    return natural_order([name for name, key in zip(names, keys, strict=True) if keys.count(key) > 1])


def _natural(name: str) -> list[tuple[int, str]]:
    # A number before a text at the same place; timm's own key cannot compare the two and has none there either, since a
    # split at numbers makes texts of all even places.
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def matched(names: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """The output of each name that is one of the classes: the same text, else but for case, spaces, underscores, hyphens.

    A class may list synonyms, separated by commas, as ImageNet's do. A name that is none of them, or of several, is absent.

    >>> matched(["great_white", "tench", "cow"], ["tench, Tinca tinca", "Great White"])
    {'great_white': 1, 'tench': 0}
    """
    found: dict[str, int] = {}
    for key in (_as_it_is, _folded, _synonyms):
        taken = set(found.values())
        free = [(index, name) for index, name in enumerate(classes) if index not in taken]
        outputs = _unique([(word, index) for index, name in free for word in key(name)])
        waiting = [name for name in names if name not in found]
        one_each = _unique([(word, name) for name in waiting for word in key(name)])
        found |= {name: outputs[word] for word, name in one_each.items() if word in outputs}
    return {name: found[name] for name in names if name in found}


def _as_it_is(name: str) -> list[str]:
    return [name]


def _folded(name: str) -> list[str]:
    return [re.sub(r"[\s_/-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()]


def _synonyms(name: str) -> list[str]:
    return list(dict.fromkeys(word for part in name.split(",") for word in _folded(part)))


def _unique(pairs: Sequence[tuple[str, Owner]]) -> dict[str, Owner]:
    """The owner of each word that has one alone."""
    owners: dict[str, list[Owner]] = {}
    for word, owner in pairs:
        owners.setdefault(word, []).append(owner)
    return {word: each[0] for word, each in owners.items() if len(each) == 1}


def placed(own: Sequence[str], with_images: Sequence[str], classes: Sequence[str], where: str) -> Placement:
    """Where a collection's own classes stand among the network's, by name.

    Raises DataError where none of those `with_images` is one of the classes, and where some are none while classes are
    missing: then a folder may be a missing class under another name.
    """
    found = matched(own, classes)
    beyond = tuple(name for name in with_images if name not in found)
    here = sorted({found[name] for name in with_images if name in found})
    lacking = tuple(name for index, name in enumerate(classes) if index not in here)
    if not here:
        raise DataError(
            f"None of the classes of {where} ({_some(with_images)}) is one of the network's {len(classes)} "
            f"({_some(classes)}); say in [data] of zoo.toml what its outputs are called here, in their order: "
            'classes = ["…", …].'
        )
    if beyond and lacking:
        raise DataError(
            f"{where} has {_some(beyond)}, which {'is' if len(beyond) == 1 else 'are'} none of the network's "
            f"{len(classes)} classes, and lacks {_some(lacking)}. Rename what is one of them under another name, or take "
            "it away."
        )
    return Placement(tuple(found.get(name, LEFT_OUT) for name in own), tuple(here), lacking, beyond)


def classes_of(own: Mapping[str, Sequence[str]], num_classes: int | None, where: str) -> tuple[str, ...]:
    """The network's classes where nobody has named them: those of the folders, in the order of their text.

    `own` are the folders of each part, "train" among them. Where parts differ, it is the training folders, or else all
    together, or one of the others, that are as many as the network's outputs. Raises DataError where none are.
    """
    union = tuple(sorted({name for names in own.values() for name in names}))
    candidates = [*([own["train"]] if "train" in own else []), union, *own.values()]
    if num_classes is None:
        return tuple(candidates[0])
    for names in candidates:
        if len(names) == num_classes:
            return tuple(names)
    raise DataError(
        f"The network tells {num_classes} classes apart, and {where} has {len(candidates[0])} ({_some(candidates[0])}): "
        "which of its outputs are they? Say it in [data] of zoo.toml, with the name of every output in their order: "
        'classes = ["…", …].'
    )


def _some(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], 5)
