"""The whole greedy search as people run it, from a folder of pictures and checkpoints: ours, the published one, and ours before.

Whole processes with all that they import, decode and load: once with nothing kept from earlier, and once more.
"""

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import soup_core as sc
from benchmarks import photographs
from benchmarks.processes import ROOT, Command, Cost, at_commit, python
from benchmarks.rows import Row

NETWORKS = {"torchvision:resnet18": 150, "timm:vit_tiny_patch16_224": 400}  # and the steps that its base is trained for
FIRST, SECOND = 0.5, 0.1
THEIRS = "model-soups' loop"


def greedy(zoo: Path, home: Path, out: Path, folder: Path = ROOT) -> Command:
    """Our command, which keeps what it finds in `home` and says it in `out`."""
    command = shlex.join([sys.executable, "-m", "soup_core", "greedy", str(zoo), "--json"])
    return Command(["sh", "-c", f"exec {command} > {shlex.quote(str(out))}"], folder, {"SOUP_HOME": str(home)})


def decisions(out: Path) -> list[list[object]]:
    """Which candidates our command accepted, in the order of the search."""
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [[row["candidate"], row["accepted"]] for row in rows if "candidate" in row]


def final(out: Path) -> dict[str, int]:
    """The soup's correct images by the folder of the split."""
    row = json.loads(out.read_text().splitlines()[-1])
    return {"val": row["held_out"]["correct"], "test": row["test"]["correct"]}


def compared(zoo: Path, then: Path) -> dict[str, list[Cost]]:
    """What the first and the second run cost, of each; they decide the same and end with the same soup."""
    work = Path(tempfile.mkdtemp(dir=zoo.parent))
    commands = {
        "ours": greedy(zoo, work / "home", work / "ours"),
        "theirs": python("-m", "benchmarks.published_greedy", str(zoo)),
        "before": greedy(zoo, work / "home before", work / "before", then),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(2):
        for name, command in commands.items():
            costs[name].append(command.cost())
        published = json.loads((zoo / "published.json").read_text())
        for name in ("ours", "before"):
            assert decisions(work / name) == published["decisions"], f"{zoo.name}: {name} decides otherwise"
        found = final(work / "ours")
        apart = {split: abs(found[split] - published[split]) for split in found}
        assert max(apart.values()) <= 1, f"{zoo.name}: the soups' counts differ by {apart}"  # a near tie of two classes
    accepted = [taken for _, taken in published["decisions"]]
    assert 1 < sum(accepted) < len(accepted), f"{zoo.name}: of {len(accepted)} candidates {sum(accepted)} were accepted"
    return costs


def rows_of(network: str, costs: dict[str, list[Cost]]) -> Iterator[Row]:
    """Both runs, by processor and by the clock, against the published loop, and that of the earlier commit as told."""
    for index, (run, limit) in enumerate((("first run", FIRST), ("run again", SECOND))):
        ours, theirs, before = (costs[name][index] for name in ("ours", "theirs", "before"))
        what = f"greedy of 12 {network} on {photographs.COUNTS['val']:,} JPEG files, {run}"
        yield Row(f"{what}: processor", ours.processor, THEIRS, theirs.processor, "s", "at most", limit)
        yield Row(f"{what}: wall", ours.wall, THEIRS, theirs.wall, "s", "at most", limit)
        yield Row(f"{what}, before: processor", before.processor, THEIRS, theirs.processor, "s", "told")
        yield Row(f"{what}, before: wall", before.wall, THEIRS, theirs.wall, "s", "told")


def measured() -> list[Row]:
    """Every row; pictures and models are made in a temporary folder."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as parent, at_commit() as then:
        split = sc.open_zoo("fashion").data.split("held_out")
        write = partial(photographs.write_pictures, split, photographs.COUNTS)
        write(images := Path(parent) / "images")
        for network, base_steps in NETWORKS.items():
            (zoo := Path(parent) / network.partition(":")[2]).mkdir()
            images.rename(zoo / "images")
            rows += rows_of(zoo.name, compared(photographs.write_zoo(network, zoo, base_steps), then))
            (zoo / "images").rename(images)
            shutil.rmtree(zoo)
    return rows
