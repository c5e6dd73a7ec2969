"""What a measurement gives: rows of ours beside a rival or a yardstick, and the table of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One comparison; `ratio` is ours over theirs for "at most", theirs over ours else; without a limit it is told."""

    what: str
    ours: float
    against: str
    theirs: float
    unit: str
    wanted: Literal["at most", "at least", "told"]
    limit: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.wanted == "at most" else self.theirs / self.ours

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.ratio <= self.limit if self.wanted == "at most" else self.ratio >= self.limit

    def cells(self) -> list[str]:
        limit = self.wanted if self.limit is None else f"{self.wanted} {self.limit:g}"
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        return [
            self.what,
            quantity(self.ours, self.unit),
            f"{self.against}: {quantity(self.theirs, self.unit)}",
            f"{self.ratio:.2f}",
            limit,
            met,
        ]


def quantity(value: float, unit: str) -> str:
    """Three digits and the unit, small times in milliseconds."""
    return f"{1000 * value:.3g} ms" if unit == "s" and value < 0.1 else f"{value:.3g} {unit}"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def by_turns(repeats: int, *works: Callable[[], object]) -> list[float]:
    """Each work's median seconds, where one follows the other in every round."""
    rounds = [[seconds(work) for work in works] for _ in range(repeats)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as a Markdown table."""
    header = ["what", "ours", "rival or yardstick", "ratio", "wanted", "met"]
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *(row.cells() for row in rows))]
