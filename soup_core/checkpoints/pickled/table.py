"""Where the tensors of a file of torch.save lie in it, for whoever reads them there instead of having them written again."""

import json
from collections.abc import Mapping
from typing import Any

from . import TABLE_BYTES_AT_MOST
from .conversion import check_size, is_contiguous, place_of, size_of, weights_in
from .formats import Content, check_storages
from .source import Source
from .values import Refused, Tensor


def table(descriptor: int, wanted: str | None) -> dict[str, Any] | None:
    """What `convert` would write in the metadata, and under "tensors" where each lies; None where one has to be rewritten.

    A tensor is a list by its name: dtype, shape, its first byte in the file and the one after its last, and CRC-32 of
    these bytes where the file has it and they were not compared with it here; else None. Raises Refused as `convert`.
    """
    file = Source(descriptor)
    content, weights, found = weights_in(file, wanted)
    if not all(map(is_contiguous, weights.tensors.values())):
        return None
    check_size(weights.tensors, file.size)
    # Of a storage that no tensor fills the checksum says nothing of a tensor alone: those are compared here.
    check_storages(file, content, [it.storage.key for it in weights.tensors.values() if not _fills(it)])
    found["tensors"] = _entries(content, weights.tensors)
    if len(json.dumps(found)) > TABLE_BYTES_AT_MOST:
        raise Refused(f"needs more than {TABLE_BYTES_AT_MOST:,} bytes to list its tensors, and no more are read.")
    return found


def _entries(content: Content, tensors: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    entries = {}
    for name, tensor in tensors.items():
        begin, size = place_of(content, name, tensor), size_of(tensor)
        checksum = content.checksums.get(tensor.storage.key) if _fills(tensor) else None
        entries[name] = [tensor.storage.dtype, tensor.shape, begin, begin + size, checksum]
    return entries


def _fills(tensor: Tensor) -> bool:
    return size_of(tensor) == tensor.storage.elements * tensor.storage.item_bytes
