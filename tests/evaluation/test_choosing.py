"""The trial of ways of running a network, what is kept of it, and where an evaluation is one of its way alone."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import soup_core as sc
from soup_core import architectures
from soup_core.evaluation import choosing, deciding, fusing
from soup_core.evaluation.choosing import Choice, agree, in_doubt
from soup_core.runtime.store import Store
from tests.scarce_memory import with_room_for
from tests.zoos import random_deeps, write_zoo

Make = Callable[..., Path]


@pytest.fixture
def every_run_is_worth_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "WORTH_A_TRIAL", 0)
    monkeypatch.setattr(deciding, "FEWEST_CONVOLUTIONS", 1)


def correct_by_torch(zoo: sc.Zoo, soup: sc.Soup) -> int:
    """The count of a plain loop over the held-out images."""
    module, split = zoo.module(), zoo.data.split("held_out")
    module.load_state_dict(sc.state_dict(zoo, soup))
    with torch.inference_mode():
        found = module.eval()(zoo.data.normalization(split.images))
    return int((found.argmax(1) == split.labels).sum())


def test_a_compile_has_to_pay_for_itself_and_a_gain_of_a_few_percent_is_none() -> None:
    choice = Choice({"plain": 1.0, "channels_last": 0.97, "fused": 0.8, "compiled": 0.5}, 64, compile_seconds=30.0)
    assert choice.ranked(50) == ["fused", "plain"]
    assert choice.ranked(90) == ["fused", "compiled", "plain"]
    assert choice.ranked(101) == ["compiled", "fused", "plain"]
    assert Choice({"plain": 1.0, "fused": math.inf}, 64).ranked(10**9) == ["plain"]
    assert not choice.may_gain_by_compiling(10**9)  # it is tried already
    untried = Choice({"plain": 1.0, "fused": 0.5}, 64)
    assert [untried.may_gain_by_compiling(images) for images in (100, 10_000)] == [False, True]


def test_a_choice_is_itself_again_and_anything_else_is_none() -> None:
    choice = Choice({"plain": 0.1 + 0.2, "fused": math.inf}, 64, 12.5)
    assert Choice.from_json(choice.to_json()) == choice
    for text in ("", "[]", "{}", '{"seconds": {"plain": null}, "batch_size": 4, "compile_seconds": 0}', "nan"):
        assert Choice.from_json(text) is None
    for wrong in (choice.to_json().replace("fused", "folded"), choice.to_json().replace("64", "0")):
        assert Choice.from_json(wrong) is None


def test_logits_agree_to_a_hundred_thousandth_and_infinite_ones_at_the_same_places() -> None:
    reference = torch.tensor([[1.0, -0.5], [math.inf, 0.0]])
    assert agree(reference.clone(), reference)
    assert agree(reference + 9e-6, reference)
    assert not agree(reference + 2e-5, reference)
    assert agree(100 * reference + 9e-4, 100 * reference)
    assert not agree(torch.tensor([[1.0, -0.5], [3.0, 0.0]]), reference)
    assert [in_doubt(torch.tensor([[0.5, 0.5 + gap, -1.0]])) for gap in (0.0, 1e-5, 1e-4)] == [True, True, False]


@pytest.mark.parametrize("way", ["channels_last", "fused"])
def test_the_setting_overrules_and_counts_are_those_of_a_plain_loop(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("SOUP_EVALUATION", way)
    zoo = sc.open_zoo(deep_zoo(3))
    evaluate = sc.Evaluator(zoo, device="cpu")
    for soup in (
        sc.uniform_soup(zoo),
        sc.Soup({"m1": 1.0}),
        sc.Soup({"m0": 0.5, "m2": 0.5}, batch_norm="re-estimated"),
    ):
        assert evaluate(soup).correct == correct_by_torch(zoo, soup)
    assert evaluate.way == way


def test_an_unknown_way_is_refused(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_EVALUATION", "folded")
    with pytest.raises(sc.SoupError, match=r"SOUP_EVALUATION is one of auto, plain, .*found 'folded'"):
        sc.Evaluator(sc.open_zoo(linear_zoo(2)))(sc.Soup({"m0": 1.0}))


def test_the_bundled_network_and_other_precisions_are_run_as_they_are(deep_zoo: Make, few_images: None) -> None:
    zoo = sc.open_zoo("fashion")
    work = sc.Evaluator(zoo, device="cpu")._work
    assert not work.is_tried
    assert 5000 * sum(tensor.numel() for tensor in zoo.tensors.values()) * 28 * 28 < choosing.WORTH_A_TRIAL / 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOUP_EVALUATION", "fused")
        zoo = sc.open_zoo(deep_zoo(2))
        assert not sc.Evaluator(zoo, device="cpu", precision="bf16")._work.is_tried


def test_a_transformer_is_left_alone_and_a_network_of_convolutions_is_tried(linear_zoo: Make) -> None:
    work = sc.Evaluator(sc.open_zoo(linear_zoo(2)), device="cpu")._work
    for name, is_tried in (("vit_b_32", False), ("resnet18", True)):
        tensors = architectures.meta_module(f"torchvision:{name}", 10).state_dict()
        zoo = SimpleNamespace(tensors=tensors)
        large = replace(work, zoo=zoo, images=10_000, shape=(3, 224, 224))  # type: ignore[arg-type]  # of a zoo it needs the tensors alone
        assert large.is_tried is is_tried
        assert not replace(large, images=1, shape=(3, 32, 32)).is_tried


def test_a_trial_is_made_once_and_kept_and_one_way_holds_within_a_run(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch, every_run_is_worth_a_trial: None
) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    first = sc.Evaluator(zoo, device="cpu")
    first(sc.Soup({"m0": 1.0}))
    choice = choosing.kept_choice(first.store, first._work.key)
    assert choice is not None
    assert set(choice.seconds) == {"plain", "channels_last", "fused"}
    assert all(math.isfinite(each) for each in choice.seconds.values())
    monkeypatch.setattr(deciding, "made_choice", lambda *given, **options: pytest.fail("a second trial"))
    fused = Choice({"plain": 1.0, "fused": 0.5}, 32)
    first.store.keep_choice(first._work.key, fused.to_json())
    second = sc.Evaluator(zoo, device="cpu")
    assert second.way == "fused"  # before anything is run
    soups = [sc.Soup({"m1": 1.0}), sc.uniform_soup(zoo)]
    assert [second(soup).correct for soup in soups] == [correct_by_torch(zoo, soup) for soup in soups]
    assert (second.way, second._size) == ("fused", 32)
    first.store.keep_choice(first._work.key, Choice({"plain": 1.0, "fused": 2.0}, 32).to_json())
    assert (second.way, sc.Evaluator(zoo, device="cpu").way) == ("fused", "plain")
    first.store.keep_choice(first._work.key, "damaged")
    with pytest.raises(pytest.fail.Exception, match="a second trial"):
        sc.Evaluator(zoo, device="cpu")(sc.Soup({"m2": 1.0}))


def test_a_way_that_gives_other_logits_is_dropped(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch, every_run_is_worth_a_trial: None
) -> None:
    refresh = fusing._Convolution.refresh

    def wrong(self: fusing._Convolution) -> None:
        refresh(self)
        self.shift = self.shift + 1e-3

    monkeypatch.setattr(fusing._Convolution, "refresh", wrong)
    zoo = sc.open_zoo(deep_zoo(2))
    evaluate, soup = sc.Evaluator(zoo, device="cpu"), sc.uniform_soup(zoo)
    assert evaluate(soup).correct == correct_by_torch(zoo, soup)
    choice = choosing.kept_choice(evaluate.store, evaluate._work.key)
    assert choice is not None
    assert choice.seconds["fused"] == math.inf
    monkeypatch.setenv("SOUP_EVALUATION", "fused")
    forced = sc.Evaluator(zoo, device="cpu", store=Store(zoo.folder / "forced"))
    assert forced(soup).correct == correct_by_torch(zoo, soup)
    assert forced.way == "plain"


def test_a_kept_evaluation_is_of_every_way_unless_an_image_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = random_deeps(2)
    files["m1"] = {name: torch.zeros_like(value) if "head" in name else value for name, value in files["m1"].items()}
    zoo = sc.open_zoo(write_zoo(tmp_path / "zoo", files, architecture="test_deep"))
    clear, doubtful = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})  # all logits of m1 are zero

    def run(way: str, soup: sc.Soup) -> int:
        monkeypatch.setenv("SOUP_EVALUATION", way)
        return sc.Evaluator(zoo, device="cpu").trial(soup).images_evaluated

    assert [run(way, clear) for way in ("channels_last", "plain", "fused")] == [120, 0, 0]
    assert [run(way, doubtful) for way in ("channels_last", "plain", "fused")] == [120, 120, 0]
    assert run("channels_last", doubtful) == 0


def test_row_41_a_trial_that_does_not_fit_leaves_the_network_as_it_is(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    monkeypatch.setenv("SOUP_EVALUATION", "channels_last")
    with_room_for(3, monkeypatch)
    evaluate = sc.Evaluator(zoo, device="cpu")
    found = evaluate(soup)
    assert (evaluate.way, evaluate.batch_size <= 3) == ("plain", True)
    monkeypatch.undo()
    assert found.total == 120
    assert found.correct == int((evaluate.logits(soup).argmax(1) == zoo.data.split("held_out").labels).sum())


def test_a_trial_can_be_ended_and_leaves_no_record(deep_zoo: Make, every_run_is_worth_a_trial: None) -> None:
    zoo = sc.open_zoo(deep_zoo(2))
    evaluate = sc.Evaluator(zoo, device="cpu")
    _ = evaluate.bank  # reading the files has yield points of its own

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sc.interruptible(stop):
        evaluate(sc.uniform_soup(zoo))
    assert choosing.kept_choice(evaluate.store, evaluate._work.key) is None
    assert evaluate(sc.uniform_soup(zoo)).correct == correct_by_torch(zoo, sc.uniform_soup(zoo))
