"""A link is the state: what is chosen on a page is chosen again, exactly, where its address is opened cold.

First by Streamlit's own test driver, many states a page; then a few in a real browser, and the other way about: chosen by
hand, and the address copied.
"""

import ast
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.shared import context, drawing, work
from soup_core import formatting
from soup_core.analysis import published
from soup_core.formatting import visible
from soup_core.presentation.scenes import Scene, to_link
from tests.e2e.driver import ROOT, WAIT, go_to
from tests.e2e.zoos import toml_string, write_fashion_zoo
from tests.published_results import HYPERPARAMETERS, write_results
from tests.zoos import CLASSES, SIDE, random_deeps, random_linears, write_zoo

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

State = dict[str, Any]
NAMES = ("a, b & c=d#e+f%20?", "ünïcodé 模型", "**b** [l](http://192.0.2.1) $x$ `y` :red[x]", "1", "0")
ALIKE = ("same name", "same\tname")  # they read the same
KEYS = ("learning_rate", "epochs", "a b", "a_b")
SHIFT = "blur, à 2"
FEW = 20  # images of a split, since links are about choices and not about what comes of them
RATES = ((1, 4), (2, 8), (3, 4), (4, 8), (4, 4), (2, 4), (1, 8))
FOLDERS = ("runs, ünï & **b**", "runs")


@dataclass(frozen=True)
class Choices:
    """What a zoo offers to choose among."""

    name: str
    names: tuple[str, ...]
    base: bool = True
    batch_norm: bool = False
    shifts: tuple[str, ...] = ()
    images: int = FEW
    classes: int = 10

    @property
    def shared_keys(self) -> tuple[str, ...]:
        """The hyperparameters in which some are alike."""
        return KEYS if len(self.names) > len({rate for rate, _ in RATES[: len(self.names)]}) else KEYS[1:]

    @property
    def options(self) -> list[str]:
        return [*self.names, *([sc.BASE] if self.base else []), context.UNIFORM, context.GREEDY]


ODD = Choices("odd, ünï", (*NAMES, *ALIKE), batch_norm=True, shifts=(SHIFT,), images=1100, classes=CLASSES)
BARE = Choices("bare", NAMES[:3], base=False, classes=CLASSES)
SERVED = Choices("served", NAMES)


def hyperparameters(count: int) -> list[str]:
    return [
        f'{{ learning_rate = {rate}, epochs = {epochs}, "a b" = {index % 2}, a_b = {index % 3 % 2} }}'
        for index, (rate, epochs) in enumerate(RATES[:count])
    ]


def write(folder: Path, zoo: Choices) -> None:
    """A zoo of models so small that a page is drawn at once."""
    count = len(zoo.names)
    files = random_deeps(count) if zoo.batch_norm else random_linears(count)
    write_zoo(folder / zoo.name, files, architecture="test_deep" if zoo.batch_norm else "test_linear")
    text = (folder / zoo.name / "zoo.toml").read_text()
    for index, (name, table) in enumerate(zip(zoo.names, hyperparameters(count), strict=True)):
        text = text.replace(f'name = "m{index}"', f"name = {toml_string(name)}").replace(
            "{ learning_rate = 0.1 }", table, 1
        )
    (folder / zoo.name / "zoo.toml").write_text(text)
    tensors = {}
    for split in ("held_out", "test", "train", *(f"shift.{shift}" for shift in zoo.shifts)):
        pixels = torch.randint(0, 256, (zoo.images, 1, SIDE, SIDE), dtype=torch.uint8)
        tensors |= {f"{split}.images": pixels, f"{split}.labels": pixels.flatten(1)[:, :CLASSES].float().argmax(1)}
    safetensors.torch.save_file(tensors, folder / zoo.name / "data.safetensors")


def write_sweeps(folder: Path) -> None:
    """Folders that can become a zoo, two of them of one name."""
    for sweep in (*FOLDERS, f"above/{FOLDERS[1]}"):
        (folder / sweep).mkdir(parents=True)
        torch.save({"weight": torch.ones(2, 2)}, folder / sweep / "run.pt")


# What can be chosen


def one(*options: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


def number(low: float, high: float) -> st.SearchStrategy[float]:
    """The ends, awkward ones, and any between."""
    awkward = [each for each in (1 / 3, 0.1 + 0.2, 1e-7, 0.0123456789, 2.5e-5) if low <= each <= high]
    return one(low, high, *awkward) | st.floats(low, high, allow_subnormal=False)


SEED = one(0, 1, 10_000) | st.integers(0, 10_000)


def home(zoo: Choices) -> st.SearchStrategy[State]:
    precisions = sc.available_precisions(sc.resolve_device("cpu"))
    return st.fixed_dictionaries(
        {"device": one("auto", "cpu"), "precision": one(*precisions), "memory": number(0.0, 4096.0)}
    )


@st.composite
def ingredients(draw: st.DrawFn, zoo: Choices) -> State:
    views = {
        "Mix": {},
        "Will it soup?": {},
        "Map": {
            "map": one("PCA", "MDS"),
            "pairs": one("Angles", "Distances", "Disagreement"),
            "colour": one("held-out accuracy (%)", *KEYS),
        },
        "Ablations": {"ablation": one("How many", "Leave one out", "Shapley", "Held-out size", "Hyperparameters")},
    }
    view = draw(one(*views))
    chosen = draw(st.lists(one(*zoo.names), unique=True) | st.just(list(zoo.names)))
    state = {"in": chosen, "view": view, "best": draw(st.integers(1, len(zoo.names)))}
    if chosen:
        state["test"] = draw(st.booleans())
    if zoo.batch_norm:
        state["batch_norm"] = draw(one("averaged", "re-estimated", "first"))
    return state | draw(st.fixed_dictionaries(views[view]))


@st.composite
def greedy(draw: st.DrawFn, zoo: Choices) -> State:
    state = {
        "order": draw(one("given", "shuffled", "accuracy")),
        "seed": draw(SEED),
        "ties": draw(one("better", "better or equal")),
        "speed": draw(one("fast", "normal", "slow")),
    }
    count = len(zoo.names)
    if state["order"] == "given":
        state["list"] = draw(st.lists(one(*zoo.names), unique=True, min_size=1))
        count = len(state["list"])
    else:
        state["band"] = draw(st.booleans())
    if count > 1:
        state["step"] = draw(st.integers(1, count))
    return state


@st.composite
def interpolation(draw: st.DrawFn, zoo: Choices) -> State:
    view, option = draw(one("Line", "Plane", "Many pairs")), one(*zoo.options)
    state = {"view": view}
    if view == "Many pairs":
        most = len(zoo.names) * (len(zoo.names) - 1) // 2
        return state | {
            "pairs": draw(st.integers(1, most)),
            "against": draw(one("mean", "better")),
            "by": draw(one("all that differ", *zoo.shared_keys)),
        }
    state |= {"a": draw(option), "b": draw(option)}
    if view == "Line":
        return state | {"judged": draw(one("held-out", *zoo.shifts))}
    if zoo.images > 1000:
        state["all"] = draw(st.booleans())
    return state | {"c": draw(option), "shown": draw(one("accuracy", "loss")), "form": draw(one("map", "landscape"))}


@st.composite
def learned(draw: st.DrawFn, zoo: Choices) -> State:
    kind = draw(one("softmax", "unconstrained"))
    return {
        "granularity": draw(one("model", "layer", "tensor")),
        "parameterization": kind,
        f"{kind}_rate": draw(number(0.0001, 1.0)),
        "epochs": draw(one(1, 100) | st.integers(1, 100)),
        "seed": draw(SEED),
    }


@st.composite
def robustness(draw: st.DrawFn, zoo: Choices) -> State:
    view = draw(one("What changed", "Figure", "Shifts", "Calibration", "Cost"))
    if view != "What changed":
        return {"view": view}
    classes = one("any", *map(str, range(zoo.classes)))
    return {
        "view": view,
        "a": draw(one(*zoo.options)),
        "b": draw(one(*zoo.options)),
        "true": draw(classes),
        "predicted": draw(classes),
    }


@st.composite
def train(draw: st.DrawFn, zoo: Choices) -> State:
    state = {"search": draw(one("one run", "random search")), "tuning_seed": draw(SEED)}
    if not zoo.base:
        state["start"] = draw(one(*zoo.names))
    if state["search"] == "random search":
        return state | {"runs": draw(st.integers(2, 64))}
    return state | {
        "tuning_rate": draw(number(0.0, 10.0)),
        "tuning_epochs": draw(one(1, 200) | st.integers(1, 200)),
        "augmentation": draw(one("none", "flip")),
        "mixup": draw(number(0.0, 2.0)),
        "smoothing": draw(number(0.0, 0.5)),
        "decay": draw(number(0.0, 10.0)),
    }


def add_a_zoo(zoo: Choices) -> st.SearchStrategy[State]:
    return st.fixed_dictionaries({"folder": one("1", "2", "3")})


# path: what can be chosen, how many states are tried by the driver, how many in a browser
TRIED: dict[str, tuple[Callable[[Choices], st.SearchStrategy[State]], int, int]] = {
    "app.py": (home, 5, 0),
    "pages/1_Ingredients.py": (ingredients, 12, 1),
    "pages/2_Greedy.py": (greedy, 15, 1),
    "pages/3_Interpolation.py": (interpolation, 12, 1),
    "pages/4_Learned.py": (learned, 10, 1),
    "pages/5_Robustness.py": (robustness, 8, 1),
    "pages/6_Train.py": (train, 10, 1),
    "pages/9_Add_a_zoo.py": (add_a_zoo, 3, 0),
}


TIMES = pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.soak)])


def examples(count: int) -> settings:
    kept = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=kept)


# By the driver

KINDS = ("button_group", "pills", "selectbox", "number_input", "toggle", "multiselect", "slider")


def opened(path: str, address: State, state: State | None = None) -> AppTest:
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    if path != "app.py":
        test.switch_page(path)
    test.query_params.update(address)
    for key, value in (state or {}).items():
        test.session_state[key] = value
    test.run()
    assert not test.exception
    return test


def values(test: AppTest) -> State:
    """Every choice on the page, and whether the greedy search is playing."""
    chosen = {each.key: each.value for kind in KINDS for each in test.get(kind)}
    return chosen | {key: test.session_state[key] for key in ("playing", "at", "brushes") if key in test.session_state}


def goes_round(path: str, address: State, state: State) -> dict[str, Any]:
    """Choose, take the address, open it in a new session: all is as it was, the address too; gives the address."""
    test = opened(path, address, state)
    seen = values(test)
    assert {key: seen.get(key) for key in state} == state
    link = test.query_params
    assert set(link) <= {"zoo", "paused", "empty", *address, *state}
    cold = opened(path, link)
    assert values(cold) == seen
    assert cold.query_params == link
    assert not [each.value for each in cold.warning if "address" in each.value]
    return dict(link)


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Controls are the same whether work has begun; here it does not."""
    monkeypatch.setattr(work, "job_of", lambda *_, **__: None)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write(folder, ODD)
    write(folder, BARE)
    write_sweeps(folder / "sweeps")
    write_results(folder / "paper")
    return folder


@pytest.fixture
def here(small: Path, no_jobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = (small, small / "sweeps", small / "sweeps" / "above")
    monkeypatch.setenv("SOUP_ZOOS", os.pathsep.join(map(str, folders)))


@TIMES
@pytest.mark.parametrize("path", TRIED)
def test_any_state_is_its_link(path: str, times: int, here: None) -> None:
    strategy, count, _ = TRIED[path]

    @examples(times * count)
    @given(one(ODD, BARE).flatmap(lambda zoo: st.tuples(st.just(zoo), strategy(zoo))))
    def check(drawn: tuple[Choices, State]) -> None:
        zoo, state = drawn
        playing = {"playing": False} if "step" in state else {}
        goes_round(path, {"zoo": zoo.name}, state | playing)

    check()


@examples(8)
@given(st.dictionaries(one(*ODD.options), st.integers(1, 9), min_size=1), one("a", "b"), number(0.0, 1.0))
def test_a_taken_mix_is_in_the_link(here: None, shares: dict[str, int], end: str, memory: float) -> None:
    mix = sc.Soup({name: share / sum(shares.values()) for name, share in shares.items()})
    address = {"zoo": ODD.name, "taken": mix.to_json()}
    link = goes_round("pages/3_Interpolation.py", address, {end: context.TAKEN, "memory": memory})
    assert link["taken"] == mix.to_json()


@examples(6)
@given(st.lists(one(*NAMES), min_size=2, max_size=2, unique=True), one(-0.2, 0.0, 0.25, 0.5, 1.0, 1.2))
def test_a_clicked_alpha_of_the_line_is_in_the_link(here: None, ends: list[str], alpha: float) -> None:
    state = {"a": ends[0], "b": ends[1], "at": ((ends[0], ends[1]), (alpha,))}
    link = goes_round("pages/3_Interpolation.py", {"zoo": ODD.name}, state)
    assert link["at"] == str(alpha)


@pytest.mark.parametrize("at", ["0.123", "nan", "1e300", "x", "", ["0.5", "0.5"]])
def test_an_alpha_that_is_not_on_the_line_is_none(here: None, at: str | list[str]) -> None:
    test = opened("pages/3_Interpolation.py", {"zoo": ODD.name, "at": at})
    assert "at" not in test.query_params
    assert "at" not in test.session_state


@pytest.mark.parametrize(
    ("brushes", "inside"),
    [
        ('{"learning_rate": [1.5, 3.5]}', lambda rate, epochs: rate in (2, 3)),
        (
            '{"learning_rate": [[0.5, 1.5], [2.5, 3.5]], "epochs": [3.0, 5.0]}',
            lambda rate, epochs: rate in (1, 3) and epochs == 4,
        ),
        ('{"learning_rate": [1.5]}', None),
        ('{"nobody": [1, 2]}', None),
        ("[" * 9999, None),
        ('{"epochs": ["x", "y"]}', None),
        ('{"epochs": [NaN, 5]}', None),
        ("[1, 2]", None),
    ],
)
def test_brushes_are_in_the_link(here: None, brushes: str, inside: Callable[[int, int], bool] | None) -> None:
    """Those that can be read; what they leave inside is the selection."""
    chosen = [name for name, each in zip(ODD.names, RATES, strict=True) if inside is None or inside(*each)]
    assert len({visible(name) for name in ODD.names}) == len(ODD.names) - 1
    label = formatting.labels(ODD.names)
    address = {
        "zoo": ODD.name,
        "view": "Ablations",
        "ablation": "Hyperparameters",
        "brushes": brushes,
        "in": [label(name) for name in chosen],
    }
    test = opened("pages/1_Ingredients.py", address)
    assert values(test)["in"] == chosen
    assert ("brushes" in test.query_params) == (inside is not None)
    if inside is not None:
        assert test.session_state["brushes"].ranges == json.loads(brushes)
        assert test.query_params == address


def test_a_zoo_of_larger_images_goes_round(no_jobs: None) -> None:
    """Which may be augmented in more ways than those of the other zoos here."""
    address = {"zoo": "five"}
    goes_round("pages/6_Train.py", address, {"tuning_rate": 1e-5, "augmentation": "flip+shift"})
    state = {"view": "Line", "a": "m3", "b": sc.BASE}
    assert goes_round("pages/3_Interpolation.py", address, state)["a"] == "m3"


@examples(6)
@given(one(*sorted({key for each in HYPERPARAMETERS.values() for key in each} - {"info"})), one(*published.QUANTITIES))
def test_a_view_of_published_results_is_in_the_link(here: None, hyperparameter: str, quantity: str) -> None:
    state = {"published-hyperparameter": hyperparameter, "published-quantity": quantity}
    goes_round("app.py", {"zoo": "paper"}, state)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)
SCENE = st.builds(
    Scene,
    page=one("Home", "Greedy", "Interpolation"),
    title=TEXT,
    note=TEXT,
    state=st.dictionaries(TEXT, st.tuples(TEXT)),
    pinned=one((), ("step",)),
)


@examples(6)
@given(st.lists(SCENE, min_size=1, max_size=4), st.data())
def test_scenes_and_the_one_that_is_shown_are_in_the_link(here: None, scenes: list[Scene], data: st.DataObject) -> None:
    link = {"zoo": BARE.name, "scenes": to_link(scenes)}
    for test in (edited := opened("pages/8_Present.py", link), opened("pages/8_Present.py", edited.query_params)):
        assert [each.value for each in test.text_input] == [scene.title for scene in scenes]
        assert [each.value for each in test.text_area] == [scene.note for scene in scenes]
        assert test.query_params == link
    number = data.draw(st.integers(1, len(scenes)))
    shown = {**link, "present": "1", "scene": str(number)}
    test = opened("pages/2_Greedy.py" if scenes[number - 1].page == "Greedy" else "pages/6_Train.py", shown)
    if scenes[number - 1].page == "Greedy":
        assert test.title[0].value == formatting.plain(scenes[number - 1].title)
        assert {key: test.query_params[key] for key in shown} == shown


@pytest.mark.parametrize("lesson", ["Strangers", "The line"])
def test_a_lesson_and_its_answers_are_in_the_link(here: None, lesson: str) -> None:
    link = {"lesson": lesson, "answered": json.dumps({"line": [0, 60, 70, 80]}, separators=(",", ":"))}
    test = opened("pages/7_Learn.py", link)
    again = opened("pages/7_Learn.py", test.query_params)
    assert {key: test.query_params[key] for key in link} == link
    assert again.query_params == test.query_params
    assert values(again) == values(test)
    assert [each.value for each in again.markdown] == [each.value for each in test.markdown]


def test_a_search_held_at_its_first_step_stays_there(here: None) -> None:
    address = {"zoo": ODD.name}
    link = goes_round("pages/2_Greedy.py", address, {"step": 1, "playing": False})
    assert link == {"zoo": ODD.name, "paused": "true"}
    test = opened("pages/2_Greedy.py", link)
    next(button for button in test.button if button.label == "Play").click().run()
    assert test.session_state["playing"]
    assert "paused" not in test.query_params


CHOSEN = {
    "pages/1_Ingredients.py": {"view": "Map", "test": "true", "map": "MDS", "in": "1"},
    "pages/2_Greedy.py": {"order": "shuffled", "seed": "5", "step": "3"},
    "pages/3_Interpolation.py": {"view": "Plane", "a": "1", "b": "0", "shown": "loss"},
    "pages/4_Learned.py": {"seed": "3"},
    "pages/5_Robustness.py": {"view": "What changed", "a": "0"},
}


@pytest.mark.parametrize("second", CHOSEN)
@pytest.mark.parametrize("first", CHOSEN)
def test_after_a_change_of_page_the_link_is_the_state(first: str, second: str, here: None) -> None:
    test = opened(first, {"zoo": ODD.name, **CHOSEN[first]})
    if first != second:
        test.switch_page(second).query_params = {"zoo": ODD.name}  # a browser takes the others out
        test.run()
    if second == "pages/3_Interpolation.py":
        next(each for each in test.get("button_group") if each.key == "view").set_value("Plane").run()
        test.query_params["view"] = "Plane"  # which a browser does
    assert not test.exception
    cold = opened(second, test.query_params)
    assert values(cold) | {"playing": None} == values(test) | {"playing": None}
    assert cold.query_params == test.query_params


def test_which_pairs_the_map_shows_is_not_how_many_interpolation_draws(here: None) -> None:
    """Both are called `pairs` in the address of their pages."""
    test = opened("pages/1_Ingredients.py", {"zoo": ODD.name, "view": "Map", "pairs": "Distances"})
    next(each for each in test.get("button_group") if each.key == "view").set_value("Mix").run()
    test.switch_page("pages/3_Interpolation.py").query_params = {"zoo": ODD.name}  # a browser takes the others out
    test.run()
    next(each for each in test.get("button_group") if each.key == "view").set_value("Many pairs").run()
    assert not test.exception
    assert values(test)["pairs"] == len(ODD.names) * (len(ODD.names) - 1) // 2


def test_the_address_to_share_holds_all_of_a_selection(here: None) -> None:
    test = opened("pages/1_Ingredients.py", {"zoo": ODD.name, "in": ["1", "0"]})
    (shared_address,) = [each.value for each in test.sidebar.code if "?" in each.value]
    assert parse_qs(urlsplit(shared_address).query) == {"zoo": [ODD.name], "in": ["1", "0"]}


REASONS = {  # why a widget is not in the address
    "export:test": "a field of the form that makes a file",
    "folder-path": "a folder of this machine, which is no one else's to know",
    "folder-code": "good once",
    "upload:gone": "names uploads, which the session alone has, to be taken away",
    "gone": "names additions to be removed",
    'f"recipe-': "a file",
    "key": "a file, in this view and that of uploads; the table's rows are those of `in`",
    'f"{key}:': "a field of a form, of zoo.toml or of a scene",
    'f"{proposal.folder}:': "a field of the form of a zoo.toml",
    'f"go-{job.key}"': "a button",
    'f"stop-{job.key}"': "a button",
    'f"export:{label}"': "a button",
    'f"csv:{name}"': "a button",
    'f"{where}-{finding.what}"': "a button",
}
CHOOSERS = {
    "selectbox",
    "number_input",
    "segmented_control",
    "pills",
    "toggle",
    "checkbox",
    "slider",
    "multiselect",
    "text_input",
    "text_area",
    "radio",
    "select_slider",
    "data_editor",
    "date_input",
    "color_picker",
}


def test_every_choice_is_in_the_address_or_has_a_reason() -> None:
    bound, unbound = set(), set()
    for file in (ROOT / "app.py", *(ROOT / "pages").rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CHOOSERS:
                given = {each.arg: ast.unparse(each.value) for each in call.keywords}
                assert "bind" not in given, f"{file.name}:{call.lineno} is not declared by address.bound"
                if given.get(None, "").startswith("address.bound("):
                    bound.add(given[None])
                    continue
                assert "key" in given, f"{file.name}:{call.lineno} has no key"
                unbound.add(given["key"].removeprefix("address.of_zoo(").removesuffix(")").strip("'\""))
    assert "address.bound('in', of_zoo=True)" in bound
    for key in unbound:
        assert any(key.replace("'", '"').startswith(each) for each in REASONS), f"{key} is not in the address"


# In a browser

READ = """() => Object.fromEntries([...document.querySelectorAll('[class*="st-key-"]')].map(each => {
  const key = [...each.classList].find(name => name.startsWith('st-key-')).slice(7);
  const all = query => [...each.querySelectorAll(query)].filter(node => !node.closest('template'));
  const texts = nodes => nodes.map(node => node.innerText), on = (nodes, what) => nodes.filter(node => node.getAttribute(what) == 'true');
  const value = all('[data-testid=stMultiSelect]').length ? texts(all('[data-tag]'))
    : all('[role=radio]').length ? texts(on(all('[role=radio]'), 'aria-checked')).join()
    : all('[aria-pressed]').length ? texts(on(all('[aria-pressed]'), 'aria-pressed'))
    : all('[role=combobox]').length ? all('[role=combobox]')[0].value
    : all('input[type=checkbox]').length ? all('input[type=checkbox]')[0].checked
    : all('input[type=number], input[type=range]').length ? Number(all('input[type=number], input[type=range]')[0].value)
    : null;
  return [key, value];
}).filter(([_, value]) => value !== null))"""
FORMATS = {
    "memory": "%.2f",
    "softmax_rate": "%.4f",
    "unconstrained_rate": "%.4f",
    "tuning_rate": "%.3g",
    "decay": "%.3g",
    "mixup": "%.2f",
    "smoothing": "%.2f",
}


def read(page: Page) -> State:
    """Every choice that the page shows; joiners that keep addresses from becoming links are not seen."""
    state: State = json.loads(json.dumps(page.evaluate(READ), ensure_ascii=False).replace("\u2060", ""))
    return state


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True)


def as_shown(zoo: Choices, key: str, value: Any) -> Any:
    match key, value:
        case "in", _:
            return [visible(name) for name in zoo.names if name in value]
        case "list", _:
            return [visible(name) for name in value]
        case "folder", _:
            return ("above", FOLDERS[1], FOLDERS[0])[int(value) - 1]
        case (("colour" | "by"), _):
            return formatting.labels(["", *KEYS], drawing.spaced)(value)
        case _, float():
            return float(FORMATS[key] % value)
    return value


@pytest.fixture(scope="module")
def served(zoos: Path) -> Iterator[None]:
    """Two zoos of the shared server, and folders that can become some."""
    write_fashion_zoo(zoos / SERVED.name, NAMES, hyperparameters(len(NAMES)), images=FEW)
    write_fashion_zoo(zoos / "other", (NAMES[0], NAMES[3], "new"), hyperparameters(3), images=FEW)
    write_sweeps(zoos)
    yield
    for folder in (SERVED.name, "other", *FOLDERS, "above"):
        shutil.rmtree(zoos / folder)


@pytest.fixture
def cold(served: None, page: Page) -> Callable[[str], Page]:
    """Opens an address, in a session that has seen nothing."""
    page.set_viewport_size({"width": 1280, "height": 1700})

    def open_at(url: str) -> Page:
        page.goto("about:blank")
        page.goto(url)
        at_rest(page)
        return page

    return open_at


def at_rest(page: Page) -> None:
    """Wait until what the page shows and its address stay as they are."""
    page.wait_for_selector('[data-testid="stSidebar"] .st-key-zoo input', state="attached")
    last, since, end = None, time.monotonic(), time.monotonic() + WAIT / 1000
    while time.monotonic() - since < 0.4:
        assert time.monotonic() < end, "the page does not come to rest"
        page.wait_for_timeout(100)
        now = read(page), page.url, page.get_attribute('[data-testid="stApp"]', "data-test-script-state")
        if now != last or now[2] != "notRunning":
            last, since = now, time.monotonic()


@TIMES
@pytest.mark.parametrize("path", [path for path, (_, _, count) in TRIED.items() if count])
def test_a_link_opened_cold_shows_the_state(
    path: str, times: int, address: str, cold: Callable[[str], Page], no_jobs: None
) -> None:
    strategy, _, count = TRIED[path]
    name = Path(path).stem.partition("_")[2]

    @examples(times * count)
    @given(strategy(SERVED))
    def check(state: State) -> None:
        playing = {"playing": False} if "step" in state else {}
        link = opened(path, {"zoo": SERVED.name}, state | playing).query_params
        page = cold(f"{address}/{name}?{urlencode(link, doseq=True)}")
        shown = read(page)
        assert {key: shown.get(key) for key in state} == {key: as_shown(SERVED, key, state[key]) for key in state}
        assert query(page) == parse_qs(urlencode(link, doseq=True), keep_blank_values=True)

    check()


def settled_script(page: Page) -> None:
    page.wait_for_timeout(100)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def pick(page: Page, key: str, text: str) -> None:
    page.locator(f".st-key-{key}").get_by_role("radio", name=text, exact=True).click()


def press(page: Page, key: str, index: int) -> None:
    page.locator(f".st-key-{key} [aria-pressed]").nth(index).click()


def choose(page: Page, key: str, text: str) -> None:
    page.locator(f".st-key-{key} [role=combobox]").click()
    page.get_by_role("option", name=text, exact=True).click()
    page.keyboard.press("Escape")


def fill(page: Page, key: str, text: str) -> None:
    page.locator(f".st-key-{key} input").fill(text)
    page.keyboard.press("Enter")


def switch(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} label").first.click()


def slide(page: Page, key: str, to: str) -> None:
    page.locator(f".st-key-{key} input").focus()
    page.keyboard.press(to)


def computing(page: Page) -> None:
    page.get_by_text("Computing", exact=True).click()


def press_button(page: Page, text: str) -> None:
    page.get_by_role("button", name=text, exact=True).click()


def go_on(page: Page, label: str) -> None:
    at_rest(page)
    go_to(page, label)


BY_HAND: dict[str, list[tuple[Any, ...]]] = {
    "": [(computing,), (choose, "device", "cpu"), (fill, "memory", "0.125")],
    "Ingredients": [
        (press, "in", 1),
        (press, "in", 0),
        (press, "in", 1),
        (fill, "best", "2"),
        (pick, "view", "Map"),
        (pick, "map", "MDS"),
        (choose, "colour", "a b (2)"),
        (pick, "pairs", "Distances"),
        (switch, "test"),
    ],
    "Ingredients?view=Map&map=MDS&pairs=Distances": [
        (press_button, "None"),
        (pick, "map", "PCA"),
        (pick, "view", "Mix"),
        (pick, "view", "Map"),
    ],
    "Greedy": [
        (pick, "order", "given"),
        (choose, "list", NAMES[4]),
        (choose, "list", NAMES[3]),
        (pick, "speed", "slow"),
        (pick, "ties", "better or equal"),
        (press_button, "Pause"),
        (slide, "step", "End"),
        (press_button, "Back"),
        (slide, "step", "Home"),
    ],
    "Greedy?step=2&order=shuffled&seed=5": [(fill, "seed", "7"), (pick, "speed", "fast")],
    "Interpolation": [
        (choose, "a", NAMES[2]),
        (choose, "b", sc.BASE),
        (pick, "view", "Plane"),
        (choose, "c", NAMES[0]),
        (pick, "shown", "loss"),
    ],
    "Learned": [
        (pick, "granularity", "model"),
        (fill, "epochs", "1"),
        (pick, "parameterization", "unconstrained"),
        (fill, "unconstrained_rate", "0.01234567"),
        (fill, "seed", "3"),
        (switch, "test"),
    ],
    "Robustness": [
        (pick, "view", "What changed"),
        (choose, "a", NAMES[1]),
        (choose, "true", "3"),
        (choose, "predicted", "0"),
    ],
    "Train": [
        (fill, "tuning_rate", "0.00123456"),
        (fill, "decay", "1e-7"),
        (fill, "mixup", "0.35"),
        (choose, "augmentation", "none"),
    ],
    "Add_a_zoo": [(choose, "folder", FOLDERS[1])],
    "Ingredients?view=Map": [(go_on, "Robustness"), (go_on, "Interpolation"), (pick, "view", "Plane")],
    "Interpolation?view=Plane": [(go_on, "Robustness")],
    "Ingredients?zoo=served&view=Map&colour=epochs&in=1&in=0": [(choose, "zoo", "other")],
    "Train?zoo=fashion&tuning_rate=0.5": [(go_on, "Add a zoo"), (go_on, "Train")],
}


# What `make soak` does by hand besides: changes of a page that others here make too, or a single choice.
OTHERS = (
    "Ingredients?view=Map",
    "Ingredients?view=Map&map=MDS&pairs=Distances",
    "Greedy",
    "Learned",
    "Robustness",
    "Add_a_zoo",
    "Interpolation?view=Plane",
    "Train?zoo=fashion&tuning_rate=0.5",
)
HURRIED = ("Ingredients", "Greedy?step=2&order=shuffled&seed=5", "Interpolation", "Train")


@pytest.mark.parametrize(
    "start", [pytest.param(start, marks=[pytest.mark.soak] if start in OTHERS else []) for start in BY_HAND]
)
def test_what_is_chosen_by_hand_is_in_the_address(start: str, address: str, cold: Callable[[str], Page]) -> None:
    """Hurried, each click comes before the page has answered the last."""
    zoo = "" if "zoo=" in start else f"{'&' if '?' in start else '?'}zoo={SERVED.name}"
    page = cold(f"{address}/{start}{zoo}")
    for act, *arguments in BY_HAND[start]:
        act(page, *arguments)
        if start not in HURRIED:
            settled_script(page)
    at_rest(page)
    shown, link, parameters = read(page), page.url, query(page)
    again = cold(link)
    assert read(again) == shown
    assert query(again) == parameters
