"""What a soup's choice of BatchNorm statistics is worth, on the zoo `fashion-batchnorm`: test accuracy of three soups."""

from typing import get_args

import soup_core as sc
from soup_core import charts
from soup_core.soup import BatchNorm, Soup


def measured() -> list[str]:
    """Accuracies on held-out and test images as a Markdown table, a row a choice."""
    zoo = sc.open_zoo("fashion-batchnorm")
    evaluators = [sc.Evaluator(zoo, split, "cpu") for split in ("held_out", "test")]
    *_, greedy = sc.greedy_soup(zoo, evaluators[0])
    soups = {"uniform": sc.uniform_soup(zoo), "greedy": greedy.soup}
    lines = [
        "| BatchNorm statistics | uniform: held-out, test | greedy's ingredients: held-out, test |",
        "| --- | --- | --- |",
    ]
    for kind in get_args(BatchNorm):
        cells = [
            ", ".join(charts.percent(evaluate(Soup(soup.coefficients, batch_norm=kind))) for evaluate in evaluators)
            for soup in soups.values()
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines
