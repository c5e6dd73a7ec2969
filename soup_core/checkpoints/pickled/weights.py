"""Which parts of what a file describes hold weights, which of them is meant, and that each tensor lies within its storage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from . import WHOLE
from .averaged import Candidate, likeliest
from .modules import is_module, state_dict_of
from .values import NAME_AT_MOST, PLAIN, Opaque, Refused, Tensor, class_name, damaged, key_text
from .wrapped import NOT_PLAIN, is_made_of_tensors, not_plain

DEPTH = 3
TENSORS_AT_MOST = 100_000
PLACES_AT_MOST = 20
RIVAL = 4  # weights of so many times fewer tensors, or numbers, than the largest are no other set of the same weights
WHOLE_NUMBERS = ("I64", "I32", "I16", "I8", "U8", "BOOL")


@dataclass(frozen=True, eq=False)
class Part:
    """A table of tensors within a file by its keys; `module` is the class where it is a network's, not a state_dict."""

    keys: tuple[str, ...]
    table: Mapping[Any, Any]
    module: str = ""

    @property
    def place(self) -> str:
        """The keys from the outermost table on, with dots between."""
        return ".".join(self.keys) or WHOLE

    @property
    def size(self) -> tuple[int, int]:
        """How many tensors of other than whole numbers are here, and how many numbers in them."""
        found = [value for value in self.table.values() if not _is_whole(value)]
        return len(found), sum(prod(value.shape) for value in found if isinstance(value, Tensor))

    @property
    def described(self) -> str:
        """Where it is and its size, for people; of the outermost table the names themselves."""
        shapes = [value.shape for value in self.table.values() if isinstance(value, Tensor)]
        count, numbers = len(self.table), sum(map(prod, shapes))
        what = self.place if self.keys else listed([key_text(name) for name in self.table], 3)
        return f"{what[:NAME_AT_MOST]} ({count:,} tensor{'s' * (count != 1)}, {numbers:,} number{'s' * (numbers != 1)})"


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors that are meant, by name, where they were found, and what else there is to say of the choice."""

    place: str
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...]


def state_dict(described: Any, wanted: str | None) -> Weights:
    """The weights that a file holds, or those of its parts that `wanted` names.

    Numbers and texts beside are left out, and so is what belongs to an optimizer, or is small beside the weights. Raises
    Refused where there are none, or where several parts could be meant and `wanted` does not say which.
    """
    parts = {part.place: part for part in _within(described, (), (), set())}
    rivals = _rivals(parts)
    if not parts or not (rivals or wanted):
        raise _without_weights(described, parts)
    candidates = {part.place: Candidate(part.keys, part.table, part.size) for part in rivals}
    places, why = likeliest(described, candidates) if rivals else ((), "")
    if wanted is not None and wanted not in parts:
        known = ", ".join(place[:NAME_AT_MOST] for place in dict.fromkeys([*places, *sorted(parts)][:8]))
        raise Refused(f"has no weights under {wanted[:NAME_AT_MOST]!r}; set `weights` in zoo.toml to one of {known}.")
    if wanted is None and len(places) > 1:
        told = listed([parts[place].described for place in places], 8)
        raise Refused(
            f'holds weights in several places: {told}. Set `weights = "…"` in zoo.toml to one of them.',
            tuple(place for place in places if len(place) <= NAME_AT_MOST)[:PLACES_AT_MOST],
            why,
        )
    part = parts[places[0] if wanted is None else wanted]
    others = [other.described for other in parts.values() if other is not part and other not in rivals]
    notes = [f"its whole network, {part.module}, was read as the state_dict of that"] if part.module else []
    notes += [f"other tensors in it are not taken for weights: {listed(others)}"] if others else []
    return Weights(part.place, _named(part.table), tuple(notes))


def _rivals(parts: Mapping[str, Part]) -> list[Part]:
    """The parts that may be meant: the largest, and others of its size that are not the same tensors again.

    One tensor alone, or none but vectors, is no network's, as long as another part may be.
    """
    may_be = [place for place, part in parts.items() if _may_be_network(part)] or parts
    sizes = {place: parts[place].size for place in may_be}
    largest = max(sizes.values(), key=lambda size: (size[0] * size[1], *size), default=(0, 0))
    known: set[Any] = set()
    rivals = []
    for place in sizes:
        part = parts[place]
        tensors = {value for value in part.table.values() if isinstance(value, (Tensor, Opaque))}
        if sizes[place][0] and all(n * RIVAL >= most for n, most in zip(sizes[place], largest, strict=True)):
            if not tensors <= known:
                rivals.append(part)
            known |= tensors
    return rivals


def _may_be_network(part: Part) -> bool:
    tensors = [value for value in part.table.values() if not _is_whole(value)]
    return len(tensors) > 1 and any(not isinstance(value, Tensor) or len(value.shape) > 1 for value in tensors)


def _is_whole(found: Any) -> bool:
    return isinstance(found, Tensor) and found.storage.dtype in WHOLE_NUMBERS


def _without_weights(described: Any, parts: Mapping[str, Part]) -> Refused:
    if parts:
        told = listed([part.described for part in parts.values()])
        return Refused(f"holds whole numbers alone, {told}, and no weights; {PLAIN}.")
    if isinstance(described, Opaque):
        return Refused(f"holds {class_name(described)}, an object in which no weights were found; {PLAIN}.")
    if not isinstance(described, dict):
        return Refused(f"holds {_kind(described)}, not a state_dict; {PLAIN}.")
    return Refused(f"holds no state_dict up to {DEPTH} levels deep; {PLAIN}.")


def _within(found: Any, keys: tuple[str, ...], above: tuple[Any, ...], seen: set[int]) -> Iterator[Part]:
    """The tables that hold tensors, and the networks, each once, down to a few levels."""
    if isinstance(found, dict) and any(found is other for other in above):
        raise Refused(f"holds a table that holds itself; {PLAIN}.")
    if id(found) in seen:
        return
    seen.add(id(found))
    if is_module(found):
        if tensors := state_dict_of(found):
            yield Part(keys, tensors, class_name(found))
        return
    # The tables within an object are its own affair: no state_dict is offered from there, a network is.
    table = found if isinstance(found, dict) else found.attributes if isinstance(found, Opaque) else {}
    if isinstance(found, dict):
        if "param_groups" in found:
            return
        # A metric is a tensor of one number, and no weights.
        if any(is_tensor(value) and getattr(value, "shape", (1,)) for value in found.values()):
            yield Part(keys, {key: value for key, value in found.items() if is_tensor(value)})
    if len(keys) < DEPTH:
        for key, value in table.items():
            inner = isinstance(value, dict) and isinstance(found, dict)
            if isinstance(key, str) and (inner or isinstance(value, Opaque)):
                yield from _within(value, (*keys, key), (*above, found), seen)


def is_tensor(found: Any) -> bool:
    """Whether a value is a tensor, or an object made of tensors by a function that is not one of torch's plain ones."""
    if isinstance(found, Opaque) and found.name not in NOT_PLAIN:
        return is_made_of_tensors(found) and not is_module(found)
    return isinstance(found, (Tensor, Opaque))


def _named(table: Mapping[Any, Any]) -> dict[str, Tensor]:
    if len(table) > TENSORS_AT_MOST:
        raise Refused(f"lists {len(table):,} tensors, and at most {TENSORS_AT_MOST:,} are read.")
    for name, tensor in table.items():
        if not isinstance(name, str):
            raise Refused(f"names a tensor by {_kind(name)}, not by a text; {PLAIN}.")
        if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise damaged(f"the tensor name {name[:NAME_AT_MOST]!a} holds characters that no name has")
        if name == "__metadata__":
            raise damaged("a tensor is named __metadata__, which safetensors keeps for itself")
        if isinstance(tensor, Tensor):
            check_within(name[:NAME_AT_MOST], tensor)
        else:
            raise not_plain(name[:NAME_AT_MOST], tensor)
    return dict(table)


def check_within(name: str, tensor: Tensor) -> None:
    """Raise Refused where a tensor reaches beyond its storage, or holds no plain numbers."""
    elements, storage = prod(tensor.shape), tensor.storage
    if storage.dtype in ("complex", "quantised", "bytes"):
        kind = {"complex": "complex numbers", "quantised": "quantised numbers", "bytes": "bytes of no type"}[
            storage.dtype
        ]
        raise Refused(f"holds the tensor {name} of {kind}, which cannot be averaged; save plain weights.")
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


def listed(texts: list[str], at_most: int = 5) -> str:
    """The first of the texts, and how many more there are."""
    more = f" and {len(texts) - at_most:,} more" if len(texts) > at_most else ""
    return ", ".join(texts[:at_most]) + more


def _kind(found: Any) -> str:
    return "a tensor" if isinstance(found, Tensor) else f"a {type(found).__name__}"
