"""Model soups: averaging, evaluation and recipes, without a user interface.

>>> import soup_core as sc
>>> zoo = sc.open_zoo("fashion")
>>> evaluate = sc.Evaluator(zoo, split="held_out")
>>> evaluate(sc.uniform_soup(zoo)).accuracy  # doctest: +SKIP
"""

from soup_core.averaging import bank_size, memory_budget, state_dict
from soup_core.errors import CheckpointError, CoefficientError, DataError, OutOfMemory, SoupError, ZooError
from soup_core.evaluation import (
    Evaluation,
    Evaluator,
    available_devices,
    available_precisions,
    interruptible,
    resolve_device,
)
from soup_core.interpolation import Barrier, LinePoint, error_barrier, line
from soup_core.recipes.greedy import GreedyStep, greedy_soup
from soup_core.recipes.uniform import uniform_soup
from soup_core.soup import Soup, interpolate, mix
from soup_core.statistics import Comparison, accuracy_interval, compare
from soup_core.zoo import BASE, Excluded, Ingredient, Zoo, open_zoo, zoo_folders

__version__ = "0.1.0"
__all__ = [
    "BASE",
    "Barrier",
    "CheckpointError",
    "CoefficientError",
    "Comparison",
    "DataError",
    "Evaluation",
    "Evaluator",
    "Excluded",
    "GreedyStep",
    "Ingredient",
    "LinePoint",
    "OutOfMemory",
    "Soup",
    "SoupError",
    "Zoo",
    "ZooError",
    "accuracy_interval",
    "available_devices",
    "available_precisions",
    "bank_size",
    "compare",
    "error_barrier",
    "greedy_soup",
    "interpolate",
    "interruptible",
    "line",
    "memory_budget",
    "mix",
    "open_zoo",
    "resolve_device",
    "state_dict",
    "uniform_soup",
    "zoo_folders",
]  # fmt: skip
