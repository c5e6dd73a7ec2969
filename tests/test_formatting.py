"""Results in words: each expected text is written out."""

import pytest

import soup_core as sc
from soup_core.formatting import counts, interval, listed, percent, points, significance


def evaluation(correct: int, total: int) -> sc.Evaluation:
    return sc.Evaluation(correct, total, 0.0, 0.0, b"")


def comparison(difference: float, low: float, high: float) -> sc.Comparison:
    return sc.Comparison(difference, low, high, p_value=0.5, gained=0, lost=0)


@pytest.mark.parametrize(
    ("correct", "total", "text"),
    [
        (0, 1, "0.0 %"),
        (1, 1, "100.0 %"),
        (1, 3, "33.3 %"),
        (2, 3, "66.7 %"),
        (998, 999, "99.9 %"),  # the last number of images with one decimal
        (999, 999, "100.0 %"),
        (999, 1_000, "99.90 %"),  # the first with two
        (0, 1_000, "0.00 %"),
        (1_000, 1_000, "100.00 %"),
        (4_512, 5_000, "90.24 %"),
        (8_936, 10_000, "89.36 %"),
        (9_999, 10_000, "99.99 %"),
        (1, 3_000, "0.03 %"),
    ],
)
def test_an_accuracy_has_two_decimals_from_a_thousand_images_on(correct: int, total: int, text: str) -> None:
    assert percent(evaluation(correct, total)) == text


@pytest.mark.parametrize(
    ("correct", "total", "text"),
    [
        (0, 1, "0 of 1 images"),
        (999, 999, "999 of 999 images"),
        (999, 1_000, "999 of 1,000 images"),
        (8_936, 10_000, "8,936 of 10,000 images"),
        (1_234_567, 2_000_000, "1,234,567 of 2,000,000 images"),
    ],
)
def test_counts_have_commas_from_a_thousand_on(correct: int, total: int, text: str) -> None:
    assert counts(evaluation(correct, total)) == text


@pytest.mark.parametrize(
    ("difference", "low", "high", "text"),
    [
        (0.0056, 0.0025, 0.0088, "+0.56 points (0.25 to 0.88)"),  # shares of 1 become points
        (-0.0056, -0.0088, -0.0025, "-0.56 points (-0.88 to -0.25)"),
        (0.0, -0.004, 0.004, "+0.00 points (-0.40 to 0.40)"),
        (0.004, -0.001, 0.009, "+0.40 points (-0.10 to 0.90)"),
        (-0.004, -0.009, 0.001, "-0.40 points (-0.90 to 0.10)"),
        (1.0, 0.9, 1.0, "+100.00 points (90.00 to 100.00)"),
        (-1.0, -1.0, -0.9, "-100.00 points (-100.00 to -90.00)"),
        (0.12346, 0.00126, 0.23456, "+12.35 points (0.13 to 23.46)"),
    ],
)
def test_a_difference_has_its_sign_and_its_interval(difference: float, low: float, high: float, text: str) -> None:
    assert points(comparison(difference, low, high)) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.001, 0.009, "more than chance explains"),
        (-0.009, -0.001, "more than chance explains"),
        (-0.001, 0.009, "within what chance explains"),
        (0.0, 0.009, "within what chance explains"),  # an interval that ends at nothing holds it
        (-0.009, 0.0, "within what chance explains"),
    ],
)
def test_a_difference_is_more_than_chance_where_its_interval_leaves_out_zero(
    low: float, high: float, text: str
) -> None:
    middle = (low + high) / 2
    assert significance(comparison(middle, low, high)) == text
    assert significance(sc.Estimate(middle, low, high)) == text


def test_points_and_bounds_take_fewer_decimals() -> None:
    assert points(sc.Estimate(-0.3871, -0.4316, -0.3402), 1) == "-38.7 points (-43.2 to -34.0)"
    assert interval(sc.Estimate(0.9, 0.8876, 0.9124)) == "88.76 to 91.24"
    assert interval(sc.Estimate(0.9, 0.8876, 0.9124), 1) == "88.8 to 91.2"


@pytest.mark.parametrize(
    ("names", "text", "sentence"),
    [
        ("", "", ""),
        ("a", "a", "a"),
        ("ab", "a, b", "a and b"),
        ("abc", "a, b, c", "a, b and c"),
        ("abcd", "a, b, c and 1 more", "a, b, c and 1 more"),
        ("abcdefghij", "a, b, c and 7 more", "a, b, c and 7 more"),
    ],
)
def test_names_are_listed_up_to_a_number(names: str, text: str, sentence: str) -> None:
    assert listed(iter(names), 3) == text
    assert listed(names, 3, last=" and ") == sentence


def test_five_names_are_listed_unless_another_number_is_given() -> None:
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdef") == "a, b, c, d, e and 1 more"
    assert listed("abc", 1) == "a and 2 more"
