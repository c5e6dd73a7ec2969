"""The first bytes of a safetensors file: https://github.com/huggingface/safetensors#format"""

import json
from collections.abc import Iterable, Mapping


def header(tensors: Iterable[tuple[str, str, tuple[int, ...], int]], metadata: Mapping[str, str]) -> bytes:
    """The header of tensors that follow it in this order, each by its name, dtype, shape and bytes.

    Wide types should come first, so that every tensor begins at a multiple of its numbers' bytes.
    """
    table: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, dtype, shape, size in tensors:
        begin, end = end, end + size
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
