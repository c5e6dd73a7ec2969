"""What varies between runs, and the random search that draws it as Wortsman et al. 2022 (arXiv 2203.05482) do."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from soup_core.errors import SoupError
from soup_core.finetune.augmentation import PARTS, augmentations_for, is_augmentation
from soup_core.zoo import Zoo

SCHEDULES = ("cosine", "constant")
RATE_AT_MOST, EPOCHS_AT_MOST = 1000.0, 1000
RECORDED = ("learning_rate", "weight_decay", "epochs", "label_smoothing", "mixup", "augmentation", "seed")


@dataclass(frozen=True)
class Hyperparameters:
    """What varies between runs. `mixup` is the alpha of its beta distribution, 0 for none (arXiv 1710.09412)."""

    learning_rate: float
    weight_decay: float
    epochs: int
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augmentation: str = "none"
    seed: int = 0
    schedule: str = "cosine"

    def recorded(self) -> dict[str, Any]:
        """What a zoo says of an ingredient, by name."""
        return {name: value for name, value in asdict(self).items() if name in RECORDED}


@dataclass(frozen=True)
class Space:
    """Where a random search draws from; learning rates lie between two, the rest is listed."""

    learning_rates: tuple[float, float] = (3e-5, 3e-4)
    epochs: tuple[int, ...] = (4, 8)
    augmentations: tuple[str, ...] = ("flip", "flip+crop", "flip+crop+randaugment")
    mixups: tuple[float, ...] = (0.0, 0.0, 0.2)


def checked(hyperparameters: Hyperparameters) -> Hyperparameters:
    """The same, once it is clear that one can train with them. Raises SoupError where one cannot."""
    values = asdict(hyperparameters)
    for name, low, high in (
        ("learning_rate", 0.0, RATE_AT_MOST),
        ("weight_decay", 0.0, RATE_AT_MOST),
        ("epochs", 1, EPOCHS_AT_MOST),
        ("label_smoothing", 0.0, 1.0),
        ("mixup", 0.0, RATE_AT_MOST),
        ("seed", 0, 2**63),
    ):
        value = values[name]
        whole = isinstance(low, int)
        if not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise SoupError(f"The {name.replace('_', ' ')} is {kind} from {low:g} to {high:g}; found {value!r}.")
    if not is_augmentation(hyperparameters.augmentation):
        raise SoupError(
            f'The augmentation is "none", or some of {", ".join(PARTS)} with plus signs between; found '
            f"{hyperparameters.augmentation!r}."
        )
    if hyperparameters.schedule not in SCHEDULES:
        raise SoupError(f"The schedule is {' or '.join(SCHEDULES)}; found {hyperparameters.schedule!r}.")
    return hyperparameters


def random_search(count: int, *, seed: int, space: Space) -> Iterator[Hyperparameters]:
    """Draw hyperparameters as the paper's random search does: rates log-uniform, the rest from short lists."""
    rng = np.random.default_rng(seed)
    low, high = (math.log10(rate) for rate in space.learning_rates)
    for index in range(1, count + 1):
        yield Hyperparameters(
            learning_rate=float(f"{10 ** rng.uniform(low, high):.2e}"),
            weight_decay=float(f"{10 ** rng.uniform(-4, -1):.1e}"),
            epochs=int(rng.choice(space.epochs)),
            label_smoothing=float(rng.choice([0.0, 0.1])),
            mixup=float(rng.choice(space.mixups)),
            augmentation=str(rng.choice(space.augmentations)),
            seed=seed + index,
        )


def space_of(zoo: Zoo, side: int | None) -> Space:
    """Where a search beside a zoo's own runs draws from: what these say they used, and where they say nothing, what is usual.

    `side` is that of the images, in pixels, None for texts, which are neither changed by chance nor mixed.
    """
    rates, epochs = (_numbers(zoo, name) for name in ("learning_rate", "epochs"))
    found = {each.hyperparameters.get("augmentation") for each in zoo.ingredients}
    augmentations = tuple(sorted(str(each) for each in found if isinstance(each, str) and is_augmentation(each)))
    return Space(
        (min(rates), max(rates)) if rates else Space.learning_rates,
        tuple(sorted({round(value) for value in epochs})) or Space.epochs,
        augmentations_for(side) if side is None else augmentations or augmentations_for(side)[1:],
        (0.0,) if side is None else Space.mixups,
    )


def usual(zoo: Zoo, side: int | None) -> Hyperparameters:
    """The middle of what a zoo's own runs used, as far as one can train with it; `side` as for `space_of`."""
    space = space_of(zoo, side)
    rates = _numbers(zoo, "learning_rate") or list(space.learning_rates)
    decays = _numbers(zoo, "weight_decay") or [0.01]
    listed = [str(each.hyperparameters.get("augmentation")) for each in zoo.ingredients]
    common = Counter(each for each in listed if each in space.augmentations).most_common(1)
    return Hyperparameters(
        learning_rate=min(float(f"{median(rates):.1e}"), RATE_AT_MOST),
        weight_decay=min(float(f"{median(decays):.1e}"), RATE_AT_MOST),
        epochs=min(max(1, round(median(_numbers(zoo, "epochs") or space.epochs))), EPOCHS_AT_MOST),
        augmentation=common[0][0] if common else space.augmentations[0],
    )


def _numbers(zoo: Zoo, name: str) -> list[float]:
    """What the ingredients give as a number above zero under a name."""
    values = [each.hyperparameters.get(name) for each in zoo.ingredients]
    return [float(value) for value in values if isinstance(value, (int, float)) and 0 < value < math.inf]


def with_given(hyperparameters: Hyperparameters, given: Mapping[str, Any]) -> Hyperparameters:
    """The same, but for what is given and not None."""
    return replace(hyperparameters, **{name: value for name, value in given.items() if value is not None})
