"""Marks, lines and scales told apart without seeing all colours, and seen on both backgrounds.

Colours as they are seen without one kind of cone: Machado, Oliveira & Fernandes 2009 (doi 10.1109/TVCG.2009.113), at
severity 1, on linear RGB. Their distance is that of CIE 1976 L*a*b* under D65; WCAG 2.2 asks for contrast in 1.4.11.
"""

import tomllib
from collections.abc import Sequence
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from soup_core import charts
from soup_core.charts.style import LINE_COLOURS, LINE_DASHES, NEUTRAL, RECIPE_MARKS, SCALE, TEMPLATE
from tests import ROOT

SEEN = {
    "all": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(1)
# A difference of 2.3 is just seen side by side (Mahy et al. 1994); marks are small, apart, and compared with a legend from
# memory, so six times as much is asked for.
FAR = 15.0
CONTRAST = 3.0
THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
BACKGROUNDS = [THEME["light"]["backgroundColor"], THEME["dark"]["backgroundColor"]]


def linear(colour: str) -> np.ndarray:
    """Linear RGB of #rrggbb."""
    values = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, seen: np.ndarray) -> np.ndarray:
    """L*a*b* of #rrggbb as it is seen."""
    ratio = TO_XYZ @ np.clip(seen @ linear(colour), 0, 1) / WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(a: str, b: str, kind: str) -> float:
    return float(np.linalg.norm(lab(a, SEEN[kind]) - lab(b, SEEN[kind])))


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(TO_XYZ[1] @ linear(each)) + 0.05 for each in (a, b))
    return high / low


def alike(looks: Sequence[tuple[str, str]], kind: str) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of colour and shape that neither tells apart."""
    return [(a, b) for a, b in combinations(looks, 2) if a[1] == b[1] and distance(a[0], b[0], kind) < FAR]


def test_the_measures_agree_with_published_values() -> None:
    assert lab("#ff0000", SEEN["all"]) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert lab("#ffffff", SEEN["all"]) == pytest.approx([100, 0, 0], abs=0.01)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for kind, seen in SEEN.items():  # greys stay what they are
        assert seen.sum(1) == pytest.approx([1, 1, 1], abs=2e-6), kind
    assert distance("#c00000", "#5a5a00", "deuteranopia") < FAR < distance("#c00000", "#5a5a00", "all")
    assert alike([("#c00000", "circle"), ("#5a5a00", "circle"), ("#5a5a00", "star")], "deuteranopia") == [
        (("#c00000", "circle"), ("#5a5a00", "circle"))
    ]


@pytest.mark.parametrize("kind", SEEN)
def test_marks_differ_in_colour_or_in_shape(kind: str) -> None:
    assert alike([(mark.colour, mark.symbol) for mark in RECIPE_MARKS.values()], kind) == []


def test_no_two_marks_have_the_same_shape() -> None:
    """Colour is then never alone, for who sees none at all."""
    assert len({mark.symbol for mark in RECIPE_MARKS.values()}) == len(RECIPE_MARKS)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_marks_are_seen_on_both_backgrounds(background: str) -> None:
    """By their colour, or where that is too light, by the rim that the template gives to filled ones."""
    rim = TEMPLATE.data.scatter[0].marker.line
    assert rim.width >= 1
    assert contrast(rim.color, background) >= CONTRAST
    assert contrast(NEUTRAL, background) >= CONTRAST
    for name, mark in RECIPE_MARKS.items():
        assert contrast(mark.colour, background) >= CONTRAST or not mark.symbol.endswith("-open"), name


def test_lines_differ_in_dashes_as_well_as_in_colour() -> None:
    assert len(set(LINE_DASHES)) == len(LINE_DASHES) == len(LINE_COLOURS)
    names, coefficients = tuple("abcdefg"), np.arange(21.0).reshape(3, 7)
    steps = [SimpleNamespace(index=index, total=2, names=names, coefficients=coefficients) for index in range(3)]
    named = [trace.line for trace in charts.coefficient_lines(steps).data if trace.showlegend]
    assert len({line.dash for line in named}) == len({line.color for line in named}) == 5


@pytest.mark.parametrize("kind", SEEN)
def test_the_scale_gets_lighter_from_low_to_high(kind: str) -> None:
    """Its order is then seen without its colours; a step is as large as what tells marks apart needs to be."""
    for (_, darker), (_, lighter) in pairwise(SCALE):
        assert lab(lighter, SEEN[kind])[0] > lab(darker, SEEN[kind])[0]
        assert distance(darker, lighter, kind) >= FAR
