"""Labelled images as tensors: the held-out split selects, the test split and its shifts report, train is for tuning.

A split is uint8 images with int64 labels; normalisation happens on the device, batch by batch.
"""

import hashlib
import lzma
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from weakref import WeakValueDictionary

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from soup_core.checkpoints import Checkpoint
from soup_core.data import sources
from soup_core.data.decoding import Contents, Decoded, Decoding, image_digests
from soup_core.data.preprocessing import Normalization, Preprocessing
from soup_core.data.processors import Processor
from soup_core.data.shifts import SHIFTS, shifted
from soup_core.data.sources import Files, HeldOut, TorchvisionSet
from soup_core.errors import DataError, SoupError
from soup_core.runtime.files import listed, shown
from soup_core.runtime.interruption import exclusive

ASSETS = Path(__file__).resolve().parents[2] / "assets"
FASHION_MNIST = ASSETS / "data" / "fashion_mnist"
FASHION_CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
PLAIN_SPLITS = ("held_out", "test", "train")
KEPT_BYTES = 1_000_000_000  # of splits that nobody uses at the moment, for whoever asks next
WHY_APART = {
    ("held_out", "test"): "what selects must not report",
    ("held_out", "train"): "what trains must not select",
    ("test", "train"): "what trains must not report",
}


FASHION_NORMALIZATION = Normalization(mean=(0.2860,), std=(0.3530,))
UNNORMALIZED = Normalization(mean=(0.0,), std=(1.0,))
UNNORMALIZED_COLOUR = Normalization(mean=(0.0,) * 3, std=(1.0,) * 3)


@dataclass(frozen=True, eq=False)
class Split:
    """Images (uint8, N×C×H×W) and labels (int64, N) under the split's name."""

    name: str
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, images and labels: two splits of the same digest hold the same data."""
        content = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        content.update(self.images.contiguous().numpy().data)
        content.update(self.labels.contiguous().numpy().data)
        return content.hexdigest()


@dataclass(frozen=True)
class Data:
    """Where a zoo's images come from; paths are relative to `folder`, the zoo's own.

    `source` is "fashion_mnist", "tensors:FILE", "imagefolder:PATH" or "torchvision:CLASS", which lies at `root`. Image
    files go through `preprocessing`; `held_out` says what is held out where the source has no split for it;
    `shift_folders` are class folders of images under real distribution shifts, by name.
    """

    source: str
    folder: Path
    normalization: Normalization
    preprocessing: Preprocessing | Processor | None = None
    held_out: HeldOut = field(default_factory=HeldOut)
    root: str = "."
    shift_folders: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names in the labels' order, empty where nobody has named them or they are not known yet."""
        return tuple(shown(name) for name in self._classes)

    def shifts(self) -> tuple[str, ...]:
        """Names of the distribution shifts that `split("test:NAME")` knows, severities included, given ones first."""
        made = tuple(f"{name}-{severity}" for name in SHIFTS for severity in range(1, 6))
        given = set(self.shift_folders)
        if self._kind == "tensors":
            given |= {
                name.removeprefix("shift.").removesuffix(".images")
                for name in self._tensors.tensors
                if name.startswith("shift.") and name.endswith(".images")
            }
        return (*sorted(given), *(name for name in made if name not in given))

    def decode(self, name: str) -> Iterator[Decoded]:
        """Decode the image files that a split needs, and tell how far that is; nothing where there are none, or it is done.

        Raises DataError as `split` does. Stopped and begun again, it goes on.
        """
        _, shift = self._parsed(name)
        if shift:
            yield from self.decode("test")  # a shift is made of it, or shares its classes
        if not self._is_made(shift) and (decoding := self._origin(name).decoding):
            yield from decoding.steps()

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
            return Split(name, shifted(test.images, shift), test.labels)
        origin = self._origin(name)
        return self._checked(self._cache.split((name, origin.key), lambda: Split(name, *origin.read())))

    def notices(self) -> tuple[str, ...]:
        """What is wrong with the images and yet does not keep them from use: damaged files, images in two splits.

        A sentence each. Images that have still to be decoded are not looked at.
        """
        ready = tuple(filter(self._ready, (*PLAIN_SPLITS, *(f"test:{name}" for name in self.shift_folders))))
        return self._cache.notices(ready, self._notices)

    def _notices(self, names: tuple[str, ...]) -> tuple[str, ...]:
        contents = {name: found for name in names if (found := self._contents(name))}
        return (*_damaged(contents), *_in_two(contents))

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
    def _roots(self) -> tuple[Path, ...]:
        return tuple(root.resolve() for root in (self.folder, *sources.operator_folders()))

    @cached_property
    def _tensors(self) -> Checkpoint:
        return Checkpoint(sources.allowed(self.folder / self._path, self._roots))

    @cached_property
    def _parts(self) -> Mapping[str, Files | TorchvisionSet]:
        if self._kind == "imagefolder":
            return sources.image_folder(self.folder / self._path, self._roots)
        return sources.torchvision_sets(self._path, self.folder / self.root, self._roots)

    @cached_property
    def _cache(self) -> "SplitCache":
        return SplitCache(shared_splits)

    @property
    def _classes(self) -> tuple[str, ...]:
        if self._kind == "fashion_mnist":
            return FASHION_CLASSES
        for part in self._parts.values() if self._kind in ("imagefolder", "torchvision") else ():
            if isinstance(part, Files):
                return part.classes
            if (decoding := self._decoding(part)).ready:
                return decoding.classes
        return ()

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
        given = self._kind == "tensors" and f"shift.{shift}.images" in self._tensors.tensors
        return given or shift in self.shift_folders

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
            return self._decoded(sources.class_folders(folder, self._roots, classes=self._classes))
        if self._kind == "fashion_mnist":
            return _Origin(plain, partial(_bundled_tensors, plain))
        if self._kind == "tensors":
            prefix = f"shift.{shift}" if shift else plain
            return _Origin((self._tensors, prefix), partial(self._read, prefix))
        part, held_out = sources.split_origin(plain, self._parts, self.source)
        collection = self._parts[part]
        if held_out is not None and isinstance(collection, Files):  # only what is needed is decoded
            chosen = self.held_out.chosen([name for name, *_ in collection.stamps], collection.labels)
            return self._decoded(collection.only([each is held_out for each in chosen]))
        return self._decoded(collection, held_out)

    def _decoded(self, collection: Files | TorchvisionSet, held_out: bool | None = None) -> "_Origin":
        decoding = self._decoding(collection)
        return _Origin(
            (decoding.key, self.held_out, held_out), partial(self._part_of, decoding, held_out), decoding, held_out
        )

    def _decoding(self, collection: Files | TorchvisionSet) -> Decoding:
        channels = len(self.normalization.mean)
        if channels not in (1, 3):
            raise DataError(
                f"Image files become grey or coloured, with 1 or 3 channels; normalize in zoo.toml has {channels} means."
            )
        return Decoding(collection, self.preprocessing, channels)

    def _read(self, prefix: str) -> tuple[Tensor, Tensor]:
        file = self._tensors
        for part in ("images", "labels"):
            if f"{prefix}.{part}" not in file.tensors:
                raise DataError(
                    f"{file.path} has no tensor {prefix}.{part}; it holds {listed(sorted(file.tensors), 6)}."
                )
        return file.read(f"{prefix}.images"), file.read(f"{prefix}.labels")

    def _part_of(self, decoding: Decoding, held_out: bool | None) -> tuple[Tensor, Tensor]:
        """The images of a part of a source that are held out of it, or the others, or all."""
        images, labels = decoding.tensors()
        if held_out is None:
            return images, labels
        kept = self._kept(decoding.contents(), held_out)
        return images[kept], labels[kept]

    def _kept(self, contents: Contents, held_out: bool) -> Tensor:
        return torch.tensor(self.held_out.chosen(contents.names, contents.labels)) == held_out

    def _contents(self, name: str) -> Contents | None:
        """What notices look at; None where it cannot be read, and for the bundled images, which are sound and apart."""
        try:
            origin = self._origin(name)
            if (decoding := origin.decoding) is None:
                if self._kind == "fashion_mnist":
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
        images, labels = split.images, split.labels
        where = f"The split {split.name} of {self.source}"
        if images.ndim != 4 or images.dtype != torch.uint8:
            raise DataError(
                f"{where}: images must be uint8 of shape N×C×H×W; found {_described(images)}. Save them so again."
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise DataError(
                f"{where}: labels must be int64 of shape ({len(images)},), one for each image; found "
                f"{_described(labels)}."
            )
        if not len(labels):
            raise DataError(f"{where} holds no image that can be used; at least one is needed.")
        if len(self.normalization.mean) not in (1, images.shape[1]):
            raise DataError(
                f"{where}: images have {images.shape[1]} channels, but normalize in zoo.toml gives "
                f"{len(self.normalization.mean)} means; give one mean and one std for each channel."
            )
        return split


@dataclass(frozen=True)
class _Origin:
    """What a split is read from: a key of its content, what reads it, and, for image files, what decodes them.

    `held_out` says whether the split is what is held out of the images decoded, or the others, or all of them.
    """

    key: Hashable
    read: Callable[[], tuple[Tensor, Tensor]]
    decoding: Decoding | None = None
    held_out: bool | None = None


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
        """Bytes of the images that are kept, whether somebody uses them or not."""
        return sum(split.images.nbytes for split in self._recent.values())

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


def _damaged(contents: Mapping[str, Contents]) -> Iterator[str]:
    told: set[str] = set()
    for split, its in contents.items():
        if its.damaged and its.damaged[0][0] not in told:
            told.update(name for name, _ in its.damaged)
            name, reason = its.damaged[0]
            yield (
                f"{_images(len(its.damaged))} left out of the split {split}, being impossible to decode, for instance "
                f"{shown(name)}: {reason}. Copy again what belongs there, and take away what does not."
            )


def _in_two(contents: Mapping[str, Contents]) -> Iterator[str]:
    keyed = {
        split: {print.tobytes(): name for print, name in zip(its.image_digests.numpy(), its.names, strict=True)}
        for split, its in contents.items()
    }
    for (one, other), why in WHY_APART.items():
        if one in keyed and other in keyed and (both := [each for each in keyed[one] if each in keyed[other]]):
            yield (
                f"{_images(len(both))} in both splits {one} and {other}, for instance {shown(keyed[one][both[0]])} and "
                f"{shown(keyed[other][both[0]])}; {why}: take what is the same out of one of them."
            )


def _images(count: int) -> str:
    return "1 image is" if count == 1 else f"{count:,} images are"


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _bundled_tensors(name: str) -> tuple[Tensor, Tensor]:
    path = FASHION_MNIST / f"{name}.safetensors.xz"
    try:
        tensors = safetensors.torch.load(lzma.decompress(path.read_bytes()))
        return tensors["images"], tensors["labels"]
    except (OSError, lzma.LZMAError, safetensors.SafetensorError, KeyError) as error:
        raise DataError(
            f"The bundled images {path.name} are missing or damaged ({error}); restore assets/data from the project."
        ) from error
