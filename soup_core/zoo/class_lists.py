"""What a network's outputs are: lists of classes that a folder of checkpoints and its images suggest, likeliest first.

Names that a trainer has left decide; without any it is the order of the class folders, of which there are two: by text, as
torchvision's ImageFolder and most others have it, and natural, as timm's reader has it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from soup_core.architectures.optional import NotInstalled, library
from soup_core.data import matched, natural_order, same_in_natural_order, text_order
from soup_core.runtime.files import listed, shown
from soup_core.zoo.class_files import Names, above, lists_in, names_in, read_names, written_by_timm

IMAGENET = 1000


@dataclass(frozen=True)
class ClassList:
    """Names of a network's outputs in their order, where they come from, and why they may be these.

    "named" are names that stand somewhere; "text" and "natural" are the class folders in that order.
    """

    classes: Names
    kind: Literal["named", "text", "natural"]
    reason: str


@dataclass(frozen=True)
class ClassChoice:
    """The lists that fit the class folders, likeliest first. `question` is what a person is asked where they do not decide.

    The first list is right where there is no question. `by_trial` says that images may decide: all that is open is the order
    of the folders.
    """

    lists: tuple[ClassList, ...] = ()
    question: str = ""
    by_trial: bool = False


def class_choice(
    folder: Path,
    files: Sequence[Path],
    folders: Sequence[str],
    num_classes: int,
    beside: Mapping[Path, object] | None = None,
) -> ClassChoice:
    """What the outputs of the checkpoints `files` of a folder may be, whose images lie in class `folders`.

    `beside` are the plain values that checkpoints hold beside their weights, by file.
    """
    if not folders:
        return ClassChoice()
    named = _named(folder, files, folders, num_classes, beside or {})
    distinct: dict[tuple[object, ...], ClassList] = {}
    for each in named.values():
        distinct.setdefault(_outputs_of(folders, each.classes), each)
    if len(distinct) > 1:
        return ClassChoice(tuple(distinct.values()), _several(folders, named))
    fitting = [each for each in distinct.values() if _fits(folders, each.classes)]
    if fitting:
        return ClassChoice(tuple(fitting))
    if imagenet := _imagenet(folders, num_classes):
        return ClassChoice((imagenet,))
    by_timm = written_by_timm(folder, files, beside or {})
    orders = tuple(_orders(folders, by_timm)) if len(folders) == num_classes else ()
    if named:
        return ClassChoice(orders, _disagreement(next(iter(named.values())), folders))
    if not orders:
        return ClassChoice(
            (),
            f"Which of the network's {num_classes} outputs are the {len(folders)} class folders {_some(folders)}? A list "
            "of all its outputs' names in their order says it.",
        )
    if by_timm and (alike := same_in_natural_order(folders)):
        return ClassChoice(orders, _no_order(alike))
    undecided = len(orders) > 1 and not by_timm
    return ClassChoice(orders, _either_order(orders) if undecided else "", by_trial=undecided)


def _named(
    folder: Path, files: Sequence[Path], folders: Sequence[str], num_classes: int, beside: Mapping[Path, object]
) -> dict[Path, ClassList]:
    """For each checkpoint the names that it itself, or else the nearest file beside it, gives its network's outputs.

    Names that fit the class folders go before others.
    """
    places, read = cache(lists_in), cache(read_names)
    found: dict[Path, ClassList] = {}
    for file in files:
        lists = [(file, names) for names in names_in(beside.get(file), num_classes)]
        for place in (place for parent in above(file, folder) for place in places(parent)):
            lists += [(place, names) for names in read(place, num_classes)]
        lists.sort(key=lambda each: not _fits(folders, each[1]))
        if lists:
            place, names = lists[0]
            found[file] = ClassList(names, "named", f"{shown(place)} names them")
    return found


def _outputs_of(folders: Sequence[str], classes: Names) -> tuple[object, ...]:
    """The outputs of the class folders by a list that fits them, else the list itself: lists of the same are one."""
    return tuple(matched(folders, classes).items()) if _fits(folders, classes) else classes


def _fits(folders: Sequence[str], classes: Sequence[str]) -> bool:
    return len(matched(folders, classes)) == len(folders)


def _orders(folders: Sequence[str], by_timm: bool) -> Iterator[ClassList]:
    """The orders of the class folders, the likelier one first; one alone where both are the same."""
    text = ClassList(text_order(folders), "text", "torchvision's ImageFolder orders folders by text")
    natural = ClassList(natural_order(folders), "natural", "timm orders folders naturally and without regard to case")
    if text.classes == natural.classes:
        yield text
    else:
        yield from (natural, text) if by_timm else (text, natural)


def _imagenet(folders: Sequence[str], num_classes: int) -> ClassList | None:
    """ImageNet's own order for folders called by its WordNet numbers, as timm keeps it."""
    if num_classes != IMAGENET or not all(name.startswith("n") and name[1:].isdecimal() for name in folders):
        return None
    try:
        names = tuple(library("timm", "timm").data.ImageNetInfo("imagenet-1k").label_names())
    except NotInstalled:
        return None
    fits = len(names) == num_classes and _fits(folders, names)
    return ClassList(names, "named", "they are ImageNet's, in its order") if fits else None


def _several(folders: Sequence[str], named: Mapping[Path, ClassList]) -> str:
    (one, first), *rest = named.items()
    other, second = next(
        (file, each) for file, each in rest if _outputs_of(folders, each.classes) != _outputs_of(folders, first.classes)
    )
    return (
        f"Which classes are the outputs? Of {shown(one)} ({first.reason}) they are {_some(first.classes)}, and of "
        f"{shown(other)} ({second.reason}) {_some(second.classes)}: an average would mix classes. Take one of them out."
    )


def _disagreement(given: ClassList, folders: Sequence[str]) -> str:
    unknown = [name for name in folders if name not in matched(folders, given.classes)]
    return (
        f"Which class folder is which output? {given.reason}: {_some(given.classes)}; but {_some(unknown)} among the folders "
        "is none of them. A list of the outputs' names in their order, as the folders are called, says it."
    )


def _either_order(orders: Sequence[ClassList]) -> str:
    one, other = orders
    return (
        f"In which order are the class folders the network's outputs: {_some(one.classes)} ({one.reason}), or "
        f"{_some(other.classes)} ({other.reason})?"
    )


def _no_order(alike: Sequence[str]) -> str:
    return (
        f"Which outputs are {_some(alike)}? timm takes these names for the same and numbers them in an order that changes "
        "from run to run. A list of the outputs' names in their order says it."
    )


def _some(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], 4)
