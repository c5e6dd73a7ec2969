"""One check's outcome, and the verdict of all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from soup_core.formatting import listed

Verdict = Literal["good", "notice", "warning"]
CAUSES = (
    "chance", "leave one out", "neurons", "shared start", "lengths", "layers", "accuracy", "scale", "batch norm",
    "coefficients", "learning rate", "duplicates", "base", "angles", "parts", "fit", "barrier", "average", "balance", "images",
)  # fmt: skip
MEASURED = ("accuracy", "barrier", "batch norm", "average")


@dataclass(frozen=True)
class Finding:
    """One check's outcome: a key for the check, a verdict, a sentence with the number and what to do, and about whom."""

    what: str
    verdict: Verdict
    sentence: str
    names: tuple[str, ...] = ()


def overall(findings: Iterable[Finding]) -> Finding:
    """One line for the findings of `preflight_checks`: the gravest verdict, and which check to read first for it.

    That is the likeliest cause among the gravest. Where the average itself was measured and held, warnings that rest on
    the weights alone become a notice.
    """
    findings = list(findings)
    by_cause = sorted(findings, key=lambda each: CAUSES.index(each.what))
    grave = [each for each in by_cause if each.verdict == "warning"]
    mild = [each for each in by_cause if each.verdict == "notice"]
    for each in grave:
        if each.what == "chance":  # then nothing else that was measured means anything
            return Finding("overall", "warning", "Nothing can be judged yet: see first the check chance.", each.names)
    held = any(each.what == "average" and each.verdict == "good" for each in findings)
    names = tuple(dict.fromkeys(name for each in grave for name in each.names))
    if grave and held and not any(each.what in MEASURED for each in grave):
        return Finding("overall", "notice", f"The average holds, yet look at this check: {grave[0].what}.", names)
    if grave:
        count = "One check warns" if len(grave) == 1 else f"{len(grave)} checks warn, the likeliest reason first"
        return Finding("overall", "warning", f"This will hardly soup. {count}: {grave[0].what}.", names)
    if mild:
        about = tuple(dict.fromkeys(name for each in mild for name in each.names))
        return Finding("overall", "notice", f"This should soup, but look at this check: {mild[0].what}.", about)
    return Finding("overall", "good", f"This should soup: all {len(findings)} checks are good.")


def names_of(names: Iterable[str], at_most: int = 4) -> str:
    """Names as the subject of a finding: "a, b and c", or "a, b, c, d and 3 more"."""
    return listed(names, at_most, last=" and ")


def verb(names: Sequence[str], one: str, many: str) -> str:
    """The verb that goes with so many names."""
    return one if len(names) == 1 else many
