"""Texts are evaluated in batches of about one length, and every path gives each text's logits in the split's order."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import soup_core as sc
from soup_core.evaluation import inputs
from soup_core.runtime.store import Store
from tests.texts import transformers, write_text_zoo


@pytest.fixture
def zoo(tmp_path: Path) -> sc.Zoo:
    transformers()
    write_text_zoo(tmp_path / "made", texts=50)
    return sc.open_zoo("made")


def test_batches_hold_texts_of_about_one_length_and_results_stand_in_the_splits_order(
    zoo: sc.Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[tuple[int, int]] = []
    make: Callable[..., torch.Tensor] = inputs.Inputs.__call__

    def noted(self: inputs.Inputs, batch: torch.Tensor) -> torch.Tensor:
        made = make(self, batch)
        widths.append((int(made[:, 1].sum()), made[:, 1].numel()))
        return made

    monkeypatch.setattr(inputs.Inputs, "__call__", noted)
    soup = sc.uniform_soup(zoo)
    evaluate = sc.Evaluator(zoo, "test", batch_size=8)
    logits = evaluate.logits(soup)
    assert sum(padded for _, padded in widths) - sum(own for own, _ in widths) <= 0.2 * sum(own for own, _ in widths)
    module = zoo.module()
    module.load_state_dict(sc.state_dict(zoo, soup))
    with torch.inference_mode():
        tokens = evaluate.data.tokens
        assert tokens is not None
        alone = torch.cat([module(tokens[torch.tensor([index])]) for index in range(50)])
    torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-5)
    assert evaluate(soup).correct == int((alone.argmax(1) == evaluate.data.labels).sum())


def test_early_rejection_decides_as_the_full_search_does(zoo: sc.Zoo) -> None:
    exact = [(step.candidate, step.accepted) for step in sc.greedy_soup(zoo, sc.Evaluator(zoo), full=True)]
    other = sc.Evaluator(zoo, store=Store(zoo.folder / "other.sqlite"))
    assert [(step.candidate, step.accepted) for step in sc.greedy_soup(zoo, other)] == exact


def test_few_of_the_texts_are_those_of_a_fixed_draw(zoo: sc.Zoo) -> None:
    few, every = sc.Evaluator(zoo, "test", images=20), sc.Evaluator(zoo, "test")
    assert few.data.tokens is not None
    assert every.data.tokens is not None
    assert set(few.data.tokens.texts) <= set(every.data.tokens.texts)
    soup = sc.Soup.single("run-0")
    drawn = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:20].sort().values
    torch.testing.assert_close(few.logits(soup), every.logits(soup)[drawn], atol=1e-5, rtol=1e-5)


def test_a_fine_tuning_on_texts_lowers_their_loss(zoo: sc.Zoo) -> None:
    from soup_core.finetune import Hyperparameters, token_source, train

    split = zoo.data.split("train")
    assert split.tokens is not None
    module = zoo.module()
    source = token_source(split.tokens, split.labels, "cpu")
    given = Hyperparameters(learning_rate=0.01, weight_decay=0.0, epochs=4, mixup=0.2)  # which texts are left out of
    losses = [epoch.loss for epoch in train(module, source, given, normalization=zoo.data.normalization)]
    assert losses[-1] < losses[0]
