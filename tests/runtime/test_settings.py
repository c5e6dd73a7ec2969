"""The settings from the environment: one reader, defaults, what a wrong one says, and the README's list of them."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import soup_core as sc
from soup_core.runtime import settings
from soup_core.runtime.settings import SETTINGS, as_markdown
from tests import ROOT

READER = ROOT / "soup_core" / "runtime" / "settings.py"
MODULES = sorted(
    path
    for path in (
        ROOT / "app.py",
        *(path for name in ("soup_core", "pages", "benchmarks") for path in (ROOT / name).rglob("*.py")),
    )
    if path != READER
)


def reads(source: str) -> Iterator[int]:
    """The lines that may read a variable: all that name the environment but to set one, to drop one, or to hand all on."""
    tree = ast.parse(source)
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if "env" in alias.name)
        elif isinstance(node, ast.Attribute) and node.attr in ("getenv", "getenvb", "environb"):
            yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "environ":
            parent = parents[node]
            sets = isinstance(parent, ast.Subscript) and not isinstance(parent.ctx, ast.Load)
            is_default = isinstance(parent, ast.Attribute) and parent.attr == "setdefault"
            hands_on = isinstance(parent, ast.Dict) and node in parent.values
            patches = isinstance(parent, ast.Call) and ast.unparse(parent.func) == "patch.dict"
            if not (sets or is_default or hands_on or patches):
                yield node.lineno


def test_one_module_alone_reads_the_environment() -> None:
    assert len(MODULES) > 150
    found = [f"{path.relative_to(ROOT)}:{line}" for path in MODULES for line in reads(path.read_text())]
    assert found == []
    assert list(reads(READER.read_text()))


@pytest.mark.parametrize(
    "source",
    [
        'os.environ.get("SOUP_HOME")',
        'os.environ["SOUP_HOME"]',
        'os.getenv("SOUP_HOME")',
        "from os import environ",
        '"SOUP_HOME" in os.environ',
        "dict(os.environ)",
        "for name in os.environ: pass",
        "given = os.environ",
    ],
)
def test_whatever_reads_the_environment_is_noticed(source: str) -> None:
    assert list(reads(source)) == [1]


def test_the_readme_lists_every_setting() -> None:
    assert as_markdown() in (ROOT / "README.md").read_text()
    declared = {name for name in vars(settings).values() if isinstance(name, settings.Setting)}
    assert set(SETTINGS) == declared
    assert {each.name for each in SETTINGS} == {
        "SOUP_DEVICE",
        "SOUP_EVALUATION",
        "SOUP_HOME",
        "SOUP_IMAGES",
        "SOUP_MEMORY",
        "SOUP_TRUST",
        "SOUP_ZOOS",
    }


@pytest.mark.parametrize("given", [None, ""])
def test_a_setting_that_is_not_there_or_empty_has_its_default(
    monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    for each in SETTINGS:
        monkeypatch.delenv(each.name, raising=False)
        if given is not None:
            monkeypatch.setenv(each.name, given)
    assert settings.HOME().name == "model-soups-explorer"
    assert (settings.ZOOS(), settings.TRUST(), settings.DEVICE()) == ((), (), None)
    assert (settings.MEMORY(), settings.IMAGES()) == (2.0, 8.0)


def test_a_setting_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("/one", "/two"):
        monkeypatch.setenv("SOUP_HOME", folder)
        assert settings.HOME() == Path(folder)
    monkeypatch.setenv("SOUP_ZOOS", f"/one{os.pathsep}{os.pathsep}/two")
    assert settings.ZOOS() == (Path("/one"), Path("/two"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SOUP_MEMORY", "nan", "SOUP_MEMORY is a number of gigabytes, at least 0; found 'nan'."),
        ("SOUP_MEMORY", "-1", "SOUP_MEMORY is a number of gigabytes, at least 0; found '-1'."),
        ("SOUP_IMAGES", "0", "SOUP_IMAGES is a number of gigabytes above 0; found '0'."),
        ("SOUP_IMAGES", "many", "SOUP_IMAGES is a number of gigabytes above 0; found 'many'."),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected_and_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(sc.SoupError) as refused:
        next(each for each in SETTINGS if each.name == name)()
    assert str(refused.value) == words


def test_a_device_of_the_settings_that_is_not_there_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_DEVICE", "cuda:99")
    with pytest.raises(
        sc.SoupError, match="The device 'cuda:99' of SOUP_DEVICE is not available here; expected one of cpu"
    ):
        sc.resolve_device()
    with pytest.raises(sc.SoupError, match="The device 'cuda:98' is not available here"):
        sc.resolve_device("cuda:98")
