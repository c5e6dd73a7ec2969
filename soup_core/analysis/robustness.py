"""Robustness: every model on the test images and on their distribution shifts, and how much of its accuracy each keeps.

After the first figure of Wortsman et al. 2022 (arXiv 2203.05482). The mean over shifts gives every kind of shift the
same weight, whatever the number of its severities.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soup_core.evaluation import Estimate, Evaluation, Evaluator, ModelOutputs, estimate, resampled_means
from soup_core.recipes.ensemble import ensembles
from soup_core.recipes.greedy import greedy_soup
from soup_core.recipes.greedy_ensemble import greedy_ensemble
from soup_core.recipes.learned import learned_soup
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup
from soup_core.zoo import BASE, Zoo

FIRST_IMAGES = 1000  # of each split, for a first picture
CLEAN = "clean"


@dataclass(frozen=True)
class ComparedModel:
    """What is compared: one model, a soup of several, or an ensemble of those that `soup` names.

    `kind` is "ingredient", "base", or a recipe's key; `best` marks the best ingredient on the held-out images.
    """

    kind: str
    soup: Soup
    best: bool = False

    @property
    def name(self) -> str:
        """An ingredient's own name, else the kind in words."""
        return self.soup.names[0] if self.kind == "ingredient" else self.kind.replace("-", " ")

    @property
    def role(self) -> str:
        """The kind, and "best" of the best ingredient."""
        return "best" if self.best else self.kind

    @property
    def is_ensemble(self) -> bool:
        """Whether its models are all run, and their outputs averaged."""
        return self.kind.endswith("ensemble")


@dataclass(frozen=True, eq=False)
class RobustnessResult:
    """A member on the test images and on each shift, by "NAME-SEVERITY".

    `resampled` holds its accuracy in the same resamples of the images for every member: by "clean", and by shift as the
    mean of its severities.
    """

    member: ComparedModel
    test: Evaluation
    shifts: Mapping[str, Evaluation]
    resampled: Mapping[str, NDArray[np.float64]]

    @property
    def names(self) -> tuple[str, ...]:
        """The shifts, without their severities."""
        return tuple(severities(self.shifts))

    def accuracy(self, shift: str) -> float:
        """The accuracy under a shift, as the mean of its severities."""
        return float(np.mean([self.shifts[split].accuracy for split in severities(self.shifts)[shift].values()]))

    @property
    def mean(self) -> Estimate:
        """The mean accuracy over the shifts."""
        return estimate(self._mean, self._mean_resampled)

    @property
    def _mean(self) -> float:
        if not self.shifts:  # texts, of which nobody has given a shift
            return self.test.accuracy
        return float(np.mean([self.accuracy(shift) for shift in self.names]))

    @property
    def _mean_resampled(self) -> NDArray[np.float64]:
        if not self.shifts:
            return self.resampled[CLEAN]
        return _average([self.resampled[shift] for shift in self.names])

    def lead(self, other: "RobustnessResult") -> Estimate:
        """How far the mean over the shifts is above another's, on the same images, as a share of 1.

        Raises ValueError where the other was seen on other images.
        """
        if self.test.total != other.test.total:
            raise ValueError(f"entries of {self.test.total} and {other.test.total} images cannot be paired")
        return estimate(self._mean - other._mean, self._mean_resampled - other._mean_resampled)

    def relative_drop(self, shift: str | None = None) -> Estimate:
        """The share of the clean test accuracy that a shift takes, or without one the mean over the shifts."""
        kept = self._mean if shift is None else self.accuracy(shift)
        kept_resampled = self._mean_resampled if shift is None else self.resampled[shift]
        one = 1 / self.test.total  # a model with no image right has nothing to lose, and nothing to divide by
        drawn = 1 - kept_resampled / np.maximum(self.resampled[CLEAN], one)
        return estimate(1 - kept / max(self.test.accuracy, one), drawn)


@dataclass(frozen=True)
class RobustnessStep:
    """One split done for some members, on so many of its images; with their last split come their entries."""

    split: str
    images: int
    entries: tuple[RobustnessResult, ...]


def groups(zoo: Zoo, evaluate: Evaluator) -> Iterator[tuple[ComparedModel, ...]]:
    """What is compared, chosen on held-out images: best model, base and soups first, then the learned one, then all."""
    *_, final = steps = list(greedy_soup(zoo, evaluate))
    best = steps[0].candidate
    yield (
        ComparedModel("ingredient", Soup.single(best), best=True),
        *([ComparedModel("base", Soup.single(BASE))] if zoo.base else []),
        ComparedModel("uniform", uniform_soup(zoo)),
        ComparedModel("greedy", final.soup),
    )
    *_, learned = learned_soup(zoo, evaluate)
    yield (ComparedModel("learned", learned.soup),)
    *_, few = greedy_ensemble(zoo, evaluate)
    yield (
        *(ComparedModel("ingredient", Soup.single(name)) for name in zoo.names if name != best),
        ComparedModel("greedy-ensemble", few.soup),
        ComparedModel("ensemble", uniform_soup(zoo)),
    )


def robustness(zoo: Zoo, evaluate: Evaluator) -> Iterator[RobustnessStep]:
    """Evaluate every member on the test images and all shifts: group by group on some images of each, then all on all.

    A step is one split, so that the images of one at a time are in memory. Where the store shows that all images were
    run before, there is no first picture. `evaluate`, on held-out images, chooses the soups.
    """
    last = evaluate.on(splits_of(zoo)[-1]).known(Soup.single(zoo.names[-1]))
    members: list[ComparedModel] = []
    for group in groups(zoo, evaluate):
        members += group
        if last is None:
            yield from _on_every_split(evaluate, group, FIRST_IMAGES)
    yield from _on_every_split(evaluate, members, None)


def _on_every_split(
    evaluate: Evaluator, members: Sequence[ComparedModel], images: int | None
) -> Iterator[RobustnessStep]:
    splits = splits_of(evaluate.zoo)
    by_member: list[dict[str, Evaluation]] = [{} for _ in members]
    for split in splits:
        report = evaluate.on(split, images)
        for its, evaluation in zip(by_member, evaluated(report, members), strict=True):
            its[split] = evaluation
        ready = map(entry_of, members, by_member) if split == splits[-1] else ()
        yield RobustnessStep(split, report.total, tuple(ready))


def models_of(zoo: Zoo) -> int:
    """How many members `groups` names."""
    return len(zoo.names) + bool(zoo.base) + 5


def steps_of(zoo: Zoo) -> int:
    """How many steps `robustness` will yield at most."""
    return 4 * len(splits_of(zoo))


def splits_of(zoo: Zoo) -> tuple[str, ...]:
    """The test split and those of its shifts."""
    return ("test", *(f"test:{shift}" for shift in zoo.data.shifts()))


def evaluated(evaluate: ModelOutputs, members: Sequence[ComparedModel]) -> list[Evaluation]:
    """The members' evaluations, whether they are one model or an ensemble; each model is run once."""
    together = [member for member in members if member.is_ensemble]
    # The ensembles first: what they run is known afterwards.
    by_ensemble = dict(zip(together, ensembles(evaluate, [member.soup.names for member in together]), strict=True))
    return [by_ensemble[member] if member.is_ensemble else evaluate(member.soup) for member in members]


def latest(steps: Iterable[RobustnessStep]) -> tuple[RobustnessResult, ...]:
    """The entries of most images, so that all that are compared were seen on the same."""
    known: dict[int, dict[ComparedModel, RobustnessResult]] = {}
    for step in steps:
        for entry in step.entries:
            known.setdefault(entry.test.total, {})[entry.member] = entry
    return tuple(known[max(known)].values()) if known else ()


def entry_of(member: ComparedModel, evaluations: Mapping[str, Evaluation]) -> RobustnessResult:
    """The entry of a member from its evaluations on "test" and on "test:SHIFT" of each shift."""
    shifts = {split.removeprefix("test:"): its for split, its in evaluations.items() if split != "test"}
    by_split = _resampled({CLEAN: evaluations["test"], **shifts})
    by_shift = {
        name: _average([by_split[split] for split in splits.values()]) for name, splits in severities(shifts).items()
    }
    return RobustnessResult(member, evaluations["test"], shifts, {CLEAN: by_split[CLEAN], **by_shift})


def _resampled(evaluations: Mapping[str, Evaluation]) -> dict[str, NDArray[np.float64]]:
    # Shifts of the test images have their number, and are resampled with them; a zoo's own shift may have another.
    means: dict[str, NDArray[np.float64]] = {}
    for total in {evaluation.total for evaluation in evaluations.values()}:
        names = [name for name, evaluation in evaluations.items() if evaluation.total == total]
        scores = np.stack([evaluations[name].bits() for name in names], axis=1).astype(np.float32)
        means.update(zip(names, resampled_means(scores).T, strict=True))
    return means


def _average(columns: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.stack(columns).mean(axis=0)
    return mean


def severities(shifts: Iterable[str]) -> dict[str, dict[int, str]]:
    """The splits' names by shift and severity; a shift without severities has one, 1."""
    by_shift: dict[str, dict[int, str]] = {}
    for split in shifts:
        name, _, severity = split.rpartition("-")
        if name and severity in ("1", "2", "3", "4", "5"):
            by_shift.setdefault(name, {})[int(severity)] = split
        else:
            by_shift[split] = {1: split}
    return by_shift
