"""Why a soup failed: an ingredient without which it would be better, then what the checks say."""

from collections.abc import Iterator, Sequence

from soup_core.analysis.preflight.checks import _checks, _fewer, _Selection
from soup_core.analysis.preflight.finding import CAUSES, Finding, names_of
from soup_core.errors import CoefficientError
from soup_core.evaluation import Evaluator, best_first, compare
from soup_core.formatting import percent, points
from soup_core.soup import Soup
from soup_core.zoo import Zoo


def diagnose(
    zoo: Zoo, evaluate: Evaluator, soup: Soup, *, pairs: int = 6, images: int = 400, seed: int = 0
) -> Iterator[Finding]:
    """Explain a soup that is below its best ingredient by more than chance: first that it is, then why.

    The explanations come the most likely first: an ingredient without which it would be much better, what else is known
    of that ingredient, then the other findings of `preflight_checks`. A soup that did not fail has one finding.
    """
    zoo.check_names(soup.names)
    names = tuple(name for name in zoo.names if name in soup.names)
    yield (failed := _failure(evaluate, soup, names))
    if failed.verdict == "good":
        return
    selection = _Selection(zoo, names, soup, _fewer(evaluate, images))
    findings = [_coefficients(soup), *(_leave_one_out(selection) if len(names) > 1 else [])]
    if len(names) > 1:
        findings += _checks(selection, pairs, seed)
    culprits = {
        name
        for each in findings
        if each and (each.what, each.verdict) == ("leave one out", "warning")
        for name in each.names
    }
    explaining = [each for each in findings if each and each.verdict != "good"]
    yield from sorted(
        explaining,
        key=lambda each: (
            each.verdict != "warning",
            bool(culprits) and not culprits.intersection(each.names),
            CAUSES.index(each.what),
        ),
    )


def _failure(evaluate: Evaluator, soup: Soup, names: Sequence[str]) -> Finding:
    singles = dict(zip(names, evaluate.many(Soup.single(name) for name in names), strict=True))
    if not singles:
        return Finding("failure", "good", "There is no ingredient besides the base, so nothing to compare with.")
    best = best_first(singles)[0]
    evaluation = evaluate(soup)
    fall = compare(evaluation, singles[best])
    standing = f"{percent(evaluation)} of {evaluation.total} held-out {evaluate.zoo.data.things}, {points(fall, 1)} against its best ingredient {best}"
    if fall.high >= 0:
        return Finding(
            "failure", "good", f"The soup has {standing}: not below it by more than chance, nothing to explain."
        )
    return Finding("failure", "warning", f"The soup fails: it has {standing}; see what explains it.", (best,))


def _coefficients(soup: Soup) -> Finding | None:
    mixes = [soup.coefficients, *soup.tensors.values()]
    sums = [sum(mix.values()) for mix in mixes]
    furthest = max(sums, key=lambda total: abs(total - 1))
    lowest = min(value for mix in mixes for value in mix.values())
    if abs(furthest - 1) < 0.05 and lowest > -0.05:
        return None
    return Finding(
        "coefficients",
        "notice",
        f"The coefficients leave the space between the ingredients: their sum is {furthest:.2f} and the lowest is "
        f"{lowest:.2f}; keep them from 0 to 1, with a sum of 1.",
    )


def _leave_one_out(selection: _Selection) -> Iterator[Finding]:
    soup, whole = selection.soup, selection.few(selection.soup)
    left: dict[str, Soup] = {}
    for name in selection.names:
        try:
            left[name] = soup.drop(name)
        except CoefficientError:  # the others' coefficients sum to zero: without it there is no soup
            continue
    if not left:
        return
    evaluations = dict(zip(left, selection.few.many(left.values()), strict=True))
    rises = {name: compare(its, whole) for name, its in evaluations.items()}
    order = sorted(rises, key=lambda name: -rises[name].difference)
    gap = max(its.accuracy for its in selection.singles.values()) - whole.accuracy
    # One that is the reason makes up for half of the fall or more; among several bad ones no single one does.
    guilty = tuple(name for name in order if rises[name].low > 0 and rises[name].difference >= gap / 2)
    first = order[0]
    outcome = (
        f"ithout {first} it would be {percent(evaluations[first])} instead of {percent(whole)} of {whole.total} images, "
        f"{points(rises[first], 1)}"
    )
    if guilty:
        others = f"; the like holds of {names_of(guilty[1:])}" if guilty[1:] else ""
        yield Finding("leave one out", "warning", f"W{outcome}: leave {first} out{others}.", guilty)
    elif rises[first].low > 0:
        yield Finding(
            "leave one out",
            "notice",
            f"No single ingredient is the reason: at best, w{outcome}; several are at odds: let greedy soup build it up.",
        )
    else:
        yield Finding(
            "leave one out",
            "notice",
            f"No omission helps by more than chance: at best, w{outcome}; take more images, or let greedy soup build it up.",
        )
