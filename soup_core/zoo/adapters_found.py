"""Adapters of peft among the checkpoints of a folder, and which of the other files they were trained over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from soup_core.checkpoints import Checkpoint, adapters, unwrapped
from soup_core.errors import CheckpointError
from soup_core.runtime.files import listed, shown

Family = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class FoundAdapters:
    """The files of adapters, what their configurations say of each, their base, and the tensors that both make together.

    `family` are these tensors' names and shapes. `left_out` are other files, `notices` why; `base_asked` says
    what is missing where no file is known to be the base.
    """

    files: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()
    settings: Mapping[Path, Mapping[str, str]] = field(default_factory=dict)
    base: Path | None = None
    family: Family = ()
    base_asked: str = ""
    notices: tuple[str, ...] = ()


def adapters_found(folder: Path, checkpoints: Mapping[Path, Checkpoint]) -> FoundAdapters:
    """The adapters among a folder's opened checkpoints, those over the base that most of them name.

    The base is the file in a folder of the name that their configurations have, or the only whole model there is.
    """
    configs: dict[Path, adapters.AdapterConfig] = {}
    left_out: list[Path] = []
    notices: list[str] = []
    for file in checkpoints:
        if not adapters.is_adapter(file):
            continue
        try:
            configs[file] = adapters.read_config(file, roots=[folder])
        except CheckpointError as error:
            left_out.append(file)
            notices.append(str(error))
    if not configs:
        return FoundAdapters(left_out=tuple(left_out), notices=tuple(notices))
    bases = [config.base_model_name_or_path for config in configs.values()]
    named = max(bases, key=bases.count)
    others = [file for file, config in configs.items() if config.base_model_name_or_path != named]
    if others:
        names = listed((shown(str(file.parent.relative_to(folder))) for file in others), 3)
        notices.append(f"{names}: adapters over another base than {shown(str(named))!r}; left out.")
        left_out += others
    files = tuple(file for file in configs if file not in others)
    whole = [file for file in checkpoints if not adapters.is_adapter(file)]
    base = _base(folder, whole, named)
    settings = {file: _settings(configs[file], checkpoints[file]) for file in files}
    if base is None:
        asked = (
            "Which file is the base that the adapters were trained over? Their configuration "
            f"{f'says {shown(named)!r}' if named else 'does not name it'}, and no folder here has that name; put the base's "
            "own file into one, and look again."
        )
        return FoundAdapters(files, tuple(left_out), settings, base_asked=asked, notices=tuple(notices))
    if named and _last_part(named) not in (base.parent.name, base.stem):
        notices.append(
            f"The adapters' configuration names {shown(named)!r} as their base; {shown(str(base.relative_to(folder)))} is taken "
            "for it, being the only whole model here. Correct base in zoo.toml if it is another."
        )
    shapes = {new: checkpoints[base].tensors[name].shape for name, new in unwrapped(checkpoints[base].tensors).items()}
    held = {  # a head of other classes, or the base's first
        name.removeprefix(adapters.PREFIX): info.shape
        for name, info in checkpoints[files[0]].tensors.items()
        if not any(part in name for part in (".lora_", ".base_layer.", ".original_module.", ".modules_to_save."))
    }
    if beside := [file for file in whole if file != base]:
        names = listed((shown(str(file.relative_to(folder))) for file in beside), 3)
        notices.append(f"{names}: whole models beside adapters, such as what they were merged to; left out.")
    family = tuple(sorted({**shapes, **held}.items()))
    return FoundAdapters(files, (*left_out, *beside), settings, base, family, notices=tuple(notices))


def entry_of(file: Path, folder: Path) -> Path:
    """What zoo.toml names a file by: an adapter by the folder that peft saved, where it is not the zoo's own."""
    return file.parent if adapters.is_adapter(file) and file.parent != folder else file


def _base(folder: Path, whole: Sequence[Path], named: str | None) -> Path | None:
    """The whole model that an adapter's configuration names, by its folder's path or name; else the only one."""
    name = _last_part(named or "")
    for file in whole:
        if name and name in (file.parent.name, file.stem) and (file.parent != folder or name == file.stem):
            return file
    beside = [file for file in whole if file.parent == folder and name == folder.resolve().name]
    alone = beside or list(whole)
    return alone[0] if len(alone) == 1 else None


def _last_part(named: str) -> str:
    return PurePosixPath(named.replace("\\", "/")).name


def _settings(config: adapters.AdapterConfig, checkpoint: Checkpoint) -> dict[str, str]:
    """What an adapter's configuration says of how it was made, and how many layers it adapts."""
    layers = sum(adapters.is_of_adapter([name]) for name in checkpoint.tensors)
    kinds = {"rslora": config.use_rslora, "dora": config.use_dora}
    return {
        "lora_rank": str(config.r),
        "lora_alpha": f"{config.lora_alpha:g}",
        "adapted_layers": str(layers),
        **{f"use_{kind}": "true" for kind, used in kinds.items() if used},
    }
