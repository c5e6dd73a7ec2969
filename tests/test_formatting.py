"""Words for results, written out."""

import pytest

import soup_core as sc
from soup_core.formatting import counts, interval, listed, percent, points, significance


def evaluation(correct: int, total: int) -> sc.Evaluation:
    return sc.Evaluation(correct, total, 0.5, 0.0, b"")


@pytest.mark.parametrize(
    ("correct", "total", "text"),
    [
        (458, 500, "91.6 %"),
        (1, 3, "33.3 %"),
        (998, 999, "99.9 %"),
        (917, 1000, "91.70 %"),
        (9081, 10_000, "90.81 %"),
        (0, 7, "0.0 %"),
        (5000, 5000, "100.00 %"),
    ],
)
def test_percent_has_two_decimals_from_a_thousand_images_on(correct: int, total: int, text: str) -> None:
    assert percent(evaluation(correct, total)) == text


def test_counts_have_separators_of_thousands() -> None:
    assert counts(evaluation(4580, 5000)) == "4,580 of 5,000 images"
    assert counts(evaluation(0, 7)) == "0 of 7 images"


def test_points_have_a_sign_and_their_interval() -> None:
    assert points(sc.Estimate(0.0056, 0.0025, 0.0088)) == "+0.56 points (0.25 to 0.88)"
    assert points(sc.Estimate(-0.012, -0.02, -0.004)) == "-1.20 points (-2.00 to -0.40)"
    assert points(sc.Estimate(0.0, -0.0123, 0.0123)) == "+0.00 points (-1.23 to 1.23)"
    assert points(sc.Estimate(-0.3871, -0.4316, -0.3402), 1) == "-38.7 points (-43.2 to -34.0)"
    assert points(sc.Comparison(0.5, 0.1234, 1.0, 0.01, 9, 2)) == "+50.00 points (12.34 to 100.00)"
    assert interval(sc.Estimate(0.9, 0.8876, 0.9124)) == "88.76 to 91.24"
    assert interval(sc.Estimate(0.9, 0.8876, 0.9124), 1) == "88.8 to 91.2"


def test_significance_goes_by_the_interval() -> None:
    assert significance(sc.Estimate(0.01, -0.01, 0.03)) == "within what chance explains"
    assert significance(sc.Estimate(0.01, 0.0, 0.02)) == "within what chance explains"
    assert significance(sc.Estimate(0.01, 0.001, 0.02)) == "more than chance explains"
    assert significance(sc.Comparison(-0.01, -0.02, -0.001, 0.04, 1, 9)) == "more than chance explains"


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
