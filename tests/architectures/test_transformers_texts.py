"""Classifiers of sequences by transformers take one tensor, and answer as the library does when it is called in its own way."""

from pathlib import Path

import pytest
import torch

from soup_core import architectures
from soup_core.architectures.forward import failures_in_words
from soup_core.data import Tokens
from soup_core.errors import DataError, ZooError
from tests.texts import bert, transformers

ROWS = [[2, 7, 9, 3], [2, 8, 3], [2, 5, 6, 7, 8, 9, 10, 3]]
SEGMENTS = [[0, 0, 1, 1], [0, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]]
SMALL = {"vocab_size": 20, "num_labels": 3, "pad_token_id": 1}
CONFIGS = {
    "Bert": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8},
    "Roberta": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8},
    "DistilBert": {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8},
    "GPT2": {"n_embd": 8, "n_layer": 1, "n_head": 2},
}


@pytest.mark.parametrize("family", CONFIGS)
def test_padded_batches_are_answered_as_the_library_answers_each_text(family: str, tmp_path: Path) -> None:
    library = transformers()
    config = getattr(library, f"{family}Config")(**SMALL, **CONFIGS[family])
    torch.manual_seed(0)
    theirs = getattr(library, f"{family}ForSequenceClassification")(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = architectures.build(f"transformers:{tmp_path}", 3).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    tokens = Tokens.of(ROWS, SEGMENTS, padding=1)
    tells_segments = family == "Bert"  # the others have none, or add them to the words
    with torch.inference_mode():
        batch = ours(tokens[torch.arange(len(ROWS))])
        for row, segments, logits in zip(ROWS, SEGMENTS, batch, strict=True):
            given = {"token_type_ids": torch.tensor([segments])} if tells_segments else {}
            alone = theirs(input_ids=torch.tensor([row]), **given).logits[0]
            torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-5)
    assert architectures.takes_texts({"name": "transformers:.", "num_classes": 3}, tmp_path)


def test_a_tokenizer_of_more_words_than_the_network_has_is_told(tmp_path: Path) -> None:
    transformers()
    bert().save_pretrained(tmp_path)
    module = architectures.build(f"transformers:{tmp_path}", 2).eval()
    batch = Tokens.of([[900]])[torch.tensor([0])]
    with (
        pytest.raises(DataError, match=r"does not take texts of 1 tokens.*See that the tokenizer is the one"),
        failures_in_words({"name": "transformers:."}, module, batch),
        torch.inference_mode(),
    ):
        module(batch)


def test_code_of_a_folder_never_runs(tmp_path: Path) -> None:
    transformers()
    bert().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    ran = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    text = file.read_text().replace(
        '"model_type": "bert"', '"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}'
    )
    file.write_text(text)
    with pytest.raises(ZooError, match="describes no classifier"):
        architectures.build(f"transformers:{tmp_path}", 2)
    assert not ran.exists()
