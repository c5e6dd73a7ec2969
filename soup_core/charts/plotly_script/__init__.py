"""The script that draws our figures in a browser: plotly.js with the traces of our charts alone, 44 % of the whole as sent.

Made by `python -m soup_core.charts.plotly_script` from plotly.js 4.1.1, see README.md. Where plotly.py brings another
version of plotly.js, its own whole script serves, since its figures are made for that.
"""

import re
from functools import cache
from pathlib import Path

import plotly

OURS = Path(__file__).resolve().parent / "plotly.min.js"
WHOLE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
HEADER = re.compile(r"plotly\.js v(?P<version>[\w.-]+)(?: \((?P<traces>[\w, ]+)\))?")


@cache
def script() -> Path:
    """The file of the script: ours, or plotly's whole one where that is of another version."""
    return OURS if version(OURS) == version(WHOLE) else WHOLE


def version(file: Path) -> str:
    """The version of plotly.js that a script says at its beginning. Raises ValueError where it says none."""
    return _header(file)["version"]


def traces(file: Path) -> frozenset[str]:
    """The types of trace that a script says it can draw; of one that says none they are empty, and it draws all."""
    return frozenset((_header(file)["traces"] or "").split(", ")) - {""}


def _header(file: Path) -> re.Match[str]:
    with file.open(encoding="utf-8") as script:
        found = HEADER.search(script.read(300))
    if found is None:
        raise ValueError(f"{file} does not begin with the version of plotly.js; make it again.")
    return found
