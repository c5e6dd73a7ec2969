"""What a figure as JSON has to change in to become another: a tree along its keys and indices, with three kinds of leaves.

`[]` takes a key away, `[value]` puts a value there, `[start, removed, values]` puts values in the place of so many.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

DIGITS = 8  # of a number that is drawn: less than a pixel in a million


def patch(old: Any, new: Any) -> Any:
    """The changes that make `new` of `old`, both of JSON; an empty tree where nothing is to be done."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: [] for key in old if key not in new} | {
            key: patch(old[key], value) if key in old else [value]
            for key, value in new.items()
            if key not in old or old[key] != value
        }
    if isinstance(old, list) and isinstance(new, list):
        if len(old) == len(new) and all(isinstance(each, dict | list) for each in new):
            return {index: patch(*pair) for index, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]}
        return _splice(old, new)
    return {} if old == new else [new]


def _splice(old: list[Any], new: list[Any]) -> list[Any]:
    shorter = min(len(old), len(new))
    start = _alike(old[:shorter], new[:shorter])
    end = _alike(old[: start - len(old) - 1 : -1][: shorter - start], new[::-1][: shorter - start])
    return [start, len(old) - start - end, new[start : len(new) - end]]


def _alike(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many elements at the start are the same."""
    if a == b:
        return len(a)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=True)))


def rounded(value: Any) -> Any:
    """A value of JSON, its numbers with the digits that can be seen: what changes while one looks on."""
    if isinstance(value, float):
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() and abs(short) < 2**53 else short
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value
