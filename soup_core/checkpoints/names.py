"""Tensors' names without what wrappers put around them: torch.compile, FSDP, DataParallel, AveragedModel."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from soup_core.checkpoints.safetensors import Checkpoint
from soup_core.errors import CheckpointError
from soup_core.runtime.files import shown

LEADING = ("module", "model", "net", "network")
NO_LAYER = frozenset((  # words in the names of what a trainer's module has beside its network
    "criterion", "loss", "metric", "metrics", "accuracy", "acc", "auroc", "f1", "confmat", "confusion", "precision", "recall",
))  # fmt: skip
WITHIN = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


class Unwrapping(NamedTuple):
    """Tensors' names, old to new, without the `wrappers` that were taken off; what only a wrapper needs is left out."""

    names: dict[str, str]
    wrappers: tuple[str, ...] = ()


def unwrappings(names: Collection[str]) -> Iterator[Unwrapping]:
    """All that names may be without wrappers: first without those within names, then without each before all of them.

    torch.compile and FSDP put a part within a name; `module.`, `model.` and their like stand before all names, and may be
    a wrapper's or the network's own. torch's AveragedModel counts in `n_averaged` what it has averaged.
    """
    bare = {name: ".".join(part for part in name.split(".") if part not in WITHIN) for name in names}
    wrappers = tuple(f"{part}." for part in WITHIN if any(part in name.split(".") for name in names))
    if "n_averaged" in bare and all(name == "n_averaged" or new.startswith("module.") for name, new in bare.items()):
        del bare["n_averaged"]
    yield Unwrapping(bare, wrappers)
    while leading := next(
        (f"{it}." for it in LEADING if bare and all(new.startswith(f"{it}.") for new in bare.values())), None
    ):
        bare = {name: new.removeprefix(leading) for name, new in bare.items()}
        wrappers = (*wrappers, leading)
        yield Unwrapping(bare, wrappers)


def unwrapped(names: Collection[str]) -> dict[str, str]:
    """Each name without every wrapper that may be around it."""
    *_, last = unwrappings(names)
    return last.names


def fitting(checkpoint: Checkpoint, expected: Collection[str]) -> Checkpoint:
    """The checkpoint under the names that an architecture expects, where only wrappers stand between them.

    As few are taken off as give a name that is expected. Raises CheckpointError where two names become one.
    """
    if set(checkpoint.tensors) == set(expected):
        return checkpoint
    for unwrapping in unwrappings(checkpoint.tensors):
        if any(new in expected for new in unwrapping.names.values()):
            break
    names, wrappers = unwrapping
    if not wrappers:
        return checkpoint
    olds: dict[str, str] = {}
    for name, new in names.items():
        if olds.setdefault(new, name) != name:
            raise CheckpointError(
                f"{checkpoint.name} holds both {shown(olds[new])} and {shown(name)}, which are one tensor without "
                f"{' and '.join(wrappers)}; save one of them."
            )
    return checkpoint.renamed(names, f"{' and '.join(wrappers)} was taken off the names of its tensors")


def networks_within(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Unwrapping]:
    """Names without the one first part that a network's have: all of them, or all but what a loss or a metric has.

    A module of a trainer holds its network as `self.model`, `self.net` or under a name of its own, and beside it a loss's
    class weights or a metric's counts. Usual names come first, then the largest. What could be a layer's is never left
    out: a head beside a backbone is a part of the network.
    """
    for names, wrappers in unwrappings(shapes):
        parts: dict[str, list[str]] = {}
        for name, new in names.items():
            parts.setdefault(new.partition(".")[0], []).append(name)
        for part, own in sorted(parts.items(), key=lambda item: (item[0] not in LEADING, -len(item[1]))):
            others = [name for name in names if name not in set(own)]
            if all("." in names[name] for name in own) and all(
                _is_no_layer(names[name], shapes[name]) for name in others
            ):
                yield Unwrapping({name: names[name].partition(".")[2] for name in own}, (*wrappers, f"{part}."))


def _is_no_layer(name: str, shape: tuple[int, ...]) -> bool:
    first, _, last = name.partition(".")[0], *name.rpartition(".")[1:]
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", first).lower())
    return not NO_LAYER.isdisjoint(words) or (len(shape) < 2 and last not in ("bias", "running_mean", "running_var"))
