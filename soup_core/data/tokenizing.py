"""Texts of files become tokens once, and are kept by the content of the files and of the tokenizer."""

import hashlib
import itertools
import json
import time
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from soup_core.checkpoints import Checkpoint, memory_of, save
from soup_core.data.decoding import LOOK_SECONDS, Decoded
from soup_core.data.text_files import Columns, Label, Row, opened, rows
from soup_core.data.text_tokenizers import Tokenizer
from soup_core.data.tokens import Sentences, Tokens
from soup_core.errors import CheckpointError, DataError
from soup_core.runtime import settings
from soup_core.runtime.files import home, shown
from soup_core.runtime.store import default_store

FORMAT = 1  # of what is kept; raise it when that changes
AT_ONCE = 500  # texts
LABELS_AT_MOST = 100_000  # different ones


class Labelled(NamedTuple):
    """Texts as tokens with a label each: its place (int64, N) among `names`, and of splits the same."""

    tokens: Tokens
    labels: Tensor
    names: tuple[Label, ...]
    splits: Tensor
    split_names: tuple[str, ...]


@dataclass(frozen=True)
class Tokenizing:
    """Files of texts in a row, and what they become."""

    files: tuple[Path, ...]
    columns: Columns
    tokenizer: Tokenizer

    @cached_property
    def key(self) -> str:
        """Digest of the files' content, and of what is made of it."""
        content = [FORMAT, asdict(self.columns), self.tokenizer.identity, *map(content_of, self.files)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def file(self) -> Path:
        """Where the tokens are kept."""
        return home() / "texts" / f"{self.key}.safetensors"

    @property
    def ready(self) -> bool:
        """Whether they are there."""
        return self.file.is_file()

    def steps(self) -> Iterator[Decoded]:
        """Make the tokens where they are not there yet, and tell how far that is; another process at it is waited for.

        Raises DataError as `rows` and the tokenizer do, and for more than may be kept of a split.
        """
        name = f"texts-{self.key}"
        while not self.ready:
            with default_store().claim(name, wait=False) as mine:
                if mine and not self.ready:
                    yield from self._make()
            if not mine:
                yield Decoded()
                with default_store().lending(name):
                    time.sleep(LOOK_SECONDS)

    def labelled(self) -> Labelled:
        """The tokens and labels, made first where they are not there, or not as they were written."""
        for _ in self.steps():
            pass
        try:
            return self._read()
        except (CheckpointError, OSError, ValueError, LookupError, DataError):
            self.file.unlink(missing_ok=True)
        for _ in self.steps():
            pass
        return self._read()

    def cut(self) -> tuple[int, int]:
        """How many of the texts were longer than the tokenizer allows, and of how many, where the tokens are there."""
        kept = Checkpoint(self.file)
        return int(json.loads(kept.metadata["soup_core"])["cut"]), kept.tensors["lengths"].shape[0]

    def _make(self) -> Iterator[Decoded]:
        found = list(itertools.chain.from_iterable(rows(file, self.columns) for file in self._bounded()))
        if not found:
            raise DataError(f"{shown(self.files[0])} holds no row; expected labelled texts.")
        ids, segments, lengths, cut = array("i"), array("B"), array("q"), 0
        for begin in range(0, len(found), AT_ONCE):
            yield Decoded(begin, len(found))
            encoded = self.tokenizer([row.texts for row in found[begin : begin + AT_ONCE]])
            cut += encoded.cut
            for index, row in enumerate(encoded.ids):
                ids.extend(row)
                lengths.append(len(row))
                segments.extend(encoded.segments[index] if encoded.segments is not None else bytes(len(row)))
            self._check_budget(9 * len(ids))
        self._keep(found, ids, segments, lengths, cut)
        yield Decoded(len(found), len(found))

    def _bounded(self) -> Iterator[Path]:
        for file in self.files:
            self._check_budget(file.stat().st_size)
            yield file

    def _check_budget(self, needed: int) -> None:
        if needed > 1e9 * settings.IMAGES():
            raise DataError(
                f"The texts of {shown(self.files[0])} take more than the {settings.IMAGES():g} GB that are kept for a split; "
                "give fewer, or set SOUP_IMAGES to more gigabytes."
            )

    def _keep(
        self, found: Sequence[Row], ids: "array[int]", segments: "array[int]", lengths: "array[int]", cut: int
    ) -> None:
        names, labels = _places([row.label for row in found])
        if len(names) > LABELS_AT_MOST:
            raise DataError(
                f"{shown(self.files[0])} has {len(names):,} different labels in the column {shown(self.columns.label)}; at "
                f"most {LABELS_AT_MOST:,} are classes. Name another column."
            )
        split_names, splits = _places([row.split for row in found])
        parts = [text.encode() for row in found for text in row.texts]
        tensors = {
            "ids": torch.from_numpy(np.frombuffer(ids, np.int32).copy()),
            "lengths": torch.from_numpy(np.frombuffer(lengths, np.int64).copy()),
            "segments": torch.from_numpy(np.frombuffer(segments, np.uint8).copy()),
            "labels": labels,
            "splits": splits,
            "characters": torch.from_numpy(np.frombuffer(b"".join(parts), np.uint8).copy()),
            "bytes": torch.tensor([len(part) for part in parts], dtype=torch.int64).view(len(found), -1),
        }
        said = {
            "names": names,
            "split_names": split_names,
            "padding": self.tokenizer.padding,
            "cut": cut,
            "checksum": _checksum(tensors),
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        save(self.file, tensors, json.dumps(said))

    def _read(self) -> Labelled:
        kept = Checkpoint(self.file)
        said = json.loads(kept.metadata["soup_core"])
        tensors = dict(kept.read_all())
        if said["checksum"] != _checksum(tensors):
            raise CheckpointError(f"{self.file.name} is not what was written.")
        segments = tensors["segments"] if bool(tensors["segments"].any()) else None
        texts = _texts(tensors["characters"], tensors["bytes"])
        tokens = Tokens(tensors["ids"], tensors["lengths"], segments, int(said["padding"]), texts)
        return Labelled(tokens, tensors["labels"], tuple(said["names"]), tensors["splits"], tuple(said["split_names"]))


def content_of(file: Path) -> str:
    """SHA-256 of a regular file. Raises DataError where it cannot be read."""
    with opened(file) as binary:
        return hashlib.file_digest(binary, "sha256").hexdigest()


def _places(values: Sequence[Label]) -> tuple[list[Label], Tensor]:
    """The different values, numbers first, in their order, and each value's place among them (int64, N)."""
    names = sorted(set(values), key=lambda each: (isinstance(each, str), each))
    place = {name: index for index, name in enumerate(names)}
    return names, torch.tensor([place[value] for value in values], dtype=torch.int64)


def _texts(characters: Tensor, lengths: Tensor) -> tuple[Sentences, ...]:
    whole = bytes(memory_of(characters)) if len(characters) else b""
    ends = lengths.flatten().cumsum(0).tolist()
    parts = [whole[begin:end].decode() for begin, end in zip([0, *ends], ends, strict=False)]
    each = lengths.shape[1]
    return tuple(tuple(parts[index : index + each]) for index in range(0, len(parts), each))


def _checksum(tensors: dict[str, Tensor]) -> int:
    found = 0
    for _, tensor in sorted(tensors.items()):
        found = zlib.crc32(memory_of(tensor), found) if tensor.numel() else found
    return found
