"""Published results: the result files of the model-soups paper's repository, a zoo of results without weights.

Wortsman et al. 2022 (arXiv 2203.05482), 72 models of CLIP ViT-B/32. A quantity is a set of coefficients over image sets:
the test accuracy, the mean of the shifts and the selection gap are three of them, and share one interval.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import pydantic

from soup_core.errors import ZooError
from soup_core.zoo import Value, zoo_folders

IMAGES: Mapping[str, int] = {
    "ImageNet2p": 26_000, "ImageNet": 50_000, "ImageNetV2": 10_000, "ImageNetSketch": 50_889, "ImageNetR": 30_000,
    "ObjectNet": 18_574, "ImageNetA": 7_500,
}  # fmt: skip
HELD_OUT_SET, TEST_SET, *SHIFTS = IMAGES
Quantity = Mapping[str, float]
HELD_OUT: Quantity = {HELD_OUT_SET: 1}
TEST: Quantity = {TEST_SET: 1}
MEAN_OF_SHIFTS: Quantity = {shift: 1 / len(SHIFTS) for shift in SHIFTS}
SELECTION_GAP: Quantity = {HELD_OUT_SET: 1, TEST_SET: -1}
QUANTITIES: Mapping[str, Quantity] = {"held-out": HELD_OUT, "test": TEST, "mean of shifts": MEAN_OF_SHIFTS}
CORRELATED = (("held-out", "test"), ("test", "mean of shifts"))

MODELS_FILE, HYPERPARAMETERS_FILE = "individual_model_results.jsonl", "hparam_info.json"
SOUP_FILES: Mapping[str, str] = {
    "uniform": "uniform_soup_results.jsonl",
    "greedy": "greedy_soup_results.jsonl",
    "ensemble": "ensemble_results.jsonl",
}
WHOLE_WITHIN = 1e-3  # images; files that keep all digits of a fraction are within 1e-11
ENOUGH_MODELS = 4  # fewer leave a correlation without an interval
NEEDS_WEIGHTS = (
    "These are results without weights: other soups, lines between models, learned coefficients, geometry and "
    "comparisons paired image by image need the checkpoints."
)
Row = dict[str, Any]


def _setting(value: object) -> object:
    if isinstance(value, (list, dict)) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("expected a finite number, a text, true, false or null")
    return value


_Share = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]
_STRICT = pydantic.ConfigDict(extra="forbid", strict=True, protected_namespaces=())
_SHARES: dict[str, Any] = {name: (_Share, ...) for name in IMAGES}
_Line = pydantic.create_model(
    "_Line", __config__=_STRICT, model_name=(Annotated[str, pydantic.Field(min_length=1)], ...), **_SHARES
)
_HYPERPARAMETERS = pydantic.TypeAdapter(dict[str, dict[str, Annotated[Any, pydantic.AfterValidator(_setting)]]])


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; accuracies and differences are shares of 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """A published accuracy on a set of images, and the count that is nearest to it."""

    accuracy: float
    total: int

    @property
    def correct(self) -> int:
        """The accuracy as a count of images, rounded where it is none."""
        return round(self.accuracy * self.total)

    @property
    def is_count(self) -> bool:
        """Whether the accuracy is a whole number of images; a mean over classes need not be."""
        return abs(self.accuracy * self.total - self.correct) < WHOLE_WITHIN

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        from scipy import stats  # takes most of a second

        found = stats.binomtest(self.correct, self.total).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class PublishedModel:
    """A line of a result file; `kind` is "ingredient", "base", "uniform", "greedy" or "ensemble"."""

    name: str
    kind: str
    scores: Mapping[str, Score]
    hyperparameters: Mapping[str, Value | None]

    @cached_property
    def shifts(self) -> Estimate:
        """The mean of the accuracies on the five distribution shifts."""
        return estimate(self, MEAN_OF_SHIFTS)

    def accuracy(self, quantity: Quantity) -> float:
        """The quantity without its interval."""
        return sum(weight * self.scores[name].accuracy for name, weight in quantity.items())


@dataclass(frozen=True)
class Results:
    """What a folder of result files holds; `models` are the fine-tuned ones in the file's order, without the base."""

    name: str
    folder: Path
    models: tuple[PublishedModel, ...]
    base: PublishedModel | None
    soups: tuple[PublishedModel, ...]
    notices: tuple[str, ...]

    @property
    def title(self) -> str:
        """One line for a heading."""
        return f"Published results: {len(self.models)} fine-tuned models of the model-soups paper"

    @cached_property
    def ranking(self) -> tuple[PublishedModel, ...]:
        """The fine-tuned models, best on the held-out set first, ties by name."""
        return tuple(sorted(self.models, key=lambda model: (-model.scores[HELD_OUT_SET].accuracy, model.name)))

    @property
    def best(self) -> PublishedModel:
        """The fine-tuned model that the held-out set selects."""
        return self.ranking[0]

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of the fine-tuned models' hyperparameters, in the file's order."""
        return tuple(dict.fromkeys(name for model in self.models for name in model.hyperparameters))


def results_folders() -> dict[str, Path]:
    """Every folder of published results by name, among the places where zoos are looked for."""
    zoos = zoo_folders()
    return {name: folder for name, folder in zoo_folders(MODELS_FILE).items() if name not in zoos}


def is_results_folder(folder: Path) -> bool:
    """Whether a folder holds published results."""
    return (folder / MODELS_FILE).is_file()


def open_results(folder: str | Path) -> Results:
    """Read and check a folder of published results; soups whose file is missing are left out.

    The base is the model for which the hyperparameters' file has `info` in place of hyperparameters. Raises ZooError where
    a file does not fit the format, naming file, line and key.
    """
    folder = Path(folder)
    scores = _read_scores(folder / MODELS_FILE)
    settings = _read_hyperparameters(folder / HYPERPARAMETERS_FILE, list(scores))
    told = [name for name in scores if "info" in settings[name]]
    if len(told) > 1 or len(told) == len(scores):
        raise ZooError(
            f"{_where(folder / HYPERPARAMETERS_FILE)}, key info: expected at one model at most, the initialization, beside "
            f"fine-tuned ones; found at {', '.join(told)} of {len(scores)} models. Correct it there."
        )
    models = [
        PublishedModel(name, "base" if name in told else "ingredient", found, settings[name])
        for name, found in scores.items()
    ]
    soups = [
        PublishedModel(name, kind, found, {})
        for kind, file in SOUP_FILES.items()
        if (folder / file).is_file()
        for name, found in _read_scores(folder / file, lines=1).items()
    ]
    base = next((model for model in models if model.kind == "base"), None)
    return Results(
        name=folder.resolve().name,
        folder=folder,
        models=tuple(model for model in models if model is not base),
        base=base,
        soups=tuple(soups),
        notices=tuple([*_base_notice(base, soups), *_same_notices(models), *_count_notices([*models, *soups])]),
    )


def estimate(ours: PublishedModel, quantity: Quantity, *, against: PublishedModel | None = None) -> Estimate:
    """A quantity of a model, or its difference from another model's, with the 95 % interval.

    Wilson's intervals of the accuracies, combined as for independent ones by Zou & Donner 2008 (doi 10.1002/sim.3095); for
    one difference that is Newcombe's 1998 score interval. Sets hold different images, so that sums over sets of one model
    are independent; two models on the same images are not, but without results an image they cannot be paired, and this
    unpaired interval is too wide where they are right on the same images.
    """
    sides = [(1.0, ours)] if against is None else [(1.0, ours), (-1.0, against)]
    terms = [(sign * weight, model.scores[name]) for sign, model in sides for name, weight in quantity.items()]
    value = sum(weight * score.accuracy for weight, score in terms)
    reach = [[weight * (bound - score.accuracy) for bound in score.interval] for weight, score in terms]
    below, above = math.hypot(*(min(pair) for pair in reach)), math.hypot(*(max(pair) for pair in reach))
    return Estimate(value, value - below, value + above)


def relative_drop(model: PublishedModel, shift: str) -> Estimate | None:
    """The share of its test accuracy that a model loses on a shift; None where one of the two counts is zero.

    Interval of the ratio of two independent shares: Katz et al. 1978 (Biometrics 34, 469), by scipy.
    """
    ours, test = model.scores[shift], model.scores[TEST_SET]
    if not ours.correct or not test.correct:
        return None
    from scipy import stats  # takes most of a second

    ratio = stats.contingency.relative_risk(ours.correct, ours.total, test.correct, test.total)
    low, high = ratio.confidence_interval()
    return Estimate(1 - ours.accuracy / test.accuracy, 1 - float(high), 1 - float(low))


def correlation(models: Sequence[PublishedModel], first: Quantity, second: Quantity) -> Estimate | None:
    """Pearson's correlation of two quantities over models, Fisher's interval; None for too few models or a constant."""
    columns = [[model.accuracy(quantity) for model in models] for quantity in (first, second)]
    if len(models) < ENOUGH_MODELS or any(max(column) - min(column) < 1e-12 for column in columns):
        return None
    from scipy import stats  # takes most of a second

    found = stats.pearsonr(*columns)
    low, high = found.confidence_interval()
    return Estimate(float(found.statistic), float(low), float(high))


def correlated(results: Results) -> list[tuple[tuple[PublishedModel, ...], str]]:
    """The models over which correlations are told, with words for them: the fine-tuned ones, then the base too."""
    fine_tuned = [(results.models, f"{len(results.models)} fine-tuned models")]
    if results.base is None:
        return fine_tuned
    return [*fine_tuned, ((results.base, *results.models), f"these and the base {results.base.name}")]


def rank_correlation(models: Sequence[PublishedModel], hyperparameter: str, quantity: Quantity) -> float | None:
    """Spearman's correlation of a hyperparameter with a quantity, over the models where it is a number."""
    pairs = [
        (float(value), model.accuracy(quantity))
        for model in models
        if isinstance(value := model.hyperparameters.get(hyperparameter), (int, float))
    ]
    if len(pairs) < ENOUGH_MODELS or any(max(column) - min(column) < 1e-12 for column in zip(*pairs, strict=True)):
        return None
    from scipy import stats  # takes most of a second

    return float(stats.spearmanr(pairs).statistic)


def in_order(values: Sequence[Value | None]) -> list[Value | None]:
    """Distinct values of a hyperparameter in their order: none first, then numbers, then texts by the numbers in them."""

    def key(value: Value | None) -> tuple[object, ...]:
        if value is None:
            return (0,)
        if isinstance(value, str):
            return (2, [int(digits) for digits in re.findall(r"\d+", value)], value)
        return (1, value)

    return sorted(dict.fromkeys(values), key=key)


def report(results: Results) -> list[Row]:
    """The results as rows of plain values, ready for JSON; rows of one kind follow each other and have the same keys.

    All models, soups first; the soups' differences from the best single model; correlations; relative drops; notices.
    """
    best = results.best
    rows: list[Row] = [
        {
            "model": model.name, "kind": model.kind, "held_out": _figures(model.scores[HELD_OUT_SET]),
            "test": _figures(model.scores[TEST_SET]), "mean_of_shifts": model.shifts.value,
            "hyperparameters": dict(model.hyperparameters),
        }
        for model in [*results.soups, *results.ranking, *([results.base] if results.base else [])]
    ]  # fmt: skip
    for soup in results.soups:
        for name, quantity in {**QUANTITIES, "selection gap": SELECTION_GAP}.items():
            found = estimate(soup, quantity, against=best)
            rows.append({"model": soup.name, "against": best.name, "difference_in": name, **_interval(found),
                         "paired": False})  # fmt: skip
    for models, over in correlated(results):
        for one, other in CORRELATED:
            if found_correlation := correlation(models, QUANTITIES[one], QUANTITIES[other]):
                rows.append({"correlation_of": one, "with": other, "over": over, **_interval(found_correlation)})
    for model in [best, *results.soups]:
        for shift in SHIFTS:
            if drop := relative_drop(model, shift):
                rows.append({"model": model.name, "relative_drop_on": shift, **_interval(drop)})
    return rows + [{"notice": notice} for notice in (*results.notices, NEEDS_WEIGHTS)]


def _figures(score: Score) -> Row:
    return {"correct": score.correct, "total": score.total, "accuracy": score.accuracy}


def _interval(found: Estimate) -> Row:
    return {"value": found.value, "low": found.low, "high": found.high}


def _where(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ZooError(
            f"{_where(file)} cannot be read ({error.strerror}); published results need {MODELS_FILE} and "
            f"{HYPERPARAMETERS_FILE} in one folder."
        ) from error


def _misfit(where: str, error: pydantic.ValidationError) -> ZooError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    found = "" if first["type"] == "missing" else f"; found {first['input']!r:.80}"
    message = first["msg"].removeprefix("Value error, ")
    return ZooError(f"{where}{f', key {key}' if key else ''}: {message}{found}. Correct it there.")


def _read_scores(file: Path, *, lines: int | None = None) -> dict[str, dict[str, Score]]:
    """Scores by model's name, a line of JSON each; `lines` is how many there must be, by default at least one."""
    found: dict[str, dict[str, Score]] = {}
    at: dict[str, int] = {}
    for number, line in enumerate(_content(file).split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{_where(file)}, line {number}"
        try:
            entry = _Line.model_validate_json(line).model_dump()
        except pydantic.ValidationError as error:
            raise _misfit(where, error) from error
        name = entry.pop("model_name")
        if name in at:
            raise ZooError(
                f"{where}, key model_name: expected a name of its own for every model; found {name!r}, which stands in line "
                f"{at[name]} too. Correct it there."
            )
        at[name] = number
        found[name] = {key: Score(share, IMAGES[key]) for key, share in entry.items()}
    if not found or lines not in (None, len(found)):
        raise ZooError(
            f"{_where(file)}: expected {lines or 'at least one'} line of results; found {len(found)}. Correct it there."
        )
    return found


def _read_hyperparameters(file: Path, names: list[str]) -> dict[str, dict[str, Value | None]]:
    try:
        found = _HYPERPARAMETERS.validate_json(_content(file))
    except pydantic.ValidationError as error:
        raise _misfit(_where(file), error) from error
    for known, others, other_file in ((found, names, MODELS_FILE), (names, list(found), HYPERPARAMETERS_FILE)):
        if lacking := [name for name in others if name not in known]:
            raise ZooError(
                f"{_where(file)}, key {lacking[0]}: expected the same models as in {MODELS_FILE}; this one is only in "
                f"{other_file}. Correct one of the two."
            )
    return found


def _base_notice(base: PublishedModel | None, soups: Sequence[PublishedModel]) -> list[str]:
    if base is None:
        return []
    averaged = " The published uniform soup averages it too." if any(soup.kind == "uniform" for soup in soups) else ""
    return [
        f"{base.name} is the initialization ({base.hyperparameters['info']}), not a fine-tuned model: it is shown as the "
        f"base, and is not among the ingredients.{averaged}"
    ]


def _same_notices(models: Sequence[PublishedModel]) -> list[str]:
    alike: dict[object, list[str]] = {}
    for model in models:
        alike.setdefault((repr(model.scores), repr(sorted(model.hyperparameters.items()))), []).append(model.name)
    return [
        f"{', '.join(names[:-1])} and {names[-1]} have equal results on every set and equal hyperparameters: they are the "
        "same model, which stands here, and in what is counted over models, more than once."
        for names in alike.values()
        if len(names) > 1
    ]


def _count_notices(models: Sequence[PublishedModel]) -> list[str]:
    notices = []
    for name, total in IMAGES.items():
        if broken := [model for model in models if not model.scores[name].is_count]:
            first = broken[0]
            notices.append(
                f"{name}: {len(broken)} of {len(models)} accuracies are no whole number of its {total:,} images "
                f"({first.name}: {first.scores[name].accuracy * total:,.3f}); they may be rounded, or means over classes. "
                "Their counts and intervals are approximate."
            )
    return notices
