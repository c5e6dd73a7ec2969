"""What families of networks need from outside: optional libraries, imported offline, and paths below a zoo's folder."""

import importlib
import os
from pathlib import Path
from types import ModuleType

from soup_core.errors import ZooError


class NotInstalled(ZooError):
    """An architecture's library is missing; the message says what to install."""


def library(module: str, package: str) -> ModuleType:
    """Import an optional library. Raises NotInstalled where it is missing."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, which these libraries do
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotInstalled(
            f"This architecture needs the package {package}, which is not installed here ({error}). Install it with: "
            f"pip install {package}"
        ) from error


def inside(folder: Path, path: str) -> Path:
    """The place of a path of zoo.toml, links followed. Raises ZooError where that is not below the zoo's folder."""
    try:
        resolved = (folder / path).resolve()
        if resolved.is_relative_to(folder.resolve()):
            return resolved
    except (OSError, RuntimeError, ValueError) as error:
        raise ZooError(f"{path!r} is no path that can be followed ({error}). Correct it in zoo.toml.") from error
    raise ZooError(f"{path} lies outside the zoo's folder; put it inside, and name it from there.")
