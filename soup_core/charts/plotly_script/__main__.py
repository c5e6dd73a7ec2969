"""Makes plotly.min.js anew, with node's npm and the packages that package.json names: python -m soup_core.charts.plotly_script."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from soup_core.charts.plotly_script import OURS

FILES = ("package.json", "build.mjs")


def main() -> None:
    """Install the packages into a temporary folder, build there, and put the script into its place."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            shutil.copy(OURS.parent / name, folder)
        for command in (["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
            subprocess.run(command, cwd=folder, check=True)
        shutil.copy(Path(folder) / OURS.name, OURS)


if __name__ == "__main__":
    main()
