"""Programs that torch saves, for the weights that they keep as data; nothing of a program is run, or even read as one.

What torch.export.save writes (.pt2) lists its weights in JSON: see torch/export/pt2_archive and torch/_export/serde/schema.py,
https://github.com/pytorch/pytorch.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from .values import NAME_AT_MOST, Refused, Storage, Tensor, damaged

PARTS = ("constants.pkl", "code/", "archive_format", "models/", "serialized_exported_program.json")
WEIGHTS, CONFIGURATION = "data/weights/", "_weights_config.json"
STRIDED = 7  # of the layouts of torch/_export/serde/schema.py

# The types of numbers in the same file: safetensors' name, and the bytes that a number takes.
SCALARS = {
    1: ("U8", 1), 2: ("I8", 1), 3: ("I16", 2), 4: ("I32", 4), 5: ("I64", 8), 6: ("F16", 2), 7: ("F32", 4), 8: ("F64", 8),
    10: ("complex", 8), 11: ("complex", 16), 12: ("BOOL", 1), 13: ("BF16", 2),
}  # fmt: skip
STATE_WITHIN = "serialized_state_dict.pt"
EXPORTED = "save its weights, torch.save(torch.export.load(file).state_dict, other_file)"


def is_program(names: list[str]) -> bool:
    """Whether an archive of these parts holds a program, exported or TorchScript."""
    return any(name.startswith(PARTS) for name in names)


def exported(read: Callable[[str], bytes], places: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """The tensors of an exported program under the names of its state_dict, in storages called by the archive's parts.

    `read` gives a part, `places` where each lies and its length. Of several programs, a table for each. Raises Refused
    where the archive keeps no weights as data.
    """
    configurations = [name for name in places if name.startswith(WEIGHTS) and name.endswith(CONFIGURATION)]
    if not configurations:
        raise Refused(f"is a program, exported without weights beside it as data; {EXPORTED}.")
    programs = {
        name[len(WEIGHTS) : -len(CONFIGURATION)]: _tensors(_table(read(name)), places) for name in configurations
    }
    return programs if len(programs) > 1 else next(iter(programs.values()))


def _table(content: bytes) -> Mapping[str, Any]:
    try:
        table: dict[str, Any] = json.loads(content)["config"]
        if not isinstance(table, dict):
            raise TypeError
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise damaged("its list of weights cannot be read") from error
    return table


def _tensors(table: Mapping[str, Any], places: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    try:
        return {name: _tensor(name, entry, places) for name, entry in table.items()}
    except (LookupError, TypeError, ValueError) as error:
        raise damaged("its list of weights cannot be read") from error


def _tensor(name: str, entry: Mapping[str, Any], places: Mapping[str, tuple[int, int]]) -> Tensor:
    said = entry["tensor_meta"]
    if entry["use_pickle"] or said["layout"] != STRIDED or said["dtype"] not in SCALARS:
        raise Refused(
            f"is a program, exported with the tensor {name[:NAME_AT_MOST]} not as plain numbers (quantised, sparse, or of "
            "a class or type of its own); export the program of plain weights."
        )
    kind, width = SCALARS[said["dtype"]]
    key = WEIGHTS + entry["path_name"]
    if key not in places:
        raise damaged(f"it lacks the part {key[:NAME_AT_MOST]!r}")
    shape, stride = (tuple(size["as_int"] for size in said[what]) for what in ("sizes", "strides"))
    offset = said["storage_offset"]["as_int"]
    if len(shape) != len(stride) or not all(type(n) is int and 0 <= n < 2**62 for n in (offset, *shape, *stride)):
        raise ValueError
    return Tensor(Storage(key, kind, width, places[key][1] // width), offset, shape, stride)
