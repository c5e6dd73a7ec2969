"""Sums that go on from the last one: exact, the same whatever came before, and no more rows added than differ."""

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import soup_core as sc
from soup_core.analysis.ablations import leave_one_out, shapley
from soup_core.weight_space.bank import FEW
from soup_core.weight_space.running_sum import RunningSum

COLUMNS = [slice(0, 5), slice(5, 6), slice(6, 9)]


def drawn(count: int, seed: int = 0) -> torch.Tensor:
    """Rows whose tensors differ in scale by twenty decades, with zeros among them."""
    scale = torch.tensor([1.0] * 5 + [0.0] + [1e-20, 1e-20, 1e-12])
    return torch.randn(count, 9, generator=torch.Generator().manual_seed(seed)) * scale


def test_a_sum_is_the_exact_one_within_what_rounding_takes() -> None:
    rows = drawn(40)
    sums = RunningSum(rows, COLUMNS)
    chance = random.Random(0)
    for _ in range(30):
        members = chance.sample(range(40), chance.randint(1, 40))
        found = sums.over(members)
        for columns in COLUMNS:
            largest = float(rows[:, columns].abs().max())
            for column in range(columns.start, columns.stop):
                exact = sum((Fraction(float(rows[k, column])) for k in members), Fraction(0))
                assert abs(Fraction(float(found[column])) - exact) <= 40 * 40 * Fraction(largest) * Fraction(2) ** -52


def test_a_sum_is_the_same_to_the_last_bit_whatever_came_before() -> None:
    rows, chance = drawn(25, seed=1), random.Random(1)
    travelled = RunningSum(rows, COLUMNS)
    for _ in range(200):
        members = chance.sample(range(25), chance.randint(1, 25))
        assert torch.equal(travelled.over(members), RunningSum(rows, COLUMNS).over(members[::-1]))


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that any running sum adds or takes away from here on."""
    rows: list[int] = []
    add = RunningSum._add
    monkeypatch.setattr(
        RunningSum, "_add", lambda self, member, sign: (rows.append(member), add(self, member, sign))[1]
    )
    return rows


def test_a_bank_averages_as_the_definition_says(linear_zoo: Callable[..., Path], added: list[int]) -> None:
    zoo = sc.open_zoo(linear_zoo(30))
    bank = sc.Bank(zoo)
    for count in (FEW, FEW + 1, 30):
        names = zoo.names[:count]
        soup = sc.uniform_soup(zoo, names)
        found = sc.state_dict(zoo, soup, bank=bank)
        for tensor, value in found.items():
            exact = torch.stack([zoo.by_name[name].checkpoint.read(tensor).double() for name in names]).mean(0)
            torch.testing.assert_close(value.double(), exact, rtol=2**-22, atol=1e-8)
    assert added, "the larger soups were averaged by a running sum"


def test_shapley_values_and_leaving_one_out_add_a_few_rows_a_soup(
    linear_zoo: Callable[..., Path], added: list[int]
) -> None:
    zoo = sc.open_zoo(linear_zoo(30))
    evaluate = sc.Evaluator(zoo)
    list(shapley(zoo, evaluate, pairs=1))
    assert 0 < len(added) <= 2 * (30 + FEW), "each soup of an order adds one row to the last"
    before = len(added)
    list(leave_one_out(zoo, evaluate))
    assert 0 < len(added) - before <= 2 * 30 + 30
