"""Builds bundled zoos from seeds 0, 1 and 2, reports what soups gain, and writes the README's tables.

    python -m benchmarks.builds ZOO --data DIR --folder DIR [--workers N]

ZOO is fashion, icons or icons-pretrained. The build to bundle is the one with the median gain of greedy on the held-out images; the test
images and the shifts only report.
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
BEGIN, END = "<!-- builds of {zoo}: made by python -m benchmarks.builds -->", "<!-- end of builds of {zoo} -->"
SEEDS = (0, 1, 2)
ZOOS = ("fashion", "icons", "icons-pretrained")
Set = Literal["held_out", "test", "shifts"]


class Gain(TypedDict):
    """Accuracies of best single, greedy and uniform on a split; p and the interval of greedy's gain."""

    accuracies: list[float]
    p: float
    interval: list[float]


class Row(TypedDict):
    """One build: accuracies of best single, greedy and uniform on each set; greedy's size, p and interval on test.

    `real` is what it gains under each real shift; `shifts`, where there is none, the mean over the made ones.
    """

    held_out: list[float]
    test: list[float]
    shifts: list[float]
    ingredients: int
    p: float
    interval: list[float]
    real: dict[str, Gain]


def shift_accuracy(zoo: sc.Zoo, soups: list[sc.Soup]) -> list[float]:
    """The mean accuracy over all shifts and severities, for each soup."""
    found = []
    for shift in zoo.data.shifts():
        evaluate = sc.Evaluator(zoo, f"test:{shift}")
        found.append([evaluate(soup).accuracy for soup in soups])
    return [float(value) for value in np.mean(found, axis=0)]


def gain_on(zoo: sc.Zoo, split: str, soups: list[sc.Soup]) -> Gain:
    """What greedy, the second of the soups, gains over the best single model, the first, on a split."""
    evaluate = sc.Evaluator(zoo, split)
    found = [evaluate(soup) for soup in soups]
    gain = sc.compare(found[1], found[0])
    return {"accuracies": [each.accuracy for each in found], "p": gain.p_value, "interval": [gain.low, gain.high]}


def measure(folder: Path) -> Row:
    """What greedy and uniform gain over the best single model (by held-out accuracy) in one build."""
    zoo = sc.open_zoo(folder)
    held_out = sc.Evaluator(zoo)
    steps = list(sc.greedy_soup(zoo, held_out))
    soups = [steps[0].soup, steps[-1].soup, sc.uniform_soup(zoo)]
    test = gain_on(zoo, "test", soups)
    return {
        "held_out": [held_out(soup).accuracy for soup in soups],
        "test": test["accuracies"],
        "shifts": [] if zoo.data.real_shifts() else shift_accuracy(zoo, soups),
        "ingredients": len(steps[-1].soup.names),
        "p": test["p"],
        "interval": test["interval"],
        "real": {shift: gain_on(zoo, f"test:{shift}", soups) for shift in zoo.data.real_shifts()},
    }


def table(zoo: str, rows: dict[str, Row]) -> str:
    """The rows as a Markdown table, percent and points."""
    real = list(next(iter(rows.values()))["real"])
    names = [
        "build seed", "held-out: best single → greedy (ingredients), uniform", "test: the same",
        "greedy's gain on test, 95 % interval, exact McNemar p",
    ]  # fmt: skip
    for shift in real:
        names += [f"{shift}: best single → greedy, uniform", f"greedy's gain on {shift}"]
    if not real:
        names.append("mean of 40 shifts")
    lines = [_line(names), _line(["---"] * len(names))]
    for seed, row in rows.items():
        best, greedy, uniform = _percents(row["held_out"])
        cells = [
            f"{seed} (bundled)" if int(seed) == bundled.BUNDLED_SEEDS.get(zoo) else seed,
            f"{best} → {greedy} ({row['ingredients']}), {uniform}",
            _arrow(row["test"]),
            _gain({"accuracies": row["test"], "p": row["p"], "interval": row["interval"]}),
        ]
        for shift in real:
            cells += [_arrow(row["real"][shift]["accuracies"]), _gain(row["real"][shift])]
        lines.append(_line([*cells, *([] if real else [_arrow(row["shifts"])])]))
    cells = ["mean gain of greedy", _mean(rows, "held_out"), _mean(rows, "test"), ""]
    for shift in real:
        gained = np.mean([_difference(row["real"][shift]["accuracies"]) for row in rows.values()])
        cells += [f"{100 * gained:+.2f}", ""]
    return "\n".join([*lines, _line([*cells, *([] if real else [_mean(rows, "shifts")])])])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _percents(accuracies: list[float]) -> list[str]:
    return [f"{100 * value:.2f}" for value in accuracies]


def _arrow(accuracies: list[float]) -> str:
    best, greedy, uniform = _percents(accuracies)
    return f"{best} → {greedy}, {uniform}"


def _gain(gain: Gain) -> str:
    low, high = (100 * value for value in gain["interval"])
    return f"{100 * _difference(gain['accuracies']):+.2f} ({low:.2f} to {high:.2f}), p = {gain['p']:.2g}"


def _mean(rows: dict[str, Row], split: Set) -> str:
    return f"{100 * np.mean([_difference(row[split]) for row in rows.values()]):+.2f}"


def _difference(accuracies: list[float]) -> float:
    """Greedy's accuracy less the best single model's."""
    best, greedy, _ = accuracies
    return greedy - best


def main() -> None:
    """Build what is missing, measure, and write benchmarks/builds.json and the README's table of the zoo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", choices=ZOOS)
    parser.add_argument("--data", type=Path, required=True, help="as build-zoo takes it")
    parser.add_argument("--folder", type=Path, required=True, help="where the three builds are kept")
    parser.add_argument("--workers", type=int, help="training processes at a time; default one a core")
    arguments = parser.parse_args()
    zoo, rows = arguments.zoo, {}
    for seed in SEEDS:
        folder = arguments.folder / f"{zoo}-{seed}"
        for step in bundled.build(zoo, arguments.data, folder, seed=seed, workers=arguments.workers):
            print(f"seed {seed}: {step.done} of {step.total} runs", flush=True)
    for seed in SEEDS:
        rows[str(seed)] = measure(arguments.folder / f"{zoo}-{seed}")
    by_gain = sorted(SEEDS, key=lambda seed: _difference(rows[str(seed)]["held_out"]))
    print(f"the median held-out gain is that of seed {by_gain[1]}")
    results = {**json.loads(RESULTS.read_text()), zoo: rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_tables(results)
    print(table(zoo, rows))


def write_tables(results: dict[str, dict[str, Row]]) -> None:
    """Write every zoo's table into the README, between its marks."""
    text = README.read_text()
    for zoo, rows in results.items():
        begin, end = BEGIN.format(zoo=zoo), END.format(zoo=zoo)
        before, after = text.split(begin)[0], text.split(end)[1]
        text = f"{before}{begin}\n{table(zoo, rows)}\n{end}{after}"
    README.write_text(text)


if __name__ == "__main__":
    main()
