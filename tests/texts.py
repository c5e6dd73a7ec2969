"""Made texts and small networks of transformers that read them: a zoo of texts without anything from outside."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = ("good", "fine", "great", "bad", "poor", "awful", "film", "actor", "story", "the", "a", "and", "very", "quite")
GOOD, BAD = WORDS[:3], WORDS[3:6]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PLACES = 24


def transformers() -> Any:
    """The library, or the test is skipped, visibly."""
    return pytest.importorskip("transformers", reason="transformers is not installed here")


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    """Sentences of one word to thirty, and whether they praise more than they blame."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = [draw.choice(WORDS) for _ in range(draw.choice((1, 2, 5, 9, 14, 30)))]
        praise = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
        found.append((" ".join(words), int(praise > 0)))
    return found


def write_csv(file: Path, rows: list[tuple[object, ...]], names: tuple[str, ...] = ("text", "label")) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([names, *rows])
    return file


def write_splits(folder: Path, count: int = 60) -> Path:
    """Files for each split, and one of a shift."""
    for seed, name in enumerate(("train", "validation", "test", "tweets")):
        write_csv(folder / f"{name}.csv", list(sentences(count, seed)))
    return folder


def write_tokenizer(folder: Path, max_length: int | None = 20) -> Path:
    """The vocabulary of a BERT, as transformers' older releases save it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join((*SPECIAL, *WORDS)) + "\n")
    said = {"tokenizer_class": "BertTokenizer", **({"model_max_length": max_length} if max_length else {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def bert(seed: int = 0, **options: object) -> torch.nn.Module:
    """A tiny BERT with random weights, large enough that its answers differ."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=PLACES,
        initializer_range=0.6,
        **{"num_labels": 2, **options},
    )
    torch.manual_seed(seed)
    return BertForSequenceClassification(config).eval()


def write_text_zoo(folder: Path, count: int = 3, *, texts: int = 60, data: str = "") -> Path:
    """A zoo of tiny BERTs around a base, on made sentences, as a person would write it."""
    write_splits(folder / "texts", texts)
    base = bert()
    base.save_pretrained(folder / "base")
    write_tokenizer(folder / "base")
    lines = [
        "format = 1",
        'title = "Made sentences"',
        'architecture = { name = "transformers:base", num_classes = 2 }',
        'base = "base/model.safetensors"',
        "[data]",
        'source = "texts:texts"',
        'classes = ["blame", "praise"]',
        data,
    ]
    for number in range(count):
        member = bert()
        torch.manual_seed(100 + number)
        with torch.no_grad():
            for parameter in member.parameters():
                parameter += 0.4 * torch.randn_like(parameter)
        member.save_pretrained(folder / f"run-{number}")
        lines += [
            "[[ingredients]]",
            f'name = "run-{number}"',
            f'file = "run-{number}/model.safetensors"',
            f"hyperparameters = {{ learning_rate = {(number + 1) * 1e-5} }}",
        ]
    (folder / "zoo.toml").write_text("\n".join(lines) + "\n")
    return folder
