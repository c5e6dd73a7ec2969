"""Writing files so that a reader sees the old content or the new one, never a part."""

import os
import tempfile
from pathlib import Path

from soup_core.errors import SoupError


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` by way of a temporary file beside it, synced before it takes the name.

    Raises SoupError when the disk is full or the folder cannot be written; the old file is then intact.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise SoupError(
            f"{path} could not be written ({error.strerror}); it needs {len(content) / 1e6:.1f} MB in a folder "
            "that this user can write to."
        ) from error
