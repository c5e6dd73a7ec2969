"""The settings from the environment, all optional: what each is called, what it may be, and what it is now.

Nothing else reads a variable SOUP_…; each is read when it is asked for, so that a change counts from then on.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import platformdirs

from soup_core.errors import SoupError

T = TypeVar("T")


@dataclass(frozen=True)
class Setting(Generic[T]):
    """A variable of the environment: calling it gives its value now, the default where it is not set or empty.

    `parse` raises ValueError for a text that is not what is `expected`; `usual` says in words what `default` gives.
    """

    name: str
    meaning: str
    expected: str
    usual: str
    parse: Callable[[str], T]
    default: Callable[[], T]

    def __call__(self) -> T:
        """The value. Raises SoupError, which names the variable, what was expected and what was found."""
        text = os.environ.get(self.name)
        if not text:
            return self.default()
        try:
            return self.parse(text)
        except ValueError:
            raise SoupError(f"{self.name} is {self.expected}; found {text!r}.") from None


def gigabytes(text: str | float, *, zero: bool) -> float:
    """A number of gigabytes. Raises ValueError for what is none, is negative, or is 0 where that is not allowed."""
    number = float(text)
    if not (number >= 0 if zero else number > 0):
        raise ValueError(f"{number} is no such number of gigabytes")
    return number


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(Path(folder) for folder in text.split(os.pathsep) if folder)


def _one_of(text: str, *expected: str) -> str:
    if text not in expected:
        raise ValueError(f"{text} is none of {', '.join(expected)}")
    return text


HOME = Setting(
    "SOUP_HOME",
    "where results, converted checkpoints, decoded images and added ingredients are kept",
    "a folder",
    "the platform's folder for a user's caches",
    Path,
    lambda: Path(platformdirs.user_cache_dir("model-soups-explorer")),
)
ZOOS: Setting[tuple[Path, ...]] = Setting(
    "SOUP_ZOOS", "folders to look for zoos in, separated as `PATH` is", "a list of folders", "none", _folders, tuple
)
DEVICE: Setting[str | None] = Setting(
    "SOUP_DEVICE",
    "where to compute",
    "the name of a device",
    "`cuda` where there is one, else `cpu`",
    str,
    lambda: None,
)
MEMORY = Setting(
    "SOUP_MEMORY",
    "the gigabytes of checkpoints that may be kept in memory, beyond which they are streamed from their files",
    "a number of gigabytes, at least 0",
    "2",
    lambda text: gigabytes(text, zero=True),
    lambda: 2.0,
)
IMAGES = Setting(
    "SOUP_IMAGES",
    "the gigabytes that the decoded images of one split may take",
    "a number of gigabytes above 0",
    "8",
    lambda text: gigabytes(text, zero=False),
    lambda: 8.0,
)
EVALUATION = Setting(
    "SOUP_EVALUATION",
    "how networks are run on images: `auto`, by a short trial, or one of `plain`, `channels_last`, `fused`, `compiled`",
    "one of auto, plain, channels_last, fused, compiled",
    "`auto`",
    lambda text: _one_of(text, "auto", "plain", "channels_last", "fused", "compiled"),
    lambda: "auto",
)
TRUST: Setting[tuple[Path, ...]] = Setting(
    "SOUP_TRUST",
    "folders whose factories may run their code, separated as `PATH` is",
    "a list of folders",
    "none",
    _folders,
    tuple,
)
SETTINGS: tuple[
    Setting[Path] | Setting[tuple[Path, ...]] | Setting[str | None] | Setting[str] | Setting[float], ...
] = (ZOOS, HOME, DEVICE, MEMORY, IMAGES, EVALUATION, TRUST)


def as_markdown() -> str:
    """The settings as a table in Markdown, which the README holds."""
    rows = [f"| `{each.name}` | {each.meaning} | {each.usual} |" for each in SETTINGS]
    return "\n".join(("| variable | what it says | default |", "| --- | --- | --- |", *rows)) + "\n"
