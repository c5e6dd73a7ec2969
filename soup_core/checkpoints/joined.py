"""A checkpoint whose tensors lie in several files, read as if they lay in one."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

from soup_core.checkpoints.identity import OpenedFile
from soup_core.checkpoints.safetensors import Checkpoint, Reader
from soup_core.runtime.files import shown


class Joined(Checkpoint):
    """Several opened checkpoints as one; `parts` are they by the names of their files, in the order to read them.

    Its digest is of the parts' names and digests, whatever order the index gives; no two parts may hold a tensor of one
    name, which is for the caller to see. Every reading opens the parts and finds each unchanged, or raises.
    """

    def __init__(self, file: OpenedFile, parts: Mapping[str, Checkpoint]) -> None:
        self.path, self.name, self.identity = file.path, shown(file.name), file.identity
        self.size = sum(part.size for part in parts.values())
        self.notes = tuple(dict.fromkeys(note for part in parts.values() for note in part.notes))
        self.metadata, self.beside = MappingProxyType({}), MappingProxyType({})
        self._parts = dict(parts)
        self.checksums, self.names_in_file = MappingProxyType({}), MappingProxyType({})
        self._within = {name: (part, name) for part, its in parts.items() for name in its.tensors}
        self.tensors = MappingProxyType({name: info for part in parts.values() for name, info in part.tensors.items()})

    @property
    def leaves(self) -> tuple[Checkpoint, ...]:
        """The checkpoints of one file each that this one is made of."""
        return tuple(leaf for part in self._parts.values() for leaf in part.leaves)

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of the parts; raises as theirs."""
        return _over([[name, self._parts[name].digest] for name in sorted(self._parts)])

    @property
    def earlier_digest(self) -> str | None:
        """The digest by which older records name the parts together, None where it is not known of each."""
        earlier = [[name, self._parts[name].earlier_digest] for name in sorted(self._parts)]
        return _over(earlier) if all(digest for _, digest in earlier) else None

    def renamed(self, names: Mapping[str, str], *notes: str) -> "Checkpoint":
        """The same files with the tensors under other names, old to new; those without a new one are left out."""
        other = super().renamed(names, *notes)
        assert isinstance(other, Joined)
        other._within = {new: self._within[old] for old, new in names.items()}
        return other

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open the files for several reads. Raises CheckpointError where one has changed, or cannot be read."""
        with ExitStack() as stack:
            used = dict.fromkeys(part for part, _ in self._within.values())
            readers = {part: stack.enter_context(self._parts[part].reader()) for part in used}
            yield _JoinedReader(self, {name: (readers[part], old) for name, (part, old) in self._within.items()})


def _over(content: list[list[str | None]]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class _JoinedReader(Reader):
    def __init__(self, checkpoint: Joined, within: Mapping[str, tuple[Reader, str]]) -> None:
        self.checkpoint, self._within = checkpoint, within

    def fill(self, name: str, begin: int, part: memoryview) -> None:
        reader, old = self._within[name]
        reader.fill(old, begin, part)
