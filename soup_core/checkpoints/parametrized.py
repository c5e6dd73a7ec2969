"""Weights that a file keeps in parts: weight normalisation and spectral normalisation, as torch.nn.utils has had both.

A weight is g · v / ‖v‖ (Salimans and Kingma 2016, arXiv 1602.07868), or W / σ with σ = uᵀ W v (Miyato et al. 2018,
arXiv 1802.05957). A product's average is no product of averages, so that averaging the parts gives other weights.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from soup_core.errors import CheckpointError

Kind = Literal["weight norm", "spectral norm", "another parametrization"]
Shapes = Mapping[str, tuple[int, ...]]
ORIGINAL = re.compile(r"(?P<module>.*?)parametrizations\.(?P<name>[^.]+)\.(?P<part>.+)")
WITHIN = re.compile(r"(?P<weight>.*weight[^.]*)_(?P<part>g|v|u|orig)")  # as hooks of torch.nn.utils named the parts
CLEARLY = 0.5  # as far beside a matrix's singular vectors as beside another's, at most, for vectors to be its own
SPECTRAL = {"original": "original", "0._u": "u", "0._v": "v"}


@dataclass(frozen=True)
class Parametrized:
    """A weight in parts: the name it has without them, what it was parametrised by, and its tensors by their part."""

    weight: str
    kind: Kind
    parts: Mapping[str, str]


def parametrized(shapes: Shapes) -> tuple[Parametrized, ...]:
    """The weights that tensors of these names and shapes hold in parts, in the order of their first parts.

    "conv.parametrizations.weight.original0" and "…1", or "conv.weight_g" and "conv.weight_v": "conv.weight".
    """
    registered: dict[str, dict[str, str]] = {}
    hooked: dict[str, dict[str, str]] = {}
    for name in shapes:
        if match := ORIGINAL.fullmatch(name):
            registered.setdefault(f"{match['module']}{match['name']}", {})[match["part"]] = name
        elif match := WITHIN.fullmatch(name):
            hooked.setdefault(match["weight"], {})[match["part"]] = name
    found = [_registered(weight, parts, shapes) for weight, parts in registered.items()]
    found += [each for weight, parts in hooked.items() if (each := _hooked(weight, parts, shapes))]
    order = {name: index for index, name in enumerate(shapes)}
    return tuple(sorted(found, key=lambda each: min(order[name] for name in each.parts.values())))


def folded_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Names and shapes once weights in parts are folded: a weight's is that of the part which its formula scales.

    The same where there are none, and empty where the formula of one is not known.
    """
    found = parametrized(shapes)
    if any(each.kind == "another parametrization" for each in found):
        return {}
    parts = {name for each in found for name in each.parts.values()}
    plain = {name: shape for name, shape in shapes.items() if name not in parts}
    return plain | {each.weight: shapes[each.parts[_scaled(each)]] for each in found}


def folded_weight(found: Parametrized, read: Callable[[str], Tensor]) -> Tensor:
    """The weight itself, from its parts by their names, computed as torch's modules do in evaluation mode.

    In the dtype of the part that is scaled; half precision is computed in float32. Raises CheckpointError for a
    parametrization whose formula names do not tell.
    """
    if found.kind == "another parametrization":
        raise CheckpointError(
            f"The weight {found.weight} is kept by a parametrization whose formula its names do not tell; save the weights "
            "after torch.nn.utils.parametrize.remove_parametrizations."
        )
    parts = {part: read(name) for part, name in found.parts.items()}
    dtype = parts[_scaled(found)].dtype
    wide = {part: tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for part, tensor in parts.items()}
    made = _normalized(wide["g"], wide["v"]) if found.kind == "weight norm" else _spectral(wide)
    return made.to(dtype)


def _scaled(found: Parametrized) -> str:
    return "v" if found.kind == "weight norm" else "original"


def _registered(weight: str, parts: dict[str, str], shapes: Shapes) -> Parametrized:
    if parts.keys() == {"original0", "original1"}:
        both = {"g": parts["original0"], "v": parts["original1"]}
        if _is_scale(shapes[both["g"]], shapes[both["v"]]):
            return Parametrized(weight, "weight norm", both)
    if parts.keys() == SPECTRAL.keys():
        named = {SPECTRAL[part]: name for part, name in parts.items()}
        if _dimensions(*(shapes[named[part]] for part in ("original", "u", "v"))):
            return Parametrized(weight, "spectral norm", named)
    return Parametrized(weight, "another parametrization", parts)


def _hooked(weight: str, parts: dict[str, str], shapes: Shapes) -> Parametrized | None:
    """None where names only happen to end so, as nothing says there that they are parts."""
    if parts.keys() == {"g", "v"} and _is_scale(shapes[parts["g"]], shapes[parts["v"]]):
        return Parametrized(weight, "weight norm", parts)
    if parts.keys() == {"orig", "u", "v"}:
        named = {"original": parts["orig"], "u": parts["u"], "v": parts["v"]}
        if _dimensions(*(shapes[named[part]] for part in ("original", "u", "v"))):
            return Parametrized(weight, "spectral norm", named)
    return None


def _is_scale(g: tuple[int, ...], v: tuple[int, ...]) -> bool:
    """Whether one is a length for each slice of the other along one dimension, or one for the whole of it."""
    if not g:
        return True
    kept = [length for length in g if length != 1]
    return len(g) == len(v) and len(kept) < 2 and all(a in (1, b) for a, b in zip(g, v, strict=True))


def _normalized(g: Tensor, v: Tensor) -> Tensor:
    kept = [dimension for dimension, length in enumerate(g.shape) if length != 1]
    return torch._weight_norm(v, g, kept[0] if kept else -1)


def _dimensions(weight: tuple[int, ...], u: tuple[int, ...], v: tuple[int, ...]) -> list[int]:
    """The dimensions that may be the rows of the matrix whose singular vectors u and v are."""
    if len(weight) < 2 or len(u) != 1 or len(v) != 1:
        return []
    return [d for d, length in enumerate(weight) if (length,) == u and prod(weight) == length * v[0]]


def _spectral(parts: Mapping[str, Tensor]) -> Tensor:
    weight, u, v = parts["original"], parts["u"], parts["v"]
    matrices = [weight.movedim(d, 0).flatten(1) for d in _dimensions(*(tuple(part.shape) for part in (weight, u, v)))]
    matrix = matrices[0] if len(matrices) == 1 else _of_vectors(matrices, u, v)
    return weight / torch.dot(u, torch.mv(matrix, v))


def _of_vectors(matrices: Sequence[Tensor], u: Tensor, v: Tensor) -> Tensor:
    """Of matrices of one shape, that of which u and v are the singular vectors, nearly. Raises CheckpointError if unclear."""

    def beside(matrix: Tensor) -> float:
        image = torch.mv(matrix, v)
        return float((image - torch.dot(u, image) * u).norm() / image.norm())

    best, second, *_ = sorted((beside(matrix), index) for index, matrix in enumerate(matrices))
    if not best[0] < CLEARLY * second[0]:
        raise CheckpointError(
            "A weight of spectral normalisation has several dimensions of one length, and its vectors do not tell which of "
            "them are its rows; save the weights after torch.nn.utils.parametrize.remove_parametrizations."
        )
    return matrices[best[1]]
