"""What is to be told of a source's images: which folder became which split, what a split lacks, what is damaged or doubled.

Sentences alone; what they tell of is found elsewhere.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping

from soup_core.data.class_names import Placement
from soup_core.data.decoding import Contents
from soup_core.data.sources import SPELLINGS, WHOLE, ImageFolder, split_origin
from soup_core.data.text_sources import TextSource
from soup_core.errors import DataError
from soup_core.runtime.files import listed, shown

WHY_APART = {
    ("held_out", "test"): "what selects must not report",
    ("held_out", "train"): "what trains must not select",
    ("test", "train"): "what trains must not report",
}


def layout(parts: Collection[str], names: Mapping[str, str]) -> dict[str, str]:
    """Which folder or file became which split, in words: "val", "a share of train", "the rest of train"."""
    told = {}
    for split in ("held_out", "test", "train"):
        with contextlib.suppress(DataError):
            part, held_out = split_origin(split, parts, "")
            share = {None: "", True: "a share of ", False: "the rest of "}[held_out]
            told[split] = f"{share}{shown(names[part]) or 'the folder'}"
    return told


def unused(found: ImageFolder) -> Iterator[str]:
    """Folders of images that became no split."""
    if found.unused:
        known = listed([spelling for spellings in SPELLINGS.values() for spelling in spellings], 20)
        yield (
            f"Images in {listed(map(shown, found.unused))} are passed over: the folder of a split is called one of {known}. "
            "Rename it, or name it under [data.shifts] in zoo.toml."
        )


def divided(parts: Collection[str], names: Mapping[str, str]) -> Iterator[str]:
    """A folder or file that serves for two splits, where one of its own is missing."""
    if WHOLE in parts:
        return
    if "held_out" not in parts and "train" in parts and "test" in parts:
        yield (
            f"Nothing is held out by its name ({listed(SPELLINGS['held_out'], 9)}): a share of {shown(names['train'])} "
            "is held out instead. If these were trained on, they choose in favour of what was learnt by heart."
        )
    elif len(pools := [part for part in ("held_out", "test") if part in parts]) == 1:
        yield f"The one folder or file {shown(names[pools[0]])} is divided into held_out, which selects, and test, which reports."


def classes_apart(
    placements: Mapping[str, tuple[Placement, tuple[int, ...] | None]], num_classes: int
) -> Iterator[str]:
    """Splits that lack some of the network's classes and what they are judged over, and folders that are none of these."""
    told: dict[str, list[str]] = {}
    for split, (placement, outputs) in placements.items():
        if placement.beyond:
            words = f"{listed(map(shown, placement.beyond))} beyond the network's {num_classes} classes, left out"
            told.setdefault(f"images in {words}.", []).append(split)
        if placement.lacking and split != "train":
            judged = "over all of them" if outputs is None else f"over {len(outputs)} alone"
            words = f"{len(placement.present)} of the network's {num_classes} classes"
            lacking = listed(map(shown, placement.lacking), 3)
            told.setdefault(f"{words}, not {lacking}; judged {judged}{_choice(split, outputs)}.", []).append(split)
    for words, splits in told.items():
        yield f"{listed(splits, last=' and ')} {'has' if len(splits) == 1 else 'have'} {words}"


def _choice(split: str, outputs: tuple[int, ...] | None) -> str:
    """How zoo.toml says the other."""
    _, _, shift = split.partition(":")
    other = f'outputs = "{"present" if outputs is None else "all"}"'
    if not shift:
        return f" ({other} in [data] of zoo.toml changes that)"
    makers = ", as the makers of ImageNet-A and ImageNet-R do it" if outputs is not None else ""
    return f'{makers} ({shown(shift)} = {{ folder = "…", {other} }} in [data.shifts] of zoo.toml changes that)'


def unused_tables(found: TextSource) -> Iterator[str]:
    """Tables beside those of the splits that are none of texts with these columns."""
    if found.unused:
        yield (
            f"{listed(map(shown, found.unused))} lack the columns of the splits, and so are no shift: name the texts there as "
            "these do, or take the files away."
        )


def cut(counts: Mapping[str, tuple[int, int, int]]) -> Iterator[str]:
    """Texts of a split that were cut: how many, of how many, and to how many tokens."""
    told: set[tuple[int, int, int]] = set()
    for split, (number, total, length) in counts.items():
        if number and (number, total, length) not in told:
            told.add((number, total, length))
            yield (
                f"{number:,} of the {total:,} texts that {split} is taken from are longer than {length:,} tokens and are cut, as "
                "the tokenizer says; max_length in [data] of zoo.toml says otherwise."
            )


def damaged(contents: Mapping[str, Contents]) -> Iterator[str]:
    """Files that cannot be decoded."""
    told: set[str] = set()
    for split, its in contents.items():
        if its.damaged and its.damaged[0][0] not in told:
            told.update(name for name, _ in its.damaged)
            name, reason = its.damaged[0]
            yield (
                f"{_counted(len(its.damaged), 'image')} left out of the split {split}, being impossible to decode, for instance "
                f"{shown(name)}: {reason}. Copy again what belongs there, and take away what does not."
            )


def in_two(contents: Mapping[str, Contents], what: str = "image") -> Iterator[str]:
    """Images, or texts where that is `what`, that are in two splits."""
    keyed = {
        split: {print.tobytes(): name for print, name in zip(its.image_digests.numpy(), its.names, strict=True)}
        for split, its in contents.items()
    }
    for (one, other), why in WHY_APART.items():
        if one in keyed and other in keyed and (both := [each for each in keyed[one] if each in keyed[other]]):
            yield (
                f"{_counted(len(both), what)} in both splits {one} and {other}, for instance {shown(keyed[one][both[0]])} and "
                f"{shown(keyed[other][both[0]])}; {why}: take what is the same out of one of them."
            )


def _counted(count: int, what: str) -> str:
    return f"1 {what} is" if count == 1 else f"{count:,} {what}s are"
