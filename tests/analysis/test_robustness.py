"""Robustness: means over shifts, intervals, calibration, confusion, the job, the figures and the page, against oracles."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.views.robustness.changes import PICTURES
from soup_core import charts
from soup_core.analysis.calibration import calibration, calibrations, expected_error, reliability
from soup_core.analysis.confusion import class_gains, confusion, confusion_difference, decided_by_one
from soup_core.analysis.robustness import (
    ComparedModel,
    RobustnessResult,
    groups,
    latest,
    models_of,
    robustness,
    severities,
    steps_of,
)
from soup_core.evaluation import estimate, measure, resampled_means
from soup_core.jobs import Jobs, Task
from soup_core.runtime.store import Store, default_store
from tests.app_pages import closes, meaning, metric, open_page, until, words
from tests.patience import PATIENCE
from tests.zoos import CLASSES, SIDE, random_linears, write_zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")
SHIFTS = ("dusk-1", "dusk-3", "fog")
Make = Callable[..., Path]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sc.Zoo:
    """Four models and a base, on the shifts of `shifted_zoo`."""
    models = random_linears(4)
    return shifted_zoo(tmp_path / "made", {**models, "base": random_linears(1, seed=9)["m0"]}, monkeypatch)


def shifted_zoo(path: Path, files: Mapping[str, Mapping[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch) -> sc.Zoo:
    """Three shifts alone, one of them of fewer images: two severities of dusk, and fog without any."""
    st.cache_resource.clear()
    folder = write_zoo(path, files)
    tensors = safetensors.torch.load_file(folder / "data.safetensors")
    generator = torch.Generator().manual_seed(1)
    for shift, strength in zip(SHIFTS, (40, 120, 80), strict=True):
        kept = slice(None) if shift != "fog" else slice(70)
        images = tensors["test.images"][kept].float()
        noise = strength * torch.randn(images.shape, generator=generator)
        tensors[f"shift.{shift}.images"] = (images + noise).clamp(0, 255).to(torch.uint8)
        tensors[f"shift.{shift}.labels"] = tensors["test.labels"][kept].clone()
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    monkeypatch.setattr(sc.data.Data, "shifts", lambda self: SHIFTS)
    return sc.open_zoo(folder)


def made(zoo: sc.Zoo) -> tuple[RobustnessResult, ...]:
    return latest(robustness(zoo, sc.Evaluator(zoo)))


def naive_mean(zoo: sc.Zoo, member: ComparedModel) -> float:
    """Every image of every shift, one by one, by the linear models' own arithmetic."""
    data = safetensors.torch.load_file(zoo.folder / "data.safetensors")
    weights = [safetensors.torch.load_file(each.file) for each in (*zoo.ingredients, zoo.base) if each]
    named = dict(zip((*zoo.names, "base"), weights, strict=True))

    def accuracy(shift: str) -> float:
        right = 0
        for image, label in zip(data[f"shift.{shift}.images"], data[f"shift.{shift}.labels"], strict=True):
            pixels = image.flatten().double() / 255
            total = torch.zeros(CLASSES, dtype=torch.float64)
            for name, share in member.soup.coefficients.items():
                logits = named[name]["head.weight"].double() @ pixels + named[name]["head.bias"].double()
                total += share * (logits.softmax(0) if member.is_ensemble else logits)
            right += int(total.argmax() == label)
        return right / len(data[f"shift.{shift}.labels"])

    return (0.5 * (accuracy("dusk-1") + accuracy("dusk-3")) + accuracy("fog")) / 2


def test_the_mean_over_shifts_is_that_of_a_naive_loop(zoo: sc.Zoo) -> None:
    entries = [entry for entry in made(zoo) if not entry.member.soup.tensors]
    assert {entry.member.kind for entry in entries} >= {"ingredient", "base", "uniform", "greedy", "ensemble"}
    for entry in entries:
        assert entry.mean.value == pytest.approx(naive_mean(zoo, entry.member), abs=1e-9)


def test_a_relative_drop_is_accuracy_lost_over_clean_accuracy(zoo: sc.Zoo) -> None:
    entries = made(zoo)
    assert len(entries) >= 5  # four models and the base, at least
    for entry in entries:
        clean, fog = entry.test.accuracy, entry.shifts["fog"].accuracy
        assert entry.relative_drop("fog").value == pytest.approx((clean - fog) / clean)
        assert entry.relative_drop().value == pytest.approx((clean - entry.mean.value) / clean)
        assert entry.relative_drop().low <= entry.relative_drop().value <= entry.relative_drop().high


def test_severities_are_grouped_and_a_shift_without_has_one() -> None:
    found = severities(["blur-2", "fog", "blur-1", "snow-storm", "snow-9"])
    assert found == {
        "blur": {2: "blur-2", 1: "blur-1"},
        "fog": {1: "fog"},
        "snow-storm": {1: "snow-storm"},
        "snow-9": {1: "snow-9"},
    }


def test_the_bootstrap_of_a_share_is_the_normal_interval() -> None:
    """Of a mean both are known: 1.96 standard errors to each side; 4,000 draws tell a quantile to 0.05 of one."""
    right = np.arange(2000) < 1400
    drawn = resampled_means(right[:, None].astype(np.float32), draws=4000)[:, 0]
    found = estimate(0.7, drawn)
    error = math.sqrt(0.7 * 0.3 / 2000)
    assert drawn.mean() == pytest.approx(0.7, abs=5 * error / math.sqrt(4000))
    assert found.low == pytest.approx(0.7 - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(0.7 + 1.96 * error, abs=0.2 * error)


def test_resamples_are_the_rows_that_the_seed_draws() -> None:
    scores = np.random.default_rng(3).normal(size=(30, 2))
    rows = np.random.default_rng(5).integers(30, size=(7, 30))
    np.testing.assert_allclose(resampled_means(scores, draws=7, seed=5), [scores[row].mean(0) for row in rows])
    many = resampled_means(scores, draws=130, seed=5)  # more than are drawn at once
    rows = np.random.default_rng(5).integers(30, size=(130, 30))
    np.testing.assert_allclose(many, [scores[row].mean(0) for row in rows])
    assert len(np.unique(many[:, 0])) == 130
    # Another model's scores on the same images are resampled with the same rows: their difference is paired.
    shifted = resampled_means(scores + np.array([1.0, 0.0]), draws=130, seed=5)
    np.testing.assert_allclose(shifted - many, np.tile([1.0, 0.0], (130, 1)), atol=1e-12)
    assert not np.isin(resampled_means(scores, draws=130, seed=6)[:, 0], many[:, 0]).any()


def test_a_lead_is_paired_on_the_same_images(zoo: sc.Zoo) -> None:
    """A model leads itself by exactly nothing, though its mean is uncertain; two of other images cannot be paired."""
    entry, other = made(zoo)[0], made(zoo)[1]
    lead = entry.lead(entry)
    assert (lead.value, lead.low, lead.high) == (0, 0, 0)
    assert entry.mean.low < entry.mean.value < entry.mean.high
    assert other.lead(entry).value == pytest.approx(other.mean.value - entry.mean.value)
    fewer = RobustnessResult(other.member, other.shifts["fog"], other.shifts, other.resampled)
    with pytest.raises(ValueError, match="120 and 70"):
        entry.lead(fewer)


def naive_bins(logits: torch.Tensor, labels: torch.Tensor, count: int = 15) -> list[tuple[float, float, int]]:
    images = sorted(
        (max(math.exp(v) for v in row) / sum(math.exp(v) for v in row), row.index(max(row)) == label)
        for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True)
    )
    small, larger = divmod(len(images), count)
    bins, start = [], 0
    for index in range(count):
        part = images[start : start + small + (index < larger)]
        start += len(part)
        bins.append((fmean(sure for sure, _ in part), fmean(right for _, right in part), len(part)))
    return bins


def drawn_outputs(images: int = 200, sharpness: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = sharpness * torch.randn(images, CLASSES, generator=generator)
    labels = torch.randint(CLASSES, (images,), generator=generator)
    guessed = torch.rand(images, generator=generator) < 0.6
    return logits, torch.where(guessed, logits.argmax(1), labels)


def test_reliability_bins_and_their_error_are_those_of_a_naive_loop() -> None:
    logits, labels = drawn_outputs()
    expected = naive_bins(logits, labels)
    found = reliability(logits, labels)
    assert [(each.confidence, each.accuracy, each.count) for each in found] == [
        pytest.approx(each) for each in expected
    ]
    error = sum(count * abs(sure - right) for sure, right, count in expected) / 200
    assert expected_error(found) == pytest.approx(error)
    assert measure(logits, labels).ece == pytest.approx(error)
    assert len(reliability(logits[:4], labels[:4])) == 4


def test_calibrations_interval_holds_resampled_errors_turned_about_the_value() -> None:
    logits, labels = drawn_outputs()
    member = ComparedModel("uniform", sc.Soup({"m0": 1.0}))
    found = calibration(member, logits, labels)
    generator = np.random.default_rng(11)
    errors = []
    for _ in range(400):
        rows = torch.from_numpy(generator.integers(200, size=200))
        errors.append(measure(logits[rows], labels[rows]).ece)
    value, spread = measure(logits, labels).ece, float(np.std(errors))
    assert found.error.low == pytest.approx(2 * value - np.quantile(errors, 0.975), abs=0.6 * spread)
    assert found.error.high == pytest.approx(2 * value - np.quantile(errors, 0.025), abs=0.6 * spread)
    sure = fmean(float(row.max()) for row in logits.double().softmax(1))
    assert found.excess_confidence == pytest.approx(sure - measure(logits, labels).accuracy)


def test_outputs_that_are_not_finite_have_no_calibration() -> None:
    logits, labels = drawn_outputs()
    logits[3, 1] = math.nan
    found = calibration(ComparedModel("uniform", sc.Soup({"m0": 1.0})), logits, labels)
    assert found.bins == ()
    assert math.isnan(found.error.value)


def test_calibrations_are_those_of_evaluations_and_ensembles(zoo: sc.Zoo) -> None:
    test = sc.Evaluator(zoo, "test")
    found = {each.member.role: each for each in calibrations(zoo, sc.Evaluator(zoo))}
    assert found["uniform"].error.value == pytest.approx(test(sc.uniform_soup(zoo)).ece, abs=1e-6)
    assert found["ensemble"].error.value == pytest.approx(sc.ensemble(test, zoo.names).ece, abs=1e-6)
    assert len(list(calibrations(zoo, sc.Evaluator(zoo)))) == models_of(zoo)


def says(predictions: Sequence[int], sure: Sequence[float]) -> torch.Tensor:
    probabilities = torch.zeros(len(predictions), CLASSES)
    for row, (label, share) in enumerate(zip(predictions, sure, strict=True)):
        probabilities[row] = (1 - share) / (CLASSES - 1)
        probabilities[row, label] = share
    return probabilities


LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
OURS = says([0, 0, 1, 1, 1, 2, 2, 0], [0.9, 0.6, 0.5, 0.8, 0.7, 0.6, 0.9, 0.5])
THEIRS = says([0, 1, 1, 0, 0, 1, 0, 0], [0.8, 0.7, 0.6, 0.5, 0.9, 0.7, 0.6, 0.6])


def test_confusion_is_counted_cell_by_cell() -> None:
    for probabilities in (OURS, THEIRS):
        expected = np.zeros((CLASSES, CLASSES), int)
        for row, label in zip(probabilities.tolist(), LABELS.tolist(), strict=True):
            expected[label, row.index(max(row))] += 1
        assert (confusion(probabilities, LABELS) == expected).all()
    difference = confusion_difference(OURS, THEIRS, LABELS)
    assert difference.tolist() == [[1, -1, 0], [-2, 1, 1], [-1, 0, 1]]


def test_class_gains_are_paired_within_each_class() -> None:
    gains = class_gains(OURS, THEIRS, LABELS)
    for label, gain in gains.items():
        rows = [row for row in range(len(LABELS)) if int(LABELS[row]) == label]
        ours = [int(OURS[row].argmax()) == label for row in rows]
        theirs = [int(THEIRS[row].argmax()) == label for row in rows]
        assert gain.difference == pytest.approx(fmean(ours) - fmean(theirs))
        assert gain.gained == sum(a and not b for a, b in zip(ours, theirs, strict=True))
        assert gain.low <= gain.difference <= gain.high
    assert list(class_gains(OURS[:3], THEIRS[:3], LABELS[:3])) == [0]


def test_a_cell_holds_the_images_of_which_one_alone_says_so_the_surest_first() -> None:
    assert decided_by_one(OURS, THEIRS, LABELS) == ([6, 3, 4, 1], [5])
    assert decided_by_one(OURS, THEIRS, LABELS, true=1) == ([3, 4], [5])
    assert decided_by_one(OURS, THEIRS, LABELS, true=1, predicted=0) == ([], [4, 3])
    assert decided_by_one(OURS, THEIRS, LABELS, predicted=2) == ([6, 5], [])
    difference = confusion_difference(OURS, THEIRS, LABELS)
    for true in range(CLASSES):
        for predicted in range(CLASSES):
            gained, lost = decided_by_one(OURS, THEIRS, LABELS, true=true, predicted=predicted)
            assert len(gained) - len(lost) == difference[true, predicted]


def test_the_job_makes_the_numbers_of_direct_evaluation_and_a_second_run_evaluates_nothing(
    zoo: sc.Zoo, evaluated: list[sc.Soup]
) -> None:
    progress = Jobs(default_store()).submit(Task("robustness", zoo.name), zoo).wait(PATIENCE)
    assert progress.state == "done", progress.message
    assert len(progress.steps) == steps_of(zoo)
    for entry in latest(progress.steps):
        names = entry.member.soup.names
        for shift in SHIFTS:
            evaluate = sc.Evaluator(zoo, f"test:{shift}")
            found = sc.ensemble(evaluate, names) if entry.member.is_ensemble else evaluate(entry.member.soup)
            assert entry.shifts[shift] == found
    evaluated.clear()
    again = Jobs(default_store()).submit(Task("robustness", zoo.name), zoo).wait(PATIENCE)
    assert again.state == "done"
    assert evaluated == []
    assert len(again.steps) == len(SHIFTS) + 1  # the splits are made once, since all is known
    for ours, theirs in zip(latest(again.steps), latest(progress.steps), strict=True):
        assert ours.mean == theirs.mean


def test_soups_come_first_and_some_images_before_all(zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soup_core.analysis.robustness.FIRST_IMAGES", 50)
    steps = [step for step in robustness(zoo, sc.Evaluator(zoo)) if step.entries]
    assert [step.entries[0].test.total for step in steps] == [50, 50, 50, 120]
    assert [entry.member.role for entry in steps[0].entries] == ["best", "base", "uniform", "greedy"]
    assert [entry.member.role for entry in steps[1].entries] == ["learned"]
    assert [len(latest(steps[:count])) for count in range(5)] == [0, 4, 5, models_of(zoo), models_of(zoo)]
    assert {entry.test.total for entry in latest(steps[:3])} == {50}
    assert {entry.test.total for entry in latest(steps)} == {120}
    assert len(latest(steps)) == models_of(zoo)


Run = tuple[str, int, sc.Soup]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """On which shift, and how many images of it, each soup is run from here on."""
    made: list[Run] = []
    original = sc.Evaluator._all_logits

    def all_logits(self: sc.Evaluator, soup: sc.Soup) -> torch.Tensor:
        logits = original(self, soup)
        if ":" in self.split:
            made.append((self.split, self.total, soup))
        return logits

    monkeypatch.setattr(sc.Evaluator, "_all_logits", all_logits)
    return made


def needed(zoo: sc.Zoo) -> Counter[Run]:
    """Every single model and soup once on each shift, for each group of members that it is needed in.

    No split has more images than are run first, so that running all of them is running what is known.
    """
    wanted: Counter[Run] = Counter()
    for group in groups(zoo, sc.Evaluator(zoo)):
        alone = {member.soup for member in group if not member.is_ensemble}
        together = {name for member in group if member.is_ensemble for name in member.soup.names}
        for shift in SHIFTS:
            images = 70 if shift == "fog" else 120
            wanted.update((f"test:{shift}", images, soup) for soup in alone | {sc.Soup({n: 1.0}) for n in together})
    return wanted


def test_a_model_is_run_once_a_group_and_no_logits_of_shifts_stay(zoo: sc.Zoo, runs: list[Run]) -> None:
    list(robustness(zoo, sc.Evaluator(zoo)))
    assert Counter(runs) == needed(zoo)
    for name in zoo.names:
        single = sc.Soup({name: 1.0})
        for split, kept in (("held_out", True), ("test", True), ("test:dusk-1", False), ("test:fog", False)):
            evaluate = sc.Evaluator(zoo, split)
            assert (evaluate.store.tensors(evaluate.key(single)) is not None) == kept
            assert evaluate.known(single) is not None


@pytest.mark.parametrize("after", [1, 11, 17])
def test_row_38_a_run_broken_off_on_a_split_does_no_more_than_that_split_again(
    zoo: sc.Zoo, runs: list[Run], after: int
) -> None:
    whole = latest(robustness(zoo, sc.Evaluator(zoo, store=Store(zoo.folder / "whole"))))
    runs.clear()

    def stop() -> None:
        if len(runs) >= after:
            raise KeyboardInterrupt

    store = Store(zoo.folder / "broken")
    with pytest.raises(KeyboardInterrupt), sc.interruptible(stop):
        list(robustness(zoo, sc.Evaluator(zoo, store=store)))
    assert len(runs) == after
    last = runs[-1][0]
    found = latest(robustness(zoo, sc.Evaluator(zoo, store=Store(store.path))))
    again = Counter(runs) - needed(zoo)
    assert all(split == last and count == 1 for (split, *_), count in again.items())
    assert [(entry.member, entry.test, entry.shifts, entry.mean) for entry in found] == [
        (entry.member, entry.test, entry.shifts, entry.mean) for entry in whole
    ]


def test_the_figures_hold_the_cores_numbers(zoo: sc.Zoo) -> None:
    entries = made(zoo)
    figure = charts.robustness_figure(entries)
    drawn = {
        (trace.customdata[index][0]): (x, trace.y[index], trace.error_y.array[index], trace.error_x.arrayminus[index])
        for trace in figure.data
        for index, x in enumerate(trace.x)
    }
    assert len(drawn) == models_of(zoo)
    for entry in entries:
        low, _ = sc.accuracy_interval(entry.test)
        assert drawn[entry.member.name] == pytest.approx(
            (
                100 * entry.test.accuracy,
                100 * entry.mean.value,
                100 * (entry.mean.high - entry.mean.value),
                100 * (entry.test.accuracy - low),
            )
        )
    curves = charts.severity_curves(entries[:2])
    assert list(curves.data[0].x) == [0, 1, 3]
    shown = [entries[0].test, entries[0].shifts["dusk-1"], entries[0].shifts["dusk-3"]]
    assert list(curves.data[0].y) == pytest.approx([100 * each.accuracy for each in shown])
    drops = charts.relative_drops(entries[:1]).data[0]
    wanted = [entries[0].relative_drop(name).value for name in ("dusk", "fog", None)]
    assert list(drops.y) == pytest.approx([100 * value for value in wanted])


def test_the_figures_of_calibration_and_change_hold_the_cores_numbers(zoo: sc.Zoo) -> None:
    found = list(calibrations(zoo, sc.Evaluator(zoo)))
    traces = charts.reliability_diagram(found).data[1:]
    lines = [[*trace.y, None] if trace.y[-1] is not None else list(trace.y) for trace in traces]
    gaps = [
        [-1, *(at for at, value in enumerate(line) if value is None)] for line in lines
    ]  # the ingredients' are one trace
    drawn = sorted(tuple(line[a + 1 : b]) for line, at in zip(lines, gaps, strict=True) for a, b in pairwise(at))
    assert drawn == sorted(tuple(100 * each.accuracy for each in member.bins) for member in found)
    difference = confusion_difference(OURS, THEIRS, LABELS)
    figure = charts.confusion_heatmap(difference, ["<b>", "one", "two"])
    heatmap = figure.data[0]
    written = {(each.y, each.x): int(each.text) for each in figure.layout.annotations}
    assert written == {(0, 0): 1, (0, 1): -1, (1, 0): -2, (1, 1): 1, (1, 2): 1, (2, 0): -1, (2, 2): 1}
    assert np.asarray(heatmap.z).tolist() == difference.tolist()
    assert list(heatmap.customdata[0][1]) == [0, 1, "&lt;b&gt;", "one"]
    gains = class_gains(OURS, THEIRS, LABELS)
    bars = charts.class_gain_bars(gains, ["<b>", "one", "two"]).data[0]
    assert list(bars.x) == pytest.approx([100 * gain.difference for gain in gains.values()])


def page_at(view: str, **address: str) -> AppTest:
    return closes(open_page("pages/5_Robustness.py", view=view, **address))


INTERVAL = r"\(-?\d+\.\d\d to -?\d+\.\d\d\)"


VIEWS = ("Figure", "Shifts", "Calibration", "What changed", "Cost")
INTERVAL = r"\(-?\d+\.\d\d to -?\d+\.\d\d\)"


def live_charts(test: AppTest) -> list[str]:
    """The keys of the page's components that are charts; others ask whether there is anything new."""
    return [each.key for each in test.get("bidi_component") if not each.key.startswith("pulse-")]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_and_closes_with_numbers_and_an_interval(view: str, zoo: sc.Zoo) -> None:
    test = page_at(view)
    assert not test.exception
    assert not test.error
    assert live_charts(test)
    assert re.search(INTERVAL, meaning(test))


@pytest.mark.parametrize("view", VIEWS)
def test_of_one_ingredient_alone_every_view_says_that_soups_are_that_model(
    view: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted_zoo(tmp_path / "made", random_linears(1), monkeypatch)
    test = page_at(view)
    assert not test.exception
    assert not test.error
    assert re.search(INTERVAL, meaning(test))
    if view == "Figure":
        assert "+0.00 points (0.00 to 0.00), since it is that model alone" in meaning(test)
    if view == "What changed":
        assert "greedy soup and m0 are the same model" in meaning(test)
        assert not live_charts(test)


def test_a_cell_without_images_and_the_same_model_twice_close_with_a_sentence(zoo: sc.Zoo) -> None:
    test = page_at("What changed", a="m2", b="m2")
    assert "m2 and m2 are the same model: they differ by +0.00 points" in meaning(test)
    test = page_at("What changed", a="m2", b="m3")
    empty = [
        (true, predicted)
        for true in range(CLASSES)
        for predicted in range(CLASSES)
        if decided_by_one(*outputs(zoo, "m2", "m3"), true=true, predicted=predicted) == ([], [])
    ]
    assert empty
    for true, predicted in empty:
        test.selectbox(key="true").set_value(str(true))
        test.selectbox(key="predicted").set_value(str(predicted)).run()
        assert not test.get("image")
        assert re.search(INTERVAL, meaning(test))


def outputs(zoo: sc.Zoo, a: str, b: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    evaluate = sc.Evaluator(zoo, "test")
    ours, theirs = (evaluate.logits(sc.Soup({name: 1.0})).softmax(1) for name in (a, b))
    return ours, theirs, evaluate.data.labels


def test_outputs_that_are_not_finite_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = random_linears(3)
    models["m1"] = {key: torch.full_like(value, 3e38) for key, value in models["m1"].items()}
    shifted_zoo(tmp_path / "made", models, monkeypatch)
    learned = SimpleNamespace(soup=sc.Soup({"m0": 0.5, "m2": 0.5}))  # none can be learned through such a model
    monkeypatch.setattr("soup_core.analysis.robustness.learned_soup", lambda zoo, evaluate: iter([learned]))
    test = until(page_at("Calibration"), lambda test: metric(test, "Ensemble") != "…")
    assert not test.exception
    assert metric(test, "Ensemble") == "–"
    assert metric(test, "Best single").endswith(" %")
    assert "the ensemble's not known, since outputs are not finite: they cannot be compared" in meaning(test)


def test_the_page_shows_the_cores_means_and_errors(zoo: sc.Zoo) -> None:
    entries = {entry.member.role: entry for entry in made(zoo)}
    test = until(page_at("Figure"), lambda test: metric(test, "Ensemble") != "…")
    shown = ("Greedy soup", "greedy"), ("Best single", "best"), ("Learned soup", "learned"), ("Ensemble", "ensemble")
    for label, role in shown:
        assert metric(test, label) == f"{100 * entries[role].mean.value:.2f} %"
    test = page_at("Calibration")
    found = sc.Evaluator(zoo, "test")(sc.uniform_soup(zoo))
    assert metric(test, "Uniform soup") == f"{100 * found.ece:.2f} %"


def test_the_page_shows_what_changed_and_the_images_of_a_cell(zoo: sc.Zoo) -> None:
    evaluate = sc.Evaluator(zoo, "test")
    comparison = sc.compare(evaluate(sc.uniform_soup(zoo)), evaluate(sc.Soup({"m1": 1.0})))
    test = page_at("What changed", a="uniform soup", b="m1")
    assert metric(test, "Only uniform soup is right") == f"{comparison.gained:,} images"
    assert metric(test, "Only m1 is right") == f"{comparison.lost:,} images"
    ours, theirs = (evaluate.logits(soup).softmax(1) for soup in (sc.uniform_soup(zoo), sc.Soup({"m1": 1.0})))
    for true in range(CLASSES):
        for predicted in range(CLASSES):
            gained, lost = decided_by_one(ours, theirs, evaluate.data.labels, true=true, predicted=predicted)
            test.selectbox(key="true").set_value(str(true))
            test.selectbox(key="predicted").set_value(str(predicted)).run()
            assert not test.exception
            assert f"Only uniform soup says {predicted}: {len(gained)} images" in words(test)
            assert f"Only m1 says {predicted}: {len(lost)} images" in words(test)
            assert sum(len(each.proto.imgs) for each in test.get("image")) == sum(
                min(PICTURES, len(indices)) for indices in (gained, lost)
            )


def test_the_bill_of_the_page_is_one_model_against_all(zoo: sc.Zoo) -> None:
    test = page_at("Cost")
    assert metric(test, "Parameters") == str(SIDE * SIDE * CLASSES + CLASSES)
    assert "all 4 costs 4 forward passes" in words(test)
