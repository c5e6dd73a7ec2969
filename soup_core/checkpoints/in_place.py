"""A file of torch.save read where its tensors lie in it, by the table that the reading process has made of it.

The process has followed what a stranger wrote, so that nothing of its table is taken on trust: no number of it reaches
beyond the file.
"""

import hashlib
import json
import math
from types import MappingProxyType
from typing import Any

from soup_core.checkpoints.content import Content, Examination
from soup_core.checkpoints.identity import OpenedFile
from soup_core.checkpoints.pickled import TIMES_AT_MOST
from soup_core.checkpoints.pickled.header import header
from soup_core.checkpoints.reader import FAILS
from soup_core.checkpoints.safetensors import DIMENSIONS_AT_MOST, DTYPES, TENSORS_AT_MOST, Checkpoint, TensorInfo
from soup_core.errors import CheckpointError


class InPlace(Checkpoint):
    """An opened file of torch.save by its table (see pickled/table.py); its metadata are those of a converted file.

    Tensors may share bytes, whole or in part, as views of one storage do; together they are at most TIMES_AT_MOST as
    large as the file. Raises CheckpointError where the table is not as the reading process makes it.
    """

    def __init__(self, file: OpenedFile, table: Any) -> None:
        self.path, self.name, self.identity = file.path, file.name, file.identity
        self.size = file.identity.size
        self.notes, self.beside = (), MappingProxyType({})
        try:
            found = {key: table[key] for key in ("weights", "tied", "checked", "notes", "beside")}
            tensors = table["tensors"]
            if len(tensors) > TENSORS_AT_MOST:
                raise ValueError
            infos = {_name(name): _info(entry, self.size) for name, entry in tensors.items()}
            checksums = {name: entry[4] for name, entry in tensors.items() if entry[4] is not None}
            if sum(info.end - info.begin for info in infos.values()) > TIMES_AT_MOST * self.size:
                raise ValueError
            if not _are_as_told(found):
                raise ValueError
            metadata = {"soup_core": json.dumps(found)}
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{file.name} {FAILS}") from error
        self.tensors = self._in_file = MappingProxyType(infos)
        self.checksums = MappingProxyType(checksums)
        self.metadata = MappingProxyType(metadata)
        self.names_in_file = MappingProxyType({name: name for name in infos})
        self.examination = Examination(Content(self.tensors, self.checksums))

    def sha256(self) -> str:
        """Of the safetensors file that an older release made of this one; raises CheckpointError where it has changed."""
        names = {dtype: name for name, dtype in DTYPES.items()}
        wide_first = sorted(self._in_file.items(), key=lambda item: -item[1].dtype.itemsize)
        entries = [(name, names[info.dtype], info.shape, info.end - info.begin) for name, info in wide_first]
        content, block = hashlib.sha256(header(entries, dict(self.metadata))), memoryview(bytearray(1 << 20))
        with self._opened() as descriptor:
            for _, info in wide_first:
                for begin in range(info.begin, info.end, len(block)):
                    part = block[: info.end - begin]
                    self._fill(descriptor, part, begin)
                    content.update(part)
        return content.hexdigest()


def _name(name: str) -> str:
    if "\0" in name:
        raise ValueError
    name.encode()  # which half a character cannot be
    return name


def _info(entry: list[Any], size: int) -> TensorInfo:
    """Where a tensor lies in a file of `size` bytes. Raises ValueError, TypeError or LookupError where it cannot be."""
    dtype, shape, begin, end, checksum = entry
    itemsize = DTYPES[dtype].itemsize
    if type(shape) is not list or len(shape) > DIMENSIONS_AT_MOST:
        raise ValueError
    if not all(type(number) is int and 0 <= number < 2**62 for number in (begin, end, *shape)):
        raise ValueError
    if 0 in shape and math.prod(max(length, 1) for length in shape) >= 2**62:
        raise ValueError
    if end - begin != math.prod(shape) * itemsize or end > size:
        raise ValueError
    if checksum is not None and not (type(checksum) is int and 0 <= checksum < 2**32):
        raise ValueError
    return TensorInfo(DTYPES[dtype], tuple(shape), begin, end)


def _are_as_told(found: dict[str, Any]) -> bool:
    groups, notes = found["tied"], found["notes"]
    return (
        isinstance(found["weights"], str)
        and isinstance(found["checked"], bool)
        and isinstance(found["beside"], dict)
        and isinstance(groups, list)
        and all(isinstance(group, list) and all(isinstance(name, str) for name in group) for group in groups)
        and isinstance(notes, list)
        and all(isinstance(note, str) for note in notes)
    )
