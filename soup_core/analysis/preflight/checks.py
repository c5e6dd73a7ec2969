"""Will it soup? What can be known of checkpoints before they are averaged, and what explains a soup that failed.

Averaging works where models share a start and lie in one valley of the loss: Wortsman et al. 2022, arXiv 2203.05482;
Neyshabur et al. 2020, arXiv 2008.11687; Frankle et al. 2020, arXiv 1912.05671. Cheap checks come first.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from soup_core.analysis.first_look import doubt_of
from soup_core.analysis.preflight.balance import balance_check
from soup_core.analysis.preflight.finding import Finding, Verdict, names_of, verb
from soup_core.analysis.preflight.parts import parts_check
from soup_core.errors import DataError
from soup_core.evaluation import Estimate, Evaluation, Evaluator, compare, wilson
from soup_core.formatting import percent, points
from soup_core.soup import Soup, uniform
from soup_core.weight_space.gram import Gram, Matrix, cosines, gram
from soup_core.weight_space.permutation import SAME_START_COSINE, alignment
from soup_core.weight_space.result_types import mixed_types
from soup_core.zoo import BASE, Zoo

# Each number lies between what the bundled zoos that soup show and what those that do not show, or made failures.
# Cosine of raw weights, matrices alone: fashion, fashion-batchnorm and fashion-trajectory 0.72 to 0.98; the strangers of
# fashion-scratch 0.00 to 0.02 (0.38 with vectors, since scales of normalisation start at one). LIKE (0.3) parts them, and
# single matrices too: 0.76 and more against 0.05. Strangers whose neurons are matched reach 0.20, a permuted network 0.89.
SURELY_ALIKE = 0.6
FAR = 5.0  # times the others' median distance from the base: in the bundled zoos at most 1.9, in pairs of them 3.7
SCALED = 2.0  # times the others' median norm of one matrix: at most 1.5 (down to 0.65) in the bundled zoos
NARROW = 30.0  # degrees between differences from the base: 69 in the middle of fashion and fashion-batchnorm
HOT = 4.0  # times the others' median learning rate: 2.1 in fashion, where even the hottest helps
BARRIER = 0.02  # a barrier of two points is beyond the noise of training; strangers show 39 to 61 points
POOR = 0.05  # below the median ingredient's accuracy: at most 0.03 in the bundled zoos
SAME = 1e-6  # distance over length, which float64 inner products of float32 weights tell from zero


def preflight_checks(
    zoo: Zoo,
    evaluate: Evaluator,
    names: Iterable[str] | None = None,
    *,
    pairs: int = 6,
    images: int = 400,
    seed: int = 0,
) -> Iterator[Finding]:
    """Check a zoo, or the named ingredients of it, before averaging: a finding for each check that applies.

    Weights are read once, for the Gram matrices; then `images` held-out images are run through the ingredients, the
    middles of `pairs` pairs (those across an outlier and the furthest first, then drawn by `seed`) and their average.
    Raises CoefficientError for an unknown name.
    """
    wanted = None if names is None else set(names)
    excluded = [each for each in zoo.excluded if wanted is None or each.name in wanted]
    zoo.check_names(sorted((wanted or set()) - {each.name for each in excluded}))
    chosen = tuple(name for name in zoo.names if wanted is None or name in wanted)
    if finding := _chance(_fewer(evaluate, images), chosen):
        yield finding
    yield _fit(zoo, chosen, [(each.name, each.reason) for each in excluded])
    if notices := zoo.data.notices():
        yield Finding("images", "notice", " ".join(notices))
    if finding := balance_check(evaluate):
        yield finding
    if len(chosen) > 1 and (finding := parts_check(zoo, chosen)):
        yield finding
    if len(chosen) > 1:
        yield from _checks(_Selection(zoo, chosen, uniform(chosen), _fewer(evaluate, images)), pairs, seed)


@dataclass(frozen=True, eq=False)
class _Selection:
    """The ingredients in question, their soup, and an evaluator of few images."""

    zoo: Zoo
    names: tuple[str, ...]
    soup: Soup
    few: Evaluator

    @cached_property
    def gram(self) -> Gram:
        return gram(self.zoo, self.few.store)

    @cached_property
    def rows(self) -> list[int]:
        return [self.gram.index(name) for name in self.names]

    @cached_property
    def matrices(self) -> list[str]:
        """The weights of two or more dimensions; of a network without any, all."""
        parameters = [name for name in self.zoo.floating if name in self.gram.tensors]
        return [name for name in parameters if self.zoo.tensors[name].ndim > 1] or parameters

    def among(self, matrix: Matrix) -> Matrix:
        """The rows and columns of these ingredients, out of a matrix of the whole zoo."""
        return matrix[np.ix_(self.rows, self.rows)]

    @cached_property
    def cosine(self) -> Matrix:
        """Cosines between the raw weights."""
        return cosines(self.among(self.gram.raw(self.matrices)))

    @cached_property
    def distance(self) -> Matrix:
        """Euclidean distances between the weights."""
        matrix = self.among(self.gram.differences())
        square = np.diag(matrix)
        return np.asarray(np.sqrt(np.clip(square[:, None] + square - 2 * matrix, 0, None)), np.float64)

    @cached_property
    def strangers(self) -> tuple[str, ...]:
        """Those outside the largest group that cosines hold together; all where no two are alike."""
        from scipy.sparse.csgraph import connected_components  # takes long to import

        _, group = connected_components(self.cosine >= SAME_START_COSINE, directed=False)
        sizes = np.bincount(group)
        if sizes.max() == 1:
            return self.names
        return tuple(name for name, its in zip(self.names, group, strict=True) if its != sizes.argmax())

    @cached_property
    def singles(self) -> dict[str, Evaluation]:
        """Each ingredient on the few images."""
        return dict(zip(self.names, self.few.many(Soup.single(name) for name in self.names), strict=True))


def _checks(selection: _Selection, pairs: int, seed: int) -> Iterator[Finding]:
    findings: list[Finding] = []
    for check in (_duplicates, _shared_start, _base, _layers, _lengths, _scale, _angles, _learning_rate):
        if finding := check(selection):
            findings.append(finding)
            yield finding
    suspects = {name for each in findings if each.what in ("shared start", "layers") for name in _blamed(each)}
    if suspects:
        yield _neurons(selection, tuple(name for name in selection.names if name in suspects))
    yield (accuracy := _accuracy(selection))
    outliers = {name for each in [*findings, accuracy] for name in _blamed(each)}
    if pairs > 0:
        yield _barrier(selection, outliers, pairs, seed)
    if finding := _batch_norm(selection):
        yield finding
    yield _average(selection)


def _blamed(finding: Finding) -> tuple[str, ...]:
    return finding.names if finding.verdict == "warning" else ()


def _fewer(evaluate: Evaluator, images: int) -> Evaluator:
    if images >= evaluate.total:
        return evaluate
    return Evaluator(
        evaluate.zoo,
        evaluate.split,
        evaluate.device,
        batch_size=min(evaluate.batch_size, images),
        precision=evaluate.precision,
        images=images,
        memory=evaluate.memory,
        store=evaluate.store,
    )


def _chance(few: Evaluator, names: Sequence[str]) -> Finding | None:
    """What speaks against all numbers, so that no other check can be believed; nothing where nothing does."""
    doubt = doubt_of(few, names)
    return Finding("chance", "warning", doubt.sentence, tuple(names)) if doubt else None


def _fit(zoo: Zoo, names: Sequence[str], excluded: Sequence[tuple[str, str]]) -> Finding:
    integers = [name for name in zoo.tensors if name not in zoo.floating]
    kept = f" Integers are not averaged: {names_of(integers, 1)} will be the first's." if integers else ""
    types = mixed_types([zoo.by_name[name] for name in names], zoo.floating)
    kept += f" {types}" if types else ""
    if excluded:
        left_out = tuple(name for name, _ in excluded)
        reasons = " ".join(reason for _, reason in excluded[:3])
        return Finding(
            "fit",
            "notice",
            f"{names_of(left_out)} cannot be averaged and {verb(left_out, 'is', 'are')} left out. {reasons}{kept}",
            left_out,
        )
    if len(names) < 2:
        return Finding("fit", "notice", f"An average takes at least two ingredients; found {len(names)}. Choose more.")
    return Finding(
        "fit", "good", f"All {len(names)} have the same {len(zoo.tensors)} tensors of the same shapes.{kept}"
    )


def _duplicates(selection: _Selection) -> Finding | None:
    lengths = np.sqrt(np.clip(np.diag(selection.among(selection.gram.raw())), 0, None))
    same = [
        (a, b)
        for a, b in combinations(range(len(selection.names)), 2)
        if selection.distance[a, b] <= SAME * max(lengths[a], lengths[b])
    ]
    if not same:
        return Finding("duplicates", "good", f"No two of the {len(selection.names)} hold the same weights.")
    (a, b), count = same[0], len(same)
    names = tuple(selection.names[each] for each in sorted({each for pair in same for each in pair}))
    return Finding(
        "duplicates",
        "notice",
        f"{selection.names[a]} and {selection.names[b]} hold the same weights"
        f"{f', and so do {count - 1} more pairs' if count > 1 else ''}: these count twice in an average; keep one of them.",
        names,
    )


def _shared_start(selection: _Selection) -> Finding:
    every = selection.cosine[np.triu_indices(len(selection.names), 1)]
    strangers = selection.strangers
    span = f"{every.min():z.2f} to {every.max():z.2f}" if len(every) > 1 else f"{every[0]:z.2f}"
    if len(strangers) == len(selection.names):
        return Finding(
            "shared start",
            "warning",
            f"No two of these {len(strangers)} share a start: the cosines of their raw weights are {span} (near 1 where "
            "models share one, near 0 between strangers); fine-tune all of them from one checkpoint, or use an ensemble.",
            strangers,
        )
    if strangers:
        inside = np.isin(selection.names, strangers)
        across = selection.cosine[np.ix_(inside, ~inside)].max()
        return Finding(
            "shared start",
            "warning",
            f"{names_of(strangers)} {verb(strangers, 'shares', 'share')} no start with the rest: cosine {across:.2f} of the raw "
            "weights at most (near 1 where models share one), after another start, too hot a training, or with permuted "
            "neurons; leave out what does not belong.",
            strangers,
        )
    if every.min() < SURELY_ALIKE:
        a, b = np.unravel_index(selection.cosine.argmin(), selection.cosine.shape)
        pair = (selection.names[a], selection.names[b])
        return Finding(
            "shared start",
            "notice",
            f"{pair[0]} and {pair[1]} have moved far apart: cosine {every.min():.2f} of the raw weights, where models of "
            f"one start have {SURELY_ALIKE} and more; see whether there is a barrier between them.",
            pair,
        )
    lengths = _relative_lengths(selection)
    moved = (
        f", and the differences from the base are {lengths.min():.2f} to {lengths.max():.2f} of its length"
        if lengths is not None
        else ""
    )
    return Finding(
        "shared start",
        "good",
        f"They share a start: the cosines of their raw weights are {span} (near 1 where "
        f"models share one, near 0 between strangers){moved}.",
    )


def _relative_lengths(selection: _Selection) -> NDArray[np.float64] | None:
    """Lengths of the differences from the base in parts of the base's own length."""
    square = selection.gram.whole()[-1, -1]
    if not selection.gram.has_base or square <= 0:
        return None
    return np.asarray(np.sqrt(np.clip(np.diag(selection.among(selection.gram.differences())), 0, None) / square))


def _base(selection: _Selection) -> Finding | None:
    """Nothing to say where there is no base, or it is what the ingredients come from."""
    whole = selection.gram.whole(selection.matrices)
    raw = np.diag(selection.among(selection.gram.raw(selection.matrices)))
    lengths = np.sqrt(np.clip(whole[-1, -1] * raw, 0, None))
    if not selection.gram.has_base or not lengths.all():
        return None
    middle = float(np.median((whole[:-1, -1][selection.rows] + whole[-1, -1]) / lengths))
    if middle >= SAME_START_COSINE:
        return None
    return Finding(
        "base",
        "notice",
        f"The base has cosine {middle:.2f} with its ingredients, so they were not fine-tuned from it: angles, WiSE-FT, "
        "task arithmetic and Model Stock mean nothing here; correct base in zoo.toml.",
        (BASE,),
    )


def _layers(selection: _Selection) -> Finding | None:
    """A tensor in which an ingredient shares no start with the others, though it does as a whole."""
    inside = [index for index, name in enumerate(selection.names) if name not in selection.strangers]
    if len(inside) < 2 or len(selection.matrices) < 2:
        return None
    apart: dict[str, list[str]] = {}
    lowest = 1.0
    for tensor in selection.matrices:
        whole, raw = (
            selection.gram.whole([tensor]),
            selection.among(selection.gram.raw([tensor]))[np.ix_(inside, inside)],
        )
        starts_at_zero = selection.gram.has_base and whole[-1, -1] <= 1e-2 * np.median(np.diag(raw))
        if starts_at_zero or not np.diag(raw).all():
            continue
        cosine = cosines(raw)
        for row, index in enumerate(inside):
            middle = float(np.median(np.delete(cosine[row], row)))
            lowest = min(lowest, middle)
            if middle < SAME_START_COSINE:
                apart.setdefault(selection.names[index], []).append(tensor)
    if not apart:
        return Finding("layers", "good", f"They agree layer by layer too: cosine {lowest:.2f} or more in every matrix.")
    tensors = next(iter(apart.values()))
    return Finding(
        "layers",
        "warning",
        f"{names_of(list(apart))} {verb(list(apart), 'agrees', 'agree')} with the others as a whole but not in "
        f"{names_of(tensors)} (cosine {lowest:.2f}), which began anew, like a head of its own, or has its neurons permuted; "
        "begin that layer from the same weights in all, or leave it out.",
        tuple(apart),
    )


def _lengths(selection: _Selection) -> Finding | None:
    """Far from the base, or without one from the other ingredients, where there are three."""
    lengths = _relative_lengths(selection)
    if lengths is not None:
        where = "the base"
    elif len(selection.names) > 2:
        where = "the others"
        lengths = np.array([np.median(np.delete(row, index)) for index, row in enumerate(selection.distance)])
    else:
        return None
    times = _times_the_others(lengths)
    far = tuple(name for name, time in zip(selection.names, times, strict=True) if time > FAR)
    if not far:
        return Finding(
            "lengths",
            "good",
            f"None lies far off: at most {times.max():.1f} times as far from {where} as the median of the rest.",
        )
    return Finding(
        "lengths",
        "warning",
        f"{names_of(far)} {verb(far, 'lies', 'lie')} up to {times.max():.1f} times as far from {where} as the median of the "
        "rest: diverged, or from elsewhere, and outweighing the others in an average; leave out what does not belong.",
        far,
    )


def _scale(selection: _Selection) -> Finding:
    """The norm of each matrix against the others' median: a function may be the same at another scale."""
    scaled: dict[str, list[tuple[float, str]]] = {}
    largest = 1.0
    for tensor in selection.matrices:
        norms = np.sqrt(np.clip(np.diag(selection.among(selection.gram.raw([tensor]))), 0, None))
        for name, time in zip(selection.names, _times_the_others(norms), strict=True):
            beyond = max(time, 1 / time) if time > 0 else 1.0
            largest = max(largest, beyond)
            if beyond > SCALED:
                scaled.setdefault(name, []).append((time, tensor))
    if not scaled:
        return Finding(
            "scale", "good", f"No matrix is more than {largest:.1f} times as long, or short, as the others'."
        )
    name, lengths = next(iter(scaled.items()))
    time, tensor = max(lengths, key=lambda each: max(each[0], 1 / each[0]))
    others = f", and {len(scaled) - 1} more differ so" if len(scaled) > 1 else ""
    return Finding(
        "scale",
        "notice",
        f"{name}'s {tensor} is {time:.2g} times as long as the others' median{others}: the longer one outweighs the "
        "shorter in an average, even where the functions are the same; rescale it, or leave it out.",
        tuple(scaled),
    )


def _angles(selection: _Selection) -> Finding | None:
    """Angles between differences from the base; without a base there are none."""
    if not selection.gram.has_base:
        return None
    matrix = selection.among(selection.gram.differences())
    upper = np.triu_indices(len(selection.names), 1)
    angles = np.degrees(np.arccos(cosines(matrix)[upper]))
    middle = float(np.median(angles))
    spread = f"Differences from the base stand {middle:.0f} degrees apart in the middle ({angles.min():.0f} to {angles.max():.0f})"
    if middle < NARROW:
        return Finding(
            "angles",
            "notice",
            f"{spread}, so there is little diversity to gain from; vary data order, augmentation or learning rate more.",
        )
    return Finding("angles", "good", f"{spread}: the wider, the more averaging gains (Wortsman et al. 2022).")


def _learning_rate(selection: _Selection) -> Finding | None:
    given = {name: selection.zoo.by_name[name].hyperparameters.get("learning_rate") for name in selection.names}
    rates = {
        name: float(rate)
        for name, rate in given.items()
        if isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate > 0
    }
    if len(rates) < 2:
        return None
    times = _times_the_others(np.array(list(rates.values())))
    hot = {name: time for name, time in zip(rates, times, strict=True) if time > HOT}
    if not hot:
        return Finding(
            "learning rate",
            "good",
            f"Learning rates are of one kind: the highest is {times.max():.1f} times the median of the rest.",
        )
    hottest = max(hot, key=lambda name: hot[name])
    return Finding(
        "learning rate",
        "notice",
        f"{hottest} was trained at {rates[hottest]:g}, {hot[hottest]:.1f} times the median learning rate of the rest; too "
        "hot a rate leaves the valley: see whether an average is better without it.",
        tuple(hot),
    )


def _neurons(selection: _Selection, suspects: Sequence[str]) -> Finding:
    """Whether those that share no start are others with their neurons in another order."""
    settled = [name for name in selection.names if name not in suspects]
    reference = (settled or selection.names)[0]
    alignments = {name: alignment(selection.zoo, name, reference) for name in suspects if name != reference}
    # A permutation shows in the rows of one tensor and the columns of the next, so in two tensors at least.
    permuted = tuple(name for name, its in alignments.items() if its.after >= SURELY_ALIKE and len(its.tensors) > 1)
    if not permuted:
        best = max(alignments, key=lambda name: alignments[name].after)
        return Finding(
            "neurons",
            "notice",
            f"Matching neurons does not bring {names_of(list(alignments))} to {reference}: cosine {alignments[best].after:.2f} instead "
            f"of {alignments[best].before:.2f} at most where they differ, so their order is not the reason.",
            tuple(alignments),
        )
    name = permuted[0]
    answers = [selection.few.logits(Soup.single(each)).argmax(1) for each in (name, reference)]
    alike = float((answers[0] == answers[1]).float().mean())
    return Finding(
        "neurons",
        "warning",
        f"{names_of(permuted)} {verb(permuted, 'has', 'have')} permuted neurons: matched to {reference}'s, cosine {alignments[name].after:.2f} instead "
        f"of {alignments[name].before:.2f} where they differ, and {100 * alike:.1f} % of answers alike; put the neurons in one "
        "order before averaging, or leave this out.",
        permuted,
    )


def _accuracy(selection: _Selection) -> Finding:
    singles = selection.singles
    broken = tuple(name for name, its in singles.items() if its.not_finite)
    if broken:
        its = singles[broken[0]]
        return Finding(
            "accuracy",
            "warning",
            f"{names_of(broken)} {verb(broken, 'gives', 'give')} outputs that are not finite on {its.not_finite} of {its.total} "
            f"{selection.zoo.data.things}; leave this out.",
            broken,
        )
    middle = float(np.median([its.accuracy for its in singles.values()]))
    poor = tuple(name for name, its in singles.items() if wilson(its.correct, its.total).high < middle - POOR)
    lowest = min((its for name, its in singles.items() if not poor or name in poor), key=lambda its: its.accuracy)
    numbers = (
        f"{percent(lowest)} of {lowest.total} held-out {selection.zoo.data.things}, the median {100 * middle:.1f} %"
    )
    if poor:
        return Finding(
            "accuracy",
            "warning",
            f"{names_of(poor)} {verb(poor, 'is', 'are')} far below the others: {numbers}; leave this out, or let greedy soup "
            "pass it over.",
            poor,
        )
    return Finding("accuracy", "good", f"None is far below the others: the lowest has {numbers}.")


def _barrier(selection: _Selection, outliers: set[str], pairs: int, seed: int) -> Finding:
    probed = _probed(selection, outliers, pairs, seed)
    middles = selection.few.many(uniform(pair) for pair in probed)
    rises = {
        pair: _against(middle, [selection.singles[name] for name in pair])
        for pair, middle in zip(probed, middles, strict=True)
    }
    (a, b), worst = min(rises.items(), key=lambda each: each[1].value)
    fall = f"halfway between {a} and {b} accuracy is {points(worst, 1)} against the mean of the two"
    over = f"{len(probed)} pair{'s' if len(probed) > 1 else ''}, {selection.few.total} {selection.zoo.data.things}"
    parted = {pair: rise for pair, rise in rises.items() if rise.high < 0}
    if not parted:
        return Finding("barrier", "good", f"No barrier in {over}: at worst, {fall}.")
    (a, b), worst = min(parted.items(), key=lambda each: each[1].value)
    fall = f"halfway between {a} and {b} accuracy is {points(worst, 1)} against the mean of the two"
    names = tuple(dict.fromkeys(name for pair in parted for name in pair))
    if not any(rise.high < -BARRIER for rise in parted.values()):
        return Finding("barrier", "notice", f"A low barrier in {over}: {fall}; let greedy soup decide on them.", names)
    return Finding(
        "barrier",
        "warning",
        f"A barrier in {len(parted)} of {over}: {fall}; do not average across it: let greedy soup choose, or use an "
        "ensemble.",
        names,
    )


def _probed(selection: _Selection, outliers: set[str], pairs: int, seed: int) -> list[tuple[str, str]]:
    """Half of the pairs across an outlier where there are any, half of the rest the furthest, the last ones at random."""
    names, cosine = selection.names, selection.cosine
    order = sorted(combinations(range(len(names)), 2), key=lambda pair: cosine[pair])
    furthest = [(names[a], names[b]) for a, b in order]
    drawn = random.Random(seed).sample(furthest, len(furthest))
    across = [pair for pair in drawn if len(outliers.intersection(pair)) == 1][: -(-pairs // 2)]
    rest = -(-(pairs - len(across)) // 2)
    return list(dict.fromkeys([*across, *furthest[:rest], *drawn]))[:pairs]


def _batch_norm(selection: _Selection) -> Finding | None:
    """The soup's statistics against re-estimated ones, where the network has any and there are images to do it with."""
    if not selection.zoo.has_batch_norm or selection.soup.batch_norm == "re-estimated":
        return None
    how = selection.soup.batch_norm
    try:
        other = selection.few(replace(selection.soup, batch_norm="re-estimated"))
    except DataError:
        return Finding(
            "batch norm",
            "notice",
            f"The running statistics of BatchNorm are averaged, and without training {selection.zoo.data.things} they cannot be "
            "re-estimated; add them to the data, as the split train (train.images and train.labels in a file of tensors).",
        )
    rise = compare(other, selection.few(selection.soup))
    effect = (
        f"BatchNorm's statistics re-estimated for the soup give {percent(other)} of {other.total} {selection.zoo.data.things}, "
        f"{points(rise, 1)} against {how} ones"
    )
    if rise.low > 0:
        verdict: Verdict = "warning" if rise.low > BARRIER else "notice"
        return Finding("batch norm", verdict, f"{effect}; choose the re-estimated ones.")
    return Finding("batch norm", "good", f"{effect}: either will do.")


def _average(selection: _Selection) -> Finding:
    """The soup itself on the few images, against the ingredient in the middle."""
    evaluation = selection.few(selection.soup)
    ranked = sorted(selection.singles, key=lambda name: selection.singles[name].correct)
    middle, best = (selection.singles[name] for name in (ranked[len(ranked) // 2], ranked[-1]))
    rise = compare(evaluation, middle)
    result = (
        f"Their average gets {percent(evaluation)} of {evaluation.total} held-out {selection.zoo.data.things}, "
        f"{points(rise, 1)} against the median ingredient (the best has {percent(best)})"
    )
    if rise.high >= 0 and not evaluation.not_finite:
        return Finding("average", "good", f"{result}.")
    verdict: Verdict = "warning" if rise.high < -BARRIER or evaluation.not_finite else "notice"
    return Finding("average", verdict, f"{result}; do not average them all: let greedy soup choose.")


def _against(middle: Evaluation, ends: Sequence[Evaluation]) -> Estimate:
    """The accuracy above the mean of several models on the same images, with a 95 % interval.

    The mean of the single intervals' bounds: never narrower than the mean's own, since a mean's standard error is at
    most the mean of the standard errors.
    """
    comparisons = [compare(middle, end) for end in ends]
    return Estimate(
        float(np.mean([each.value for each in comparisons])),
        float(np.mean([each.low for each in comparisons])),
        float(np.mean([each.high for each in comparisons])),
    )


def _times_the_others(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value over the median of the others; 1 where that is zero."""
    others = np.array([np.median(np.delete(values, index)) for index in range(len(values))])
    return np.asarray(np.divide(values, others, out=np.ones_like(values), where=others > 0), np.float64)
