"""A made folder of published results, in the format of the model-soups paper's repository."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soup_core.analysis.published import IMAGES

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


def write_results(
    folder: Path,
    counts: Mapping[str, tuple[float, ...]] = COUNTS,
    *,
    soups: Mapping[str, tuple[int, ...]] = SOUPS,
    hyperparameters: Mapping[str, Mapping[str, Any]] = HYPERPARAMETERS,
) -> Path:
    folder.mkdir()
    lines = [json.dumps(line(name, found)) for name, found in counts.items()]
    (folder / "individual_model_results.jsonl").write_text("\n".join(lines) + "\n")
    for name, found in soups.items():
        (folder / f"{name}_results.jsonl").write_text(json.dumps(line(name, found)))
    (folder / "hparam_info.json").write_text(json.dumps({name: hyperparameters[name] for name in counts}))
    return folder


@dataclass(frozen=True)
class Sweep:
    """The numbers of a drawn sweep: correct images on each set, of a base, of fine-tuned models, of three soups."""

    base: tuple[int, ...]
    models: Mapping[str, tuple[int, ...]]
    soups: Mapping[str, tuple[int, ...]]
    rates: Mapping[str, float]

    def written(self, folder: Path) -> Path:
        models = {"model_0": self.base, **self.models}
        settings = {name: {"lr": rate, "aug": "rand-m9-n1"} for name, rate in self.rates.items()}
        return write_results(
            folder, models, soups=self.soups, hyperparameters={"model_0": {"info": "zero-shot"}, **settings}
        )


def drawn_sweep(models: int = 40, seed: int = 2203) -> Sweep:
    """Fine-tuned models that differ by chance and by their learning rate, which costs them on the shifts."""
    random = np.random.default_rng(seed)
    rates = {f"model_{index}": float(f"{10 ** random.uniform(-6, -4):.3g}") for index in range(1, models + 1)}
    typical = np.array([0.82, 0.79, 0.69, 0.44, 0.66, 0.52, 0.24])

    def drawn(shares: NDArray[np.float64]) -> tuple[int, ...]:
        return tuple(int(count) for count in random.binomial(TOTALS, shares))

    def fine_tuned(rate: float) -> tuple[int, ...]:
        quality, heat = random.normal(0, 0.02), np.log10(rate) + 5
        return drawn(typical + quality + heat * np.array([0.005, 0.004, -0.01, -0.02, -0.02, -0.02, -0.03]))

    return Sweep(
        drawn(typical - 0.07),
        {name: fine_tuned(rate) for name, rate in rates.items()},
        {
            name: drawn(typical + gain)
            for name, gain in (("uniform_soup", 0.02), ("greedy_soup", 0.03), ("ensemble", 0.07))
        },
        rates,
    )
