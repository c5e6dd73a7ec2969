from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import soup_core as sc
from soup_core.evaluation import hardest_first, measure
from soup_core.store import Store

Make = Callable[..., Path]


def test_a_linear_models_soup_has_the_mean_of_the_logits(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo)
    mean = torch.stack([evaluate.logits(sc.Soup({name: 1.0})) for name in zoo.names]).mean(0)
    soup = sc.uniform_soup(zoo)
    torch.testing.assert_close(evaluate.logits(soup), mean, atol=1e-5, rtol=1e-5)
    split = zoo.data.split("held_out")
    evaluation = evaluate(soup)
    assert evaluation.correct == int((mean.argmax(1) == split.labels).sum())
    assert evaluation.loss == pytest.approx(float(F.cross_entropy(mean, split.labels)), abs=1e-5)
    assert int(evaluation.bits().sum()) == evaluation.correct


def test_batch_sizes_agree_in_logits(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    by_size = [sc.Evaluator(zoo, batch_size=size).logits(soup) for size in (1, 7, 120)]
    torch.testing.assert_close(by_size[0], by_size[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(by_size[0], by_size[2], atol=1e-5, rtol=0)


def test_what_is_known_is_not_run_again(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    first = sc.Evaluator(zoo).trial(soup)
    again = sc.Evaluator(sc.open_zoo(zoo.folder)).trial(soup)
    assert (first.images_evaluated, again.images_evaluated) == (120, 0)
    assert first.evaluation == again.evaluation


def test_a_stopped_trial_bounds_and_is_continued(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo, batch_size=10)
    singles = {name: evaluate(sc.Soup({name: 1.0})) for name in zoo.names}
    order = hardest_first(singles.values())
    soup = sc.uniform_soup(zoo)
    stopped = evaluate.trial(soup, errors_below=1, order=order)
    assert stopped.evaluation is None
    assert stopped.images_evaluated < evaluate.total
    assert evaluate.trial(soup, errors_below=1, order=order).images_evaluated == 0
    whole = evaluate.trial(soup, errors_below=10_000, order=order)
    assert whole.evaluation is not None
    assert whole.evaluation.correct <= stopped.correct_at_most
    fresh = sc.Evaluator(zoo, store=Store(zoo.folder / "fresh.sqlite"))
    assert fresh(soup) == whole.evaluation


def test_a_trial_that_is_broken_off_leaves_no_record(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    evaluate, soup = sc.Evaluator(zoo, batch_size=10), sc.uniform_soup(zoo)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sc.interruptible(stop):
        evaluate.trial(soup)
    assert evaluate.known(soup) is None
    assert evaluate.trial(soup).images_evaluated == evaluate.total


def test_hardest_first_puts_most_missed_images_first() -> None:
    def evaluation(bits: list[int]) -> sc.Evaluation:
        return sc.Evaluation(sum(bits), len(bits), 0, 0, np.packbits(np.array(bits, bool)).tobytes())

    order = hardest_first([evaluation([1, 0, 1, 0]), evaluation([1, 1, 1, 0])])
    assert order.indices.tolist() == [3, 1, 0, 2]


def test_non_finite_logits_count_as_wrong() -> None:
    logits = torch.tensor([[1.0, 0.0], [float("nan"), 0.0], [float("inf"), 0.0]])
    evaluation = measure(logits, torch.tensor([0, 0, 0]))
    assert (evaluation.correct, evaluation.not_finite) == (1, 2)


def test_ece_of_a_known_case() -> None:
    confident = torch.tensor([0.8, 0.2]).log().repeat(10, 1)
    labels = torch.tensor([0] * 6 + [1] * 4)
    one_bin = measure(confident, labels)
    gaps = [abs(part.double().mean() - 0.8) * len(part) for part in (labels == 0).tensor_split(10)]
    assert one_bin.ece == pytest.approx(float(sum(gaps)) / 10)


def test_row_45_a_damaged_store_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    file.write_bytes(b"not a database at all" * 100)
    store = Store(file)
    assert store.notice is not None
    assert "set aside" in store.notice
    assert any(path.name.startswith("store.sqlite.damaged-") for path in tmp_path.iterdir())
    store.keep_evaluations([("k", 1, 1, 0.0, 0.0, 0, b"\x80")])
    assert Store(file).evaluation("k") is not None


def test_row_45_a_damaged_record_is_computed_again(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate, soup = sc.Evaluator(zoo), sc.Soup({"m0": 1.0})
    right = evaluate(soup)
    evaluate.store.keep_evaluations([(evaluate.key(soup), right.correct + 1, 120, 0.0, 0.0, 0, right.correctness)])
    assert evaluate(soup) == right


def test_labels_beyond_the_classes_are_refused(linear_zoo: Make) -> None:
    folder = linear_zoo(2)
    file = folder / "zoo.toml"
    text = file.read_text()
    file.write_text(text.replace("num_classes = 3", "num_classes = 2"))
    with pytest.raises(sc.ZooError, match=r"head\.\w+ has shape"):
        sc.open_zoo(folder)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_agrees_with_the_cpu(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    soup = sc.uniform_soup(zoo)
    ours, theirs = (sc.Evaluator(zoo, device=device).logits(soup) for device in ("cuda", "cpu"))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_an_unknown_device_is_refused(linear_zoo: Make) -> None:
    with pytest.raises(sc.SoupError, match="not available here"):
        sc.Evaluator(sc.open_zoo(linear_zoo(2)), device="toaster")
