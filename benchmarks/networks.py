"""Networks as people have them, with random weights: what 1,000 images take over soups, setting the weights included.

    python -m benchmarks networks

Ours is the evaluator, each soup new to its store; the other side a bare loop in the same process: a sum of dictionaries,
load_state_dict, eval, inference_mode, 256 images at a time, which is what the main.py of Wortsman et al. 2022 takes. Both have the same weights,
images in memory and number of threads, and are measured in seconds of processor; no count may differ. The commit before
is measured in processes of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from benchmarks.processes import BEFORE, ROOT, at_commit
from benchmarks.rows import Row
from soup_core import architectures

TURNS = ROOT / "benchmarks" / "turns.py"
INGREDIENTS = 3


@dataclass(frozen=True)
class Network:
    """A network, the side of its images, how many are evaluated, and how much faster it shall be."""

    name: str
    side: int
    images: int
    wanted: float


NETWORKS = (
    Network("resnet18", 64, 1024, 1.6),
    Network("mobilenet_v3_large", 64, 1024, 1.5),
    Network("mobilenet_v3_small", 64, 2048, 1.5),
    Network("resnet50", 224, 64, 1.4),
    Network("vit_b_32", 224, 96, 0.98),
)
BUNDLED = Network("fashion", 28, 5000, 0.9)


def write_zoo(network: Network, folder: Path) -> Path:
    """Ingredients around one start, whose BatchNorms have seen images, and random images."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    module = architectures.build(f"torchvision:{network.name}", 10)
    with torch.no_grad():
        for _ in range(10):  # running statistics that suit the weights, else the logits fade or explode
            module(torch.randn(16, 3, network.side, network.side))
    start = module.state_dict()
    lines = [
        "format = 1",
        f'title = "{network.name}"',
        f'architecture = {{ name = "torchvision:{network.name}", num_classes = 10 }}',
        '[data]\nsource = "tensors:data.safetensors"',
    ]
    for index in range(INGREDIENTS):
        noise = torch.Generator().manual_seed(index)
        theta = {
            name: value + 0.02 * value.std() * torch.randn(value.shape, generator=noise)
            if name.endswith("weight") and value.dim() > 1
            else value
            for name, value in start.items()
        }
        safetensors.torch.save_file(theta, folder / f"m{index}.safetensors")
        lines += ["[[ingredients]]", f'name = "m{index}"', f'file = "m{index}.safetensors"']
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    tensors = {}
    for split, size in (("held_out", network.images), ("test", 20)):
        tensors[f"{split}.images"] = torch.randint(256, (size, 3, network.side, network.side), dtype=torch.uint8)
        tensors[f"{split}.labels"] = torch.randint(10, (size,))
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    return folder


def in_process(folder: str, project: Path, **settings: str) -> dict[str, Any]:
    """`turns` by the project in a folder, with a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PYTHONPATH": str(project), "SOUP_HOME": home, **settings}
        command = [sys.executable, str(TURNS), folder]
        found = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(found.stderr[-2000:])
    return dict(json.loads(found.stdout.splitlines()[-1]))


def rows_of(network: Network, folder: str, before: Path) -> Iterator[Row]:
    """Ours against the bare loop, then today's commit against the bare loop, and what the trial took."""
    now, then = in_process(folder, ROOT), in_process(folder, before)
    what = f"{network.name} at {network.side}"
    own = f"1,000 images by {what}, {now['way']}, {now['batch']} at a time"
    yield Row(own, now["ours"], "bare loop", now["bare"], "s", "at least", network.wanted)
    yield Row(f"the same, the commit {BEFORE}", then["ours"], "bare loop", then["bare"], "s", "told")
    yield Row(f"the trial for {what}, once", now["first"], "1,000 images thereafter", now["ours"], "s", "told")


def measured() -> list[Row]:
    """Every network, and the bundled one."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as root, at_commit() as before:
        rows += rows_of(BUNDLED, "fashion", before)
        for network in NETWORKS:
            rows += rows_of(network, str(write_zoo(network, Path(root) / network.name)), before)
    return rows
