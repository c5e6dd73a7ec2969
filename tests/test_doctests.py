"""The docstrings' examples run, and say what the code does."""

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import soup_core as sc

CORE = Path(sc.__file__).parent


def examples_of(module: ModuleType) -> Iterator[doctest.DocTest]:
    """The module's docstrings that hold examples, but for those that are left out where it runs."""
    for found in doctest.DocTestFinder(exclude_empty=True).find(module):
        if any(doctest.SKIP not in example.options for example in found.examples):
            yield found


def run(found: doctest.DocTest) -> tuple[doctest.TestResults, str]:
    report: list[str] = []
    return doctest.DocTestRunner(verbose=False).run(found, out=report.append), "".join(report)


def documented() -> list[doctest.DocTest]:
    """The examples of every module of the core in which one stands; only these are imported."""
    files = [file for file in sorted(CORE.rglob("*.py")) if ">>> " in file.read_text()]
    names = [".".join(file.relative_to(CORE.parent).with_suffix("").parts) for file in files]
    modules = [importlib.import_module(name.removesuffix(".__init__")) for name in names]
    return [found for module in modules for found in examples_of(module)]


EXAMPLES = documented()


@pytest.mark.parametrize("found", EXAMPLES, ids=lambda found: found.name)
def test_an_example_says_what_the_code_does(found: doctest.DocTest) -> None:
    results, report = run(found)
    assert results.attempted == len(found.examples)
    assert results.failed == 0, report


def test_the_public_face_is_taught_by_examples() -> None:
    taught = {found.name.rpartition("soup_core.")[2].rpartition(".")[2] for found in EXAMPLES}
    assert len(taught & set(sc.__all__)) >= 8, taught


def test_an_example_that_is_wrong_fails() -> None:
    module = ModuleType("made")
    module.__doc__ = ">>> 1 + 1\n3\n"
    (found,) = examples_of(module)
    results, report = run(found)
    assert results.failed == 1
    assert "Expected:\n    3\nGot:\n    2\n" in report
