"""Of several sets of weights in one file, the one that a run is judged by: a running average where one is kept.

Where each trainer keeps it is its own convention, seen in files that mmengine 0.10.7, lightning 2.6.6, timm 1.0.31,
torchvision's references and ultralytics 8.4 wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .values import Tensor

WORDS = frozenset(("ema", "swa", "avg", "average", "averaged", "averaging", "polyak"))
ALIKE = 0.9  # an average has the numbers of what it averages, but perhaps for buffers
LIGHTNING = "pytorch-lightning_version"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set of weights by its keys in the file; how many floating-point tensors and numbers it has."""

    keys: tuple[str, ...]
    table: Mapping[Any, Any]
    size: tuple[int, int]


def likeliest(described: Any, candidates: Mapping[str, Candidate]) -> tuple[tuple[str, ...], str]:
    """The places of the candidates, the one to take first, and why that one; no reason where it is the only one."""
    outermost = described if isinstance(described, dict) else {}
    first, why = _by_trainer(outermost, candidates) or _by_name(candidates)
    others = sorted((place for place in candidates if place != first), key=lambda place: -_weight(candidates[place]))
    return (first, *others), why if others else ""


def _by_trainer(outermost: Mapping[Any, Any], candidates: Mapping[str, Candidate]) -> tuple[str, str] | None:
    """Where a trainer's own file keeps it, with the reason; None for the files of others."""
    if "state_dict" not in candidates:
        return None
    if {"meta", "message_hub"} <= outermost.keys() and "ema_state_dict" in candidates:
        return "state_dict", "mmengine keeps the running average there, and what it averages under ema_state_dict"
    if LIGHTNING not in outermost:
        return None
    if "current_model_state" in candidates:
        return "state_dict", "Lightning keeps the average there, and what it averages under current_model_state"
    for place, candidate in candidates.items():
        if candidate.keys[-1:] == ("average_model_state",):
            return _stochastic_average(outermost, place, candidate)
    return None


def _stochastic_average(outermost: Mapping[Any, Any], place: str, candidate: Candidate) -> tuple[str, str]:
    """Lightning's StochasticWeightAveraging: when its average is in the state_dict, only in the callback's, or not begun.

    Each epoch's weights are averaged as the next begins. A network with BatchNorm runs one epoch more, from the average,
    for its statistics, so that no set of weights before that has both.
    """
    callback: Any = outermost
    for key in candidate.keys[:-1]:
        callback = callback[key]
    epoch, latest, count = outermost.get("epoch"), callback.get("latest_update_epoch"), callback.get("n_averaged")
    count = 1 if isinstance(count, Tensor) else count
    if not isinstance(epoch, int) or not isinstance(latest, int) or not count or latest < 0:
        return "state_dict", "the average of StochasticWeightAveraging has not begun"
    if epoch > latest:
        return "state_dict", "the average of StochasticWeightAveraging has been put there"
    if any(isinstance(name, str) and name.endswith(".running_var") for name in candidate.table):
        return "state_dict", f"the average under {place} has no BatchNorm statistics of its own yet"
    return place, "StochasticWeightAveraging keeps its average there, and the last epoch's weights under state_dict"


def _by_name(candidates: Mapping[str, Candidate]) -> tuple[str, str]:
    """An average by its name, or by its count of what it averaged; else the largest, and of equal ones the first."""
    largest = max(candidates, key=lambda place: _weight(candidates[place]))
    for place, candidate in candidates.items():
        if candidate.size[1] >= ALIKE * candidates[largest].size[1] and _is_average(candidate):
            return place, "it is the running average that a run is judged by"
    return largest, "it has the most tensors and numbers, or stands first"


def _is_average(candidate: Candidate) -> bool:
    letters = "".join(letter if letter.isalpha() else " " for letter in " ".join(candidate.keys).lower())
    return not WORDS.isdisjoint(letters.split()) or "n_averaged" in candidate.table


def _weight(candidate: Candidate) -> int:
    return candidate.size[0] * candidate.size[1]
