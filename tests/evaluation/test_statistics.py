"""Intervals against values written out, published tables and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

import soup_core as sc
from soup_core.evaluation import compare_bits, paired_mean, sample_mean, wilson


def bounds(estimate: sc.Estimate) -> tuple[float, float]:
    return estimate.low, estimate.high


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_that_of_newcombes_table(correct: int, total: int, low: float, high: float) -> None:
    """Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3."""
    found = wilson(correct, total)
    assert found.value == correct / total
    assert bounds(found) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (1, 2), (9, 10), (9081, 10_000), (50_000, 50_000)])
def test_wilsons_interval_is_scipys_and_an_accuracys(correct: int, total: int) -> None:
    expected = stats.binomtest(correct, total).proportion_ci(method="wilson")
    assert bounds(wilson(correct, total)) == pytest.approx((expected.low, expected.high), abs=1e-12)
    bits = np.packbits(np.arange(total) < correct).tobytes()
    assert sc.accuracy_interval(sc.Evaluation(correct, total, 0.5, 0.0, bits)) == bounds(wilson(correct, total))
    assert wilson(correct, total).low >= 0
    assert wilson(correct, total).high <= 1


def test_a_comparisons_interval_by_hand() -> None:
    # Of six images three are gained and one is lost; with half an image in each cell, 3.5 and 1.5 of eight:
    # the difference is 2/8, its variance (5/8 - (2/8)²) / 8, the reach 1.959964 × 0.265165.
    ours, theirs = (np.array(bits, bool) for bits in ([1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 0]))
    found = compare_bits(ours, theirs)
    assert (found.value, found.difference, found.gained, found.lost) == (2 / 6, 2 / 6, 3, 1)
    assert bounds(found) == pytest.approx((0.25 - 0.519714, 0.25 + 0.519714), abs=1e-6)
    assert found.p_value == 0.625  # of 16 outcomes of four coins ten are at least as uneven
    back = compare_bits(theirs, ours)
    assert (back.value, back.low, back.high, back.p_value) == (-found.value, -found.high, -found.low, found.p_value)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (2, 11), (40, 12), (300, 251)])
def test_a_comparisons_p_is_scipys_exact_binomial(gained: int, lost: int) -> None:
    ours = np.array([True] * gained + [False] * lost + [True] * 60)
    theirs = np.array([False] * gained + [True] * lost + [True] * 60)
    found = compare_bits(ours, theirs)
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-12)
    assert (found.gained, found.lost) == (gained, lost)


def test_only_the_same_images_can_be_compared() -> None:
    with pytest.raises(ValueError, match="two evaluations of 3 and 2 images cannot be paired"):
        compare_bits(np.ones(3, bool), np.ones(2, bool))


def test_a_paired_mean_of_halves_by_hand() -> None:
    # 1, 1/2, 1/2, -1/2 and six zeros: the sum is 3/2, that of squares 7/4. Of twelve images the mean is 1/8, its variance
    # (11/4 / 12 - 1/64) / 12 = 0.0177951, the reach 1.959964 × 0.133399.
    found = paired_mean(np.array([1, 0.5, 0.5, -0.5, 0, 0, 0, 0, 0, 0]))
    assert found.value == 0.15
    assert bounds(found) == pytest.approx((0.125 - 0.261456, 0.125 + 0.261456), abs=2e-6)
    assert bounds(paired_mean(np.zeros(50))) == pytest.approx((-1.959964 / 52, 1.959964 / 52), abs=1e-8)
    assert bounds(paired_mean(np.ones(1))) == pytest.approx((1 / 3 - 1.959964 * math.sqrt(5 / 27), 1.0), abs=1e-6)


def test_a_sample_means_interval_is_students() -> None:
    found = sample_mean([1.0, 2.0, 3.0, 6.0])  # squares 4 + 1 + 0 + 9 over 3, over 4; the table's t for 3 degrees
    reach = 3.182446 * math.sqrt(14 / 3 / 4)
    assert (found.value, found.low, found.high) == pytest.approx((3, 3 - reach, 3 + reach), abs=1e-5)
    samples = np.random.default_rng(0).normal(2, 3, 25)
    expected = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    assert bounds(sample_mean(samples)) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_a_single_sample_has_no_interval() -> None:
    found = sample_mean([0.25])
    assert found.value == 0.25
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.spans_zero


@pytest.mark.parametrize(
    ("low", "high", "spans"),
    [(-0.1, 0.1, True), (0.0, 0.1, True), (-0.1, 0.0, True), (0.01, 0.1, False), (-0.1, -0.01, False)],
)
def test_an_interval_spans_zero_where_zero_is_in_it_or_at_its_end(low: float, high: float, spans: bool) -> None:
    assert sc.Estimate((low + high) / 2, low, high).spans_zero is spans
    assert sc.Comparison((low + high) / 2, low, high, 0.5, 1, 1).spans_zero is spans
