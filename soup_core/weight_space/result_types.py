"""In which type a soup's tensors are given where its ingredients' files differ: in the narrowest that holds them all."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from weakref import WeakKeyDictionary

import torch

from soup_core.runtime.files import listed
from soup_core.zoo import Ingredient, Zoo

_agreed: WeakKeyDictionary[Zoo, Mapping[str, torch.dtype]] = WeakKeyDictionary()


def agreed_dtypes(zoo: Zoo) -> Mapping[str, torch.dtype]:
    """The types of the tensors that all files of a zoo keep in one, by the tensors' names; looked for once a zoo."""
    if zoo not in _agreed:
        members = list(zoo.by_name.values())
        kept = {name: {member.checkpoint.tensors[name].dtype for member in members} for name in zoo.tensors}
        _agreed[zoo] = {name: dtypes.pop() for name, dtypes in kept.items() if len(dtypes) == 1}
    return _agreed[zoo]


def result_dtype(members: Sequence[Ingredient], name: str) -> torch.dtype:
    """In what a floating tensor's average is given: the narrowest type that holds what every member's does.

    The order of files decides nothing, and float16 beside bfloat16, neither of which holds the other, gives float32.
    """
    return reduce(torch.promote_types, (member.checkpoint.tensors[name].dtype for member in members))


def mixed_types(members: Sequence[Ingredient], names: Iterable[str]) -> str:
    """A sentence on members whose files hold the named tensors in different types; empty where all agree.

    "The files keep a in float16, b and c in float32: their soup is in float32, which holds them all."
    """
    for name in names:
        groups: dict[torch.dtype, list[str]] = {}
        for member in members:
            groups.setdefault(member.checkpoint.tensors[name].dtype, []).append(member.name)
        if len(groups) > 1:
            parts = [f"{listed(group, 3, last=' and ')} in {_plain(dtype)}" for dtype, group in groups.items()]
            return f"The files keep {', '.join(parts)}: their soup is in {_plain(result_dtype(members, name))}, which holds them all."
    return ""


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
