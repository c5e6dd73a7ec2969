"""A network that the user's own code builds: "factory:FILE:FUNCTION", a Python file below the zoo's folder.

This runs code, so only below folders that the operator names in SOUP_TRUST, separated as PATH is.
"""

import os
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from soup_core.errors import ZooError
from soup_core.runtime import settings


def build(location: str, num_classes: int, /, **options: Any) -> nn.Module:
    """What the function returns for `num_classes` and the options. Raises ZooError where it may not run, or fails."""
    path, _, function = location.rpartition(":")
    file = Path(path).resolve()
    if not any(file.is_relative_to(folder) for folder in _trusted()):
        raise ZooError(
            f"The architecture is made by {function} in {file}, and that runs the code of this file with all your "
            "rights. If you know and trust it, set the environment variable SOUP_TRUST to its folder, "
            f"SOUP_TRUST={file.parent}, and start again; several folders are separated by {os.pathsep!r}."
        )
    try:
        module = getattr(_module(file, file.read_bytes()), function)(num_classes=num_classes, **options)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        raise ZooError(f"{file.name}: {function} made no network: {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ZooError(f"{file.name}: {function} must return a torch.nn.Module; found {type(module).__name__}.")
    return module


def _trusted() -> list[Path]:
    return [folder.resolve() for folder in settings.TRUST()]


@lru_cache(maxsize=32)
def _module(file: Path, source: bytes) -> ModuleType:
    """The file as a module, run once for as long as its content stays the same."""
    module = ModuleType(f"soup_core_factory_{abs(hash((file, source)))}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # dataclasses look there for the names in annotations
    exec(compile(source, str(file), "exec"), module.__dict__)
    return module
