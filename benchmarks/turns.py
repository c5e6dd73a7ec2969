"""Evaluations of soups by turns with a bare loop, in one process, which may be an earlier commit's: it imports nothing else
of the benchmarks.

python benchmarks/turns.py ZOO      of the project that PYTHONPATH names
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

import soup_core as sc
from soup_core.runtime.store import Store

BARE_BATCH = 256
SOUPED = 3  # ingredients that the soups are of, two at a time
ROUNDS = 3


def averaged(models: Sequence[tuple[Mapping[str, torch.Tensor], float]]) -> dict[str, torch.Tensor]:
    """The soup of models in memory by a dictionary comprehension; integers are the first's."""
    first = models[0][0]
    return {
        name: torch.stack([share * model[name] for model, share in models]).sum(0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def bare(module: torch.nn.Module, theta: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor) -> int:
    """How many images are right, by the loop that people write."""
    module.load_state_dict(theta)
    module.eval()
    correct = 0
    with torch.inference_mode():
        for batch, wanted in zip(images.split(BARE_BATCH), labels.split(BARE_BATCH), strict=True):
            correct += int((module(batch).argmax(1) == wanted).sum())
    return correct


def turns(folder: str) -> dict[str, Any]:
    """Seconds of processor for 1,000 images, ours and the bare loop's, by turns over soups; also the trial's seconds and its way."""
    zoo = sc.open_zoo(folder if folder == "fashion" else Path(folder))
    with tempfile.TemporaryDirectory() as place:
        evaluate = sc.Evaluator(zoo, device="cpu", store=Store(Path(place) / "store.sqlite"))
        images = zoo.data.normalization(evaluate.data.images)
        module, labels = zoo.module(), evaluate.data.labels
        names = zoo.names[:SOUPED]
        models = {name: sc.state_dict(zoo, sc.Soup.single(name)) for name in names}
        soups = [sc.Soup({a: 0.5 + share, b: 0.5 - share}) for share in (0, 0.1, 0.2, 0.3) for a, b in pairwise(names)]
        start = time.process_time()
        evaluate(sc.Soup({names[0]: 0.6, names[1]: 0.4}))  # the trial, and what is made once
        first = time.process_time() - start
        ours, theirs = [], []
        for soup in soups[: ROUNDS + 1]:
            start = time.process_time()
            correct = evaluate(soup).correct
            middle = time.process_time()
            theta = averaged([(models[name], share) for name, share in soup.coefficients.items()])
            expected = bare(module, theta, images, labels)
            ours.append(middle - start)
            theirs.append(time.process_time() - middle)
            assert correct == expected, f"{correct} images are right, and {expected} by the bare loop"
    return {
        "ours": 1000 * statistics.median(ours[1:]) / len(images),
        "bare": 1000 * statistics.median(theirs[1:]) / len(images),
        "way": getattr(evaluate, "way", "plain"),
        "batch": getattr(evaluate, "_size", evaluate.batch_size),
        "first": first - statistics.median(ours[1:]),
    }


if __name__ == "__main__":
    print(json.dumps(turns(sys.argv[1])))
