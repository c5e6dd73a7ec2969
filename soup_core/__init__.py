"""Model soups: averaging, evaluation and recipes, without a user interface.

>>> import soup_core as sc
>>> zoo = sc.open_zoo("fashion")
>>> theta = sc.state_dict(zoo, sc.uniform_soup(zoo))
>>> tuple(theta["head.weight"].shape)
(10, 128)
>>> evaluate = sc.Evaluator(zoo, split="held_out")
>>> evaluate(sc.Soup({"ft-01": 1.0})).correct  # of 5,000 images
4535
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Both must be said before torch is imported. Sessions, jobs and a browser share the cores: threads of torch that wait by
# spinning keep the cores from those they wait for. Asleep at once they take what the machine has left (see
# benchmarks/fairness.py), and the sums stay those of the same number of threads. And a new model's memory comes in pages of two megabytes where the system has them, which
# nearly halves the time of a streamed average.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from soup_core import callbacks
    from soup_core.analysis.calibration import calibrations
    from soup_core.analysis.cost import Cost, measured_cost
    from soup_core.analysis.face_off import RecipeResult, face_off
    from soup_core.analysis.interpolation import (
        Barrier,
        LinePoint,
        Plane,
        PlanePoint,
        error_barrier,
        line,
        plane_points,
        plane_through,
    )
    from soup_core.analysis.pairs import PairAdvantage
    from soup_core.analysis.preflight import Finding, diagnose, overall, preflight_checks
    from soup_core.errors import CheckpointError, CoefficientError, DataError, OutOfMemory, SoupError, ZooError
    from soup_core.evaluation import Comparison, Estimate, Evaluation, Evaluator, accuracy_interval, compare
    from soup_core.export import Export, export_soup, imported, title_of
    from soup_core.recipes import About
    from soup_core.recipes.ema import ema_soup
    from soup_core.recipes.ensemble import ensemble
    from soup_core.recipes.greedy import BandStep, GreedyStep, greedy_band, greedy_soup
    from soup_core.recipes.greedy_ensemble import greedy_ensemble
    from soup_core.recipes.lawa import lawa_soup
    from soup_core.recipes.learned import LearnedStep, learned_soup
    from soup_core.recipes.model_stock import model_stock_soup
    from soup_core.recipes.pruned import pruned_soup
    from soup_core.recipes.slerp import slerp_soup
    from soup_core.recipes.task_arithmetic import task_arithmetic_soup
    from soup_core.recipes.uniform import uniform_soup
    from soup_core.recipes.wise_ft import WiseStep, wise_ft
    from soup_core.runtime.devices import available_devices, available_precisions, resolve_device
    from soup_core.runtime.interruption import interruptible
    from soup_core.soup import Soup, interpolate, mix
    from soup_core.version import __version__ as __version__
    from soup_core.weight_space.averaging import inner_products, state_dict
    from soup_core.weight_space.bank import Bank, bank_size, memory_budget
    from soup_core.weight_space.gram import Gram, gram
    from soup_core.zoo import BASE, Excluded, Ingredient, Zoo, open_zoo, zoo_folders

__all__ = [
    "BASE",
    "About",
    "BandStep",
    "Bank",
    "Barrier",
    "CheckpointError",
    "CoefficientError",
    "Comparison",
    "Cost",
    "DataError",
    "Estimate",
    "Evaluation",
    "Evaluator",
    "Excluded",
    "Export",
    "Finding",
    "Gram",
    "GreedyStep",
    "Ingredient",
    "LearnedStep",
    "LinePoint",
    "OutOfMemory",
    "PairAdvantage",
    "Plane",
    "PlanePoint",
    "RecipeResult",
    "Soup",
    "SoupError",
    "WiseStep",
    "Zoo",
    "ZooError",
    "accuracy_interval",
    "available_devices",
    "available_precisions",
    "bank_size",
    "calibrations",
    "callbacks",
    "compare",
    "diagnose",
    "ema_soup",
    "ensemble",
    "error_barrier",
    "export_soup",
    "face_off",
    "gram",
    "greedy_band",
    "greedy_ensemble",
    "greedy_soup",
    "imported",
    "inner_products",
    "interpolate",
    "interruptible",
    "lawa_soup",
    "learned_soup",
    "line",
    "measured_cost",
    "memory_budget",
    "mix",
    "model_stock_soup",
    "open_zoo",
    "overall",
    "plane_points",
    "plane_through",
    "preflight_checks",
    "pruned_soup",
    "resolve_device",
    "slerp_soup",
    "state_dict",
    "task_arithmetic_soup",
    "title_of",
    "uniform_soup",
    "wise_ft",
    "zoo_folders",
]

# A module is imported when one of its names is first used (PEP 562): a page or a command then waits for what it uses, and
# `import soup_core` takes no time. Type checkers and the import contract read the imports above; a test compares them.
_NAMES = {
    "analysis.calibration": ("calibrations",),
    "analysis.cost": ("Cost", "measured_cost"),
    "analysis.face_off": ("RecipeResult", "face_off"),
    "analysis.interpolation": (
        "Barrier",
        "LinePoint",
        "Plane",
        "PlanePoint",
        "error_barrier",
        "line",
        "plane_points",
        "plane_through",
    ),
    "analysis.pairs": ("PairAdvantage",),
    "analysis.preflight": ("Finding", "diagnose", "overall", "preflight_checks"),
    "errors": ("CheckpointError", "CoefficientError", "DataError", "OutOfMemory", "SoupError", "ZooError"),
    "evaluation": ("Comparison", "Estimate", "Evaluation", "Evaluator", "accuracy_interval", "compare"),
    "export": ("Export", "export_soup", "imported", "title_of"),
    "recipes": ("About",),
    "recipes.ema": ("ema_soup",),
    "recipes.ensemble": ("ensemble",),
    "recipes.greedy": ("BandStep", "GreedyStep", "greedy_band", "greedy_soup"),
    "recipes.greedy_ensemble": ("greedy_ensemble",),
    "recipes.lawa": ("lawa_soup",),
    "recipes.learned": ("LearnedStep", "learned_soup"),
    "recipes.model_stock": ("model_stock_soup",),
    "recipes.pruned": ("pruned_soup",),
    "recipes.slerp": ("slerp_soup",),
    "recipes.task_arithmetic": ("task_arithmetic_soup",),
    "recipes.uniform": ("uniform_soup",),
    "recipes.wise_ft": ("WiseStep", "wise_ft"),
    "runtime.devices": ("available_devices", "available_precisions", "resolve_device"),
    "runtime.interruption": ("interruptible",),
    "soup": ("Soup", "interpolate", "mix"),
    "version": ("__version__",),
    "weight_space.averaging": ("inner_products", "state_dict"),
    "weight_space.bank": ("Bank", "bank_size", "memory_budget"),
    "weight_space.gram": ("Gram", "gram"),
    "zoo": ("BASE", "Excluded", "Ingredient", "Zoo", "open_zoo", "zoo_folders"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name from its module, or a room."""
        if name in _HOMES:
            globals()[name] = found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
            return found
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        """The public names."""
        return sorted({*globals(), *__all__})
