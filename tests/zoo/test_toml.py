"""zoo.toml: whatever is written is read back, what a person wrote stays, and every producer's file fits the schema."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import soup_core as sc
from soup_core.data import ASSETS, Normalization, Preprocessing
from soup_core.finetune import bundled, header
from soup_core.finetune.bundled import building
from soup_core.zoo.hyperparameters import found_hyperparameters
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import propose
from soup_core.zoo.toml import (
    FORMAT,
    IngredientEntry,
    ZooFile,
    ZooHeader,
    append_ingredient,
    as_toml,
    checked,
    read_zoo_file,
    write_zoo_file,
)
from tests.zoos import random_linears, write_zoo

HOSTILE = (
    "a\"b'c",
    "two\nlines\r\n",
    "tab\t",
    "\0\x01\x1f\x7f\x85\u2028",
    "\ufffd",
    "\u202e\ufeff",
    '"""',
    "'''",
    "\\",
    "# no",
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))
NAMES = TEXTS.filter(bool)
NUMBERS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES = st.one_of(NUMBERS, TEXTS)
OPTIONS = st.dictionaries(
    NAMES.filter(lambda key: key not in ("name", "factory", "num_classes")),
    st.one_of(VALUES, st.lists(st.integers(0, 9), max_size=3), st.dictionaries(NAMES, VALUES, max_size=2)),
    max_size=3,
)
ENTRIES = st.builds(
    lambda name, file, weights, hyperparameters: {
        "name": name,
        "file": file,
        "weights": weights,
        "hyperparameters": hyperparameters,
    },
    NAMES.filter(lambda name: name not in ("base", "tensors", "batch_norm")),
    NAMES,
    st.none() | TEXTS,
    st.dictionaries(TEXTS, VALUES, max_size=3),
)
TABLES = st.fixed_dictionaries(
    {
        "format": st.just(FORMAT),
        "title": TEXTS,
        "architecture": OPTIONS.map(lambda options: {"name": "made", "num_classes": 3, **options}),
        "data": st.one_of(
            st.just({"source": "fashion_mnist"}),
            st.just(
                {
                    "source": "imagefolder:a b",
                    "normalize": {"mean": [0.5, 1e-7], "std": [1.0, 1e22]},
                    "preprocessing": {"resize": 256, "crop": 224, "interpolation": "bicubic", "stretch": True},
                    "held_out": {"share": 0.25, "seed": -1},
                }
            ),
            TEXTS.map(lambda root: {"source": "torchvision:MNIST", "root": root}),
            st.dictionaries(NAMES, TEXTS, max_size=2).map(lambda shifts: {"source": "tensors:d", "shifts": shifts}),
        ),
        "ingredients": st.lists(ENTRIES, min_size=1, max_size=3, unique_by=lambda each: each["name"]),
    },
    optional={"base": st.one_of(NAMES, st.fixed_dictionaries({"file": NAMES, "weights": TEXTS}))},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=TABLES)
def test_what_is_written_is_read_back_as_a_whole_and_entry_by_entry(table: dict[str, Any], tmp_path: Path) -> None:
    content = checked(ZooFile, table, "made")
    file = tmp_path / "zoo.toml"
    write_zoo_file(file, content)
    assert read_zoo_file(file) == content
    file.unlink()
    begun = checked(ZooHeader, {key: value for key, value in table.items() if key != "ingredients"}, "made")
    for entry in content.ingredients:
        append_ingredient(file, entry, begun)
    assert read_zoo_file(file) == content
    assert file.read_text() == as_toml(content)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "  # the last word", "\n\n\n"])
def test_an_entry_is_appended_and_all_that_a_person_wrote_stays(tmp_path: Path, end: str) -> None:
    text = (
        "# mine\nformat=1\ntitle = '''\nA \"title\"'''   # two lines\narchitecture = { name = \"made\", num_classes = 3 }\n"
        '[[ingredients]]  # the first\r\nfile = "a.pt"\nname = "a"\n[data]\nsource = "fashion_mnist"\n'
        '\n[[ingredients]]\nname = "b"\nfile = "b.pt"' + end
    ).encode()
    file = tmp_path / "zoo.toml"
    file.write_bytes(text)
    append_ingredient(file, IngredientEntry(name="c", file="c.pt", hyperparameters={"epochs": 3, "lr": 1e-05}))
    assert file.read_bytes().startswith(text)
    assert [each.name for each in read_zoo_file(file).ingredients] == ["a", "b", "c"]
    assert tomllib.loads(file.read_bytes().decode())["ingredients"][2] == {
        "name": "c",
        "file": "c.pt",
        "hyperparameters": {"epochs": 3, "lr": 1e-05},
    }


HEAD = 'format = 1\ntitle = "z"\narchitecture = { name = "made", num_classes = 3 }\n'
DATA = '[data]\nsource = "fashion_mnist"\n'
UNFIT = {
    "entries on one line": (
        HEAD + 'ingredients = [{ name = "a", file = "a.pt" }]\n' + DATA,
        r"zoo\.toml can take no entry for new\.pt \(.*\); each ingredient must stand there under a line \[\[ingredients\]\]",
    ),
    "not TOML": (HEAD.replace("1", "1 1") + DATA, r"zoo\.toml can take no entry for new\.pt"),
    "a name that is taken": (HEAD + DATA + '[[ingredients]]\nname = "new"\nfile = "a.pt"\n', "'new' stands twice"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_where_no_entry_can_be_appended_the_file_stays_as_it_is(tmp_path: Path, case: str) -> None:
    text, message = UNFIT[case]
    file = tmp_path / "zoo.toml"
    file.write_text(text)
    with pytest.raises(sc.ZooError, match=message):
        append_ingredient(file, IngredientEntry(name="new", file="new.pt"))
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_half_a_character_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = write_zoo(tmp_path / "z", random_linears(2)) / "zoo.toml"
    text, content = file.read_text(), tomllib.loads(file.read_text())
    with pytest.raises(sc.ZooError, match=r"made, key ingredients\.0\.name: .*found 'm\\ud83d'"):
        checked(ZooFile, {**content, "ingredients": [{"name": "m\ud83d", "file": "m.pt"}]}, "made")
    options = {**content["architecture"], "mode": ["\udcff"]}
    for changed in ({"title": "m\ud83d"}, {"architecture": options}):
        with pytest.raises(sc.ZooError, match=r"half a character"):
            write_zoo_file(file, checked(ZooFile, {**content, **changed}, "made"))
    with pytest.raises(sc.ZooError, match=r"The text '.*hard \\ud83d.*' holds half a character"):
        append_ingredient(file, IngredientEntry(name="m", file="m.pt", hyperparameters={"note": "hard \ud83d"}))
    assert file.read_text() == text


def test_half_a_character_in_a_table_of_hyperparameters_becomes_a_mark(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_text(
        '{"name": "a", "note": "x\\ud83dy", "k\\udc00": "\\ud83d\\ude00"}\n{"name": "b"}\n'
    )
    files = [tmp_path / "a.pt", tmp_path / "b.pt"]
    assert found_hyperparameters(tmp_path, files)[files[0]] == {"note": "x\ufffdy", "k\ufffd": "\U0001f600"}


@pytest.mark.parametrize("name", [name for name in bundled.PLANS if (ASSETS / "zoos" / name / "zoo.toml").is_file()])
def test_a_bundled_zoo_s_file_says_what_its_plan_would_write(name: str) -> None:
    plan = bundled.PLANS[name](bundled.BUNDLED_SEEDS.get(name, 0))
    written, shipped = as_toml(building._zoo_file(plan)), (ASSETS / "zoos" / name / "zoo.toml").read_text()
    assert tomllib.loads(written) == tomllib.loads(shipped)


def test_a_proposed_file_fits_the_schema_whatever_the_files_are_called(tmp_path: Path) -> None:
    made = write_zoo(tmp_path / "made", random_linears(3))
    folder = tmp_path / 'swe"ep\n\ufffd'
    folder.mkdir()
    names = ['a"b.safetensors', "new\nline.safetensors", "control\x01\x7f.safetensors"]
    for name, file in zip(names, sorted(made.glob("m*.safetensors")), strict=True):
        (folder / name).write_bytes(file.read_bytes())
    (folder / "runs.csv").write_text('file,"odd ""key""\n"\n' + '"a""b.safetensors","va""l\nue"\n')
    proposal = propose(folder, list(inspect_folder(folder)))
    proposal = replace(proposal, architecture={"name": "test_linear", "num_classes": 3}, data={"source": "tensors:d"})
    content = read_zoo_file(proposal.write())
    assert {each.file for each in content.ingredients} == set(names)
    assert content.title == folder.name
    assert {key for each in content.ingredients for key in each.hyperparameters} == {'odd_"key"'}
    with pytest.raises(sc.ZooError, match=r"key data\.source: .*found 'cloud:d'"):
        replace(proposal, data={"source": "cloud:d"}).write(replace_old=True)
    assert read_zoo_file(folder / "zoo.toml") == content


def test_a_planned_zoo_s_header_fits_the_schema(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "z", random_linears(2)))
    data = replace(
        zoo.data,
        source='imagefolder:/a "b"/c',
        normalization=Normalization((0.1, 2 / 3), (0.5, 0.25)),
        preprocessing=Preprocessing((256, 300), 224, "bicubic", crop_offset="floor", border=(1, 2, 3)),
    )
    begun = header(replace(zoo, title="\0 \ufffd", data=data))
    file = tmp_path / "zoo.toml"
    append_ingredient(file, IngredientEntry(name="ft-01", file="ft-01.safetensors"), begun)
    read = read_zoo_file(file)
    assert (read.title, read.base, read.data.source) == ("\0 \ufffd", "base.safetensors", 'imagefolder:/a "b"/c')
    assert read.data.opened(tmp_path).normalization == Normalization((0.1, 0.666667), (0.5, 0.25))
    assert read.data.opened(tmp_path).preprocessing == data.preprocessing
