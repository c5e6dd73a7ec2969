"""What comes with a zoo: read strictly, for that zoo alone, and never over what was computed here (faults 48 and 54)."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import soup_core as sc
from soup_core.evaluation.shipped import read_shipped, shipped_text
from soup_core.runtime.store import BoundRow, EvaluationRow, Store


def row(key: str, correct: int, total: int) -> list[Any]:
    bits = (2**total - 1) ^ (2 ** (total - correct) - 1)
    packed = (bits << (-total % 8)).to_bytes(-(-total // 8), "big")
    return [key, correct, total, 0.5, 0.1, 0, base64.b64encode(packed).decode()]


def ship(folder: Path, *rows: object) -> None:
    (folder / "evaluations.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in rows))


def test_what_is_shipped_comes_back(tmp_path: Path) -> None:
    evaluations = {key: EvaluationRow(key, 5, 9, None, None, 1, b"\xf8\x00") for key in "ba"}
    bounds = {("c", "order"): BoundRow(20, 3)}
    (tmp_path / "evaluations.jsonl").write_text(shipped_text(evaluations.values(), bounds))
    shipped = read_shipped(tmp_path / "evaluations.jsonl")
    assert (shipped.evaluations, shipped.bounds) == (evaluations, bounds)


ODD = (
    "", "{", "[]", "3", '["k", 1, 2]', '["k", "o", 1.5, 1]', '["k", "o", true, 1]', "[" * 9000,
    '["k", 1, 2, "x", 0.1, 0, "AA=="]', '["k", 1.0, 2, 0.1, 0.1, 0, "AA=="]', '["k", 1, 2, 0.1, 0.1, 0, "ä"]',
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_rows_count_as_none(odd: str, tmp_path: Path) -> None:
    file = tmp_path / "evaluations.jsonl"
    file.write_text(f"{odd}\n{json.dumps(row('a', 1, 2))}\n")
    shipped = read_shipped(file)
    assert (list(shipped.evaluations), shipped.bounds) == (["a"], {})


def test_a_fifo_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "evaluations.jsonl")
    assert not read_shipped(tmp_path / "evaluations.jsonl").evaluations


def test_a_zoo_speaks_for_itself_alone_and_never_over_what_was_computed_here(linear_zoo: Callable[..., Path]) -> None:
    ours, theirs = linear_zoo(seed=0), linear_zoo(seed=1)
    store, soup = Store(ours.parent / "store.sqlite"), sc.Soup({"m0": 1.0})

    def evaluator(folder: Path) -> sc.Evaluator:
        return sc.Evaluator(sc.open_zoo(folder), device="cpu", store=store)

    key, total = evaluator(ours).key(soup), evaluator(ours).total
    ship(theirs, row(key, total, total))
    evaluator(theirs)(soup)
    assert evaluator(ours).known(soup) is None
    truth = evaluator(ours)(soup)
    ship(ours, row(key, total, total))
    assert evaluator(ours).known(soup) == truth
    assert truth.correct < total


def test_a_shipped_bound_decides_and_one_beyond_the_split_does_not(
    linear_zoo: Callable[..., Path], evaluated: list[sc.Soup]
) -> None:
    folder = linear_zoo()
    evaluate = sc.Evaluator(sc.open_zoo(folder), device="cpu")
    order = sc.evaluation.hardest_first(evaluate.singles().values())
    soup = sc.uniform_soup(evaluate.zoo)
    for bound, errors in (([50, 40], 30), ([50, 60], 30), ([5000, 40], 30), ([50, 40], 41)):
        evaluated.clear()
        ship(folder, [evaluate.key(soup), order.digest, *bound])
        store = Store(folder.parent / f"store-{bound}-{errors}")
        trial = sc.Evaluator(evaluate.zoo, device="cpu", store=store).trial(soup, errors_below=errors, order=order)
        decides = (bound, errors) == ([50, 40], 30)
        assert bool(evaluated) is not decides
        assert not decides or (trial.evaluation, trial.correct_at_most) == (None, evaluate.total - 40)
