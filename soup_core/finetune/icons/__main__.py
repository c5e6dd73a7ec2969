"""Draws the icons anew, for the app and for build-zoo.

    npm pack @iconify/json@2.2.535 spdx-license-list@6.12.0      # and unpack each into a folder of its own
    pip install resvg-py==0.5.0
    python -m soup_core.finetune.icons --icons DIR/package --licences DIR/package --output DIR

Into assets/data/icons go the pictures that judge and train, whose they are, and the licences' texts; into the output
those to pretrain on, which `build-zoo icons --data DIR` needs beside them.
"""

import argparse
import json
from pathlib import Path

from soup_core.data import ASSETS
from soup_core.data.packed_images import write_packed
from soup_core.finetune.icons.collections import LICENCES, version
from soup_core.finetune.icons.notices import licence_rows, licence_texts, notices
from soup_core.finetune.icons.parting import PartedIcons, parted_icons
from soup_core.runtime.files import write_atomically

FOLDER = ASSETS / "data" / "icons"


def write(found: PartedIcons, licences: Path, package_version: str, folder: Path, output: Path) -> None:
    """Write what is shipped into `folder`, and the pictures to pretrain on into `output`."""
    shipped = {part: pair for part, pair in sorted(found.parts.items()) if part != "pretrain"}
    pixels = found.parts["train"][0].double() / 255
    rows = licence_rows(found.sets, found.counts)
    about = {
        "classes": found.classes,
        "mean": [round(float(pixels.mean()), 4)],
        "std": [round(float(pixels.std()), 4)],
        "licences": rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    write_packed(folder, shipped)
    write_packed(output, {"pretrain": found.parts["pretrain"]})
    write_atomically(folder / "about.json", (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    text = notices(rows, licence_texts(licences, LICENCES), package_version)
    write_atomically(folder / "LICENSES.txt", text.encode())


def main() -> None:
    """Draw, part and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icons", type=Path, required=True, help="the unpacked @iconify/json")
    parser.add_argument("--licences", type=Path, required=True, help="the unpacked spdx-license-list")
    parser.add_argument("--output", type=Path, required=True, help="for the pictures to pretrain on")
    arguments = parser.parse_args()
    found = parted_icons(arguments.icons)
    write(found, arguments.licences, version(arguments.icons), FOLDER, arguments.output)
    for part, (images, _) in found.parts.items():
        print(f"{part}: {len(images):,} pictures")


if __name__ == "__main__":
    main()
