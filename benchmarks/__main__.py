"""Measurements by section: what is measured is kept, and benchmarks/RESULTS.md is written anew from all that is kept.

python -m benchmarks [SECTION ...]      without a section all of them, one after the other
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, table

HERE = Path(__file__).resolve().parent
RESULTS, KEPT = HERE / "RESULTS.md", HERE / "kept"
SECTIONS: Mapping[str, str] = {
    "first_contact": "First contact: one soup from a folder, as whole commands",
    "first_paint": "First paint",
    "sent": "What is sent while a page follows a job, and for a click",
    "large": "Large zoos",
    "networks": "Evaluating real networks",
    "end_to_end": "The rivals, end to end",
    "engine": "The engine against its rivals",
    "gpu": "On a GPU",
    "batch_norm": "BatchNorm statistics of a soup",
    "fairness": "Work beside other work",
    "browser": "What a user waits for in a browser",
    "teaching": "Lessons, and what is taken along",
}
PACKAGES = ("torch", "torchvision", "safetensors", "numpy", "streamlit", "plotly", "playwright")


def measure(section: str) -> None:
    """Measure a section by `measured()` of its module, which gives rows or lines of Markdown, and keep it."""
    found: Sequence[Row] | Sequence[str] = import_module(f"benchmarks.{section}").measured()
    rows = [each for each in found if isinstance(each, Row)]
    content: dict[str, Any] = {"machine": machine(), "commit": _commit(), "versions": versions(*PACKAGES)}
    content["lines"] = table(rows) if rows else found
    if rows:
        content["rows"] = [{**row.__dict__, "ratio": row.ratio, "met": row.met} for row in rows]
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{section}.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(content["lines"]), flush=True)


def write_results() -> None:
    """Write RESULTS.md of every section that is kept, each with the machine, the commit and the versions it was measured on."""
    lines = ["# Results", "", "Made by `python -m benchmarks`, section by section; medians of rounds by turns."]
    for section, title in SECTIONS.items():
        if (file := KEPT / f"{section}.json").exists():
            kept = json.loads(file.read_text())
            packages = ", ".join(f"{name} {number}" for name, number in kept["versions"].items())
            made = f"`python -m benchmarks {section}`, commit {kept['commit']}, {kept['machine']}; {packages}."
            lines += ["", f"## {title}", "", made, "", *kept["lines"]]
    RESULTS.write_text("\n".join(lines) + "\n")


def machine() -> str:
    """Cores, memory and GPU, in words."""
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB of memory, {gpu}"


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of the packages."""
    return {"Python": platform.python_version(), **{name: version(name) for name in packages}}


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def main(names: Sequence[str]) -> None:
    """Measure the named sections, or all, each in a process of its own, and write the results after each."""
    if unknown := [name for name in names if name not in SECTIONS]:
        raise SystemExit(f"no section {', '.join(unknown)}; expected some of {', '.join(SECTIONS)}")
    if len(names) != 1:
        for name in names or SECTIONS:
            subprocess.run([sys.executable, "-m", "benchmarks", name], cwd=HERE.parent, check=True)
        return
    with tempfile.TemporaryDirectory() as home:
        os.environ["SOUP_HOME"] = home
        measure(names[0])
        write_results()
        sys.stdout.flush()
    os._exit(0)  # a job that a section began need not come to its end


if __name__ == "__main__":
    main(sys.argv[1:])
