"""Reading and checking a folder of published results, line by line and key by key."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pydantic

from soup_core.analysis.published.results import IMAGES, PublishedModel, Results, Score
from soup_core.errors import ZooError
from soup_core.zoo import Value, scan_folders
from soup_core.zoo.opening import ZOO_FILE

MODELS_FILE, HYPERPARAMETERS_FILE = "individual_model_results.jsonl", "hparam_info.json"
SOUP_FILES: Mapping[str, str] = {
    "uniform": "uniform_soup_results.jsonl",
    "greedy": "greedy_soup_results.jsonl",
    "ensemble": "ensemble_results.jsonl",
}


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


def results_folders() -> dict[str, Path]:
    """Every folder of published results by name, where zoos are looked for."""
    return all_folders().results


class Folders(NamedTuple):
    """The folders that may be opened, by name: zoos', and those of published results under other names."""

    zoos: dict[str, Path]
    results: dict[str, Path]


def all_folders() -> Folders:
    """What there is to open now, in one look at where zoos may lie."""
    found = scan_folders(ZOO_FILE, MODELS_FILE)
    zoos = found[ZOO_FILE]
    return Folders(zoos, {name: folder for name, folder in found[MODELS_FILE].items() if name not in zoos})


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
    bases = [name for name in scores if "info" in settings[name]]
    if len(bases) > 1 or len(bases) == len(scores):
        raise ZooError(
            f"{_where(folder / HYPERPARAMETERS_FILE)}, key info: expected at one model at most, the initialization, beside "
            f"fine-tuned ones; found at {', '.join(bases)} of {len(scores)} models. Correct it there."
        )
    models = [
        PublishedModel(name, "base" if name in bases else "ingredient", scores_of_model, settings[name])
        for name, scores_of_model in scores.items()
    ]
    soups = [
        PublishedModel(name, kind, scores_of_model, {})
        for kind, file in SOUP_FILES.items()
        if (folder / file).is_file()
        for name, scores_of_model in _read_scores(folder / file, lines=1).items()
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
    given = "" if first["type"] == "missing" else f"; found {first['input']!r:.80}"
    message = first["msg"].removeprefix("Value error, ")
    return ZooError(f"{where}{f', key {key}' if key else ''}: {message}{given}. Correct it there.")


def _read_scores(file: Path, *, lines: int | None = None) -> dict[str, dict[str, Score]]:
    """Scores by model's name, a line of JSON each; `lines` is how many there must be, by default at least one."""
    scores: dict[str, dict[str, Score]] = {}
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
        scores[name] = {key: Score(share, IMAGES[key]) for key, share in entry.items()}
    if not scores or lines not in (None, len(scores)):
        raise ZooError(
            f"{_where(file)}: expected {lines or 'at least one'} line of results; found {len(scores)}. Correct it there."
        )
    return scores


def _read_hyperparameters(file: Path, names: list[str]) -> dict[str, dict[str, Value | None]]:
    try:
        found = _HYPERPARAMETERS.validate_json(_content(file))
    except pydantic.ValidationError as error:
        raise _misfit(_where(file), error) from error
    for known, others, other_file in (
        (set(found), names, MODELS_FILE),
        (set(names), list(found), HYPERPARAMETERS_FILE),
    ):
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
        accuracies = tuple(score.accuracy for score in model.scores.values())
        alike.setdefault((accuracies, repr(sorted(model.hyperparameters.items()))), []).append(model.name)
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
