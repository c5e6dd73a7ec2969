"""How much room a text takes, and what of it fits: with the letters of Arial, which every system has or has a stand-in for."""

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pptx.util import Pt

FONT = "Arial"  # or one of its widths
NARROW, WIDE = " .,:;'|!()[]{}/\\-`\"ijltfrI", "mwMW%@…—"
LINE_HIGH = 1.2  # of the letters' size


@dataclass(frozen=True)
class Fitted:
    """A text as its place has room for it, the size of its letters, how high it is, and whether it was cut."""

    text: str
    size: float
    high: int
    cut: bool


def fit(text: str, room: tuple[int, int], sizes: Sequence[float], bold: bool) -> Fitted:
    """A text at the largest of the sizes at which it fits, else cut at the smallest."""
    width, height = room
    for size in sizes:
        lines = len(lines_of(text, width, size, bold))
        if height_of(lines, size) <= height:
            return Fitted(text, size, height_of(lines, size), False)
    most, size = max(1, height // height_of(1, sizes[-1])), sizes[-1]
    words = text.replace("\n", " ")
    over = bisect_left(
        range(len(words)), True, key=lambda at: len(lines_of(f"{words[:at]}…", width, size, bold)) > most
    )
    return Fitted(f"{words[: max(0, over - 1)].rstrip()}…", size, height_of(most, size), True)


def lines_of(text: str, width: int, size: float, bold: bool) -> list[str]:
    """A text's lines at a width, broken between words, and within words that are wider alone."""
    lines = []
    room = width / Pt(1)
    for paragraph in text.split("\n"):
        line, used = "", 0.0
        for word in paragraph.split(" "):
            wide, space = width_of(word, size, bold), width_of(" ", size, bold) if line else 0.0
            if used + space + wide <= room:
                line, used = f"{line} {word}" if line else word, used + space + wide
                continue
            if line:
                lines.append(line)
            line, used = "", 0.0
            for letter in word:
                wide = width_of(letter, size, bold)
                if line and used + wide > room:
                    lines.append(line)
                    line, used = "", 0.0
                line, used = line + letter, used + wide
        lines.append(line)
    return lines


def width_of(text: str, size: float, bold: bool) -> float:
    """How wide a line is in Arial, in points, and rather more than less."""
    return sum(map(_letter, text)) * size * (1.1 if bold else 1.02)


@cache
def _letter(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0
    if letter in WIDE or unicodedata.east_asian_width(letter) in "WF":
        return 1
    if letter in NARROW:
        return 0.34
    return 0.75 if letter.isupper() or letter > "\u024f" else 0.56


def height_of(lines: int, size: float) -> int:
    """How high so many lines are, in EMU; `size` is that of the letters, in points."""
    return lines * round(Pt(1) * size * LINE_HIGH)
