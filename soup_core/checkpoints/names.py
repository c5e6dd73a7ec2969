"""Tensors' names without what wrappers put around them: torch.compile, FSDP, DataParallel, AveragedModel."""

from collections.abc import Collection, Mapping

from soup_core.checkpoints.safetensors import Checkpoint
from soup_core.errors import CheckpointError
from soup_core.runtime.files import shown

LEADING = ("module", "model", "net", "network")
WITHIN = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def unwrapped(names: Collection[str]) -> dict[str, str]:
    """Each name without what wrappers put within it and before all names; a count of torch's AveragedModel is left out."""
    bare = _bare(names)
    while prefix := _leading(bare):
        bare = {name: new.removeprefix(prefix) for name, new in bare.items()}
    return bare


def fitting(checkpoint: Checkpoint, expected: Collection[str]) -> Checkpoint:
    """The checkpoint under the names that an architecture expects, where only wrappers' prefixes stand between them.

    What torch.compile and FSDP put within a name is taken out; `module.`, `model.` and their like are taken off where
    all names begin so, and none is expected so. Raises CheckpointError where two names become one.
    """
    if set(checkpoint.tensors) == set(expected):
        return checkpoint
    names = _bare(checkpoint.tensors)
    taken = [f"{part}." for part in WITHIN if any(part in name.split(".") for name in names)]
    while names and not any(new in expected for new in names.values()):
        prefix = _leading(names)
        if not prefix:
            break
        names = {name: new.removeprefix(prefix) for name, new in names.items()}
        taken.append(prefix)
    if not taken:
        return checkpoint
    olds: dict[str, str] = {}
    for name, new in names.items():
        if olds.setdefault(new, name) != name:
            raise CheckpointError(
                f"{checkpoint.name} holds both {shown(olds[new])} and {shown(name)}, which are one tensor without "
                f"{' and '.join(taken)}; save one of them."
            )
    return checkpoint.renamed(names, f"{' and '.join(taken)} was taken off the names of its tensors")


def _bare(names: Collection[str]) -> dict[str, str]:
    bare = {name: ".".join(part for part in name.split(".") if part not in WITHIN) for name in names}
    if "n_averaged" in bare and all(name == "n_averaged" or new.startswith("module.") for name, new in bare.items()):
        del bare["n_averaged"]  # torch's AveragedModel counts there what it has averaged
    return bare


def _leading(names: Mapping[str, str]) -> str:
    """What a wrapper has put before every name, empty where there is no such thing."""
    return next((f"{it}." for it in LEADING if names and all(new.startswith(f"{it}.") for new in names.values())), "")
