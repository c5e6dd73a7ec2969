"""Labelled texts of files become splits: which rows, which labels, which tokens, and what is refused in one sentence."""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

import soup_core as sc
from soup_core.data import Data, HeldOut, tokenizing
from soup_core.data.splits import UNNORMALIZED
from soup_core.data.text_files import FILE_AT_MOST, TEXT_AT_MOST, Columns, Row, chosen_columns, column_names, rows
from soup_core.data.text_tokenizers import tokenizer_in
from tests.texts import SPECIAL, WORDS, sentences, transformers, write_csv, write_splits, write_tokenizer

ROWS = [('good film, "very" good', "", 1), ("né\n😀 <b>![x](http://x)</b>", "a pair", 0), ("", "x", 1)]
NAMES = ("sentence1", "sentence2", "label")
PAIRED = Columns("sentence1", "sentence2", "label")


def written(folder: Path, kind: str) -> Path:
    file = folder / f"data.{kind}"
    tables = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    if kind == "csv":
        write_csv(file, ROWS, NAMES)
    elif kind == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(tables), file)
    else:
        file.write_text("".join(f"{json.dumps(table)}\n" for table in tables), encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, kind):
    file = written(tmp_path, kind)
    assert column_names(file) == NAMES
    assert chosen_columns(Columns(), column_names(file), file.name) == PAIRED
    assert list(rows(file, PAIRED)) == [Row((one, other), label) for one, other, label in ROWS]


def test_tab_separated_values_keep_their_quotes_as_glue_has_them(tmp_path):
    file = tmp_path / "dev.tsv"
    file.write_text("sentence\tlabel\nit 's \"great\t1\n")
    assert list(rows(file, Columns("sentence", "", "label"))) == [Row(("it 's \"great",), 1)]


REFUSED = {
    "utf-16": ("text,label\na,1\n".encode("utf-16"), "is no UTF-8"),
    "latin-1": (b"text,label\ncaf\xe9,1\n", "is no UTF-8"),
    "more values": (b"text,label\na,1\nb,0,7\n", "line 3, has 3 values for 2 columns"),
    "open quote": (b'text,label\n"a,1\n', "is no row of CSV"),
    "a column twice": (b"text,text\na,1\n", "names a column twice"),
    "no label": (b"text,label\na,\n", "line 2, has no label"),
    "half a label": (b"text,label\na,1\nb,0.5x\n", None),
    "no text column": (b"body,label\na,1\n", "Which column of x.csv is the text"),
    "no label column": (b"text,stars\na,1\n", "Which column of x.csv is the label"),
    "nothing": (b"", "holds no row"),
    "too long": (b"text,label\n" + b"a" * (TEXT_AT_MOST + 1) + b",1\n", "is no row of CSV"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_odd_csv_is_refused_with_the_place(tmp_path, content, message):
    file = tmp_path / "x.csv"
    file.write_bytes(content)

    def read() -> list[Row]:
        return list(rows(file, chosen_columns(Columns(), column_names(file), file.name)))

    if message is None:
        assert read()[1].label == "0.5x"
        return
    with pytest.raises(sc.DataError, match=message) as error:
        read()
    assert len(str(error.value)) < 400


ODD_LINES = {
    "no object": ("[1]", "holds no object"),
    "no JSON": ("{", "is no JSON"),
    "deep": ("[" * 100_000, "is no JSON"),
    "no text": ('{"text": 7, "label": 1}', "found a int"),
    "null": ('{"text": null, "label": 1}', "found nothing"),
    "surrogate": ('{"text": "\\ud800", "label": 1}', "half a character"),
    "half": ('{"text": "a", "label": 0.5}', "no label in the column label; found 0.5"),
    "many digits": ('{"text": "a", "label": 1e308}', "no label"),
    "list": ('{"text": "a", "label": [1]}', "no label"),
    "too long": (json.dumps({"text": "a" * (TEXT_AT_MOST + 1), "label": 1}), "at most"),
}


@pytest.mark.parametrize(("line", "message"), ODD_LINES.values(), ids=ODD_LINES)
def test_odd_json_lines_are_refused_with_the_place(tmp_path, line, message):
    file = tmp_path / "x.jsonl"
    file.write_text(f'{{"text": "a", "label": 1}}\n{line}\n')
    with pytest.raises(sc.DataError, match=message) as error:
        list(rows(file, Columns("text", "", "label")))
    assert "x.jsonl, line 2" in str(error.value)


def test_damaged_parquet_is_refused(tmp_path):
    file = written(tmp_path, "parquet")
    whole = file.read_bytes()
    for content in (b"", whole[:4] + bytes(60) + whole[64:], whole[:-9]):
        file.write_bytes(content)
        with pytest.raises(sc.DataError, match="cannot be read as Parquet"):
            list(rows(file, PAIRED))


def test_row_17_and_54_a_fifo_and_what_is_too_large_are_never_read(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(sc.DataError, match="no regular file"):
        column_names(tmp_path / "x.csv")
    with (tmp_path / "y.csv").open("wb") as file:
        file.truncate(FILE_AT_MOST + 1)
    with pytest.raises(sc.DataError, match="at most"):
        column_names(tmp_path / "y.csv")


def data(folder: Path, source: str = "texts:texts", **options: object) -> Data:
    transformers()
    write_tokenizer(folder / "tokenizer")
    given = {"num_classes": 2, "tokenizer": tokenizer_in(folder / "tokenizer"), **options}
    return Data(source, folder, UNNORMALIZED, **given)


def told(split: object) -> list[tuple[str, int]]:
    texts = [text for (text,) in split.tokens.texts]
    return list(zip(texts, split.labels.tolist(), strict=True))


def test_files_of_a_folder_are_splits_and_others_are_shifts(tmp_path):
    write_splits(tmp_path / "texts", 20)
    write_csv(tmp_path / "texts" / "notes.csv", [("x",)], ("note",))
    found = data(tmp_path)
    assert found.shifts() == ("tweets",)
    for seed, name in enumerate(("train", "held_out", "test", "test:tweets")):
        assert told(found.split(name)) == sentences(20, seed)
    assert found.layout() == {"held_out": "validation", "test": "test", "train": "train"}
    assert any("notes.csv lack the columns" in notice for notice in found.notices())
    with pytest.raises(sc.DataError, match="There is no shift 'blur-3'; expected tweets"):
        found.split("test:blur-3")


def test_tokens_are_those_of_the_library_and_are_made_once(tmp_path, monkeypatch):
    write_splits(tmp_path / "texts", 30)
    found = data(tmp_path)
    split = found.split("test")
    library = transformers().AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    texts = [text for text, _ in sentences(30, 2)]
    expected = library(texts, truncation=True, max_length=20)["input_ids"]
    assert [row.tolist() for row in split.tokens.ids.split(split.tokens.lengths.tolist())] == expected
    assert max(map(len, expected)) == 20
    assert any("longer than 20 tokens and are cut" in notice for notice in found.notices())
    monkeypatch.setattr(tokenizing.Tokenizing, "_make", lambda self: pytest.fail("made a second time"))
    shutil.copytree(tmp_path / "texts", tmp_path / "moved")
    assert data(tmp_path, "texts:moved").split("test").digest == split.digest


def test_another_tokenizer_and_damaged_tokens_are_made_anew(tmp_path):
    write_splits(tmp_path / "texts", 10)
    first = data(tmp_path)
    one = first.split("test")
    (kept,) = (tmp_path / "home" / "texts").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert first._origin("test").tokenizing.labelled().tokens.ids.equal(one.tokens.ids)
    assert kept.read_bytes() == whole
    (tmp_path / "tokenizer" / "vocab.txt").write_text("\n".join((*SPECIAL, *reversed(WORDS))))
    other = Data("texts:texts", tmp_path, UNNORMALIZED, num_classes=2, tokenizer=tokenizer_in(tmp_path / "tokenizer"))
    assert other.split("test").digest != one.digest


def test_one_file_is_divided_by_shares_or_by_a_column(tmp_path):
    write_csv(tmp_path / "one.csv", list(sentences(80, 0)))
    found = data(tmp_path, "texts:one.csv", held_out=HeldOut(0.25, 3))
    held_out, test = told(found.split("held_out")), told(found.split("test"))
    assert sorted(held_out + test) == sorted(sentences(80, 0))
    texts, labels = zip(*sentences(80, 0), strict=True)
    chosen = HeldOut(0.25, 3).chosen(texts, labels)
    assert held_out == [row for row, taken in zip(sentences(80, 0), chosen, strict=True) if taken]
    marks = ["train", "dev", "test", "films"]
    table = [(text, label, marks[index % 4]) for index, (text, label) in enumerate(sentences(80, 0))]
    write_csv(tmp_path / "marked.csv", table, ("text", "label", "split"))
    marked = data(tmp_path, "texts:marked.csv")
    assert marked.shifts() == ("films",)
    assert told(marked.split("held_out")) == [row[:2] for row in table if row[2] == "dev"]
    assert told(marked.split("test:films")) == [row[:2] for row in table if row[2] == "films"]


def test_labels_by_name_follow_the_classes_and_numbers_are_the_outputs(tmp_path):
    names = ("low", "high")
    for seed, name in enumerate(("train", "validation", "test")):
        rows = [(text, names[label]) for text, label in sentences(20, seed)]
        write_csv(tmp_path / "texts" / f"{name}.csv", rows)
    expected = [label for _, label in sentences(20, 2)]
    assert data(tmp_path).classes == ("high", "low")
    assert data(tmp_path).split("test").labels.tolist() == [1 - label for label in expected]
    assert data(tmp_path, class_names=names).split("test").labels.tolist() == expected
    write_csv(tmp_path / "texts" / "test.csv", [("good", -1), ("bad", 1)])
    with pytest.raises(sc.DataError, match="without a known label"):
        data(tmp_path, class_names=names).split("test")
    write_csv(tmp_path / "texts" / "test.csv", [("good", "unheard"), ("bad", "low")])
    with pytest.raises(sc.DataError, match="unheard"):
        data(tmp_path, class_names=names).split("test")


def test_pairs_have_segments_as_the_library_gives_them(tmp_path):
    pairs = [(one, other, label) for (one, label), (other, _) in zip(sentences(9, 0), sentences(9, 1), strict=True)]
    for name in ("validation", "test"):
        write_csv(tmp_path / "texts" / f"{name}.csv", pairs, ("premise", "hypothesis", "label"))
    tokens = data(tmp_path).split("test").tokens
    library = transformers().AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    firsts, seconds, _ = zip(*pairs, strict=True)
    expected = library(list(firsts), list(seconds), truncation=True, max_length=20)
    assert [row.tolist() for row in tokens.segments.split(tokens.lengths.tolist())] == expected["token_type_ids"]
    assert tokens.texts == tuple(zip(firsts, seconds, strict=True))


def test_row_18_links_out_of_the_roots_are_refused(tmp_path, monkeypatch):
    outside, zoo = tmp_path / "outside", tmp_path / "zoo"
    write_splits(outside, 4)
    zoo.mkdir()
    monkeypatch.setenv("SOUP_ZOOS", str(zoo))
    found = data(zoo, "texts:../outside")
    with pytest.raises(sc.DataError, match="outside the zoo's folder"):
        found.split("test")
    (zoo / "texts").mkdir()
    for name in ("validation.csv", "test.csv"):
        (zoo / "texts" / name).symlink_to(outside / name)
    with pytest.raises(sc.DataError, match="outside the zoo's folder"):
        data(zoo).split("test")


def test_a_tokenizer_that_brings_code_or_lies_elsewhere_is_refused(tmp_path):
    transformers()
    folder = write_tokenizer(tmp_path / "own")
    (folder / "vocab.txt").rename(tmp_path / "vocab.txt")
    with pytest.raises(sc.DataError, match="holds no tokenizer"):
        tokenizer_in(folder)
    (folder / "vocab.txt").symlink_to(tmp_path / "vocab.txt")
    with pytest.raises(sc.DataError, match="link out of its folder"):
        tokenizer_in(folder)
    (folder / "vocab.txt").unlink()
    (tmp_path / "vocab.txt").rename(folder / "vocab.txt")
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Odd: pass\n")
    said = {"tokenizer_class": "Odd", "auto_map": {"AutoTokenizer": ["code.Odd", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    with pytest.raises(sc.DataError, match="The tokenizer in own"):
        tokenizer_in(folder)([("good film",)])
    assert not (tmp_path / "ran").exists()
