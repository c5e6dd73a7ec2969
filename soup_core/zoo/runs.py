"""Which checkpoint of each training run is proposed, where runs kept several."""

from pathlib import Path

from soup_core.zoo.naming import stem

OF_A_RUN = ("model_best", "best", "best_model", "checkpoint_best", "last", "final", "pytorch_model", "model")


def one_a_run(files: list[Path]) -> tuple[list[Path], int]:
    """Where several runs kept several checkpoints each, the best of each run, and how many others there are."""
    runs: dict[Path, list[Path]] = {}
    for file in files:
        runs.setdefault(file.parent, []).append(file)
    best = [
        min(kept, key=lambda file: OF_A_RUN.index(stem(file.name)))
        for run in runs.values()
        if (kept := [file for file in run if stem(file.name) in OF_A_RUN])
    ]
    several = sum(len(run) > 1 for run in runs.values())
    return (best, len(files) - len(best)) if several > 1 and len(best) == len(runs) else (files, 0)
