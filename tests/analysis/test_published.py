"""Published results: made folders of that format always; the paper's own files in the folder SOUP_PUBLISHED_RESULTS."""

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from streamlit.testing.v1 import AppTest

import soup_core as sc
from soup_core.analysis.published import (
    HELD_OUT,
    IMAGES,
    MEAN_OF_SHIFTS,
    SELECTION_GAP,
    SHIFTS,
    TEST,
    PublishedModel,
    Results,
    Score,
    correlation,
    estimate,
    in_order,
    is_results_folder,
    open_results,
    rank_correlation,
    relative_drop,
    report,
)
from soup_core.charts.published import drop_points, hyperparameter_points, robustness_scatter
from tests.patience import PATIENCE
from tests.published_results import COUNTS, HYPERPARAMETERS, SOUPS, TOTALS, TWIN, drawn_sweep, line, write_results

PAPER = os.environ.get("SOUP_PUBLISHED_RESULTS", "")
needs_paper = pytest.mark.skipif(not PAPER, reason="SOUP_PUBLISHED_RESULTS names no folder of published results")
Z = 1.959963984540054  # of a 95 % interval
driver = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_results(tmp_path / "made")


def model(counts: tuple[int, ...], totals: tuple[int, ...] = TOTALS) -> PublishedModel:
    scores = {key: Score(count / total, total) for key, count, total in zip(IMAGES, counts, totals, strict=True)}
    return PublishedModel("made", "ingredient", scores, {})


def wilson(correct: int, total: int) -> tuple[float, float]:
    middle = (correct + Z * Z / 2) / (total + Z * Z)
    reach = Z / (total + Z * Z) * math.sqrt(correct * (total - correct) / total + Z * Z / 4)
    return middle - reach, middle + reach


def test_the_sets_and_their_images_are_the_published_ones() -> None:
    assert tuple(IMAGES.values()) == TOTALS
    assert tuple(SHIFTS) == ("ImageNetV2", "ImageNetSketch", "ImageNetR", "ObjectNet", "ImageNetA")


def test_counts_come_back_and_models_have_their_place(folder: Path) -> None:
    results = open_results(folder)
    assert [each.name for each in results.models] == ["a <b>x</b>", "b_twin", "c_twin", "d"]
    assert results.base is not None
    assert (results.base.name, results.base.kind) == ("start", "base")
    assert [(each.name, each.kind) for each in results.soups] == [
        ("uniform_soup", "uniform"),
        ("greedy_soup", "greedy"),
        ("ensemble", "ensemble"),
    ]
    for each in (*results.models, results.base, *results.soups):
        assert tuple(score.correct for score in each.scores.values()) == (COUNTS | SOUPS)[each.name]
        assert all(score.is_count for score in each.scores.values())
    assert [each.name for each in results.ranking] == ["a <b>x</b>", "d", "b_twin", "c_twin"]
    assert results.hyperparameters == ("lr", "aug")


@given(st.sampled_from(TOTALS), st.data())
def test_every_count_is_recovered_from_its_fraction(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    score = Score(count / total, total)
    assert (score.correct, score.is_count) == (count, True)
    assert Score(min(count, total - 1) / total + 0.4 / total, total).is_count is False


def test_accuracies_that_are_no_counts_are_named_and_kept(tmp_path: Path) -> None:
    counts: dict[str, tuple[float, ...]] = dict(COUNTS)
    counts["d"] = (*COUNTS["d"][:5], 7_300.37, 1_600)
    results = open_results(write_results(tmp_path / "means", counts))
    told = [notice for notice in results.notices if "whole number" in notice]
    assert len(told) == 1
    assert told[0].startswith("ObjectNet: 1 of 8 ")
    assert "d: 7,300.370" in told[0]
    assert results.models[3].scores["ObjectNet"].accuracy == 7_300.37 / 18_574


def test_the_initialization_and_the_twins_are_told(folder: Path) -> None:
    notices = open_results(folder).notices
    assert len(notices) == 2
    assert "start is the initialization (made-up start)" in notices[0]
    assert "uniform soup averages it too" in notices[0]
    assert notices[1].startswith("b_twin and c_twin have equal results")


def test_equal_results_of_other_hyperparameters_are_no_twins(folder: Path) -> None:
    others = HYPERPARAMETERS | {"c_twin": {**TWIN, "lr": 2e-5}}
    (folder / "hparam_info.json").write_text(json.dumps(others))
    assert len(open_results(folder).notices) == 1


def test_without_a_base_or_soups_the_models_stand_alone(folder: Path) -> None:
    (folder / "hparam_info.json").write_text(json.dumps(HYPERPARAMETERS | {"start": {"lr": 1.0, "aug": None}}))
    for name in SOUPS:
        (folder / f"{name}_results.jsonl").unlink()
    results = open_results(folder)
    assert (results.base, results.soups, len(results.models)) == (None, (), 5)
    assert [
        row for row in report(results) if row.get("kind") != "ingredient" and "model" in row and "kind" in row
    ] == []


def broken(folder: Path, file: str, content: str | bytes) -> str:
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(sc.ZooError, match=rf"{folder.name}/{re.escape(file)}") as raised:
        open_results(folder)
    return str(raised.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ObjectNet": 42.3}, ["key ObjectNet", "less than or equal to 1", "42.3"]),
        ({"ObjectNet": -0.1}, ["key ObjectNet", "greater than or equal to 0", "-0.1"]),
        ({"ImageNet": float("nan")}, ["key ImageNet", "finite", "nan"]),
        ({"ImageNet": "0.7"}, ["key ImageNet", "number", "'0.7'"]),
        ({"ImageNet": None}, ["key ImageNet", "number", "None"]),
        ({"ImageNetC": 0.5}, ["key ImageNetC", "not permitted", "0.5"]),
        ({"model_name": ""}, ["key model_name", "at least 1 character"]),
        ({"model_name": "start"}, ["key model_name", "a name of its own", "'start'", "line 1"]),
    ],
)
def test_a_wrong_value_is_named_with_its_file_line_and_key(
    folder: Path, change: dict[str, Any], said: list[str]
) -> None:
    lines = [json.dumps(line("start", COUNTS["start"])), json.dumps(line("d", COUNTS["d"]) | change)]
    message = broken(folder, "individual_model_results.jsonl", "\n".join(lines))
    for words in ["made/individual_model_results.jsonl, line 2", *said]:
        assert words in message


def test_a_lacking_key_and_a_torn_line_are_named(folder: Path) -> None:
    lacking = line("d", COUNTS["d"])
    del lacking["ImageNetR"]
    first = json.dumps(line("start", COUNTS["start"]))
    message = broken(folder, "individual_model_results.jsonl", f"{first}\n\n{json.dumps(lacking)}")
    assert "line 3, key ImageNetR: Field required" in message
    assert "line 2: Invalid JSON" in broken(folder, "individual_model_results.jsonl", f"{first}\n{first[:40]}")
    assert "line 1: " in broken(folder, "individual_model_results.jsonl", b'{"model_name": "\xff\xfe"}')
    assert "at least one line of results; found 0" in broken(folder, "individual_model_results.jsonl", "\n")
    (folder / "individual_model_results.jsonl").unlink()
    with pytest.raises(sc.ZooError, match=r"individual_model_results\.jsonl cannot be read"):
        open_results(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", ["should be an object", "found [1]"]),
        ("{", ["Invalid JSON"]),
        ({**HYPERPARAMETERS, "d": 3}, ["key d", "found 3"]),
        ({**HYPERPARAMETERS, "d": {"lr": [1]}}, ["key d.lr", "a finite number", "found [1]"]),
        ({**HYPERPARAMETERS, "d": {"lr": float("inf")}}, ["key d.lr", "a finite number", "found inf"]),
        ({**HYPERPARAMETERS, "e": {}}, ["key e", "only in hparam_info.json"]),
        ({"start": {"info": "x"}}, ["key a <b>x</b>", "only in individual_model_results.jsonl"]),
        ({**HYPERPARAMETERS, "d": {"info": "y"}}, ["key info", "start, d"]),
    ],
)
def test_wrong_hyperparameters_are_named(folder: Path, content: object, said: list[str]) -> None:
    message = broken(folder, "hparam_info.json", content if isinstance(content, str) else json.dumps(content))
    for words in ["made/hparam_info.json", *said]:
        assert words in message


def test_a_soups_file_holds_one_line(folder: Path) -> None:
    both = "\n".join(json.dumps(line(name, found)) for name, found in SOUPS.items())
    assert "expected 1 line of results; found 3" in broken(folder, "greedy_soup_results.jsonl", both)


def test_a_results_folder_is_known_by_its_file(folder: Path, tmp_path: Path) -> None:
    assert is_results_folder(folder)
    assert not is_results_folder(tmp_path)
    assert not is_results_folder(tmp_path / "nowhere")


def test_an_accuracys_interval_is_wilsons() -> None:
    ours = model(COUNTS["d"])
    found = estimate(ours, TEST)
    assert found.value == COUNTS["d"][1] / 50_000
    assert (found.low, found.high) == pytest.approx(wilson(COUNTS["d"][1], 50_000), abs=1e-12)


def test_an_unpaired_difference_has_newcombes_interval() -> None:
    # Newcombe 1998, table II, method 10: 56 of 70 against 48 of 80.
    ours = model((56, 56, 0, 0, 0, 0, 0), (70, 70, 1, 1, 1, 1, 1))
    theirs = model((48, 48, 0, 0, 0, 0, 0), (80, 80, 1, 1, 1, 1, 1))
    found = estimate(ours, TEST, against=theirs)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    back = estimate(theirs, TEST, against=ours)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_the_selection_gap_is_the_held_out_gain_less_the_test_gain() -> None:
    ours, best = model(SOUPS["greedy_soup"]), model(COUNTS["a <b>x</b>"])
    gains = [estimate(ours, quantity, against=best) for quantity in (HELD_OUT, TEST)]
    gap = estimate(ours, SELECTION_GAP, against=best)
    assert gap.value == pytest.approx(300 / 26_000 - 400 / 50_000)
    below = math.hypot(gains[0].value - gains[0].low, gains[1].high - gains[1].value)
    assert gap.value - gap.low == pytest.approx(below)


def test_the_mean_of_shifts_is_covered_nineteen_times_in_twenty() -> None:
    totals, truth = (100, 100, 200, 300, 150, 250, 120), np.array([0.6, 0.45, 0.6, 0.4, 0.25])
    random, hits, draws = np.random.default_rng(0), 0, 600
    for _ in range(draws):
        counts = (60, 70, *(int(count) for count in random.binomial(totals[2:], truth)))
        found = estimate(model(counts, totals), MEAN_OF_SHIFTS)
        assert found.value == pytest.approx(np.mean([c / n for c, n in zip(counts[2:], totals[2:], strict=True)]))
        hits += found.low <= truth.mean() <= found.high
    assert 0.925 < hits / draws < 0.975


def test_a_relative_drop_is_one_less_the_ratio_with_its_logarithms_interval() -> None:
    ours = model(COUNTS["d"])
    found = relative_drop(ours, "ImageNetV2")
    assert found is not None
    ratio = (6_200 / 10_000) / (37_000 / 50_000)
    spread = Z * math.sqrt(1 / 6_200 - 1 / 10_000 + 1 / 37_000 - 1 / 50_000)
    wanted = (1 - ratio, 1 - ratio * math.exp(spread), 1 - ratio * math.exp(-spread))
    assert (found.value, found.low, found.high) == pytest.approx(wanted, abs=1e-12)
    assert relative_drop(model((1, 1, 0, 1, 1, 1, 1)), "ImageNetV2") is None


def test_correlations_are_numpys_and_absent_where_they_mean_nothing(folder: Path) -> None:
    models = open_results(folder).models
    columns = [[COUNTS[each.name][i] for each in models] for i in (0, 1)]
    found = correlation(models, HELD_OUT, TEST)
    assert found is not None
    assert found.value == pytest.approx(np.corrcoef(columns)[0, 1])
    reach = Z / math.sqrt(len(models) - 3)
    wanted = [math.tanh(math.atanh(found.value) + side * reach) for side in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(wanted)
    assert correlation(models[:3], HELD_OUT, TEST) is None
    assert correlation([models[1]] * 5, HELD_OUT, TEST) is None
    # Learning rates and held-out accuracies rank 4, 2½, 2½, 1 and 4, 1½, 1½, 3.
    assert rank_correlation(models, "lr", HELD_OUT) == pytest.approx(1 / 3)
    assert rank_correlation(models, "aug", HELD_OUT) is None


def test_hyperparameters_sort_none_first_then_numbers_then_texts_by_their_numbers() -> None:
    values = ["rand-m12-n0", 3, None, "rand-m4-n2", 0.5, "rand-m4-n1", None]
    assert in_order(values) == [None, 0.5, 3, "rand-m4-n1", "rand-m4-n2", "rand-m12-n0"]


def test_the_report_is_plain_rows_that_say_unpaired(folder: Path) -> None:
    rows = report(open_results(folder))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    listed = [row["model"] for row in rows if "kind" in row]
    assert listed == [*SOUPS, "a <b>x</b>", "d", "b_twin", "c_twin", "start"]
    differences = [row for row in rows if "difference_in" in row]
    assert len(differences) == len(SOUPS) * 4
    assert all(row["paired"] is False and row["low"] < row["value"] < row["high"] for row in differences)
    assert {row["over"] for row in rows if "over" in row} == {"4 fine-tuned models", "these and the base start"}
    assert sum("relative_drop_on" in row for row in rows) == 4 * 5
    assert "need the checkpoints" in rows[-1]["notice"]


def test_the_scatter_has_each_mark_once_and_intervals_on_both_axes(folder: Path) -> None:
    results = open_results(folder)
    figure = robustness_scatter(results)
    assert [trace.marker.symbol for trace in figure.data] == ["diamond", "hexagon", "circle", "star", "square"]
    assert [len(trace.x) for trace in figure.data] == [4, 1, 1, 1, 1]
    greedy = figure.data[3]
    assert greedy.x[0] == pytest.approx(100 * 38_400 / 50_000)
    assert greedy.y[0] == pytest.approx(
        20 * sum(c / n for c, n in zip(SOUPS["greedy_soup"][2:], TOTALS[2:], strict=True))
    )
    assert greedy.x[0] - greedy.error_x.arrayminus[0] == pytest.approx(100 * wilson(38_400, 50_000)[0])
    assert figure.data[0].customdata[0][0] == "a &lt;b&gt;x&lt;/b&gt;"


def test_numbers_that_span_decades_get_a_logarithmic_axis_and_texts_categories(folder: Path) -> None:
    results = open_results(folder)
    rates = hyperparameter_points(results, "lr", "test")
    assert (rates.layout.xaxis.type, list(rates.data[0].x)) == ("log", [1e-4, 1e-5, 1e-5, 1e-6])
    kinds = hyperparameter_points(results, "aug", "held-out")
    assert list(kinds.layout.xaxis.ticktext) == ["none", "rand-m7-n1", "rand-m12-n0"]
    assert list(kinds.data[0].x) == [0, 1, 1, 2]
    assert kinds.data[0].y[0] == pytest.approx(100 * 20_000 / 26_000)


def test_drops_stand_side_by_side(folder: Path) -> None:
    results = open_results(folder)
    figure = drop_points({"best": results.best, "uniform": results.soups[0]})
    assert [list(np.round(trace.x).astype(int)) for trace in figure.data] == [[0, 1, 2, 3, 4]] * 2
    assert figure.data[1].y[4] == pytest.approx(100 * (1 - (1_700 / 7_500) / (38_200 / 50_000)))


SWEEP = drawn_sweep()
KINDS = ("uniform soup", "greedy soup", "ensemble")


def shares(counts: Iterable[tuple[int, ...]]) -> np.ndarray:
    """Accuracies, models×sets, and as a last column the mean over the five shifts."""
    found = np.array(list(counts)) / np.array(TOTALS)
    return np.column_stack([found, found[:, 2:].mean(1)])


def reaches(count: int, total: int) -> np.ndarray:
    """How far Wilson's interval reaches below and above a share."""
    low, high = wilson(count, total)
    return np.array([count / total - low, high - count / total])


@pytest.fixture
def sweep(tmp_path: Path) -> Results:
    return open_results(SWEEP.written(tmp_path / "sweep"))


def test_a_sweeps_figures_are_those_of_its_numbers(sweep: Results) -> None:
    assert [each.name for each in sweep.models] == list(SWEEP.models)
    assert sweep.base is not None
    assert [each.name for each in sweep.soups] == list(SWEEP.soups)
    everyone = [sweep.base, *sweep.models, *sweep.soups]
    wanted = shares([SWEEP.base, *SWEEP.models.values(), *SWEEP.soups.values()])
    for column, quantity in ((0, HELD_OUT), (1, TEST), (7, MEAN_OF_SHIFTS)):
        assert [each.accuracy(quantity) for each in everyone] == pytest.approx(list(wanted[:, column]), abs=1e-12)
    held_out = {name: counts[0] for name, counts in SWEEP.models.items()}
    best_first = sorted(held_out, key=lambda name: (-held_out[name], name))
    assert [each.name for each in sweep.ranking] == best_first
    assert sweep.best.name == best_first[0]
    assert all(score.is_count for each in everyone for score in each.scores.values())
    assert len(sweep.notices) == 1
    assert sweep.notices[0].startswith("model_0 is the initialization (zero-shot)")


def test_a_sweeps_correlations_are_numpys_over_its_numbers(sweep: Results) -> None:
    assert sweep.base is not None
    fine_tuned = shares(SWEEP.models.values())
    for models, numbers in (
        (sweep.models, fine_tuned),
        ((sweep.base, *sweep.models), np.vstack([shares([SWEEP.base]), fine_tuned])),
    ):
        for one, other, (first, second) in ((0, 1, (HELD_OUT, TEST)), (1, 7, (TEST, MEAN_OF_SHIFTS))):
            found = correlation(models, first, second)
            assert found is not None
            value = np.corrcoef(numbers[:, one], numbers[:, other])[0, 1]
            ends = np.tanh(np.arctanh(value) + np.array([-1, 1]) * Z / math.sqrt(len(numbers) - 3))
            assert (found.value, found.low, found.high) == pytest.approx((value, *ends), abs=1e-9)
    ranks = [stats.rankdata(column) for column in (list(SWEEP.rates.values()), fine_tuned[:, 7])]
    rank = rank_correlation(sweep.models, "lr", MEAN_OF_SHIFTS)
    assert rank == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert rank < -0.3  # a hot learning rate costs on the shifts, as drawn


def test_a_sweeps_report_holds_the_differences_and_drops_of_its_numbers(sweep: Results) -> None:
    rows = report(sweep)
    best = SWEEP.models[sweep.best.name]
    found = {(row["model"], row["difference_in"]): row for row in rows if "difference_in" in row}
    weights = {
        "held-out": np.eye(7)[0],
        "test": np.eye(7)[1],
        "mean of shifts": np.repeat([0, 0.2], [2, 5]),
        "selection gap": np.eye(7)[0] - np.eye(7)[1],
    }
    assert set(found) == {(soup, quantity) for soup in SWEEP.soups for quantity in weights}
    for (soup, quantity), row in found.items():
        value, below, above = 0.0, 0.0, 0.0
        for weight, ours, theirs, total in zip(weights[quantity], SWEEP.soups[soup], best, TOTALS, strict=True):
            value += weight * (ours - theirs) / total
            for signed, count in ((weight, ours), (-weight, theirs)):
                down, up = abs(signed) * reaches(count, total)[:: 1 if signed >= 0 else -1]
                below, above = below + down**2, above + up**2
        ends = (value - math.sqrt(below), value + math.sqrt(above))
        assert (row["value"], row["low"], row["high"]) == pytest.approx((value, *ends), abs=1e-12)
        assert (row["against"], row["paired"]) == (sweep.best.name, False)
    drops = {(row["model"], row["relative_drop_on"]): row["value"] for row in rows if "relative_drop_on" in row}
    wanted = {
        (name, shift): 1 - (counts[place] / TOTALS[place]) / (counts[1] / TOTALS[1])
        for name, counts in ((sweep.best.name, best), *SWEEP.soups.items())
        for place, shift in enumerate(SHIFTS, 2)
    }
    assert drops == pytest.approx(wanted)


@driver
def test_a_sweep_is_drawn_with_the_figures_of_its_numbers(tmp_path: Path) -> None:
    test = drawn(SWEEP.written(tmp_path / "sweep"))
    held_out = {name: counts[0] for name, counts in SWEEP.models.items()}
    best = SWEEP.models[max(held_out, key=held_out.__getitem__)]
    rows = [best, *SWEEP.soups.values()]
    assert [metric.value for metric in test.metric] == [f"{100 * row[1] / 50_000:.2f} %" for row in rows]
    above = [int((shares(SWEEP.models.values())[:, 7] > shares([soup])[0, 7]).sum()) for soup in SWEEP.soups.values()]
    told = [f"{count or 'none'} above the {kind}" for count, kind in zip(above, KINDS, strict=True)]
    assert f"Of 40 single models, by their mean over the shifts: {', '.join(told)}." in words(test)
    assert 0 in above
    assert any(above)


def drawn(folder: Path) -> AppTest:
    script = (
        "from pages.shared.published import draw\nfrom soup_core.analysis.published import open_results\n"
        f"draw(open_results({str(folder)!r}))\n"
    )
    test = AppTest.from_string(script, default_timeout=PATIENCE).run()
    assert not test.exception
    return test


def words(test: AppTest) -> str:
    return "\n".join(str(part.value) for part in [*test.markdown, *test.info, *test.caption])


@driver
def test_the_view_shows_the_published_numbers_and_the_traps(folder: Path) -> None:
    test = drawn(folder)
    assert [metric.value for metric in test.metric] == ["76.00 %", "76.40 %", "76.80 %", "76.60 %"]
    assert [metric.delta for metric in test.metric] == [
        "the one to beat",
        "+0.40 points",
        "+0.80 points",
        "+0.60 points",
    ]
    assert len(test.info) == 2
    said = words(test)
    assert "none above the uniform soup, none above the greedy soup, 1 above the ensemble" in said
    assert "need the checkpoints" in said
    gains = test.dataframe[0].value
    assert all("unpaired" in name for name in gains.columns[1:])
    assert gains["test, unpaired"][1].startswith("+0.80 points (")
    assert "Unpaired: " in said
    assert list(test.dataframe[1].value["name"]) == ["a <b>x</b>", "d", "b_twin", "c_twin", "start"]
    assert list(test.dataframe[1].value["kind"]) == ["fine-tuned"] * 4 + ["base"]


@driver
def test_another_hyperparameter_and_accuracy_are_drawn(folder: Path) -> None:
    test = drawn(folder)
    assert "Rank correlation of lr with held-out accuracy: +0.33 over 4" in words(test)
    test.selectbox[0].set_value("aug").run()
    assert not test.exception
    assert "Rank correlation" not in words(test)


@driver
def test_models_without_soups_or_hyperparameters_are_drawn(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "bare")
    (folder / "hparam_info.json").write_text(json.dumps({name: {} for name in COUNTS}))
    for name in SOUPS:
        (folder / f"{name}_results.jsonl").unlink()
    assert "the models stand alone" in words(drawn(folder))


@pytest.fixture(scope="module")
def paper() -> Results:
    assert is_results_folder(Path(PAPER)), f"SOUP_PUBLISHED_RESULTS is {PAPER!r}, which holds no published results"
    return open_results(PAPER)


def percents(found: PublishedModel) -> list[str]:
    return [f"{100 * found.accuracy(quantity):.3f}" for quantity in (HELD_OUT, TEST, MEAN_OF_SHIFTS)]


@needs_paper
def test_the_papers_figures_come_back_to_the_last_digit(paper: Results) -> None:
    assert len(paper.models) == 71
    assert paper.base is not None
    assert paper.base.name == "model_0"
    assert paper.best.name == "model_43"
    assert percents(paper.best) == ["83.050", "80.386", "47.967"]
    uniform, greedy, together = paper.soups
    assert percents(uniform) == ["82.704", "79.972", "51.576"]
    assert percents(greedy) == ["83.977", "81.026", "50.863"]
    assert percents(together) == ["83.812", "81.188", "50.875"]
    highest = max(each.shifts.value for each in (*paper.models, paper.base))
    assert highest < min(uniform.shifts.value, greedy.shifts.value)


@needs_paper
def test_the_papers_correlations_hold_over_the_fine_tuned_models(paper: Results) -> None:
    assert paper.base is not None
    pairs = ((HELD_OUT, TEST), (TEST, MEAN_OF_SHIFTS))
    fine_tuned = [correlation(paper.models, *pair) for pair in pairs]
    with_base = [correlation((paper.base, *paper.models), *pair) for pair in pairs]
    assert [f"{found.value:.3f}" for found in fine_tuned if found] == ["0.982", "0.339"]
    assert [f"{found.value:.3f}" for found in with_base if found] == ["0.983", "0.325"]


@needs_paper
def test_the_papers_accuracies_are_all_counts_and_its_twins_are_found(paper: Results) -> None:
    assert all(score.is_count for each in (*paper.models, *paper.soups) for score in each.scores.values())
    assert len(paper.notices) == 2
    assert paper.notices[0].startswith("model_0 is the initialization")
    assert paper.notices[1].startswith("model_4 and model_5 have equal results")


@needs_paper
@driver
def test_the_papers_results_are_drawn() -> None:
    test = drawn(Path(PAPER))
    assert [metric.value for metric in test.metric] == ["80.39 %", "79.97 %", "81.03 %", "81.19 %"]
    assert "Of 71 single models, by their mean over the shifts: none above the uniform soup, none above" in words(test)
    test.selectbox[0].set_value("lr").run()
    assert not test.exception
