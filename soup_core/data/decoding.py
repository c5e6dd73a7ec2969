"""Image files become uint8 tensors once, to the byte as torchvision decodes them, and are kept in blocks by the store.

Threads decode, since Pillow lets go of the interpreter meanwhile; many images are decoded in a process of its own, so that
a page stays quick, and a decoder that crashes takes nothing along. What was interrupted goes on after its last block.
"""

import contextlib
import hashlib
import json
import math
import os
import select
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soup_core.checkpoints import Checkpoint, memory_of, save
from soup_core.data.preprocessing import Preprocessing
from soup_core.data.processors import Processor
from soup_core.data.sources import Files, Item, Loaded, TorchvisionSet
from soup_core.errors import CheckpointError, DataError, SoupError
from soup_core.runtime import settings
from soup_core.runtime.files import home, shown, write_atomically
from soup_core.runtime.store import default_store

if TYPE_CHECKING:
    from PIL.Image import Image

FORMAT = 1  # of the blocks; raise it when what they hold changes
BLOCK_BYTES = 2**26
SMALL_BYTES = 20_000_000  # of files, up to which they are decoded in this process
TOLD_SECONDS = 0.1
LOOK_SECONDS = 0.5
PRINT_BYTES = 16
Pixels = NDArray[np.uint8]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Decoded:
    """How many images have been decoded, and of how many: 0 of 0 where that is not known yet."""

    done: int = 0
    total: int = 0


class Contents(NamedTuple):
    """Of the images that were decoded the names, labels and prints; of the others the name and what is wrong with it."""

    names: list[str]
    labels: list[int]
    image_digests: Tensor
    damaged: list[tuple[str, str]]


@dataclass(frozen=True)
class Decoding:
    """A collection of images, and what they become: uint8 N×channels×H×W, with the preprocessing where there is one.

    Three channels are red, green and blue, one is grey. The images keep the collection's order; those that cannot be
    decoded are left out and listed among its contents.
    """

    collection: Files | TorchvisionSet
    preprocessing: Preprocessing | Processor | None
    channels: int

    @cached_property
    def key(self) -> str:
        """Digest of the files' names, sizes and times, and of what is made of them."""
        step = self.preprocessing.identity if self.preprocessing else None
        content = [FORMAT, BLOCK_BYTES, {**asdict(self), "preprocessing": step}]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where the blocks are kept."""
        return home() / "images" / self.key

    @property
    def ready(self) -> bool:
        """Whether all blocks are there."""
        return (self.folder / "ready.json").is_file()

    def steps(self) -> Iterator[Decoded]:
        """Decode what is not there yet, and tell how far that is; another session or process that is at it is waited for.

        Raises DataError where the images do not fit the budget, or are of several sizes without a preprocessing.
        """
        name = f"images-{self.key}"
        while not self.ready:
            with default_store().claim(name, wait=False) as mine:
                if mine and not self.ready:
                    small = sum(size for _, size, _ in self.collection.stamps) <= SMALL_BYTES
                    yield from self.blocks() if small else self._in_a_process()
            if not mine:
                yield Decoded()
                with default_store().lending(name):
                    time.sleep(LOOK_SECONDS)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Images and labels (int64, N), decoded first where they are not there."""
        return self._sound(self._tensors)

    def contents(self) -> Contents:
        """Names, labels and prints of the images, and which are damaged; decoded first where they are not there."""
        return self._sound(self._contents)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, empty where nobody has named them; decoded first where they are not there."""
        return self._sound(lambda: tuple(self._summary()["classes"]))

    def request(self) -> str:
        """What `main` reads on standard input in order to decode these images."""
        return json.dumps({**asdict(self), "kind": type(self.collection).__name__})

    def blocks(self) -> Iterator[Decoded]:
        """Decode in this process, block by block, and keep each; blocks that are there already are left as they are.

        Raises DataError where there is no image, none that can be decoded, or more than may be kept for a split.
        """
        items, classes = self.collection.opened()
        if not items:
            raise DataError(
                "There is no image for this split; give more files, or another share of held_out in zoo.toml."
            )
        shape = self._shape(items)
        needed, budget = len(items) * math.prod(shape), settings.IMAGES()
        if needed > 1e9 * budget:
            raise DataError(
                f"These {len(items):,} images would take {needed / 1e9:.1f} GB as uint8 of shape {shape}, and at most "
                f"{budget:g} GB are kept for a split; take a smaller crop or share of held_out in zoo.toml, fewer files, or "
                "set SOUP_IMAGES to more gigabytes."
            )
        size = max(1, BLOCK_BYTES // math.prod(shape))
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            for number, begin in enumerate(range(0, len(items), size)):
                file, batch = self.folder / _file(number), items[begin : begin + size]
                if not file.is_file():
                    found: list[tuple[Pixels, int] | str] = []
                    told = -math.inf
                    for result in pool.map(partial(self._tried, shape), batch):
                        if time.monotonic() - told > TOLD_SECONDS:
                            told = time.monotonic()
                            yield Decoded(begin + len(found), len(items))
                        found.append(result)
                    _keep(file, [name for name, _ in batch], found, shape)
                yield Decoded(begin + len(batch), len(items))
        finally:
            pool.shutdown(cancel_futures=True)
        summary = {"blocks": number + 1, "classes": classes}
        write_atomically(self.folder / "ready.json", json.dumps(summary).encode())

    def _shape(self, items: Sequence[Item]) -> tuple[int, int, int]:
        """The shape of every image: given by the crop, or by what becomes of the first that can be decoded."""
        if isinstance(self.preprocessing, Preprocessing):
            return (self.channels, *self.preprocessing.shape)
        found: Loaded | str = ""
        for item in items:
            if not isinstance(found := _loaded(item), str):
                height, width = self._pixels(found[0]).shape[1:]
                return (self.channels, height, width)
        raise DataError(f"None of these {len(items)} images can be decoded; {shown(items[-1][0])}: {found}.")

    def _tried(self, shape: tuple[int, int, int], item: Item) -> tuple[Pixels, int] | str:
        """An image's pixels and label, or why there are none."""
        found = _loaded(item)
        if isinstance(found, str):
            return found
        image, label = found
        pixels = self._pixels(image)
        if pixels.shape != shape:
            becomes = "becomes" if self.preprocessing else "has"
            raise DataError(
                f"{shown(item[0])} {becomes} {pixels.shape[2]}×{pixels.shape[1]} pixels, and the images before it "
                f"{shape[2]}×{shape[1]}; give all one size by preprocessing = {{ resize = 256, crop = 224 }}, or what your "
                "network expects, in zoo.toml."
            )
        return pixels, int(label)

    def _pixels(self, image: "Image") -> Pixels:
        image = image.convert("RGB")
        if self.channels == 1:
            image = image.convert("L")
        if self.preprocessing:
            image = self.preprocessing(image)
        pixels = np.array(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def _in_a_process(self) -> Iterator[Decoded]:
        # A script of its own, since a child of multiprocessing would run the main module again, which in a session of
        # Streamlit is the page.
        with subprocess.Popen(
            [sys.executable, "-c", "from soup_core.data.decoding import main; main()"],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(self.request().encode())
                seen = Decoded()
                while True:
                    if select.select([child.stdout], [], [], LOOK_SECONDS)[0]:
                        line = child.stdout.readline()
                        if not line:
                            break
                        told = json.loads(line)
                        if "error" in told:
                            raise DataError(told["error"])
                        seen = Decoded(**told)
                    yield seen
                child.wait()
            finally:
                child.kill()
        if child.returncode or not self.ready:
            raise DataError(
                f"The process that decoded the images ended unexpectedly (code {child.returncode}) after {seen.done} of "
                f"{seen.total}; open the zoo again to go on, and if it ends there again, look at the files that follow."
            )

    def _summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.folder / "ready.json").read_bytes())
        return summary

    def _blocks(self) -> list[Checkpoint]:
        return [Checkpoint(self.folder / _file(number)) for number in range(self._summary()["blocks"])]

    def _sound(self, read: Callable[[], Found]) -> Found:
        """What is read of the blocks; those that are not as they were written are made again."""
        for _ in self.steps():
            pass
        try:
            return read()
        except (CheckpointError, OSError, ValueError, LookupError):
            shutil.rmtree(self.folder, ignore_errors=True)
        for _ in self.steps():
            pass
        return read()

    def _tensors(self) -> tuple[Tensor, Tensor]:
        blocks = self._blocks()
        counts = [block.tensors["images"].shape[0] for block in blocks]
        images = torch.empty((sum(counts), *blocks[0].tensors["images"].shape[1:]), dtype=torch.uint8)
        for block, part in zip(blocks, images.split(counts), strict=True):
            with block.reader() as read:
                if part.numel():
                    read.fill("images", 0, memory_of(part))
            if _told(block)["checksum"] != _checksum(part):
                raise CheckpointError(f"{block.path.name} is not what was written.")
        return images, torch.cat([block.read("labels") for block in blocks])

    def _contents(self) -> Contents:
        blocks = self._blocks()
        told = [_told(block) for block in blocks]
        return Contents(
            [name for each in told for name in each["names"]],
            torch.cat([block.read("labels") for block in blocks]).tolist(),
            torch.cat([block.read("prints") for block in blocks]),
            [(name, reason) for each in told for name, reason in each["damaged"]],
        )


def image_digests(images: Tensor) -> Tensor:
    """A digest of each image (uint8, N×16): equal images have equal ones."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=PRINT_BYTES).digest() for image in images.numpy()]
    return torch.from_numpy(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, PRINT_BYTES).copy())


def main() -> None:
    """Decode what standard input describes, and tell on standard output how far that is, a JSON object a line."""
    asked = json.load(sys.stdin)
    kind = {"Files": Files, "TorchvisionSet": TorchvisionSet}[asked["kind"]]
    step = asked["preprocessing"]
    preprocessing = step and (Processor(**step) if "processor" in step else Preprocessing.from_table(step))
    decoding = Decoding(kind(**asked["collection"]), preprocessing, asked["channels"])
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            for seen in decoding.blocks():
                print(json.dumps(asdict(seen)), file=out, flush=True)
        except SoupError as error:
            print(json.dumps({"error": str(error)}), file=out, flush=True)


def _file(number: int) -> str:
    return f"{number:05d}.safetensors"


def _keep(file: Path, names: list[str], found: list[tuple[Pixels, int] | str], shape: tuple[int, int, int]) -> None:
    decoded = [(name, *each) for name, each in zip(names, found, strict=True) if not isinstance(each, str)]
    pixels = np.stack([each for _, each, _ in decoded]) if decoded else np.empty((0, *shape), np.uint8)
    images = torch.from_numpy(pixels)
    told = {
        "names": [name for name, *_ in decoded],
        "damaged": [(name, each) for name, each in zip(names, found, strict=True) if isinstance(each, str)],
        "checksum": _checksum(images),
    }
    labels = torch.tensor([label for *_, label in decoded], dtype=torch.int64)
    save(file, {"images": images, "labels": labels, "prints": image_digests(images)}, json.dumps(told))


def _told(block: Checkpoint) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(block.metadata["soup_core"])
    return told


def _checksum(images: Tensor) -> int:
    return zlib.crc32(memory_of(images)) if images.numel() else 0


def _loaded(item: Item) -> "Loaded | str":
    """An image and its label, or why its content cannot be decoded. Raises DataError for a file that cannot be read."""
    from PIL import Image, UnidentifiedImageError

    name, load = item
    try:
        return load()
    except MemoryError:
        raise
    except UnidentifiedImageError:
        return "not an image of a known format"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return f"too large to be decoded ({error})"
    except Exception as error:  # decoders raise anything on damaged content
        if isinstance(error, OSError) and error.errno:
            raise DataError(
                f"{shown(name)} cannot be read ({error.strerror}); see to the file, and open the zoo again."
            ) from error
        return f"damaged ({error or type(error).__name__})"
