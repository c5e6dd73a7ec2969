"""Texts become padded batches, and splits of them are told apart by their content."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence

from soup_core.data import Normalization, Split, Tokens
from soup_core.errors import DataError
from soup_core.evaluation.inputs import Inputs

ROWS = st.lists(st.lists(st.integers(1, 30_000), min_size=1, max_size=9), min_size=1, max_size=8)


@settings(max_examples=25)
@given(ROWS, st.integers(0, 7), st.data())
def test_a_batch_is_what_torch_pads_to_the_longest_of_it(rows, padding, data):
    tokens = Tokens.of(rows, [[place % 2 for place in range(len(row))] for row in rows], padding=padding)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12))
    batch = tokens[torch.tensor(chosen)]
    expected = [torch.tensor(rows[index]) for index in chosen]
    assert torch.equal(batch[:, 0], pad_sequence(expected, batch_first=True, padding_value=padding))
    assert torch.equal(batch[:, 1], pad_sequence([torch.ones_like(row) for row in expected], batch_first=True))
    segments = [torch.arange(len(row)) % 2 for row in expected]
    assert torch.equal(batch[:, 2], pad_sequence(segments, batch_first=True))
    assert batch.dtype == torch.int64


@settings(max_examples=25)
@given(ROWS, st.data())
def test_chosen_texts_give_the_batches_that_they_gave_among_the_others(rows, data):
    tokens = Tokens.of(rows, texts=[(str(row),) for row in rows])
    indices = torch.tensor(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12)))
    few = tokens.chosen(indices)
    assert torch.equal(few[torch.arange(len(few))], tokens[indices])
    assert [text for (text,) in few.texts] == [str(rows[index]) for index in indices]


def test_a_digest_changes_with_all_that_a_network_is_given_and_with_nothing_else():
    labels = torch.tensor([0, 1])
    tokens = Tokens.of([[5, 6], [7]], [[0, 1], [0]])
    others = [
        Tokens.of([[5], [6, 7]], [[0], [1, 0]]),  # the same numbers, cut elsewhere
        Tokens.of([[5, 6], [8]], [[0, 1], [0]]),
        Tokens.of([[5, 6], [7]], [[0, 0], [0]]),
        Tokens.of([[5, 6], [7]]),
        Tokens.of([[5, 6], [7]], [[0, 1], [0]], padding=1),
    ]
    digests = {Split("test", each, labels).digest for each in (tokens, *others)}
    digests |= {Split("test", tokens, labels.flip(0)).digest, Split("test", tokens, labels, (0, 1)).digest}
    assert len(digests) == 8
    named = Tokens.of([[5, 6], [7]], [[0, 1], [0]], texts=[("a b",), ("c",)])
    assert Split("held_out", named, labels).digest == Split("test", tokens, labels).digest


def test_a_text_without_tokens_is_all_padding():
    batch = Tokens.of([[], []])[torch.tensor([0, 1])]
    assert batch.shape == (2, 3, 1)
    assert not batch.any()


def test_neighbours_by_length_differ_least():
    tokens = Tokens.of([[1] * length for length in (3, 1, 2, 1)])
    assert tokens.by_length.tolist() == [1, 3, 2, 0]
    assert tokens.shape == (4, 3, 3)


def test_inputs_and_parts_of_a_split_are_its_tokens():
    split = Split("test", Tokens.of([[5, 6], [7]]), torch.tensor([0, 1]))
    inputs = Inputs(split, Normalization(mean=(0.5,), std=(2.0,)), "cpu")
    assert torch.equal(inputs(torch.tensor([1])), torch.tensor([[[7], [1], [0]]]))
    assert split.chosen(torch.tensor([1])).labels.tolist() == [1]
    with pytest.raises(DataError, match="holds texts"):
        _ = split.images


@pytest.mark.parametrize(
    ("ids", "lengths"), [([1, 2, 3], [1, 1]), ([1], [2]), ([1, 2], [3, -1])], ids=["more", "fewer", "negative"]
)
def test_lengths_that_do_not_fit_the_numbers_are_refused(ids, lengths):
    with pytest.raises(DataError, match="add up to"):
        Tokens(torch.tensor(ids, dtype=torch.int32), torch.tensor(lengths))
