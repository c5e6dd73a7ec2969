"""Labelled images as tensors: the held-out split selects, the test split and its shifts report, train is for tuning.

A split is uint8 images with int64 labels; normalisation happens on the device, batch by batch.
"""

import contextlib
import math
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from soup_core.checkpoints import Checkpoint
from soup_core.data import notices, sources
from soup_core.data.bundled_sets import SHIFT, BundledSet, bundled_set
from soup_core.data.class_names import LEFT_OUT, Outputs, Placement, classes_of, placed
from soup_core.data.decoding import Contents, Decoded, Decoding, image_digests
from soup_core.data.groups import numbered, read_groups
from soup_core.data.packed_images import PackedImages, content_digest
from soup_core.data.preprocessing import Normalization, Preprocessing
from soup_core.data.processors import Processor
from soup_core.data.shifts import SHIFTS, shifted
from soup_core.data.sources import Files, HeldOut, ImageFolder, TorchvisionSet
from soup_core.data.text_files import Columns
from soup_core.data.text_labels import placement_of
from soup_core.data.text_sources import TextPart, TextSource, label_names, text_part, text_source
from soup_core.data.text_tokenizers import Tokenizer
from soup_core.data.tokenizing import Tokenizing
from soup_core.data.tokens import Tokens
from soup_core.errors import DataError, SoupError
from soup_core.runtime.files import listed, shown
from soup_core.runtime.interruption import exclusive

PLAIN_SPLITS = ("held_out", "test", "train")
TEXT_SOURCES = ("texts", "reviews")
KEPT_BYTES = 1_000_000_000  # of splits that nobody uses at the moment, for whoever asks next

UNNORMALIZED = Normalization(mean=(0.0,), std=(1.0,))
UNNORMALIZED_COLOUR = Normalization(mean=(0.0,) * 3, std=(1.0,) * 3)


@dataclass(frozen=True, eq=False)
class Split:
    """Images (uint8, N×C×H×W) or texts and labels (int64, N) under the split's name.

    `pixels` are the images, or what unpacks them when they are first asked for, or the texts' tokens. Labels are numbers of
    the network's outputs. `outputs` are those that the split is judged over, in their order, where it is not all of them;
    `groups` (int64, N) number the images' or texts' groups, where they have any.
    """

    name: str
    pixels: Tensor | PackedImages | Tokens
    labels: Tensor
    outputs: tuple[int, ...] | None = None
    groups: Tensor | None = None

    @property
    def images(self) -> Tensor:
        """The images. Raises DataError where they are bundled and damaged, and where the split holds texts."""
        if isinstance(self.pixels, Tokens):
            raise DataError(f"The split {self.name} holds texts, and this is made of images.")
        return self.pixels.tensor if isinstance(self.pixels, PackedImages) else self.pixels

    @property
    def tokens(self) -> Tokens | None:
        """The texts' tokens, None where the split holds images."""
        return self.pixels if isinstance(self.pixels, Tokens) else None

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images, N×C×H×W, or of all texts as one batch, N×3×L."""
        return tuple(self.pixels.shape)

    @property
    def side(self) -> int | None:
        """The pixels of the images' shorter side, None where the split holds texts."""
        return None if isinstance(self.pixels, Tokens) else min(self.shape[2:])

    @property
    def nbytes(self) -> int:
        """Bytes of the images or tokens in memory, whether they are unpacked yet or not."""
        return self.pixels.nbytes if isinstance(self.pixels, Tokens) else math.prod(self.shape)

    def chosen(self, indices: Tensor) -> "Split":
        """The images or texts of these indices (n,) alone, in their order."""
        pixels = self.pixels.chosen(indices) if isinstance(self.pixels, Tokens) else self.images[indices]
        groups = None if self.groups is None else self.groups[indices]
        return replace(self, pixels=pixels, labels=self.labels[indices], groups=groups)

    @cached_property
    def narrowed(self) -> "Split":
        """The split with labels that are places among its `outputs`, where it has any."""
        if self.outputs is None:
            return self
        places = torch.full((max(self.outputs) + 1,), LEFT_OUT)
        places[list(self.outputs)] = torch.arange(len(self.outputs))
        return replace(self, labels=places[self.labels])

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, images or tokens, labels and outputs: two splits of the same digest hold the same data."""
        if isinstance(self.pixels, Tokens):
            return self.pixels.digest(self.labels, self.outputs)
        if isinstance(self.pixels, PackedImages) and self.labels is self.pixels.labels and self.outputs is None:
            return self.pixels.digest
        return content_digest(self.shape, self.images, self.labels, self.outputs)


@dataclass(frozen=True)
class Data:
    """Where a zoo's images or texts come from; paths are relative to `folder`, the zoo's own.

    `source` is a bundled set's name, "tensors:FILE", "imagefolder:PATH", "torchvision:CLASS", which lies at `root`, or
    "texts:PATH". Image files go through `preprocessing`, texts in `columns` through `tokenizer`; `held_out` says what is
    held out where the source has no split for it; `shift_folders` are class folders of images, or files of texts, under real
    distribution shifts, by name.

    `class_names` say what the network's outputs are, in their order, and class folders are labelled by them; without them
    the folders' own names in the order of their text serve, as long as they are as many as `num_classes`. `outputs` says
    what images are judged over: all of the network's outputs, or those alone of which there are images; `shift_outputs`
    says it for a shift. `groups` is a table of the image files' groups, see `read_groups`.
    """

    source: str
    folder: Path
    normalization: Normalization
    preprocessing: Preprocessing | Processor | None = None
    held_out: HeldOut = field(default_factory=HeldOut)
    root: str = "."
    shift_folders: Mapping[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    outputs: Outputs = "all"
    shift_outputs: Mapping[str, Outputs] = field(default_factory=dict)
    num_classes: int | None = None
    tokenizer: Tokenizer | None = None
    columns: Columns = field(default_factory=Columns)
    groups: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the labels' order, empty where nobody has named them or they are not known yet."""
        return tuple(shown(name) for name in self._classes)

    @property
    def holds_texts(self) -> bool:
        """Whether the source has texts, which splits hold as tokens, instead of images."""
        return self._kind in TEXT_SOURCES

    @property
    def things(self) -> str:
        """What judges the zoo, as sentences call many of them."""
        return "texts" if self.holds_texts else "images"

    @property
    def thing(self) -> str:
        """The same of one."""
        return self.things[:-1]

    def settings(self) -> dict[str, Any]:
        """All that is said of the images, as plain values; what stands where it is by itself is left out of the newer ones."""
        unsaid: dict[str, Any] = {
            "class_names": (),
            "outputs": "all",
            "shift_outputs": {},
            "groups": None,
            "tokenizer": None,
            "columns": asdict(Columns()),
        }
        said = {key: value for key, value in asdict(self).items() if key not in unsaid or value != unsaid[key]}
        step = self.preprocessing.identity if self.preprocessing else None
        said |= {"folder": None, "preprocessing": step}
        if self.tokenizer:
            said["tokenizer"] = self.tokenizer.identity
        return {key: value for key, value in said.items() if key != "num_classes"}

    def shifts(self) -> tuple[str, ...]:
        """Names of the distribution shifts that `split("test:NAME")` knows, severities included, given ones first.

        Those that are made are made of images; of texts there are the given ones alone.
        """
        made = () if self.holds_texts else tuple(f"{name}-{severity}" for name in SHIFTS for severity in range(1, 6))
        given = self.real_shifts()
        return (*given, *(name for name in made if name not in given))

    def real_shifts(self) -> tuple[str, ...]:
        """Names of the shifts that the source or zoo.toml gives, rather than made of the test images, sorted."""
        given = set(self.shift_folders)
        if self._bundled:
            given |= set(self._bundled.shifts)
        if self._kind == "tensors":
            given |= {
                name.removeprefix(SHIFT).removesuffix(".images")
                for name in self._tensors.tensors
                if name.startswith(SHIFT) and name.endswith(".images")
            }
        if self._kind == "texts":
            given |= set(self._text_source.shifts)
        return tuple(sorted(given))

    def decode(self, name: str) -> Iterator[Decoded]:
        """Decode the image files or texts that a split needs, and tell how far that is; nothing where it is done, or no need.

        Raises DataError as `split` does. Stopped and begun again, it goes on.
        """
        _, shift = self._parsed(name)
        if shift:
            yield from self.decode("test")  # a shift is made of it, or shares its classes
        if not self._is_made(shift) and (making := self._origin(name).making):
            yield from making.steps()

    def is_ready(self, name: str) -> bool:
        """Whether a split is there without an image file being decoded."""
        return self._ready(name)

    def split(self, name: str) -> Split:
        """Load "held_out", "test", "train" or "test:SHIFT", for instance "test:blur-3"; image files are decoded first.

        Whoever asks for a split while another uses it gets the same one, so its tensors must not be changed. Raises
        DataError where the source has no such split, or its images and labels are not of the expected shape and type.
        """
        plain, shift = self._parsed(name)
        for _ in self.decode(name):
            pass
        if self._is_made(shift):
            test = self.split(plain)
            return Split(name, shifted(test.images, shift), test.labels, test.outputs, test.groups)
        origin, outputs = self._origin(name), self._judged_outputs(name)
        key = (name, origin.key, outputs, self._groups_key)
        return self._checked(self._cache.split(key, lambda: Split(name, *origin.read(), outputs, self._groups(name))))

    def _judged_outputs(self, name: str) -> tuple[int, ...] | None:
        """The network's outputs that a split, whose images are decoded, is judged over; None where it is all of them."""
        _, shift = self._parsed(name)
        asked = self.shift_outputs.get(shift, self.outputs)
        if self._is_default_of_a_subset(name):
            asked = "present"
        if asked == "all":
            return None
        outputs = self._present([name] if self._is_given(shift) else PLAIN_SPLITS)
        every = self.num_classes or len(self._classes)
        return outputs if not every or len(outputs) < every else None

    def _is_default_of_a_subset(self, name: str) -> bool:
        """Whether this is a shift of which nobody has said what it is judged over, with fewer classes than the test images.

        It is judged over its own, as ImageNet-A's and ImageNet-R's own scripts do it (Hendrycks et al. 2021, arXiv
        1907.07174 and 2006.16241).
        """
        _, shift = self._parsed(name)
        if not self._is_of_files(shift) or shift in self.shift_outputs:
            return False
        return not set(self._present(["test"])) <= set(self._present([name]))

    def _is_of_files(self, shift: str) -> bool:
        """Whether a shift has files of its own, rather than tensors beside those of the splits."""
        return shift in self.shift_folders or (self._kind == "texts" and shift in self._text_source.shifts)

    def _present(self, names: Iterable[str]) -> tuple[int, ...]:
        """The outputs of which these splits have images, as far as the splits are there, in their order."""
        found: set[int] = set()
        for name in names:
            with contextlib.suppress(DataError):
                found.update(self._present_in(name))
        return tuple(sorted(found))

    def _present_in(self, name: str) -> Sequence[int]:
        if placement := self._origin(name).placement:
            return placement.present
        if self._kind == "tensors":
            labels: list[int] = self._read(_prefix(name), "labels").unique().tolist()
            return labels
        if self._kind == "texts":
            return self._cache.present(name, lambda: self._origin(name).read()[1].unique().tolist())
        if self._kind == "torchvision" and self.class_names:
            own = self._set_classes
            return placed(own, own, self.class_names, self.source).present
        return range(len(self._classes))

    def notices(self) -> tuple[str, ...]:
        """What is wrong with the images and yet does not keep them from use: damaged files, images in two splits.

        A sentence each. Images that have still to be decoded are not looked at.
        """
        ready = tuple(filter(self._ready, (*PLAIN_SPLITS, *(f"test:{name}" for name in self.given_shifts))))
        return self._cache.notices(ready, self._notices)

    def _notices(self, names: tuple[str, ...]) -> tuple[str, ...]:
        contents = {name: found for name in names if (found := self._contents(name))}
        what = "text" if self.holds_texts else "image"
        return (*self._folder_notices(), *notices.damaged(contents), *notices.in_two(contents, what), *self._cut(names))

    def _cut(self, names: tuple[str, ...]) -> Iterator[str]:
        """Texts that are longer than the tokenizer allows, of the splits whose tokens are there."""
        counts = {}
        for name in names:
            if (making := self._origin(name).tokenizing) and self.tokenizer:
                counts[name] = (*making.cut(), self.tokenizer.length)
        return notices.cut(counts)

    def _folder_notices(self) -> Iterator[str]:
        """What is wrong with the folders themselves; nothing of what cannot be read, which whoever asks for it is told."""
        with contextlib.suppress(SoupError):
            if self._kind == "imagefolder":
                yield from notices.unused(self._image_folder)
                yield from notices.divided(self._image_folder.parts, self._image_folder.names)
            if self._kind == "texts":
                yield from notices.unused_tables(self._text_source)
                yield from notices.divided(self._text_source.parts, self._text_source.names)
            placements = {}
            for name in (*PLAIN_SPLITS, *(f"test:{shift}" for shift in self.shift_folders)):
                with contextlib.suppress(SoupError):
                    if placement := self._origin(name).placement:
                        placements[name] = (placement, self._judged_outputs(name))
            yield from notices.classes_apart(placements, len(self._classes))

    def layout(self) -> dict[str, str]:
        """Which folder each split of an image folder is, in words; none for another source, or where it cannot be read."""
        with contextlib.suppress(DataError):
            if self._kind == "imagefolder":
                return notices.layout(self._image_folder.parts, self._image_folder.names)
            if self._kind == "texts":
                return notices.layout(self._text_source.parts, self._text_source.names)
        return {}

    def fetch(self) -> None:
        """Fetch a data set of torchvision from its makers. Raises DataError where that fails, or for another source."""
        if self._kind != "torchvision":
            raise DataError(f"Only images of torchvision:CLASS can be fetched; the source is {self.source}.")
        sources.fetch(self._path, self.folder / self.root, self._roots)

    @property
    def given_shifts(self) -> tuple[str, ...]:
        """The shifts that have files of their own, by name."""
        beside: Iterable[str] = ()
        with contextlib.suppress(SoupError):
            beside = self._text_source.shifts if self._kind == "texts" else ()
        return tuple(dict.fromkeys((*self.shift_folders, *beside)))

    @property
    def _kind(self) -> str:
        return self.source.partition(":")[0]

    @property
    def _path(self) -> str:
        return self.source.partition(":")[2]

    @property
    def _bundled(self) -> BundledSet | None:
        return bundled_set(self.source)

    @property
    def _roots(self) -> tuple[Path, ...]:
        return tuple(root.resolve() for root in (self.folder, *sources.operator_folders()))

    @cached_property
    def _tensors(self) -> Checkpoint:
        return Checkpoint(sources.allowed(self.folder / self._path, self._roots))

    @cached_property
    def _text_source(self) -> TextSource:
        return text_source(self.folder / self._path, self._roots, self.columns)

    @cached_property
    def _parts(self) -> Mapping[str, Files | TorchvisionSet]:
        if self._kind == "imagefolder":
            return self._image_folder.parts
        return sources.torchvision_sets(self._path, self.folder / self.root, self._roots)

    @cached_property
    def _image_folder(self) -> ImageFolder:
        return sources.image_folder(self.folder / self._path, self._roots)

    @cached_property
    def _cache(self) -> "SplitCache":
        return SplitCache(shared_splits)

    @property
    def _classes(self) -> tuple[str, ...]:
        if self.class_names:
            return self.class_names
        if self._bundled:
            return self._bundled.classes
        if self._kind == "imagefolder":
            own = {part: files.classes for part, files in self._image_folder.parts.items()}
            return classes_of(own, self.num_classes, self.source)
        if self._kind == "texts":
            return self._text_classes
        return self._set_classes if self._kind == "torchvision" else ()

    @cached_property
    def _text_classes(self) -> tuple[str, ...]:
        """The classes as the labels of texts name them, in the order of their text; empty where these are numbers."""
        own = {part: label_names(texts) for part, texts in self._text_source.parts.items()}
        if all(isinstance(label, int) for labels in own.values() for label in labels):
            return ()
        return classes_of(
            {part: sorted(map(str, labels)) for part, labels in own.items()}, self.num_classes, self.source
        )

    @property
    def _set_classes(self) -> tuple[str, ...]:
        """The classes as a set of torchvision itself names them, empty where none of it is decoded yet."""
        decodings = map(self._decoding, self._parts.values())
        return next((decoding.classes for decoding in decodings if decoding.ready), ())

    def _parsed(self, name: str) -> tuple[str, str]:
        """The plain split and the shift of a name. Raises DataError where there is no such split."""
        plain, _, shift = name.partition(":")
        if plain not in PLAIN_SPLITS or (shift and plain != "test"):
            raise DataError(f'There is no split {name!r}; expected "held_out", "test", "train" or "test:SHIFT".')
        if shift and shift not in self.shifts():
            given = ", ".join(shown(known) for known in self.shifts() if self._is_given(known))
            if self.holds_texts:
                raise DataError(f"There is no shift {shown(shift)!r}; expected {given or 'none, since none is given'}.")
            raise DataError(
                f"There is no shift {shift!r}; expected {f'{given}, or ' if given else ''}one of {', '.join(SHIFTS)}, each "
                "of these with a severity from -1 to -5."
            )
        return plain, shift

    def _is_given(self, shift: str) -> bool:
        given = self._kind == "tensors" and f"{SHIFT}{shift}.images" in self._tensors.tensors
        if given or self.holds_texts or shift in self.shift_folders:
            return True
        return self._bundled is not None and shift in self._bundled.shifts

    def _is_made(self, shift: str) -> bool:
        return bool(shift) and not self._is_given(shift)

    def _ready(self, name: str) -> bool:
        if ":" in name and not self._ready("test"):
            return False  # the classes of a set of torchvision may not be known yet, and a shift's labels follow them
        try:
            making = self._origin(name).making
        except SoupError:
            return False
        return making is None or making.ready

    def _origin(self, name: str) -> "_Origin":
        return self._cache.origin(name, self._found)

    def _found(self, name: str) -> "_Origin":
        plain, _, shift = name.partition(":")
        if self._kind == "texts":
            return self._of_texts(plain, shift)
        if shift in self.shift_folders:
            folder = sources.allowed(self.folder / self.shift_folders[shift], self._roots)
            return self._of_files(sources.class_folders(folder, self._roots), f"The folder of the shift {shown(shift)}")
        prefix = _prefix(name)
        if self._bundled:
            return _Origin((self.source, prefix), partial(_bundled_tensors, self._bundled, prefix))
        if self._kind == "tensors":
            return _Origin(
                (self._tensors, prefix), lambda: (self._read(prefix, "images"), self._read(prefix, "labels"))
            )
        part, held_out = sources.split_origin(plain, self._parts, self.source)
        collection = self._parts[part]
        if isinstance(collection, Files):
            where = "/".join(filter(None, (self._path, self._image_folder.names[part])))
            return self._of_files(collection, f"The folder {shown(where)}", held_out)
        return self._decoded(collection, held_out)

    def _of_texts(self, plain: str, shift: str) -> "_Origin":
        if self.tokenizer is None:
            raise DataError(
                f'{self.source} needs a tokenizer; name its folder in [data] of zoo.toml: tokenizer = "FOLDER".'
            )
        held_out = None
        if shift in self.shift_folders:
            part = text_part(self.folder / self.shift_folders[shift], self._roots, self.columns)
        elif shift:
            part = self._text_source.shifts[shift]
        else:
            name, held_out = sources.split_origin(plain, self._text_source.parts, self.source, texts=True)
            part = self._text_source.parts[name]
        making = Tokenizing(part.files, part.columns, self.tokenizer)
        key = (making.key, part.values, self.held_out, held_out, self.class_names, self.num_classes)
        where = f"The texts of {' and '.join(map(shown, part.files[:2]))}"
        return _Origin(
            key, partial(self._texts_of, making, part, held_out, where), held_out=held_out, tokenizing=making
        )

    def _texts_of(self, making: Tokenizing, part: TextPart, held_out: bool | None, where: str) -> tuple[Tokens, Tensor]:
        """The texts of a part that are held out of it, or the others, or all, with the network's labels."""
        found = making.labelled()
        kept = torch.ones(len(found.labels), dtype=torch.bool)
        if part.values:
            wanted = [found.split_names.index(value) for value in part.values]
            kept = torch.isin(found.splits, torch.tensor(wanted))
        if held_out is not None:
            # Equal texts have equal names, and so fall to the same side.
            labels = torch.where(kept, found.labels, LEFT_OUT).tolist()
            names = ["\n".join(texts) for texts in found.tokens.texts]
            kept &= torch.tensor(self.held_out.chosen(names, labels)) == held_out
        present = tuple(found.names[place] for place in found.labels[kept].unique().tolist())
        numbers = placement_of(found.names, present, self._classes, self.num_classes, where)
        indices = kept.nonzero().flatten()
        labels_kept = torch.tensor(numbers)[found.labels[indices]]
        known = (labels_kept != LEFT_OUT).nonzero().flatten()
        return found.tokens.chosen(indices[known]), labels_kept[known]

    def _of_files(self, files: Files, where: str, held_out: bool | None = None) -> "_Origin":
        """Image files under the network's numbers; only what is needed is decoded."""
        placement = placed(files.classes, files.with_images, self._classes, where)
        if held_out is not None:
            chosen = self.held_out.chosen([name for name, *_ in files.stamps], files.labels)
            files = files.only([each is held_out for each in chosen])
        if placement.beyond:
            files = files.only([placement.outputs[label] != LEFT_OUT for label in files.labels])
        return self._decoded(files, placement=placement)

    def _decoded(
        self, collection: Files | TorchvisionSet, held_out: bool | None = None, placement: Placement | None = None
    ) -> "_Origin":
        decoding = self._decoding(collection)
        key = (decoding.key, self.held_out, held_out, placement.outputs if placement else self.class_names)
        return _Origin(key, partial(self._part_of, decoding, held_out, placement), decoding, held_out, placement)

    def _decoding(self, collection: Files | TorchvisionSet) -> Decoding:
        channels = len(self.normalization.mean)
        if channels not in (1, 3):
            raise DataError(
                f"Image files become grey or coloured, with 1 or 3 channels; normalize in zoo.toml has {channels} means."
            )
        return Decoding(collection, self.preprocessing, channels)

    def _read(self, prefix: str, part: str) -> Tensor:
        file = self._tensors
        if f"{prefix}.{part}" not in file.tensors:
            raise DataError(f"{file.path} has no tensor {prefix}.{part}; it holds {listed(sorted(file.tensors), 6)}.")
        return file.read(f"{prefix}.{part}")

    def _groups(self, name: str) -> Tensor | None:
        """The groups of a split's images, where a file of tensors says them, or a table."""
        if not self.has_groups(name):
            return None
        if self._kind == "tensors":
            return self._read(_prefix(name), "groups")
        contents = self._contents(name)
        return numbered(self._group_table, contents.names, f"The split {name} of {self.source}") if contents else None

    def has_groups(self, name: str) -> bool:
        """Whether a split's images may be in groups, without reading them."""
        if self._kind == "imagefolder":
            return self.groups is not None and ":" not in name
        return self._kind == "tensors" and f"{_prefix(name)}.groups" in self._tensors.tensors

    @property
    def _groups_key(self) -> Hashable:
        """What tells one table of groups from another in what is cached; None without one."""
        return None if self.groups is None else tuple(self._group_table.items())

    @cached_property
    def _group_table(self) -> Mapping[str, str]:
        return read_groups(self.folder / (self.groups or ""), self._roots)

    def _part_of(self, decoding: Decoding, held_out: bool | None, placement: Placement | None) -> tuple[Tensor, Tensor]:
        """The images of a part of a source that are held out of it, or the others, or all, with the network's labels."""
        images, labels = decoding.tensors()
        numbers = torch.tensor((placement or self._placed_in_a_set(decoding, labels)).outputs)
        if held_out is not None:
            kept = self._kept(decoding.contents(), held_out)
            images, labels = images[kept], labels[kept]
        return images, numbers[labels]

    def _placed_in_a_set(self, decoding: Decoding, labels: Tensor) -> Placement:
        """Where the classes of a set of torchvision stand: by name where they are given, else by the set's own numbers.

        Raises DataError where none are given and the network has more.
        """
        own = decoding.classes
        if self.class_names and own:
            return placed(own, [own[label] for label in labels.unique().tolist()], self.class_names, self.source)
        if len(own) < (self.num_classes or 0):
            classes_of({sources.WHOLE: own}, self.num_classes, self.source)
        every = tuple(range(int(labels.max()) + 1))
        return Placement(every, every, (), ())

    def _kept(self, contents: Contents, held_out: bool) -> Tensor:
        return torch.tensor(self.held_out.chosen(contents.names, contents.labels)) == held_out

    def _contents(self, name: str) -> Contents | None:
        """What notices look at; None where it cannot be read, and for the bundled images, which are sound and apart."""
        try:
            origin = self._origin(name)
            if (decoding := origin.decoding) is None:
                if self._bundled:
                    return None
                split = self.split(name)
                if split.tokens is not None:
                    return Contents([f"text {index + 1}" for index in range(len(split))], [], split.tokens.digests, [])
                return Contents([f"image {index}" for index in range(len(split))], [], image_digests(split.images), [])
            contents = decoding.contents()
        except SoupError:
            return None
        if origin.held_out is None:
            return contents
        kept = self._kept(contents, origin.held_out)
        names = [name for name, taken in zip(contents.names, kept.tolist(), strict=True) if taken]
        return Contents(names, [], contents.image_digests[kept], contents.damaged)

    def _checked(self, split: Split) -> Split:
        images, labels = split.pixels, split.labels
        where = f"The split {split.name} of {self.source}"
        if isinstance(images, Tensor) and (images.ndim != 4 or images.dtype != torch.uint8):
            raise DataError(
                f"{where}: images must be uint8 of shape N×C×H×W; found {_described(images)}. Save them so again."
            )
        if tuple(labels.shape) != split.shape[:1] or labels.dtype != torch.int64:
            raise DataError(
                f"{where}: labels must be int64 of shape ({split.shape[0]},), one for each image; found "
                f"{_described(labels)}."
            )
        groups = split.groups
        if groups is not None and (groups.shape != labels.shape or groups.dtype != torch.int64):
            raise DataError(
                f"{where}: groups must be int64 of shape ({split.shape[0]},), a number for each image; found "
                f"{_described(groups)}."
            )
        if not len(labels):
            raise DataError(f"{where} holds no image that can be used; at least one is needed.")
        if len(self.normalization.mean) not in (1, split.shape[1]):
            raise DataError(
                f"{where}: images have {split.shape[1]} channels, but normalize in zoo.toml gives "
                f"{len(self.normalization.mean)} means; give one mean and one std for each channel."
            )
        return split


@dataclass(frozen=True)
class _Origin:
    """What a split is read from: a key of its content, what reads it, and what decodes image files, or makes tokens of texts.

    `held_out` says whether the split is what is held out of the images decoded, or the others, or all of them;
    `placement`, of image files, where their classes stand among the network's outputs.
    """

    key: Hashable
    read: Callable[[], tuple[Tensor | PackedImages | Tokens, Tensor]]
    decoding: Decoding | None = None
    held_out: bool | None = None
    placement: Placement | None = None
    tokenizing: Tokenizing | None = None

    @property
    def making(self) -> Decoding | Tokenizing | None:
        """What has to be done before it can be read, None where that is nothing."""
        return self.decoding or self.tokenizing


class SharedSplits:
    """The splits of a process by their content: each once, as long as it is in use, and some of those used last.

    At most `most` bytes of images are kept of splits that nobody uses.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._in_use: WeakValueDictionary[Hashable, Split] = WeakValueDictionary()
        self._recent: OrderedDict[Hashable, Split] = OrderedDict()
        self._loading: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def split(self, key: Hashable, load: Callable[[], Split]) -> Split:
        """The split under a key: the one that is in use or was lately, or else loaded, by one thread alone."""
        with self._lock:
            loading = self._loading[key]
        with exclusive(f"split {key}", partial(loading.acquire, blocking=False), loading.release):
            split = self._in_use.get(key)
            if split is None:
                split = load()
            with self._lock:
                self._in_use[key] = self._recent[key] = split
                self._recent.move_to_end(key)
                while self.kept_bytes > self.most:
                    self._recent.popitem(last=False)
        return split

    @property
    def kept_bytes(self) -> int:
        """Bytes of the images and tokens that are kept, whether somebody uses them or not, and whether they are unpacked yet or not."""
        return sum(split.nbytes for split in self._recent.values())

    def forget(self) -> None:
        """Keep none but those in use."""
        with self._lock:
            self._recent.clear()


class SplitCache:
    """What one opening of a zoo knows of its splits: what each is read from, and what was noticed of its images.

    It is as old as the opening, so that files which come later are seen when the zoo is opened again; the images are
    shared by all openings.
    """

    def __init__(self, shared: SharedSplits) -> None:
        self._shared = shared
        self._origins: dict[str, _Origin] = {}
        self._notices: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._present: dict[str, Sequence[int]] = {}

    def origin(self, name: str, find: Callable[[str], _Origin]) -> _Origin:
        """What a split is read from, found once."""
        if name not in self._origins:
            self._origins[name] = find(name)
        return self._origins[name]

    def present(self, name: str, find: Callable[[], Sequence[int]]) -> Sequence[int]:
        """The outputs of which a split has something, found once."""
        if name not in self._present:
            self._present[name] = find()
        return self._present[name]

    def notices(self, names: tuple[str, ...], look: Callable[[tuple[str, ...]], tuple[str, ...]]) -> tuple[str, ...]:
        """What was noticed of these splits' images, looked at once."""
        if names not in self._notices:
            self._notices[names] = look(names)
        return self._notices[names]

    def split(self, key: Hashable, load: Callable[[], Split]) -> Split:
        """The split under a key of its content, as everyone has it who uses it."""
        return self._shared.split(key, load)


shared_splits = SharedSplits(KEPT_BYTES)


def _prefix(name: str) -> str:
    """What the names of a split's tensors begin with in a file of tensors."""
    plain, _, shift = name.partition(":")
    return f"{SHIFT}{shift}" if shift else plain


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _bundled_tensors(bundled: BundledSet, name: str) -> tuple[Tensor | PackedImages, Tensor]:
    return bundled.read(name)
