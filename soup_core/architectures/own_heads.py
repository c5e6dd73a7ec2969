"""Networks whose last layer stands under another name than the library's, as tutorials put it.

`fc = Sequential(Dropout(), Linear(…))` computes what `fc = Linear(…)` does once it is trained, and so does a backbone without
head before a linear layer: only names differ.
"""

from collections.abc import Collection, Iterator, Mapping

Shapes = Mapping[str, tuple[int, ...]]


def under_library_names(given: Shapes, expected: Shapes) -> dict[str, str] | None:
    """The names of tensors, old to new, where one linear layer and what stands before all others alone differ; else None.

    >>> given = {"body.weight": (3, 2), "fc.1.weight": (5, 3), "fc.1.bias": (5,)}
    >>> under_library_names(given, {"body.weight": (3, 2), "fc.weight": (5, 3), "fc.bias": (5,)})
    {'body.weight': 'body.weight', 'fc.1.weight': 'fc.weight', 'fc.1.bias': 'fc.bias'}
    """
    for bare in _without_leading(given):
        shapes = {new: given[old] for old, new in bare.items()}
        lacking = {name: shape for name, shape in expected.items() if shapes.get(name) != shape}
        unknown = {name: shape for name, shape in shapes.items() if expected.get(name) != shape}
        ours, theirs = _linear(lacking), _linear(unknown)
        if ours is None or theirs is None or len(shapes) != len(expected):
            continue
        if all(lacking[f"{ours}.{part}"] == unknown.get(f"{theirs}.{part}") for part in sorted(_parts(lacking))):
            named = {f"{theirs}.{part}": f"{ours}.{part}" for part in sorted(_parts(lacking))}
            return {old: named.get(new, new) for old, new in bare.items()}
    return None


def said(names: Mapping[str, str]) -> str:
    """What was renamed, for people: the layer's old and new names, and what was taken off the others."""
    changed = {old: new for old, new in names.items() if old != new}
    layers = {
        old.rpartition(".")[0]: new.rpartition(".")[0] for old, new in changed.items() if not old.endswith(f".{new}")
    }
    leading = {old.removesuffix(new) for old, new in changed.items() if old.endswith(f".{new}")}
    parts = [f"{old} is taken for {new}" for old, new in sorted(layers.items())]
    return " and ".join([*parts, *(f"{each} was taken off the other names" for each in sorted(leading))])


def _without_leading(given: Shapes) -> Iterator[dict[str, str]]:
    """The names as they are, and without a first part that all but one layer's have: backbone.conv1.weight, head.weight."""
    yield {name: name for name in given}
    for first in sorted({name.partition(".")[0] for name in given}):
        others = [name for name in given if name.partition(".")[0] != first]
        if others and len({name.rpartition(".")[0] for name in others}) == 1:
            yield {name: name.removeprefix(f"{first}.") for name in given}


def _linear(tensors: Shapes) -> str | None:
    """The only layer of these tensors, where it is a matrix with or without a bias."""
    layers = {name.rpartition(".")[0] for name in tensors}
    if len(layers) != 1 or not _parts(tensors) <= {"weight", "bias"}:
        return None
    (layer,) = layers
    return layer if len(tensors.get(f"{layer}.weight", ())) == 2 else None


def _parts(names: Collection[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in names}
