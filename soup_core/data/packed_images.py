"""The bundled images: labels and digests are read at once, the images of a split only when something looks at them.

A split's images stand one below the other in a grey PNG, which is unpacked in a third of the time that xz takes.
"""

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soup_core.errors import DataError
from soup_core.runtime.files import write_atomically

RECORD = "splits.json"
Shape = tuple[int, int, int, int]


def content_digest(shape: tuple[int, ...], images: Tensor, labels: Tensor, outputs: tuple[int, ...] | None) -> str:
    """SHA-256 of shape, images (uint8, N×C×H×W), labels (int64, N) and outputs."""
    content = hashlib.sha256(repr(tuple(shape)).encode())
    content.update(images.contiguous().numpy().data)
    content.update(labels.contiguous().numpy().data)
    if outputs is not None:
        content.update(repr(outputs).encode())
    return content.hexdigest()


@dataclass(frozen=True, eq=False)
class PackedImages:
    """A split's images that lie in a file, their shape N×1×H×W, and what `content_digest` gives for them and the labels."""

    file: Path
    shape: Shape
    labels: Tensor
    digest: str

    @cached_property
    def tensor(self) -> Tensor:
        """The images: uint8, N×1×H×W. Raises DataError where the file is missing, or does not hold what was bundled."""
        from PIL import Image  # later, since many a page shows no image and evaluates none

        try:
            with Image.open(io.BytesIO(self.file.read_bytes()), formats=("PNG",)) as picture:
                images = torch.from_numpy(np.array(picture)).view(self.shape)
            if content_digest(self.shape, images, self.labels, None) != self.digest:
                raise ValueError("its digest differs")
        except (OSError, ValueError, RuntimeError, SyntaxError) as error:  # PIL raises the last for a damaged PNG
            raise _damaged(self.file, error) from error
        return images


def write_packed(folder: Path, splits: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Write images (uint8, N×1×H×W) and labels (int64, N, below 256) by split into a folder, as `read_packed` reads them."""
    from PIL import Image

    record: dict[str, Any] = {}
    for name, (images, labels) in splits.items():
        content = io.BytesIO()
        column = images.reshape(-1, images.shape[-1]).contiguous().numpy()
        Image.fromarray(column).save(content, "PNG", optimize=True)
        write_atomically(folder / f"{name}.png", content.getvalue())
        record[name] = {
            "shape": list(images.shape),
            "digest": content_digest(tuple(images.shape), images, labels, None),
            "labels": base64.b64encode(labels.to(torch.uint8).numpy().tobytes()).decode(),
        }
    write_atomically(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())


def read_packed(folder: Path, name: str) -> tuple[PackedImages, Tensor]:
    """A split of a folder: its images, still packed, and its labels (int64, N). Raises DataError where it is damaged."""
    path = folder / RECORD
    try:
        known = json.loads(path.read_bytes())[name]
        labels = torch.tensor(list(base64.b64decode(known["labels"])), dtype=torch.int64)
        count, channels, height, width = known["shape"]
        if len(labels) != count or math.prod(known["shape"]) <= 0:
            raise ValueError(f"{count} images have {len(labels)} labels")
        shape = (int(count), int(channels), int(height), int(width))
        return PackedImages(folder / f"{name}.png", shape, labels, str(known["digest"])), labels
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def packed_names(folder: Path) -> tuple[str, ...]:
    """The names of the splits that a folder holds, none where it cannot be read."""
    try:
        return tuple(json.loads((folder / RECORD).read_bytes()))
    except (OSError, ValueError):
        return ()


def is_packed(folder: Path, names: tuple[str, ...]) -> bool:
    """Whether a folder holds these splits."""
    return all((folder / file).is_file() for file in (RECORD, *(f"{name}.png" for name in names)))


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"The bundled images {path.name} are missing or damaged ({error}); restore assets/data from the project."
    )
