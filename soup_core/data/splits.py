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
from soup_core.data.packed_images import PackedImages, content_digest
from soup_core.data.preprocessing import Normalization, Preprocessing
from soup_core.data.processors import Processor
from soup_core.data.shifts import SHIFTS, shifted
from soup_core.data.sources import Files, HeldOut, ImageFolder, TorchvisionSet
from soup_core.errors import DataError, SoupError
from soup_core.runtime.files import listed, shown
from soup_core.runtime.interruption import exclusive

PLAIN_SPLITS = ("held_out", "test", "train")
KEPT_BYTES = 1_000_000_000  # of splits that nobody uses at the moment, for whoever asks next

UNNORMALIZED = Normalization(mean=(0.0,), std=(1.0,))
UNNORMALIZED_COLOUR = Normalization(mean=(0.0,) * 3, std=(1.0,) * 3)


@dataclass(frozen=True, eq=False)
class Split:
    """Images (uint8, N×C×H×W) and labels (int64, N) under the split's name.

    `pixels` are the images, or what unpacks them when they are first asked for. Labels are numbers of the network's
    outputs. `outputs` are those that the split is judged over, in their order, where it is not all of them.
    """

    name: str
    pixels: Tensor | PackedImages
    labels: Tensor
    outputs: tuple[int, ...] | None = None

    @property
    def images(self) -> Tensor:
        """The images. Raises DataError where they are bundled and damaged."""
        return self.pixels.tensor if isinstance(self.pixels, PackedImages) else self.pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images."""
        return tuple(self.pixels.shape)

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
        """SHA-256 of shape, images, labels and outputs: two splits of the same digest hold the same data."""
        if isinstance(self.pixels, PackedImages) and self.labels is self.pixels.labels and self.outputs is None:
            return self.pixels.digest
        return content_digest(self.shape, self.images, self.labels, self.outputs)


@dataclass(frozen=True)
class Data:
    """Where a zoo's images come from; paths are relative to `folder`, the zoo's own.

    `source` is a bundled set's name, "tensors:FILE", "imagefolder:PATH" or "torchvision:CLASS", which lies at `root`. Image
    files go through `preprocessing`; `held_out` says what is held out where the source has no split for it;
    `shift_folders` are class folders of images under real distribution shifts, by name.

    `class_names` say what the network's outputs are, in their order, and class folders are labelled by them; without them
    the folders' own names in the order of their text serve, as long as they are as many as `num_classes`. `outputs` says
    what images are judged over: all of the network's outputs, or those alone of which there are images; `shift_outputs`
    says it for a shift.
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

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the labels' order, empty where nobody has named them or they are not known yet."""
        return tuple(shown(name) for name in self._classes)

    def settings(self) -> dict[str, Any]:
        """All that is said of the images, as plain values; what stands where it is by itself is left out of the newer ones."""
        unsaid = {"class_names": (), "outputs": "all", "shift_outputs": {}}
        said = {key: value for key, value in asdict(self).items() if key not in unsaid or value != unsaid[key]}
        step = self.preprocessing.identity if self.preprocessing else None
        said |= {"folder": None, "preprocessing": step}
        return {key: value for key, value in said.items() if key != "num_classes"}

    def shifts(self) -> tuple[str, ...]:
        """Names of the distribution shifts that `split("test:NAME")` knows, severities included, given ones first."""
        made = tuple(f"{name}-{severity}" for name in SHIFTS for severity in range(1, 6))
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
        return tuple(sorted(given))

    def decode(self, name: str) -> Iterator[Decoded]:
        """Decode the image files that a split needs, and tell how far that is; nothing where there are none, or it is done.

        Raises DataError as `split` does. Stopped and begun again, it goes on.
        """
        _, shift = self._parsed(name)
        if shift:
            yield from self.decode("test")  # a shift is made of it, or shares its classes
        if not self._is_made(shift) and (decoding := self._origin(name).decoding):
            yield from decoding.steps()

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
            return Split(name, shifted(test.images, shift), test.labels, test.outputs)
        origin, outputs = self._origin(name), self._judged_outputs(name)
        key = (name, origin.key, outputs)
        return self._checked(self._cache.split(key, lambda: Split(name, *origin.read(), outputs)))

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
        if shift not in self.shift_folders or shift in self.shift_outputs:
            return False
        return not set(self._present(["test"])) <= set(self._present([name]))

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
        if self._kind == "torchvision" and self.class_names:
            own = self._set_classes
            return placed(own, own, self.class_names, self.source).present
        return range(len(self._classes))

    def notices(self) -> tuple[str, ...]:
        """What is wrong with the images and yet does not keep them from use: damaged files, images in two splits.

        A sentence each. Images that have still to be decoded are not looked at.
        """
        ready = tuple(filter(self._ready, (*PLAIN_SPLITS, *(f"test:{name}" for name in self.shift_folders))))
        return self._cache.notices(ready, self._notices)

    def _notices(self, names: tuple[str, ...]) -> tuple[str, ...]:
        contents = {name: found for name in names if (found := self._contents(name))}
        return (*self._folder_notices(), *notices.damaged(contents), *notices.in_two(contents))

    def _folder_notices(self) -> Iterator[str]:
        """What is wrong with the folders themselves; nothing of what cannot be read, which whoever asks for it is told."""
        with contextlib.suppress(SoupError):
            if self._kind == "imagefolder":
                yield from notices.unused(self._image_folder)
                yield from notices.divided(self._image_folder)
            placements = {}
            for name in (*PLAIN_SPLITS, *(f"test:{shift}" for shift in self.shift_folders)):
                with contextlib.suppress(SoupError):
                    if placement := self._origin(name).placement:
                        placements[name] = (placement, self._judged_outputs(name))
            yield from notices.classes_apart(placements, len(self._classes))

    def layout(self) -> dict[str, str]:
        """Which folder each split of an image folder is, in words; none for another source, or where it cannot be read."""
        with contextlib.suppress(DataError):
            return notices.layout(self._image_folder) if self._kind == "imagefolder" else {}
        return {}

    def fetch(self) -> None:
        """Fetch a data set of torchvision from its makers. Raises DataError where that fails, or for another source."""
        if self._kind != "torchvision":
            raise DataError(f"Only images of torchvision:CLASS can be fetched; the source is {self.source}.")
        sources.fetch(self._path, self.folder / self.root, self._roots)

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
        return self._set_classes if self._kind == "torchvision" else ()

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
            given = ", ".join(known for known in self.shifts() if self._is_given(known))
            raise DataError(
                f"There is no shift {shift!r}; expected {f'{given}, or ' if given else ''}one of {', '.join(SHIFTS)}, each "
                "of these with a severity from -1 to -5."
            )
        return plain, shift

    def _is_given(self, shift: str) -> bool:
        given = self._kind == "tensors" and f"{SHIFT}{shift}.images" in self._tensors.tensors
        return given or shift in self.shift_folders or (self._bundled is not None and shift in self._bundled.shifts)

    def _is_made(self, shift: str) -> bool:
        return bool(shift) and not self._is_given(shift)

    def _ready(self, name: str) -> bool:
        if ":" in name and not self._ready("test"):
            return False  # the classes of a set of torchvision may not be known yet, and a shift's labels follow them
        try:
            decoding = self._origin(name).decoding
        except SoupError:
            return False
        return decoding is None or decoding.ready

    def _origin(self, name: str) -> "_Origin":
        return self._cache.origin(name, self._found)

    def _found(self, name: str) -> "_Origin":
        plain, _, shift = name.partition(":")
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
    """What a split is read from: a key of its content, what reads it, and, for image files, what decodes them.

    `held_out` says whether the split is what is held out of the images decoded, or the others, or all of them;
    `placement`, of image files, where their classes stand among the network's outputs.
    """

    key: Hashable
    read: Callable[[], tuple[Tensor | PackedImages, Tensor]]
    decoding: Decoding | None = None
    held_out: bool | None = None
    placement: Placement | None = None


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
        """Bytes of the images that are kept, whether somebody uses them or not, and whether they are unpacked yet or not."""
        return sum(math.prod(split.shape) for split in self._recent.values())

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

    def origin(self, name: str, find: Callable[[str], _Origin]) -> _Origin:
        """What a split is read from, found once."""
        if name not in self._origins:
            self._origins[name] = find(name)
        return self._origins[name]

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
