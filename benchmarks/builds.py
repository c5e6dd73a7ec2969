"""Builds the zoo `fashion` from seeds 0, 1 and 2, reports what soups gain, and writes the README's table.

    python -m benchmarks.builds --data DIR --folder DIR

The build to bundle is the one with the median gain of greedy on the held-out images; the test set only reports.
"""

import argparse
import json
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

import soup_core as sc
from soup_core.finetune import bundled

HERE = Path(__file__).resolve().parent
RESULTS, README = HERE / "builds.json", HERE.parent / "README.md"
BEGIN, END = "<!-- builds: made by python -m benchmarks.builds -->", "<!-- end of builds -->"
SEEDS = (0, 1, 2)
Set = Literal["held_out", "test", "shifts"]
SETS: tuple[Set, ...] = ("held_out", "test", "shifts")


class Row(TypedDict):
    """One build: accuracies of best single, greedy and uniform on each set; greedy's size, p and interval on test."""

    held_out: list[float]
    test: list[float]
    shifts: list[float]
    ingredients: int
    p: float
    interval: list[float]


def shift_accuracy(zoo: sc.Zoo, soups: list[sc.Soup]) -> list[float]:
    """The mean accuracy over all shifts and severities, for each soup."""
    found = []
    for shift in zoo.data.shifts():
        evaluate = sc.Evaluator(zoo, f"test:{shift}")
        found.append([evaluate(soup).accuracy for soup in soups])
    return [float(value) for value in np.mean(found, axis=0)]


def measure(folder: Path) -> Row:
    """What greedy and uniform gain over the best single model (by held-out accuracy) in one build."""
    zoo = sc.open_zoo(folder)
    held_out, test = sc.Evaluator(zoo), sc.Evaluator(zoo, "test")
    steps = list(sc.greedy_soup(zoo, held_out))
    soups = [steps[0].soup, steps[-1].soup, sc.uniform_soup(zoo)]
    on_test = [test(soup) for soup in soups]
    gain = sc.compare(on_test[1], on_test[0])
    return {
        "held_out": [held_out(soup).accuracy for soup in soups],
        "test": [evaluation.accuracy for evaluation in on_test],
        "shifts": shift_accuracy(zoo, soups),
        "ingredients": len(steps[-1].soup.names),
        "p": gain.p_value,
        "interval": [gain.low, gain.high],
    }


def table(rows: dict[str, Row]) -> str:
    """The rows as a Markdown table, percent and points."""
    lines = [
        "| build seed | held-out: best single → greedy (ingredients), uniform | test: the same | greedy's gain on test, "
        "95 % interval, exact McNemar p | mean of 40 shifts |",
        "| --- | --- | --- | --- | --- |",
    ]
    for seed, row in rows.items():
        cells = []
        for split in SETS:
            best, greedy, uniform = (f"{100 * value:.2f}" for value in row[split])
            taken = f" ({row['ingredients']})" if split == "held_out" else ""
            cells.append(f"{best} → {greedy}{taken}, {uniform}")
        low, high = (100 * value for value in row["interval"])
        name = f"{seed} (bundled)" if int(seed) == bundled.BUNDLED_SEEDS["fashion"] else seed
        gain = f"{100 * gains(row, 'test'):+.2f} ({low:.2f} to {high:.2f}), p = {row['p']:.2g}"
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {gain} | {cells[2]} |")
    means = {split: 100 * np.mean([gains(row, split) for row in rows.values()]) for split in SETS}
    lines.append(
        f"| mean gain of greedy | {means['held_out']:+.2f} | {means['test']:+.2f} | | {means['shifts']:+.2f} |"
    )
    return "\n".join(lines)


def gains(row: Row, split: Set) -> float:
    """Greedy's accuracy less the best single model's."""
    best, greedy, _ = row[split]
    return greedy - best


def main() -> None:
    """Build what is missing, measure, and write benchmarks/builds.json and the README's table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of Fashion-MNIST's IDX files")
    parser.add_argument("--folder", type=Path, required=True, help="where the three builds are kept")
    arguments = parser.parse_args()
    rows: dict[str, Row] = {}
    for seed in SEEDS:
        folder = arguments.folder / f"fashion-{seed}"
        for step in bundled.build("fashion", arguments.data, folder, seed=seed):
            print(f"seed {seed}: {step.done} of {step.total} runs", flush=True)
        rows[str(seed)] = measure(folder)
    by_gain = sorted(SEEDS, key=lambda seed: gains(rows[str(seed)], "held_out"))
    print(f"the median held-out gain is that of seed {by_gain[1]}")
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    text = README.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
    print(table(rows))


if __name__ == "__main__":
    main()
