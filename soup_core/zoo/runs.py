"""Which checkpoint of each training run is proposed, where several runs kept several.

It is the best as the trainer noted it, or as the names say; otherwise the last.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soup_core.zoo.moments import LOSSES, SCORES, Moment, moments_of
from soup_core.zoo.naming import is_base
from soup_core.zoo.settings_files import read_json, read_text

Beside = Mapping[str, Any]


@dataclass(frozen=True)
class Chosen:
    """The checkpoints that are proposed with the run of each, and why others of the same runs are not."""

    runs: Mapping[Path, tuple[str, ...]]
    notices: tuple[str, ...] = ()


def chosen_of_runs(folder: Path, files: Mapping[Path, Beside]) -> Chosen:
    """Of several runs with several checkpoints each, the best of each run, else its last; of one run, all.

    `files` have what each holds beside its weights. A run is empty where several of its checkpoints are taken.
    """
    by_run: dict[tuple[str, ...], list[tuple[Path, Moment]]] = {}
    for file, moment in zip(files, moments_of([file.relative_to(folder) for file in files]), strict=True):
        by_run.setdefault(moment.run, []).append((file, moment))
    runs = [run for run, kept in by_run.items() if kept[0][1].is_one and not any(map(is_base, run))]
    several = [run for run, kept in by_run.items() if len(kept) > 1]
    if len(runs) < 2 or not several:
        alone = {kept[0][0]: run for run, kept in by_run.items() if len(kept) == 1}
        return Chosen({file: alone.get(file, ()) for file in files})
    best = {run: _best_of(kept, files) for run, kept in by_run.items()}
    taken = {file: run for run, (file, _) in best.items()}
    reasons = Counter(best[run][1] for run in several)
    said = "; ".join(f"of {count} {'run' if count == 1 else 'runs'} {why}" for why, count in reasons.items())
    left_out = len(files) - len(taken)
    notice = (
        f"{left_out} further {'checkpoint' if left_out == 1 else 'checkpoints'} of the same runs are left out; add those "
        f"that you want. Taken is {said}."
    )
    return Chosen({file: taken[file] for file in files if file in taken}, (notice,))


def _best_of(kept: Sequence[tuple[Path, Moment]], files: Mapping[Path, Beside]) -> tuple[Path, str]:
    """The checkpoint that a run is judged by, and how that is known."""
    ordered = sorted(kept, key=lambda pair: (pair[1].last, pair[1].count is None, pair[1].count or 0))
    for noted in (_noted_by_transformers, _noted_by_lightning, _noted_by_ray):
        for file, _ in reversed(ordered):  # the newest knows most
            name = noted(file, files[file])
            for other, moment in ordered:
                if name and name in (moment.folder, other.name):
                    return other, "the best, as the trainer noted it"
    if best := [pair for pair in ordered if pair[1].best]:
        return max(reversed(best), key=_score)[0], "the best, as its name says"
    if any(moment.score is not None for _, moment in ordered):
        return max(reversed(ordered), key=_score)[0], "the best by the score in its name"
    return ordered[-1][0], "the last"


def _score(pair: tuple[Path, Moment]) -> float:
    return float("-inf") if pair[1].score is None else pair[1].score


def _noted_by_transformers(file: Path, beside: Beside) -> str | None:
    """The folder that transformers' Trainer took for the best, wherever it lay on the machine that trained."""
    state = read_json(file.parent / "trainer_state.json")
    return _last_part(state.get("best_model_checkpoint")) if isinstance(state, dict) else None


def _noted_by_lightning(file: Path, beside: Beside) -> str | None:
    """The file that Lightning's ModelCheckpoint took for the best, which stands in each that it writes."""
    callbacks = beside.get("callbacks")
    states = callbacks.values() if isinstance(callbacks, Mapping) else ()
    told = (state for state in states if isinstance(state, Mapping) and state.get("monitor"))
    return next((_last_part(state.get("best_model_path")) for state in told), None)


def _noted_by_ray(file: Path, beside: Beside) -> str | None:
    """The folder of the highest accuracy, or else the lowest loss, that was reported to Ray Tune."""
    results = []
    for line in (read_text(file.parent.parent / "result.json") or "").splitlines():
        try:
            result = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(result, dict) and isinstance(result.get("checkpoint_dir_name"), str):
            results.append(result)
    for words, sign in ((SCORES, 1), (LOSSES, -1)):
        for key in sorted({key for result in results for key in result if not key.startswith("train")}):
            scored = [result for result in results if isinstance(result.get(key), int | float)]
            if scored and set(re.split(r"[-_./ ]", key.lower())) & set(words):
                return str(max(scored, key=lambda result: sign * result[key])["checkpoint_dir_name"])
    return None


def _last_part(path: object) -> str | None:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] if isinstance(path, str) else None
