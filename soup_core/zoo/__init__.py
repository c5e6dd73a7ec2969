"""A zoo: a folder with zoo.toml, its checkpoints, one architecture and one source of images."""

from soup_core.zoo.opening import (
    files_of,
    find_zoo,
    fitting_ingredient,
    open_zoo,
    other_weights,
    scan_folders,
    with_uploads,
    zoo_folders,
    zoo_from,
)
from soup_core.zoo.zoo import BASE, RESERVED, Excluded, Ingredient, MetricKey, Value, Zoo

__all__ = [
    "BASE",
    "RESERVED",
    "Excluded",
    "Ingredient",
    "MetricKey",
    "Value",
    "Zoo",
    "files_of",
    "find_zoo",
    "fitting_ingredient",
    "open_zoo",
    "other_weights",
    "scan_folders",
    "with_uploads",
    "zoo_folders",
    "zoo_from",
]
