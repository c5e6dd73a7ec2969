import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from soup_core.evaluation import METRICS, Judge, Truth, compare, compare_values, hardest_first, measure, value_interval
from soup_core.evaluation.metrics import metric_of
from soup_core.runtime.store import Store
from soup_core.zoo.zoo import MetricKey
from tests.metrics import BY_WORDS

Make = Callable[..., Path]
BIT = ("balanced-accuracy", "worst-class")  # for which the bits are enough


def judged(key: str, logits: Tensor, labels: Tensor, groups: Tensor | None = None) -> sc.Evaluation:
    truth = Truth(labels.numpy(), logits.shape[1], None if groups is None else groups.numpy())
    return measure(logits, labels, Judge(metric_of(key), truth))


def drawn(seed: int, outputs: int = 7, images: int = 90) -> tuple[Tensor, Tensor, Tensor]:
    """Logits with ties, labels of classes of which one has no image, and groups with numbers of their own."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(-3, 4, (images, outputs), generator=generator) / 2
    shares = torch.tensor([40.0, 20, 9, 5, 3, 1, 0][:outputs])
    labels = torch.multinomial(shares, images, replacement=True, generator=generator)
    return logits, labels, 10 + 3 * torch.randint(0, 4, (images,), generator=generator)


def test_the_registry_has_the_metrics_that_a_zoo_may_name() -> None:
    assert tuple(METRICS) == get_args(MetricKey)
    assert all(metric.key == key for key, metric in METRICS.items())
    with pytest.raises(sc.SoupError, match=r"one of accuracy, top-5, .*; found 'f1'"):
        metric_of("f1")


@pytest.mark.parametrize("seed", range(4))
def test_the_metrics_are_what_their_words_say(seed: int) -> None:
    logits, labels, groups = drawn(seed)
    for key, by_words in BY_WORDS.items():
        expected = by_words(logits, labels.tolist(), groups.tolist())
        assert judged(key, logits, labels, groups).value == pytest.approx(expected, abs=1e-12), key


@pytest.mark.parametrize("seed", range(4))
def test_the_definitions_are_those_of_scikit_learn(seed: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    logits, labels, _ = drawn(seed)
    found, probabilities, classes = logits.argmax(1), logits.double().softmax(1).numpy(), list(range(7))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        expected = {
            "accuracy": theirs.accuracy_score(labels, found),
            "top-5": theirs.top_k_accuracy_score(labels, logits.numpy(), k=5, labels=classes),
            "balanced-accuracy": theirs.balanced_accuracy_score(labels, found),
            "macro-f1": theirs.f1_score(labels, found, average="macro", zero_division=0),
            "log-loss": theirs.log_loss(labels, probabilities, labels=classes),
            "worst-class": min(theirs.recall_score(labels, found, labels=labels.unique(), average=None)),
        }
    for key, value in expected.items():
        assert judged(key, logits, labels).value == pytest.approx(value, abs=1e-12), key
    two, of_two, _ = drawn(seed, outputs=2)
    area = theirs.roc_auc_score(of_two, (two[:, 1] - two[:, 0]).numpy())
    assert judged("auroc", two, of_two).value == pytest.approx(area, abs=1e-12)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    logits, labels, _ = drawn(9, outputs=2, images=40)
    scores = (logits[:, 1] - logits[:, 0]).tolist()
    ours = [score for score, label in zip(scores, labels.tolist(), strict=True) if label == 1]
    others = [score for score, label in zip(scores, labels.tolist(), strict=True) if label == 0]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in ours for b in others]
    assert 0.5 in pairs
    assert judged("auroc", logits, labels).value == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


@pytest.mark.parametrize("key", METRICS)
def test_an_image_taken_twice_counts_as_two(key: str) -> None:
    logits, labels, groups = drawn(5, outputs=2 if key == "auroc" else 7)
    metric, twice = METRICS[key], torch.cat([torch.arange(90), torch.arange(0, 90, 3)])
    one = judged(key, logits, labels, groups)
    truth = Truth(labels.numpy(), logits.shape[1], groups.numpy())
    answers = one.measured.answers if one.measured else one.bits()
    times = np.bincount(twice.numpy(), minlength=90)[None].astype(float)
    (value,) = metric.values(truth, answers, times)
    assert value == pytest.approx(judged(key, logits[twice], labels[twice], groups[twice]).value, abs=1e-12)


def test_logits_that_are_not_finite_are_as_wrong_as_can_be() -> None:
    logits, labels = torch.eye(6).repeat(2, 1), torch.arange(6).repeat(2)
    broken = logits.clone()
    broken[0, 3] = math.nan
    for key in ("top-5", "balanced-accuracy", "macro-f1", "worst-class"):
        assert judged(key, logits, labels).value == 1
        assert judged(key, broken, labels).value < 1
    assert judged("worst-class", broken, labels).value == 0.5
    assert judged("macro-f1", broken, labels).value == pytest.approx((2 / 3 + 5) / 6)
    assert judged("log-loss", broken, labels).standing == -math.inf
    two = torch.tensor([[9.0, -9.0], [-9.0, 9.0], [math.nan, 0.0]])
    assert judged("auroc", two, torch.tensor([0, 1, 1])).value == 0.5


@pytest.mark.parametrize("key", [key for key, metric in METRICS.items() if metric.is_bounded])
def test_a_bound_falls_to_the_value_as_images_are_seen(key: str) -> None:
    logits, labels, groups = drawn(3)
    metric, truth = METRICS[key], Truth(labels.numpy(), 7, groups.numpy())
    given = judged(key, logits, labels, groups)
    whole = given.measured.answers if given.measured else given.bits()
    seen, bounds = metric.best_answers(truth), []
    for image in np.random.default_rng(0).permutation(90):
        bounds.append(metric.value(truth, seen))
        seen[image] = whole[image]
    bounds.append(metric.value(truth, seen))
    assert bounds[0] == 1
    assert bounds[-1] == given.value
    assert all(a >= b for a, b in pairwise(bounds))


def test_a_zoos_metric_is_measured_and_kept(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup, split = sc.uniform_soup(zoo), zoo.data.split("held_out")
    plain = sc.Evaluator(zoo)(soup)
    assert plain.measured is None
    assert (plain.metric.key, plain.value, plain.standing) == ("accuracy", plain.accuracy, plain.correct)
    logits = sc.Evaluator(zoo).logits(soup)
    for key in ("balanced-accuracy", "macro-f1", "log-loss"):
        first = sc.Evaluator(zoo.judged_by(key)).trial(soup)
        again = sc.Evaluator(sc.open_zoo(zoo.folder).judged_by(key)).trial(soup)
        assert first.evaluation == again.evaluation
        assert again.images_evaluated == 0
        assert first.images_evaluated == (0 if key in BIT else 120)  # what is known for accuracy is enough for these
        expected = BY_WORDS[key](logits, split.labels.tolist(), [])
        assert first.evaluation is not None
        assert first.evaluation.value == pytest.approx(expected, abs=1e-5)
        assert first.evaluation.correct == plain.correct
    assert sc.Evaluator(zoo)(soup) == plain


def test_a_single_models_kept_logits_are_enough_for_any_metric(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2)).judged_by("macro-f1")
    sc.Evaluator(zoo.judged_by("accuracy"))(sc.Soup({"m0": 1.0}))
    assert sc.Evaluator(zoo).trial(sc.Soup({"m0": 1.0})).images_evaluated == 0


def test_a_damaged_answer_is_none(linear_zoo: Make) -> None:
    zoo, soup = sc.open_zoo(linear_zoo(2)).judged_by("macro-f1"), sc.Soup({"m0": 0.5, "m1": 0.5})
    evaluate = sc.Evaluator(zoo)
    told = evaluate(soup)
    evaluate.store.keep_tensors(f"{evaluate.key(soup)} macro-f1", {"answers": torch.zeros(7, dtype=torch.uint8)})
    again = sc.Evaluator(zoo).trial(soup)
    assert again.images_evaluated == 120
    assert again.evaluation == told


def test_a_metric_that_does_not_suit_the_images_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    for key, condition in (("auroc", "two classes"), ("top-5", "more than five classes"), ("worst-group", "groups")):
        with pytest.raises(sc.SoupError, match=f"The metric {key} is for .*{condition}.*; choose another"):
            sc.Evaluator(zoo.judged_by(key))
        assert sc.Evaluator(zoo.judged_by(key), "test").metric.key == "accuracy"
    with pytest.raises(sc.ZooError, match=r"one of accuracy, .*; found 'recall'"):
        zoo.judged_by("recall")


def grouped(folder: Path, groups: Tensor) -> Path:
    tensors = safetensors.torch.load_file(folder / "data.safetensors")
    safetensors.torch.save_file({**tensors, "held_out.groups": groups}, folder / "data.safetensors")
    return folder


def test_groups_come_from_the_file_of_tensors(linear_zoo: Make) -> None:
    groups = torch.arange(120) % 4 * 5
    zoo = sc.open_zoo(grouped(linear_zoo(2), groups)).judged_by("worst-group")
    evaluate, soup = sc.Evaluator(zoo), sc.uniform_soup(zoo)
    labels = zoo.data.split("held_out").labels
    expected = BY_WORDS["worst-group"](evaluate.logits(soup), labels.tolist(), groups.tolist())
    assert evaluate(soup).value == pytest.approx(expected)
    few = sc.Evaluator(zoo, images=50)
    assert len(few.judge.truth.group_cells.order) == 50


@pytest.mark.parametrize("groups", [torch.zeros(119, dtype=torch.int64), torch.zeros(120)])
def test_groups_that_do_not_fit_are_refused(linear_zoo: Make, groups: Tensor) -> None:
    zoo = sc.open_zoo(grouped(linear_zoo(2), groups))
    with pytest.raises(sc.DataError, match=r"groups must be int64 of shape \(120,\), a number for each image; found"):
        sc.Evaluator(zoo)


def test_a_stopped_trial_is_kept_and_continued_by_any_bounded_metric(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(6)).judged_by("macro-f1")
    evaluate = sc.Evaluator(zoo, batch_size=10)
    singles = evaluate.singles()
    order, best = hardest_first(singles.values()), max(singles.values(), key=lambda each: each.value)
    worst = sc.Soup({"m0": 0.0, min(singles, key=lambda name: singles[name].value): 1.0, "m5": 1e-9})
    stopped = evaluate.candidate(worst, best, order=order)
    assert stopped.evaluation is None
    assert stopped.value_at_most is not None
    assert 0 < stopped.images_evaluated < 120
    again = sc.Evaluator(zoo, batch_size=10).candidate(worst, best, order=order)
    assert (again.images_evaluated, again.value_at_most) == (0, stopped.value_at_most)
    whole = evaluate(worst)
    assert whole.value <= stopped.value_at_most
    assert whole.correct <= stopped.correct_at_most


def test_comparisons_are_paired_and_carry_an_interval() -> None:
    noise, labels, groups = drawn(1, images=400)
    one = noise + 2 * torch.eye(7)[labels]
    other = one + torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
    for key in METRICS:
        if key == "auroc":
            continue
        ours, theirs = judged(key, one, labels, groups), judged(key, other, labels, groups)
        found, turned, same = (compare_values(*each) for each in ((ours, theirs), (theirs, ours), (ours, ours)))
        assert found.value == pytest.approx(ours.value - theirs.value)
        assert found.low < found.value < found.high
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
        assert same.value == 0
        alone = value_interval(ours)
        assert alone.low < ours.value < alone.high or key == "log-loss"
        if key in ("balanced-accuracy", "macro-f1", "worst-class", "worst-group"):
            assert (same.low, same.high) == (0, 0)  # both resampled together
    plain = judged("accuracy", one, labels), judged("accuracy", other, labels)
    assert compare_values(*plain) == compare(*plain)
    with pytest.raises(ValueError, match="macro F1 cannot be compared with accuracy"):
        compare_values(judged("macro-f1", one, labels), plain[0])
    with pytest.raises(ValueError, match="400 and 300 images"):
        compare_values(judged("macro-f1", one, labels), judged("macro-f1", one[:300], labels[:300]))


def test_the_bootstrap_of_balanced_classes_is_that_of_accuracy() -> None:
    labels = torch.arange(600) % 3
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.eye(3)[labels] + torch.randn(600, 3, generator=generator) for _ in range(2))
    exact = compare(judged("accuracy", one, labels), judged("accuracy", other, labels))
    found = compare_values(judged("balanced-accuracy", one, labels), judged("balanced-accuracy", other, labels))
    assert found.value == pytest.approx(exact.value)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.01)


def test_what_a_store_kept_before_there_were_metrics_is_still_known(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup, store = sc.uniform_soup(zoo), Store(zoo.folder / "one.sqlite")
    evaluate = sc.Evaluator(zoo, store=store)
    told = evaluate(soup)
    assert len(store.evaluations()) == 1
    assert store.tensors(f"{evaluate.key(soup)} accuracy") is None  # accuracy keeps what it always did
    balanced = sc.Evaluator(zoo.judged_by("balanced-accuracy"), store=store).trial(soup)
    assert balanced.images_evaluated == 0
    assert balanced.evaluation is not None
    assert balanced.evaluation.correctness == told.correctness
