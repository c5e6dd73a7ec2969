"""From the folders of transformers' Trainer on sentences to a soup that the plain library counts the same, nothing mocked."""

import csv
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.texts import bert, transformers, write_splits, write_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")  # the trainer's own
RUNS = 2
Command = Callable[..., tuple[int, str, str]]


def train(folder: Path) -> None:
    """A base and runs as the library's own example of text classification makes them, with padding a batch at a time."""
    library = transformers()
    pytest.importorskip(
        "accelerate", reason="the Trainer of transformers needs accelerate, which is not installed here"
    )
    library.logging.set_verbosity_error()
    write_splits(folder / "texts", 60)
    tokenizer = library.AutoTokenizer.from_pretrained(write_tokenizer(folder / "words"))
    for each in (folder / "words").iterdir():
        each.unlink()
    (folder / "words").rmdir()
    names = {0: "blame", 1: "praise"}
    bert(id2label=names, label2id={name: number for number, name in names.items()}).save_pretrained(folder / "base")
    with (folder / "texts" / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    examples = [{**tokenizer(row["text"], truncation=True), "labels": int(row["label"])} for row in rows]
    for run in range(RUNS):
        arguments = library.TrainingArguments(
            str(folder / f"run-{run}"),
            num_train_epochs=2,
            learning_rate=(run + 1) * 1e-3,
            per_device_train_batch_size=20,
            save_strategy="epoch",
            save_total_limit=1,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            seed=run,
        )
        module = library.AutoModelForSequenceClassification.from_pretrained(folder / "base")
        library.Trainer(module, arguments, train_dataset=examples, processing_class=tokenizer).train()


def correct(module: torch.nn.Module, folder: Path, split: str, tokenizer: Any) -> int:
    """How many texts the plain library has right, in its own loop with padding."""
    with (folder / "texts" / f"{split}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    right = 0
    for begin in range(0, len(rows), 8):
        part = rows[begin : begin + 8]
        batch = tokenizer([row["text"] for row in part], padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            answers = module.eval()(**batch).logits.argmax(1).tolist()
        right += sum(answer == int(row["label"]) for answer, row in zip(answers, part, strict=True))
    return right


def test_runs_of_the_trainer_on_sentences_become_a_soup_that_the_library_counts_the_same(
    tmp_path: Path, run: Command
) -> None:
    folder = tmp_path / "sweep"
    train(folder)
    library = transformers()
    code, _, told = run("init", str(folder))
    assert code == 0, told
    table = tomllib.loads((folder / "zoo.toml").read_text())
    assert table["data"]["source"] == "texts:texts"
    assert table["data"]["classes"] == ["blame", "praise"]
    assert table["base"] == "base/model.safetensors"
    assert [each["hyperparameters"]["epochs"] for each in table["ingredients"]] == [2] * RUNS
    tokenizer = library.AutoTokenizer.from_pretrained((folder / table["ingredients"][0]["file"]).parent)

    def rows(*arguments: str) -> list[dict[str, Any]]:
        code, out, error = run(*arguments, "--json")
        assert code == 0, error
        return [json.loads(line) for line in out.splitlines()]

    for each in table["ingredients"]:
        module = library.AutoModelForSequenceClassification.from_pretrained((folder / each["file"]).parent)
        found = rows("evaluate", str(folder), "--soup", each["name"])[-1]
        assert found["held_out"]["correct"] == correct(module, folder, "validation", tokenizer)
        assert found["test"]["correct"] == correct(module, folder, "test", tokenizer)
    greedy = rows("greedy", str(folder))[-1]
    code, _, error = run(
        "export", str(folder), "--soup", "greedy", "-o", str(tmp_path / "soup"), "--format", "transformers"
    )
    assert code == 0, error
    soup = library.AutoModelForSequenceClassification.from_pretrained(tmp_path / "soup")
    assert greedy["test"]["correct"] == correct(soup, folder, "test", tokenizer)
    shifted = rows("evaluate", str(folder), "--soup", "greedy", "--split", "test:tweets")[-1]
    assert shifted["test:tweets"]["correct"] == correct(soup, folder, "tweets", tokenizer)
