"""A few labelled images or texts of a split, before any preprocessing, to try several ways without decoding all."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from soup_core.data.decoding import Decoding, _loaded
from soup_core.data.preprocessing import Preprocessing
from soup_core.data.processors import Processor
from soup_core.data.sources import Files, Item
from soup_core.data.splits import Data, Split
from soup_core.data.tokens import Tokens
from soup_core.errors import DataError
from soup_core.runtime.files import shown

UNDECIDED = Preprocessing(32, 32)  # for a collection whose labels are known only once it was decoded
NOTHING = Files("", (), (), ())


@dataclass(frozen=True, eq=False)
class Sample:
    """Images or texts of a split and their labels (int64, N): files that are still to be prepared, or tensors that are ready.

    Any first part of them has as many of each class as it can. `sizes` are the width and height of each file's image,
    empty for tensors. Labels are numbers of the network's outputs, or places among `outputs` where those alone are judged.
    """

    source: tuple[Item, ...] | Tensor | Tokens
    labels: Tensor
    sizes: tuple[tuple[int, int], ...] = ()
    outputs: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_prepared(self) -> bool:
        """Whether the images are tensors, which no preprocessing changes, or texts as tokens."""
        return isinstance(self.source, Tensor | Tokens)

    @property
    def holds_texts(self) -> bool:
        """Whether these are texts, which are neither resized nor normalised."""
        return isinstance(self.source, Tokens)

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Width and height of every image, None where they differ; of tensors their own."""
        if isinstance(self.source, Tensor):
            return self.source.shape[3], self.source.shape[2]
        if isinstance(self.source, Tokens):
            return None
        return self.sizes[0] if len(set(self.sizes)) == 1 else None

    def first(self, count: int) -> "Sample":
        """The first so many."""
        if isinstance(self.source, Tokens):
            source = self.source.chosen(torch.arange(min(count, len(self))))
            return replace(self, source=source, labels=self.labels[:count])
        return replace(self, source=self.source[:count], labels=self.labels[:count], sizes=self.sizes[:count])

    def images(self, ways: Sequence[tuple[Preprocessing | Processor | None, int]]) -> list[Tensor]:
        """The images as each way prepares them, in so many channels, each uint8 N×C×H×W; each file is decoded once.

        Texts are one batch, int64 N×3×L, whatever the way.

        Raises DataError where images of several sizes are not to be prepared, and for files that have changed.
        """
        if isinstance(self.source, Tensor):
            return [self.source for _ in ways]
        if isinstance(self.source, Tokens):
            return [self.source[torch.arange(len(self))] for _ in ways]
        decodings = [Decoding(NOTHING, way, channels) for way, channels in ways]
        prepared: list[list[Tensor]] = [[] for _ in ways]
        for item in self.source:
            loaded = _loaded(item)
            if isinstance(loaded, str):
                raise DataError(f"{shown(item[0])} could be decoded before and now cannot: {loaded}. Try again.")
            for pixels, decoding in zip(prepared, decodings, strict=True):
                pixels.append(torch.from_numpy(np.ascontiguousarray(decoding._pixels(loaded[0]))))
        if any(len({image.shape for image in pixels}) > 1 for pixels in prepared):
            raise DataError(
                "The images are of several sizes; give all one by preprocessing = { resize = 256, crop = 224 }, or what your "
                "network expects, in zoo.toml."
            )
        return [torch.stack(pixels) for pixels in prepared]


def sample(data: Data, split: str, at_most: int, *, seed: int = 0) -> Sample:
    """At most so many images of a split, as many of each class as there are, drawn by the seed.

    Of image files only those are decoded. Raises DataError as `Data.split` does, and where no image can be decoded.
    """
    origin = data._origin(split)
    if origin.decoding is None:
        whole = data.split(split).narrowed
        chosen = torch.tensor(_in_turn(whole.labels.tolist(), at_most, seed))
        drawn = whole.chosen(chosen)
        return Sample(drawn.tokens or drawn.images, drawn.labels, outputs=whole.outputs)
    collection = origin.decoding.collection
    items = collection.opened().items
    if isinstance(collection, Files):
        own, places = list(collection.labels), list(range(len(items)))
        placement = origin.placement
    else:
        known = Decoding(collection, data.preprocessing or UNDECIDED, origin.decoding.channels)
        contents = known.contents()
        kept = [True] * len(contents.labels)
        if origin.held_out is not None:
            kept = data._kept(contents, origin.held_out).tolist()
        numbers = {name: place for place, (name, _) in enumerate(items)}
        own = list(itertools.compress(contents.labels, kept))
        places = [numbers[name] for name in itertools.compress(contents.names, kept)]
        placement = data._placed_in_a_set(known, torch.tensor(contents.labels))
    labels = [placement.outputs[label] for label in own] if placement else own
    order = _in_turn(labels, len(labels), seed)
    taken, sizes = _loadable([(places[each], items[places[each]]) for each in order], at_most)
    by_place = dict(zip(places, labels, strict=True))
    chosen = torch.tensor([by_place[place] for place, _ in taken])
    judged = Split(split, torch.empty(0), chosen, data._judged_outputs(split)).narrowed
    return Sample(tuple(item for _, item in taken), judged.labels, sizes, judged.outputs)


def _loadable(
    items: Iterable[tuple[int, Item]], at_most: int
) -> tuple[list[tuple[int, Item]], tuple[tuple[int, int], ...]]:
    """The first so many that can be decoded, with their places, and the width and height of each."""
    taken: list[tuple[int, Item]] = []
    sizes: list[tuple[int, int]] = []
    reason = "there is none"
    for place, item in items:
        if len(taken) == at_most:
            break
        loaded = _loaded(item)
        if isinstance(loaded, str):
            reason = f"{shown(item[0])}: {loaded}"
            continue
        taken.append((place, item))
        sizes.append(loaded[0].size)
    if not taken:
        raise DataError(f"No image of the split can be decoded; {reason}.")
    return taken, tuple(sizes)


def _in_turn(labels: Sequence[int], at_most: int, seed: int) -> list[int]:
    """The places of so many labels, shuffled, one of each class in turn."""
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    by_class: dict[int, list[int]] = {}
    for place in order:
        by_class.setdefault(labels[place], []).append(place)
    turns = itertools.zip_longest(*by_class.values())
    return [place for turn in turns for place in turn if place is not None][:at_most]
