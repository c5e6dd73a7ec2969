"""Which known network a checkpoint is of but for its head, its image size or its input's channels.

Where an option of the network explains the difference, or only the last layer's name differs, that is an architecture for
zoo.toml; else the difference is told, with what can be done.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soup_core import architectures
from soup_core.architectures.bodies import OF_IMAGE_SIZE, alike_in_body
from soup_core.architectures.fingerprints import CLASSES, Network, Shapes, heads_of, shapes_of
from soup_core.architectures.own_heads import said, under_library_names
from soup_core.checkpoints import unwrapped
from soup_core.data import Preprocessing
from soup_core.errors import ZooError
from soup_core.runtime.files import listed, shown

NETWORKS_AT_MOST = 6  # that are built to be compared
PREFIX_TOKENS = (0, 1, 2)  # of a vision transformer: none, a class token, one to distil into
FACTORY = (
    'build it by a function in a file beside, architecture = { name = "factory:network.py:network", num_classes = … }, as '
    "its training did"
)


@dataclass(frozen=True)
class Resemblance:
    """An architecture that takes the tensors, where there is one, and what is to be known of it, in a sentence or two."""

    architecture: Mapping[str, Any] | None
    message: str


def resembling(tensors: Shapes, folder: Path, *, hints: Sequence[str] = ()) -> Resemblance | None:
    """The network that the tensors are most of; None where none is known. `hints` are names that the runs' settings tell."""
    bare = {new: tensors[old] for old, new in unwrapped(tensors).items()}
    nearest: tuple[int, str] | None = None
    for network in _networks(bare, hints):
        try:
            theirs = shapes_of(network, folder)
        except ZooError:
            continue
        heads = heads_of(theirs)
        classes = _classes(bare, theirs, heads)
        expected = {name: (classes, *shape[1:]) if name in heads else shape for name, shape in theirs.items()}
        if names := under_library_names(bare, expected):
            return _renamed(network, classes, expected, names)
        if options := _options(network, bare, expected, folder):
            architecture = {"name": network["name"], "num_classes": classes, **network, **options}
            written = ", ".join(f"{key} = {value}" for key, value in options.items())
            return Resemblance(
                architecture, f"All {len(bare):,} tensors are those of {network['name']} with {written}."
            )
        agreeing, inner = max(
            ((_agreeing(shapes, expected), shapes) for shapes in (bare, *_under_one_name(bare), _as_image_tower(bare))),
            key=lambda pair: pair[0],
        )
        if agreeing and (nearest is None or agreeing > nearest[0]):
            nearest = agreeing, _difference(network, inner, expected, heads)
    return Resemblance(None, nearest[1]) if nearest else None


def _networks(given: Shapes, hints: Sequence[str]) -> Iterator[Network]:
    """Networks that the tensors, or those under their first part, may be of: with a head, without, or under a name."""
    found: dict[str, Network] = {}
    hinted = [{"name": f"{family}:{hint.rpartition('/')[2]}"} for hint in hints for family in ("torchvision", "timm")]
    image = {name: shape for name, shape in given.items() if not _is_known_to_be_beside(name)}
    for shapes in (given, image, *_under_one_name(image, alone=True), _as_image_tower(given)):
        for network in alike_in_body(shapes):
            found.setdefault(repr(network), network)
    yield from [*found.values(), *hinted][:NETWORKS_AT_MOST]


def _under_one_name(given: Shapes, *, alone: bool = False) -> list[dict[str, tuple[int, ...]]]:
    """The tensors without the first part that most have, such as backbone; those without it as they are, or not at all."""
    firsts = [name.partition(".")[0] for name in given]
    return [
        {
            name.removeprefix(f"{first}."): shape
            for name, shape in given.items()
            if not alone or name.startswith(f"{first}.")
        }
        for first in sorted({*firsts})
        if 2 * firsts.count(first) > len(firsts)
    ]


def _as_image_tower(given: Shapes) -> dict[str, tuple[int, ...]]:
    """The image tower of a pair of towers as open_clip trains them, by its names in a classifier, without the text tower."""
    within = {f"model.{name}": shape for name, shape in given.items() if "visual." in name or "logit_scale" in given}
    return {name: shape for name, shape in within.items() if not _is_known_to_be_beside(name)}


def _is_known_to_be_beside(name: str) -> bool:
    return any(architectures.ignored({"name": family}, name) for family in architectures.FAMILIES)


def _agreeing(shapes: Shapes, expected: Shapes) -> int:
    return sum(shapes.get(name) == shape for name, shape in expected.items())


def _classes(given: Shapes, theirs: Shapes, heads: Sequence[str]) -> int:
    """The rows of the head, or of the last matrix that the network has not."""
    own = [given[name][0] for name in heads if given.get(name)]
    others = [shape[0] for name, shape in given.items() if len(shape) == 2 and theirs.get(name) != shape]
    return (own or others[-1:] or [CLASSES])[0]


def _renamed(network: Network, classes: int, expected: Shapes, names: Mapping[str, str]) -> Resemblance:
    same = sum(old == new for old, new in names.items())
    of = f"{same} of {len(names)} tensors are" if same else f"All {len(names)} tensors are, under other names,"
    return Resemblance(
        {"name": network["name"], "num_classes": classes, **network},
        f"{of} {network['name']}'s; {said(names)}. If more than dropout stands before it, {FACTORY}.",
    )


def _options(network: Network, given: Shapes, expected: Shapes, folder: Path) -> dict[str, int]:
    """The image size and the input channels with which a network takes the tensors; empty where none do."""
    if set(given) != set(expected):
        return {}
    differing = [name for name, shape in expected.items() if given[name] != shape]
    stems = [name for name in differing if len(expected[name]) == 4 and given[name][:1] == expected[name][:1]]
    stems = [name for name in stems if not any(part in name for part in OF_IMAGE_SIZE)]
    channels = {"in_chans": given[stems[0]][1]} if len(stems) == 1 else {}
    for size in _sizes(network, given, expected, differing, folder):
        for key in ("img_size", "image_size") if size else ("",):
            options = {**channels, **({key: size} if size else {})}
            try:
                theirs = shapes_of({**network, **options}, folder) if options else {}
            except ZooError:
                continue
            heads = heads_of(theirs)
            if theirs and all(
                given.get(name) == (shape if name not in heads else (given[name][0], *shape[1:]))
                for name, shape in theirs.items()
            ):
                return options
    return {}


def _sizes(
    network: Network, given: Shapes, expected: Shapes, differing: Sequence[str], folder: Path
) -> Iterator[int | None]:
    """Image sizes that a table of positions may be for, None where none differs."""
    tables = [name for name in differing if any(part in name for part in OF_IMAGE_SIZE)]
    if not tables:
        yield None
        return
    known = architectures.proposed_preprocessing({**network, "num_classes": 1}, folder)
    crop = known[0].crop if known and isinstance(known[0], Preprocessing) else None
    default = crop if isinstance(crop, int) else 224
    ours, theirs = (max(shapes[tables[0]][:-1], default=0) for shapes in (given, expected))
    for prefix in PREFIX_TOKENS:
        sides = [math.isqrt(max(count - prefix, 0)) for count in (ours, theirs)]
        if all(side and side**2 == count - prefix for side, count in zip(sides, (ours, theirs), strict=True)):
            yield round(default * sides[0] / sides[1])


def _difference(network: Network, given: Shapes, expected: Shapes, heads: Sequence[str]) -> str:
    """How many tensors are a network's, which are not, and what can be done."""
    same, name = _agreeing(given, expected), network["name"]
    lacking = [each for each in expected if each not in given]
    beside = [each for each in given if each not in expected and not _is_known_to_be_beside(each)]
    if set(lacking) == set(heads) and same == len(expected) - len(lacking) and not beside:
        return (
            f"It has no classification head: all {same} other tensors are {name}'s, and {listed(map(shown, lacking))} are "
            "missing, so that it names no classes. Take the checkpoints of networks that were trained to tell classes apart, "
            "or put a head into each."
        )
    others = [
        f"{shown(each)} {given[each]} instead of {shape}"
        for each, shape in expected.items()
        if each in given and given[each] != shape
    ]
    unknown = [f"{shown(each)} {given[each]}" for each in beside]
    parts = [
        *([f"{listed(map(shown, lacking), 3)} {'is' if len(lacking) == 1 else 'are'} missing"] if lacking else []),
        *([f"{listed(unknown, 3)} {'is' if len(unknown) == 1 else 'are'} there beside"] if unknown else []),
        *([listed(others, 3)] if others else []),
    ]
    return f"{same} of {len(expected)} tensors are {name}'s; these differ: {'; '.join(parts)}. For such a network, {FACTORY}."
