"""Which part of what a file describes is the state_dict, and that each of its tensors lies within its storage."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from . import WHOLE
from .opcodes import NAME_AT_MOST, PLAIN, Refused, Tensor, damaged

DEPTH = 3
TENSORS_AT_MOST = 100_000
PLACES_AT_MOST = 20


def state_dict(described: Any, wanted: str | None) -> tuple[str, dict[str, Tensor]]:
    """The state_dict, described tensors by name, and its keys from the outermost table on, with dots between.

    Numbers and texts beside are left out, and so is what belongs to an optimizer. Raises Refused where there is none,
    or more than one and `wanted` does not say which.
    """
    if not isinstance(described, dict):
        raise Refused(f"holds {_kind(described)}, not a state_dict; {PLAIN}.")
    found: dict[str, dict[Any, Any]] = {}
    for keys, table in _tables(described, (), (), set()):
        found[".".join(keys) or WHOLE] = table
    if not found:
        raise Refused(f"holds no state_dict up to {DEPTH} levels deep; {PLAIN}.")
    places = ", ".join(place[:NAME_AT_MOST] for place in sorted(found)[:8])
    if wanted is not None and wanted not in found:
        raise Refused(f"has no weights under {wanted[:NAME_AT_MOST]!r}; set `weights` in zoo.toml to one of {places}.")
    if wanted is None and len(found) > 1:
        raise Refused(
            f'holds weights in several places: {places}. Set `weights = "…"` in zoo.toml to one of them.',
            tuple(place for place in sorted(found) if len(place) <= NAME_AT_MOST)[:PLACES_AT_MOST],
        )
    place = next(iter(found)) if wanted is None else wanted
    return place, _named({key: value for key, value in found[place].items() if isinstance(value, Tensor)})


def _tables(
    table: dict[Any, Any], keys: tuple[str, ...], above: tuple[Any, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[Any, Any]]]:
    """The tables that hold tensors, each once, by their keys; a metric is a tensor of one number, and no weights."""
    if any(table is other for other in above):
        raise Refused(f"holds a table that holds itself; {PLAIN}.")
    if id(table) in seen or "param_groups" in table:
        return
    seen.add(id(table))
    if any(isinstance(value, Tensor) and value.shape for value in table.values()):
        yield keys, table
    if len(keys) < DEPTH:
        for key, value in table.items():
            if isinstance(value, dict) and isinstance(key, str):
                yield from _tables(value, (*keys, key), (*above, table), seen)


def _named(tensors: Mapping[Any, Tensor]) -> dict[str, Tensor]:
    if len(tensors) > TENSORS_AT_MOST:
        raise Refused(f"lists {len(tensors):,} tensors, and at most {TENSORS_AT_MOST:,} are read.")
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise Refused(f"names a tensor by {_kind(name)}, not by a text; {PLAIN}.")
        if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise damaged(f"the tensor name {name[:NAME_AT_MOST]!a} holds characters that no name has")
        _check(name[:NAME_AT_MOST], tensor)
    return dict(tensors)


def _check(name: str, tensor: Tensor) -> None:
    elements, storage = prod(tensor.shape), tensor.storage
    if storage.dtype == "complex":
        raise Refused(f"holds the tensor {name} of complex numbers, which cannot be averaged; save plain weights.")
    if elements > storage.elements:
        raise damaged(
            f"the tensor {name} of shape {tensor.shape} has more elements than its storage holds, {storage.elements:,}"
        )
    if elements and tensor.offset + extent(tensor) > storage.elements:
        raise damaged(f"the tensor {name} reaches beyond its storage of {storage.elements:,} elements")


def extent(tensor: Tensor) -> int:
    """How many elements of its storage a tensor spans, from its first to its last; no length of its shape is 0."""
    return 1 + sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride, strict=True))


def ties(tensors: Mapping[str, Tensor]) -> list[list[str]]:
    """The names in a state_dict that share their numbers (one storage, offset, shape, stride), group by group."""
    groups: dict[Tensor, list[str]] = {}
    for name, tensor in tensors.items():
        groups.setdefault(tensor, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _kind(found: Any) -> str:
    return "a tensor" if isinstance(found, Tensor) else f"a {type(found).__name__}"
