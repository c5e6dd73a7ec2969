"""The views of the Ingredients page, run by Streamlit's own test driver."""

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.shared import caching
from pages.views.ingredients import map as weights
from pages.views.ingredients.ablations import number_averaged
from pages.views.ingredients.ablations.hyperparameters import take_brushed
from pages.views.ingredients.selection import brushes, choose, toggle
from soup_core import charts, formatting
from soup_core.analysis.parallel_coordinates import HyperparameterTable, hyperparameter_table
from tests.app_pages import closes, meaning, metric, open_page, words
from tests.published_results import write_results
from tests.zoos import linears_around_zero, random_linears, write_zoo

INGREDIENTS = "pages/1_Ingredients.py"
HELD_OUT = "held-out (%)"
ABLATIONS = ("How many", "Leave one out", "Shapley", "Held-out size", "Hyperparameters")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    st.cache_resource.clear()
    return sc.open_zoo(write_zoo(tmp_path / "made", linears_around_zero(5)))


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs of the bundled zoo take minutes: none is started."""
    st.cache_resource.clear()
    monkeypatch.setattr("pages.shared.work.SMALL_GIGABYTES", 0.0)
    yield
    caching.jobs().close()
    st.cache_resource.clear()


@pytest.mark.parametrize(
    ("view", "further"),
    [
        ("Mix", {}),
        *(
            ("Map", {"map": kind, "pairs": pairs})
            for kind in ("PCA", "MDS")
            for pairs in ("Angles", "Distances", "Disagreement")
        ),
        *(("Ablations", {"ablation": name}) for name in ABLATIONS),
        ("Will it soup?", {}),
    ],
)
def test_a_view_draws_and_closes_with_its_sentence(view: str, further: dict[str, str], zoo: sc.Zoo) -> None:
    test = closes(open_page(INGREDIENTS, view=view, **further))
    assert not test.exception
    assert not test.error
    assert meaning(test).endswith(".**")
    assert metric(test, "Your soup") == charts.percent(sc.Evaluator(zoo)(sc.uniform_soup(zoo)))


@pytest.mark.parametrize("view", ["Map", "Will it soup?"])
def test_a_view_works_without_a_base(view: str, tmp_path: Path) -> None:
    st.cache_resource.clear()
    write_zoo(tmp_path / "made", random_linears(5))
    test = closes(open_page(INGREDIENTS, view=view))
    assert not test.exception
    assert not test.error
    assert "from the base" not in meaning(test)


@pytest.mark.usefixtures("no_jobs", "few_images")
@pytest.mark.parametrize(
    ("view", "further"),
    [
        ("Map", {"colour": "learning rate"}),
        ("Ablations", {"ablation": "Leave one out"}),
        ("Ablations", {"ablation": "Hyperparameters"}),
        ("Will it soup?", {}),
    ],
)
def test_a_view_of_the_bundled_zoo_closes_with_its_sentence(view: str, further: dict[str, str]) -> None:
    names = ["ft-01", "ft-02", "ft-03"]
    test = closes(open_page(INGREDIENTS, zoo="fashion", view=view, **{"in": names}, **further))
    assert not test.exception
    assert not test.error


@pytest.mark.parametrize(
    ("view", "ablation"),
    [("Mix", ""), ("Map", ""), *(("Ablations", name) for name in ABLATIONS), ("Will it soup?", "")],
)
@pytest.mark.parametrize("models", [1, 3])
@pytest.mark.parametrize("chosen", [0, 1])
def test_a_view_of_too_few_closes_with_its_sentence(
    view: str, ablation: str, models: int, chosen: int, tmp_path: Path
) -> None:
    st.cache_resource.clear()
    write_zoo(tmp_path / "made", random_linears(models))
    further = {"ablation": ablation} if ablation else {}
    test = open_page(INGREDIENTS, view=view, **{"in": ["m0"]}, **further)
    if not chosen:
        next(button for button in test.button if button.label == "None").click().run()
    closes(test)
    assert not test.exception
    assert not test.error
    assert meaning(test).endswith(".**")


@pytest.mark.parametrize(
    ("path", "button", "key"), [(INGREDIENTS, "None", "empty"), ("pages/2_Greedy.py", "Pause", "paused")]
)
def test_what_the_address_says_of_one_zoo_is_not_said_of_another(
    path: str, button: str, key: str, tmp_path: Path
) -> None:
    st.cache_resource.clear()
    for name in ("made", "other"):
        write_zoo(tmp_path / name, random_linears(3))
    test = open_page(path, zoo="made")
    next(each for each in test.button if each.label == button).click().run()
    assert key in test.query_params
    next(each for each in test.selectbox if each.key == "zoo").set_value("other").run()
    assert key not in test.query_params
    closes(test)
    assert "Nothing is in the soup" not in words(test)


def choices(test: AppTest) -> dict[str, object]:
    """What the page's controls say."""
    kinds = ("button_group", "selectbox", "number_input", "toggle", "multiselect", "slider")
    return {each.key: each.value for kind in kinds for each in test.get(kind)}


FORGOTTEN_AND_KEPT = [
    (INGREDIENTS, {"in": ["m1"], "best": "2", "colour": "learning rate", "pairs": "Distances"}, {"view": "Map", "map": "MDS"}),
    ("pages/2_Greedy.py", {"order": "shuffled", "seed": "5", "ties": "better or equal", "step": "2"}, {"speed": "slow"}),
    ("pages/2_Greedy.py", {"order": "given", "list": ["m2", "m1"]}, {"speed": "fast"}),
    ("pages/3_Interpolation.py", {"a": "m2", "b": "m0", "judged": "blur"}, {"view": "Line"}),
    ("pages/3_Interpolation.py", {"a": "m2", "b": "m0", "c": "m1"}, {"view": "Plane", "shown": "loss", "form": "landscape"}),
    ("pages/3_Interpolation.py", {"pairs": "2", "by": "learning rate"}, {"view": "Many pairs", "against": "better"}),
    ("pages/4_Learned.py", {"seed": "3"}, {"granularity": "model", "epochs": "7", "softmax_rate": "0.3"}),
    ("pages/5_Robustness.py", {"a": "m2", "b": "m1", "true": "1", "predicted": "2"}, {"view": "What changed"}),
    ("pages/6_Train.py", {"tuning_rate": "0.5", "tuning_epochs": "7", "augmentation": "none", "decay": "0.5"},
     {"mixup": "0.5", "smoothing": "0.25", "tuning_seed": "4"}),
    ("pages/6_Train.py", {"start": "m0"}, {"search": "random search", "runs": "5"}),
    ("app.py", {"published-hyperparameter": "aug"}, {"published-quantity": "test"}),
]  # fmt: skip


@pytest.mark.usefixtures("no_jobs")
@pytest.mark.parametrize(("path", "forgotten", "kept"), FORGOTTEN_AND_KEPT)
def test_choices_that_depend_on_the_zoo_are_forgotten_with_it(
    path: str, forgotten: dict[str, str | list[str]], kept: dict[str, str | list[str]], tmp_path: Path
) -> None:
    """The other zoo has the same names, so each choice could be made there too."""
    published = "published-quantity" in kept
    models = random_linears(3) if "start" in forgotten else linears_around_zero(3)
    for name in ("one", "other"):
        if published:
            write_results(tmp_path / name)
        else:
            file = write_zoo(tmp_path / name, models) / "zoo.toml"
            file.write_text(file.read_text().replace("learning_rate = 0.1", "learning_rate = 0.2", 1))
            data = safetensors.torch.load_file(file.with_name("data.safetensors"))
            shift = {f"shift.blur.{each}": data[f"test.{each}"].clone() for each in ("images", "labels")}
            safetensors.torch.save_file(data | shift, file.with_name("data.safetensors"))
    test = open_page(path, zoo="one", **forgotten, **kept)
    before = choices(test)
    assert set(forgotten) | set(kept) <= set(before)
    test.query_params = {"zoo": "one"}  # which a browser sends anew only when it loads the page
    next(each for each in test.selectbox if each.key == "zoo").set_value("other").run()
    assert not test.exception
    expected = choices(open_page(path, zoo="other", **kept))
    assert choices(test) == expected
    assert {key for key in forgotten if before[key] == expected.get(key)} == set(), "a default shows nothing"


def test_one_selection_is_seen_in_every_view(zoo: sc.Zoo) -> None:
    expected = charts.percent(sc.Evaluator(zoo)(sc.uniform_soup(zoo, ["m1", "m4"])))
    test = closes(open_page(INGREDIENTS, view="Will it soup?"))
    pills = test.get("button_group")[0]
    pills.set_value(["m1", "m4"]).run()
    assert metric(test, "Your soup") == expected
    assert "average of 2 " in meaning(test)
    for view in ("Map", "Mix", "Ablations", "Map"):
        test.get("button_group")[1].set_value([view]).run()
        assert metric(test, "Your soup") == expected
        assert test.session_state["in"] == ["m1", "m4"]


def test_the_map_tells_the_cores_distances_and_angles(zoo: sc.Zoo) -> None:
    told = meaning(closes(open_page(INGREDIENTS, view="Map")))
    vectors = {
        name: torch.cat([tensor.flatten().double() for _, tensor in sorted(files.items())]).numpy()
        for name, files in (
            (name, safetensors.torch.load_file(zoo.folder / f"{name}.safetensors")) for name in zoo.names
        )
    }  # the base is zero, so a model is its own difference from it
    soup = np.mean(list(vectors.values()), axis=0)
    lengths = [float(np.linalg.norm(vector)) for vector in vectors.values()]
    assert (
        f"lies {np.linalg.norm(soup):.2f} from the base, its ingredients {min(lengths):.2f} to {max(lengths):.2f}"
        in told
    )
    degrees = [
        float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))
        for a, b in combinations(vectors.values(), 2)
    ]
    assert f"{np.median(degrees):.1f}° in the middle, {min(degrees):.1f}° at least" in told
    centred = np.array(list(vectors.values())) - soup
    variances = np.linalg.svd(centred, compute_uv=False) ** 2
    assert f"shows {100 * variances[:2].sum() / variances.sum():.0f} % of the variance" in told


def test_disagreement_is_counted_image_by_image(zoo: sc.Zoo) -> None:
    told = meaning(closes(open_page(INGREDIENTS, view="Map", pairs="Disagreement")))
    held_out = sc.Evaluator(zoo)
    classes = {name: held_out.logits(sc.Soup({name: 1.0})).argmax(1) for name in zoo.names}
    shares = [100 * float((classes[a] != classes[b]).double().mean()) for a, b in combinations(zoo.names, 2)]
    assert f"{np.median(shares):.2f} % of images in the middle, {min(shares):.2f} % of images at least" in told


def test_leaving_one_out_tells_the_paired_difference(zoo: sc.Zoo) -> None:
    told = meaning(
        closes(open_page(INGREDIENTS, view="Ablations", ablation="Leave one out", **{"in": ["m0", "m2", "m3"]}))
    )
    held_out = sc.Evaluator(zoo)
    whole = held_out(sc.uniform_soup(zoo, ["m0", "m2", "m3"]))
    without = {
        name: sc.compare(held_out(sc.uniform_soup(zoo, [each for each in ("m0", "m2", "m3") if each != name])), whole)
        for name in ("m0", "m2", "m3")
    }
    missed = min(without, key=lambda name: (without[name].difference, name))
    assert f"Most missed is {missed}: {formatting.points(without[missed])}" in told


def test_shapley_values_add_up_to_the_whole(zoo: sc.Zoo) -> None:
    told = meaning(closes(open_page(INGREDIENTS, view="Ablations", ablation="Shapley")))
    held_out = sc.Evaluator(zoo)
    added = held_out(sc.uniform_soup(zoo)).accuracy - held_out(sc.Soup({"base": 1.0})).accuracy
    assert f"All 5 together add {100 * added:+.2f} points" in told


def test_a_soup_that_fails_is_explained_and_its_outlier_taken_out(tmp_path: Path) -> None:
    st.cache_resource.clear()
    models = random_linears(5, spread=0.2)
    models["m2"] = {key: -40 * value for key, value in models["m2"].items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", models))
    test = closes(open_page(INGREDIENTS, view="Will it soup?"))
    assert not test.exception
    assert "It does not soup" in meaning(test)
    assert "Why it fails" in words(test)
    rows = [str(part.value) for part in test.markdown if str(part.value).startswith(":material/")]
    assert len(rows) == len(set(rows)) > 5, "each finding once"
    sentences = [row.split("* ", 1)[1] for row in rows]
    assert not [told for told in sentences if told in "".join(str(part.value) for part in [*test.warning, *test.info])]
    assert "Without m2 it would be" in rows[0]
    next(button for button in test.button if button.label == "Take these out").click().run()
    assert test.session_state["in"] == ["m0", "m1", "m3", "m4"]
    closes(test)
    assert "It does not soup" not in meaning(test)
    assert "Why it fails" not in words(test)
    left = sc.uniform_soup(zoo, ["m0", "m1", "m3", "m4"])
    assert charts.percent(sc.Evaluator(zoo)(left)) in meaning(test)


def test_what_was_noticed_while_a_file_was_read_is_told_and_of_which(tmp_path: Path) -> None:
    st.cache_resource.clear()
    files = random_linears(3)
    files["m1"] = {f"module.{name}": tensor for name, tensor in files["m1"].items()}
    write_zoo(tmp_path / "made", files)
    said = words(closes(open_page(INGREDIENTS, view="Will it soup?")))
    assert formatting.plain("m1: module. was taken off the names of its tensors") in said


def test_a_file_replaced_in_a_folder_of_the_zoo_is_another_zoo(tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "made", random_linears(3))
    (folder / "run").mkdir()
    deeper = (folder / "m1.safetensors").rename(folder / "run" / "m1.safetensors")
    text = (folder / "zoo.toml").read_text()
    (folder / "zoo.toml").write_text(text.replace('"m1.safetensors"', '"run/m1.safetensors"'))
    before = caching.zoo_stamp(folder)
    assert caching.zoo_stamp(folder) == before
    deeper.write_bytes(deeper.read_bytes() + b" ")
    assert caching.zoo_stamp(folder) != before


class Clicked:
    """A session as callbacks see it."""

    def __init__(self, names: list[str]) -> None:
        self.session_state = {"in": names}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    made = Clicked(["m0", "m1"])
    monkeypatch.setattr("pages.views.ingredients.selection.st", made)
    return made.session_state


def points(*names: object) -> list[dict[str, object]]:
    return [*({"customdata": [name, "hover"]} for name in names), {"customdata": None}]


def test_choosing_and_toggling_keep_the_zoos_order(zoo: sc.Zoo, session: dict[str, list[str]]) -> None:
    choose(zoo, ["m3", "m1"])
    assert session["in"] == ["m1", "m3"]
    toggle(zoo, ["m3", "m0"])
    assert session["in"] == ["m0", "m1"]


def test_a_click_on_the_map_toggles_and_a_box_chooses(zoo: sc.Zoo, session: dict[str, list[str]]) -> None:
    weights.take(zoo, {"kind": "click", "points": points("m4")})
    assert session["in"] == ["m0", "m1", "m4"]
    weights.take(zoo, {"kind": "click", "points": points("greedy soup")})
    assert session["in"] == ["m0", "m1", "m4"]
    weights.take(zoo, {"kind": "select", "points": points("m3", 2, "m2", "base")})
    assert session["in"] == ["m2", "m3"]
    weights.take(zoo, {"kind": "select", "points": points("greedy soup")})
    assert session["in"] == ["m2", "m3"]


def test_a_click_on_the_curve_chooses_the_first_k_or_toggles_one(zoo: sc.Zoo, session: dict[str, list[str]]) -> None:
    def click(*carried: object) -> None:
        event = {"kind": "click", "points": [{"customdata": list(carried) or None}]}
        number_averaged.take_clicked(zoo, ["m3", "m4", "m2", "m0", "m1"], event)

    click("m2", "counts", 3)
    assert session["in"] == ["m2", "m3", "m4"]
    click("m4", "counts", "m4")
    assert session["in"] == ["m2", "m3"]
    click()
    assert session["in"] == ["m2", "m3"]


@pytest.fixture
def take_brushes(zoo: sc.Zoo) -> Callable[..., None]:
    """What the browser reports of brushes on some axes, by the axes' names."""
    table: HyperparameterTable = hyperparameter_table(zoo, sc.Evaluator(zoo))

    def take(**ranges: list[float]) -> None:
        dimensions = [{"name": axis.name, "label": axis.name, "range": ranges.get(axis.name)} for axis in table.axes]
        take_brushed(zoo, table, {"kind": "brush", "points": [], "dimensions": dimensions[::-1]})

    return take


def test_a_brush_becomes_the_selection_and_the_one_before_comes_back(
    zoo: sc.Zoo, session: dict[str, list[str]], take_brushes: Callable[..., None]
) -> None:
    accuracies = {name: 100 * sc.Evaluator(zoo)(sc.Soup({name: 1.0})).accuracy for name in zoo.names}
    lowest, _, middle, *_ = sorted(accuracies.values())
    assert brushes() is None
    take_brushes(**{HELD_OUT: [middle, 100.0]})
    high = [name for name in zoo.names if accuracies[name] >= middle]
    assert session["in"] == high
    drawn = brushes()
    assert drawn is not None
    assert drawn.ranges == {HELD_OUT: [middle, 100.0]}
    take_brushes(**{HELD_OUT: [[lowest, lowest], [middle, 100.0]]})
    assert session["in"] == [name for name in zoo.names if accuracies[name] in (lowest,) or name in high]
    take_brushes(**{HELD_OUT: [200.0, 300.0]})
    assert session["in"] == []
    take_brushes()
    assert session["in"] == ["m0", "m1"], "as before the first brush"
    assert brushes() is None


def test_brushes_apply_only_to_the_selection_that_they_made(
    zoo: sc.Zoo, session: dict[str, list[str]], take_brushes: Callable[..., None]
) -> None:
    take_brushes(**{HELD_OUT: [200.0, 300.0]})
    choose(zoo, ["m3"])
    assert brushes() is None
    take_brushes(**{HELD_OUT: [0.0, 100.0]})
    assert session["in"] == list(zoo.names)
    take_brushes()
    assert session["in"] == ["m3"], "what was there before this brush"
