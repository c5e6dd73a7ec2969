"""A made folder of published results, in the format of the model-soups paper's repository."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soup_core.published import IMAGES

TOTALS = (26_000, 50_000, 10_000, 50_889, 30_000, 18_574, 7_500)
COUNTS: dict[str, tuple[int, ...]] = {
    "start": (18_000, 34_000, 6_000, 20_000, 15_000, 7_000, 1_500),
    "a <b>x</b>": (20_000, 38_000, 6_400, 19_000, 14_000, 6_500, 1_200),
    "b_twin": (19_000, 36_500, 6_100, 20_500, 15_300, 7_100, 1_400),
    "c_twin": (19_000, 36_500, 6_100, 20_500, 15_300, 7_100, 1_400),
    "d": (19_500, 37_000, 6_200, 21_000, 15_500, 7_300, 1_600),
}
TWIN = {"lr": 1e-5, "aug": "rand-m7-n1"}
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "start": {"info": "made-up start"},
    "a <b>x</b>": {"lr": 1e-4, "aug": None},
    "b_twin": TWIN,
    "c_twin": TWIN,
    "d": {"lr": 1e-6, "aug": "rand-m12-n0"},
}
SOUPS: dict[str, tuple[int, ...]] = {
    "uniform_soup": (20_100, 38_200, 6_600, 22_000, 16_000, 7_600, 1_700),
    "greedy_soup": (20_300, 38_400, 6_700, 21_500, 15_400, 7_400, 1_550),
    "ensemble": (20_200, 38_300, 6_650, 21_000, 15_200, 7_300, 1_000),
}


def line(name: str, counts: tuple[float, ...]) -> dict[str, Any]:
    shares = {key: count / total for key, count, total in zip(IMAGES, counts, TOTALS, strict=True)}
    return {"model_name": name, **shares}


def write_results(folder: Path, counts: Mapping[str, tuple[float, ...]] = COUNTS) -> Path:
    folder.mkdir()
    lines = [json.dumps(line(name, found)) for name, found in counts.items()]
    (folder / "individual_model_results.jsonl").write_text("\n".join(lines) + "\n")
    for name, found in SOUPS.items():
        (folder / f"{name}_results.jsonl").write_text(json.dumps(line(name, found)))
    (folder / "hparam_info.json").write_text(json.dumps({name: HYPERPARAMETERS[name] for name in counts}))
    return folder
