"""Files: their names as text, the user's own folder, and writing so that a reader sees the old or the new, never a part."""

import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from soup_core.errors import SoupError
from soup_core.runtime import settings

NAME_AT_MOST = 250
Writer = Callable[[Path], object]


def shown(text: str | Path, at_most: int = NAME_AT_MOST) -> str:
    """A file's or a tensor's name as text for people: what cannot be displayed, or turns the text, becomes a mark.

    A path gives its last part; bytes that are not UTF-8, control characters and marks of direction become U+FFFD each.
    """
    name = (text.name if isinstance(text, Path) else text)[: at_most + 1]
    name = name if len(name) <= at_most else f"{name[: at_most - 1]}…"
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join("\ufffd" if unicodedata.category(character) in hidden else character for character in name)


def listed(names: Iterable[str], at_most: int = 5, *, last: str = ", ") -> str:
    """Names in a sentence: "a, b" or "a, b and 7 more"; with `last` " and ", "a, b and c" where none is left out."""
    names = list(names)
    if len(names) > at_most:
        return f"{', '.join(names[:at_most])} and {len(names) - at_most} more"
    return last.join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def home() -> Path:
    """The folder of the store, of exports and of what is added to zoos: SOUP_HOME, or the platform's folder for a user's caches."""
    return settings.HOME()


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`: see `write_together`, which says what it raises too."""
    write_together({path: lambda temporary: temporary.write_bytes(content)}, len(content))


def write_together(writers: Mapping[Path, Writer], size: int) -> None:
    """Write several files, each into a temporary one beside it; only when all are synced do they take their names.

    A writer is given the temporary file's path and raises OSError where it cannot write; `size` is what they need, in
    bytes. Raises SoupError when the disk is full or a folder cannot be written; the old files are then intact.
    """
    temporaries: dict[Path, Path] = {}
    try:
        for path, write in writers.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:60]}.")
            temporaries[path] = Path(name)
            try:
                write(temporaries[path])
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.chmod(name, 0o644)
        for path, temporary in temporaries.items():
            os.replace(temporary, path)
        for folder in {path.parent for path in writers}:
            _sync(folder)
    except OSError as error:
        raise SoupError(
            f"{next(iter(writers))} could not be written ({error.strerror or error}); it needs {size / 1e6:.1f} MB in a "
            "folder that this user can write to."
        ) from error
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
