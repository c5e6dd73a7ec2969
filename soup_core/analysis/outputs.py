"""Models known by their outputs alone, and their ensembles: on the test images, under shift, and how sure they are.

What is compared is chosen on the held-out outputs; ensembles are those of Lakshminarayanan et al. 2017 (arXiv 1612.01474) and
of Caruana et al. 2004 (doi 10.1145/1015330.1015432).
"""

from collections.abc import Iterator

from torch import Tensor

from soup_core.analysis.calibration import Calibration, calibration
from soup_core.analysis.robustness import ComparedModel, RobustnessResult, entry_of, evaluated
from soup_core.evaluation import Evaluation, OutputsEvaluator
from soup_core.recipes.ensemble import averaged_outputs
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.soup import Soup, uniform


def compared_outputs(held_out: OutputsEvaluator) -> tuple[ComparedModel, ...]:
    """The best model on the held-out images, the greedy ensemble and that of all, then every other model."""
    *_, last = steps = list(greedy_ensemble(held_out.zoo, held_out))
    best = steps[0].candidate
    return (
        ComparedModel("ingredient", Soup.single(best), best=True),
        ComparedModel("greedy-ensemble", last.soup),
        ComparedModel("ensemble", uniform(held_out.zoo.names)),
        *(ComparedModel("ingredient", Soup.single(name)) for name in held_out.zoo.names if name != best),
    )


def on_test(held_out: OutputsEvaluator) -> dict[ComparedModel, Evaluation]:
    """What is compared, each on the test images."""
    members = compared_outputs(held_out)
    return dict(zip(members, evaluated(held_out.on("test"), members), strict=True))


def outputs_robustness(held_out: OutputsEvaluator) -> tuple[RobustnessResult, ...]:
    """What is compared, each on the test images and on every shift; empty where the zoo has no shift."""
    shifts, members = held_out.zoo.shifts, compared_outputs(held_out)
    if not shifts:
        return ()
    by_split = {split: evaluated(held_out.on(split), members) for split in ("test", *shifts)}
    return tuple(
        entry_of(member, {split: found[index] for split, found in by_split.items()})
        for index, member in enumerate(members)
    )


def outputs_calibrations(held_out: OutputsEvaluator) -> Iterator[Calibration]:
    """The calibration on the test images of everything that is compared."""
    report = held_out.on("test")
    for member in compared_outputs(held_out):
        yield calibration(member, member_logits(report, member.soup), report.data.labels)


def member_logits(evaluate: OutputsEvaluator, members: Soup) -> Tensor:
    """The logits (N×C) of a single model, or of the ensemble of several."""
    return evaluate.logits(members) if len(members.names) == 1 else averaged_outputs(evaluate, members.names)
