"""Whose the icons are, under which licence, and the texts that these licences ask to be passed on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from soup_core.errors import DataError
from soup_core.finetune.icons.collections import IconSet

HEAD = """\
The pictures in this folder are icons of the sets below, of the npm package @iconify/json {version}, drawn anew as
grey pictures of 28×28 pixels. Each set is its author's, under its own licence; the licences' texts follow. Where a text
speaks of a copyright holder, it is the author named here.
"""


def licence_rows(sets: Sequence[IconSet], counts: Mapping[str, int]) -> list[dict[str, str | int]]:
    """A row for each set that icons are shipped of: set, author, licence, URL, and their number."""
    return [
        {
            "set": each.title,
            "author": each.author,
            "licence": each.licence,
            "url": each.url,
            "icons": counts[each.prefix],
        }
        for each in sets
        if counts.get(each.prefix)
    ]


def notices(rows: Sequence[Mapping[str, str | int]], texts: Mapping[str, str], version: str) -> str:
    """The rows as a table, and beneath it the text of each licence in it."""
    lines = [HEAD.format(version=version)]
    lines += [f"{row['set']}: {row['author']}; {row['licence']}; {row['icons']} icons; {row['url']}" for row in rows]
    for licence in sorted({str(row["licence"]) for row in rows}):
        lines += ["", "=" * 80, licence, "=" * 80, "", texts[licence].strip()]
    return "\n".join(lines) + "\n"


def licence_texts(package: Path, licences: Sequence[str]) -> dict[str, str]:
    """The texts by SPDX name, of an unpacked npm package spdx-license-list. Raises DataError where one is not there."""
    texts = {}
    for licence in licences:
        path = package / "licenses" / f"{licence}.json"
        try:
            texts[licence] = str(json.loads(path.read_text(encoding="utf-8"))["licenseText"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{path} cannot be read ({error}); give the folder that `npm pack spdx-license-list` unpacks to."
            ) from error
    return texts
