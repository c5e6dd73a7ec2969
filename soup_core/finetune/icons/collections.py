"""The icon sets of an unpacked @iconify/json, those alone whose licence lets their icons be passed on with a notice."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soup_core.errors import DataError

LICENCES = ("Apache-2.0", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "OFL-1.1")  # as SPDX names them
LEFT_OUT = ("Logos", "Programming")  # trademarks, whose names are words for other things


@dataclass(frozen=True)
class IconSet:
    """One set of one colour: its prefix in Iconify, and what its entry in collections.json says of it."""

    prefix: str
    title: str
    author: str
    licence: str
    url: str


def icon_sets(package: Path) -> tuple[IconSet, ...]:
    """The sets that may be used, by prefix. Raises DataError where the folder is no unpacked @iconify/json."""
    sets = []
    for prefix, entry in sorted(_read(package / "collections.json").items()):
        licence = entry["license"]
        if licence.get("spdx") in LICENCES and not entry.get("palette") and entry.get("category") not in LEFT_OUT:
            author = entry["author"]
            url = licence.get("url") or author.get("url", "")
            sets.append(IconSet(prefix, entry["name"], author["name"], licence["spdx"], url))
    return tuple(sets)


def icons_of(package: Path, prefix: str) -> Iterator[tuple[str, str]]:
    """Each icon of a set: its name, and its SVG, black on nothing, in a square."""
    found = _read(package / "json" / f"{prefix}.json")
    for name, icon in found["icons"].items():
        if not icon.get("hidden"):
            left, top, width, height = (
                icon.get(key, found.get(key, default))
                for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
            )
            side = max(width, height)
            box = f"{left - (side - width) / 2} {top - (side - height) / 2} {side} {side}"
            yield (
                name,
                (
                    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                    f'viewBox="{box}" color="black">{icon["body"]}</svg>'
                ),
            )


def version(package: Path) -> str:
    """The package's version."""
    return str(_read(package / "package.json")["version"])


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); give the folder that `npm pack @iconify/json` unpacks to, called package."
        ) from error
    return found
