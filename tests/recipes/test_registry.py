"""The registry of recipes: complete, checked, and read by everything that lists recipes."""

import importlib.util
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import streamlit as st

import soup_core as sc
from soup_core import charts, recipes
from soup_core.analysis.face_off import recipes_of
from soup_core.charts.style import RECIPE_MARKS, recipe_mark
from soup_core.jobs import Jobs, Task, tasks
from soup_core.recipes import RECIPES, Parameter, Recipe, one_of, table
from soup_core.runtime.store import default_store
from tests.app_pages import ROOT, open_page
from tests.zoos import random_linears, write_zoo

Make = Callable[..., Path]
METHODS = {path.stem for path in Path(recipes.__file__).parent.glob("*.py")} - {"__init__", "recipe", "table"}
FEW_BEST = '''
"""Few best: a made recipe, the average of the best few by their held-out accuracy."""

from soup_core.recipes import About, Parameter, Recipe
from soup_core.soup import Soup, uniform


def few_best(zoo, evaluate, *, alpha, count):
    order = sorted(zoo.names, key=lambda name: (-evaluate(Soup({name: 1.0})).correct, name))
    return uniform(order[:count])


RECIPE = Recipe(
    "few-best",
    About("Few best", "Nobody 2026", "https://example.org/few", "Averages the few best. It fails where all are bad."),
    few_best,
    parameters=(
        Parameter("alpha", "number", "Of no use", 0.25),
        Parameter("count", "integer", "How many of the best", 2, low=1),
    ),
)
'''


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe in a file of its own, and the line that registers it."""
    file = tmp_path / "few_best.py"
    file.write_text(FEW_BEST)
    spec = importlib.util.spec_from_file_location("few_best", file)
    assert spec is not None
    assert spec.loader is not None
    few_best: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(few_best)
    monkeypatch.setitem(RECIPES, few_best.RECIPE.key, few_best.RECIPE)
    recipe: Recipe = few_best.RECIPE
    return recipe


Run = Callable[..., tuple[int, str, str]]


def best_two(zoo: sc.Zoo) -> sc.Soup:
    evaluate = sc.Evaluator(zoo)
    correct = {name: evaluate(sc.Soup({name: 1.0})).correct for name in zoo.names}
    first, second, *_ = sorted(correct, key=lambda name: (-correct[name], name))
    return sc.Soup({first: 0.5, second: 0.5})


def test_every_method_is_registered_once_and_says_what_it_is() -> None:
    modules = {name: importlib.import_module(f"soup_core.recipes.{name}") for name in METHODS}
    assert {recipe.key for recipe in RECIPES.values()} == {name.replace("_", "-") for name in METHODS}
    for name, module in modules.items():
        recipe = RECIPES[name.replace("_", "-")]
        assert module.RECIPE is recipe
        assert (module.__doc__ or "").startswith(f"{recipe.about.name}: "), name
        assert recipe.about.link.startswith("https://")
        assert len({parameter.name for parameter in recipe.parameters}) == len(recipe.parameters)
        assert [each for each in recipe.parameters if each.default is not None and not each.accepts(each.default)] == []


def test_the_registry_runs_each_recipe_as_its_function_does(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", {"base": random_linears(1, 9)["m0"], **random_linears(7)}))
    evaluate = sc.Evaluator(zoo)
    expected: dict[str, tuple[dict[str, Any], sc.Soup]] = {
        "uniform": ({}, sc.uniform_soup(zoo)),
        "greedy": ({"order": ["m2", "m0", "m1"]}, [*sc.greedy_soup(zoo, evaluate, order=["m2", "m0", "m1"])][-1].soup),
        "pruned": ({"ties": True}, [*sc.pruned_soup(zoo, evaluate, ties=True)][-1].soup),
        "model-stock": ({}, sc.model_stock_soup(zoo, evaluate.store)),
        "wise-ft": (
            {"towards": sc.Soup({"m2": 1.0}).to_json()},
            [*sc.wise_ft(zoo, evaluate, towards=sc.Soup({"m2": 1.0}))][-1].soup,
        ),
        "slerp": ({"names": ["m1", "m2"]}, sc.slerp_soup(zoo, evaluate.store, "m1", "m2", alpha=0.5)),
        "task-arithmetic": ({}, sc.task_arithmetic_soup(zoo, scale=0.1)),
        "ema": ({}, sc.ema_soup(zoo)),
        "lawa": ({}, sc.lawa_soup(zoo)),
        "learned": ({"epochs": 1, "seed": 3}, [*sc.learned_soup(zoo, evaluate, epochs=1, seed=3)][-1].soup),
        "greedy-ensemble": ({"average": "logits"}, [*sc.greedy_ensemble(zoo, evaluate, average="logits")][-1].soup),
        "ensemble": ({"names": ["m0", "m3"]}, sc.uniform_soup(zoo, ["m0", "m3"])),
    }
    assert expected.keys() == RECIPES.keys()
    for key, (arguments, soup) in expected.items():
        assert RECIPES[key].soup(zoo, evaluate, **arguments) == soup, key


ANY = Parameter("x", "number", "")
SHARE = Parameter("x", "number", "", low=0, high=1)
COUNT = Parameter("x", "integer", "", low=1)
PAIR = Parameter("x", "pair", "")
VALUES: dict[str, tuple[Parameter, str, tuple[object, ...], tuple[object, ...]]] = {
    "number": (ANY, "a finite number", (-2, 0.5, 1e308), (math.nan, math.inf, 10**400, True, "1", None)),
    "share": (SHARE, "a finite number from 0 to 1", (0, 1, 0.3), (-0.001, 1.001)),
    "count": (COUNT, "a whole number of at least 1", (1, 10**6), (0, 1.0, True, "2")),
    "flag": (Parameter("x", "flag", ""), "true or false", (True, False), (0, 1, "yes")),
    "choice": (Parameter("x", "choice", "", choices=("a", "b", "c")), "a, b or c", ("a", "c"), ("d", "", None, 1)),
    "order": (
        Parameter("x", "order", ""),
        '"accuracy", "random:SEED" or names of ingredients',
        ("accuracy", ["m0", "m1"]),
        ([], [1], 3),
    ),
    "names": (Parameter("x", "names", ""), "the names of ingredients", (["m0"], ("m0", "m1", "m2")), ("m0", [], [0])),
    "pair": (PAIR, "the names of two ingredients", (["m0", "m1"],), (["m0"], ["m0", "m1", "m2"], "m0,m1")),
    "soup": (Parameter("x", "soup", ""), "a soup", (sc.Soup({"m0": 1.0}), '{"m0": 1.0}'), ({"m0": 1.0}, 1)),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_parameter_accepts_its_kind_within_its_range(case: str) -> None:
    parameter, expected, accepted, refused = VALUES[case]
    assert parameter.expected == expected
    assert [value for value in accepted if not parameter.accepts(value)] == []
    assert [value for value in refused if parameter.accepts(value)] == []


def test_arguments_that_are_none_are_refused_by_name() -> None:
    learned = RECIPES["learned"]
    assert learned.checked({"learning_rate": None}) == {
        "granularity": "tensor",
        "parameterization": "softmax",
        "epochs": 5,
        "seed": 0,
    }
    with pytest.raises(sc.CoefficientError, match=r"^The recipe ema has no parameter 'last'; its parameters: decay\.$"):
        RECIPES["ema"].checked({"last": 2})
    with pytest.raises(
        sc.CoefficientError, match=r"^The recipe learned takes as granularity model, layer or tensor; found 'atom'\.$"
    ):
        learned.checked({"granularity": "atom"})
    with pytest.raises(
        sc.CoefficientError, match=r"^The recipe slerp takes as names the names of two ingredients; found None\.$"
    ):
        RECIPES["slerp"].checked({})


def test_options_are_joined_as_one_says_them() -> None:
    assert [one_of(options) for options in (("a",), ("a", "b"), ("a", "b", "c"))] == ["a", "a or b", "a, b or c"]


def test_a_job_with_an_argument_that_is_none_fails_with_the_sentence(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    every = Jobs(default_store())
    for arguments, words in (({"rate": 1}, "has no parameter 'rate'"), ({"epochs": 0}, "whole number of at least 1")):
        progress = every.submit(Task("learned", zoo.name, arguments=arguments), zoo).wait(10)
        assert progress.state == "failed"
        assert words in progress.message


def test_every_recipe_is_run_as_the_table_says(run: Run, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "z", {"base": random_linears(1, 9)["m0"], **random_linears(3)})
    for recipe in RECIPES.values():
        name, *options = recipe.command_line.split()
        needed = ["--names", "m0,m1"] if recipe.key == "slerp" else []
        code, out, err = run(name, str(folder), *options, *needed, "--json")
        assert code == 0, err
        assert set(json.loads(out.splitlines()[-1])) == {"soup", "held_out", "test"}


def test_the_readme_holds_the_table_of_the_registry() -> None:
    text = (ROOT / "README.md").read_text()
    assert table.written(text) == text
    row = "| Model Stock | [Jang et al. 2024](https://arxiv.org/abs/2403.19522) | a base | `soup model-stock` |"
    assert row in text.splitlines()
    with pytest.raises(ValueError, match="end of recipes"):
        table.written(text.replace(table.END, ""))


def test_a_new_recipe_is_on_the_command_line(new: Recipe, run: Run, linear_zoo: Make) -> None:
    folder = linear_zoo(4)
    zoo = sc.open_zoo(folder)
    code, out, _ = run("soup", str(folder), "few-best", "--json")
    (row,) = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert sc.Soup.from_json(json.dumps(row["soup"])) == best_two(zoo)
    assert row["test"]["correct"] == sc.Evaluator(zoo, "test")(best_two(zoo)).correct
    assert len(json.loads(run("soup", str(folder), "few-best", "--count", "3", "--json")[1])["soup"]) == 3
    assert run("soup", str(folder), "few-best", "--count", "0")[0] == 2
    assert "task-arithmetic, ema, lawa or few-best; found 'stew'." in run("soup", str(folder), "stew")[2]


def test_a_new_recipe_is_in_the_help(new: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    code, out, _ = run("soup", "--help")
    assert code == 0
    assert "task-arithmetic, ema, lawa or few-best." in out
    assert "few-best: how many of the best. [default: 2]" in " ".join(out.split())
    assert "slerp: where between the two. few-best: of no use." in out


def test_recipes_that_share_an_option_keep_their_own_defaults(new: Recipe, run: Run, linear_zoo: Make) -> None:
    folder = linear_zoo(3)
    zoo = sc.open_zoo(folder)
    (row,) = (
        json.loads(line) for line in run("soup", str(folder), "slerp", "--names", "m0,m1", "--json")[1].splitlines()
    )
    assert sc.Soup.from_json(json.dumps(row["soup"])) == sc.slerp_soup(
        zoo, sc.Evaluator(zoo).store, "m0", "m1", alpha=0.5
    )


def test_a_new_recipe_is_among_the_tasks(new: Recipe, linear_zoo: Make) -> None:
    assert {*RECIPES, "band", "face-off", "finetune"} <= tasks().keys()
    zoo = sc.open_zoo(linear_zoo(4))
    progress = Jobs(default_store()).submit(Task("few-best", zoo.name, arguments={"count": 2}), zoo).wait(10)
    assert progress.state == "done"
    assert [step.soup for step in progress.steps] == [best_two(zoo)]


def test_a_new_recipe_is_compared_and_drawn(new: Recipe, linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo)
    entries = list(sc.face_off(zoo, evaluate))
    assert len(entries) == recipes_of(zoo)
    (entry,) = (entry for entry in entries if entry.recipe == "few-best")
    assert (entry.about, entry.soup, entry.held_out) == (new.about, best_two(zoo), evaluate(best_two(zoo)))
    figure = charts.cost_chart(entries, entries[0].test)
    (trace,) = (trace for trace in figure.data if trace.name == "Few best")
    assert trace.marker.symbol == recipe_mark("few-best").symbol
    assert trace.marker.symbol not in {mark.symbol for mark in RECIPE_MARKS.values()}
    assert trace.y[0] == pytest.approx(100 * sc.Evaluator(zoo, "test")(best_two(zoo)).accuracy)


def test_a_new_recipe_is_in_the_readmes_table(new: Recipe) -> None:
    assert table.table().splitlines()[-1] == (
        "| Few best | [Nobody 2026](https://example.org/few) |  | `soup few-best` |"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")
def test_a_new_recipe_is_told_on_home(new: Recipe, tmp_path: Path) -> None:
    st.cache_resource.clear()
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(4)))
    test = open_page("app.py")
    end = time.monotonic() + 30
    while not test.dataframe or len(test.dataframe[0].value) < recipes_of(zoo):
        assert time.monotonic() < end
        time.sleep(0.1)
        test.run()
    assert not test.exception
    assert "Few best" in list(test.dataframe[0].value["recipe"])
    text = "**Few best.** Averages the few best. It fails where all are bad. ([Nobody 2026](https://example.org/few))"
    assert text in [part.value for part in test.markdown]
