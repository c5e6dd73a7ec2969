"""The server of the Model Context Protocol, asked by the SDK's own client over standard input and output of a real process."""

import asyncio
import base64
import json
import os
import struct
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest

import soup_core as sc
from soup_core.cli.mcp.tools import tools
from soup_core.recipes import RECIPES
from tests import ROOT
from tests.e2e.zoos import write_fashion_zoo

T = TypeVar("T")
Run = Callable[..., tuple[int, str, str]]


@dataclass
class Asked:
    """What a server answered: its tools, results by the calls' labels, progress notices by the same, exports on disk."""

    offered: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, list[float]] = field(default_factory=dict)
    folder: Path = Path()

    def rows(self, label: str) -> list[dict[str, Any]]:
        result = self.results[label]
        assert not result.is_error, result.content
        return [json.loads(line) for line in result.content[-1].text.splitlines()]

    def mistake(self, label: str) -> str:
        result = self.results[label]
        assert result.is_error
        (content,) = result.content
        return str(content.text)


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "list_zoos": ("list_zoos", {}),
    "inspect": ("inspect", {"zoo": "two"}),
    "evaluate": ("evaluate", {"zoo": "two", "soup": '{"a": 0.25, "base": 0.75}', "split": "held_out"}),
    "preflight": ("preflight", {"zoo": "two", "names": ["a", "b"]}),
    "chart": ("chart", {"zoo": "two", "kind": "greedy"}),
    "elsewhere": ("inspect", {"zoo": "/etc"}),
    "no such name": ("evaluate", {"zoo": "two", "soup": "a,nobody"}),
    "a file": ("evaluate", {"zoo": "two", "soup": "/etc/passwd"}),
    "no number": ("greedy", {"zoo": "two", "order": 3}),
    "beyond": ("evaluate", {"zoo": "two", "temperature": 1}),
    "no such tool": ("train", {}),
    "export": ("export", {"zoo": "two", "soup": "a,b", "file": "new/soup.safetensors"}),
    "export outside": ("export", {"zoo": "two", "file": "../soup.safetensors"}),
    "export over": ("export", {"zoo": "two", "file": "there"}),
}
OWN_ARGUMENTS: dict[str, dict[str, Any]] = {  # of recipes that need some, or would take long
    "learned": {"epochs": 1, "granularity": "model"},
    "slerp": {"names": ["a", "b"]},
    "wise-ft": {"towards": '{"a": 1.0}'},
}


async def asked(zoos: Path, home: Path, arguments: list[str], calls: dict[str, tuple[str, dict[str, Any]]]) -> Asked:
    from mcp import Client, StdioServerParameters

    found = Asked()
    environment = {"SOUP_ZOOS": str(zoos), "SOUP_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "soup_core", "mcp", *arguments], env=environment, cwd=ROOT
    )
    async with Client(command) as client:
        found.offered = {tool.name: tool for tool in (await client.list_tools()).tools}
        for label, (tool, given) in calls.items():

            async def noted(done: float, total: float | None, message: str | None, label: str = label) -> None:
                found.progress.setdefault(label, []).append(done)

            found.results[label] = await client.call_tool(tool, given, progress_callback=noted)
    return found


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, run in a thread of its own: where browser tests ran before, this one has a loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    write_fashion_zoo(folder / "zoos/two", ["a", "b"])
    (folder / "exports").mkdir()
    (folder / "exports/there").touch()
    return folder


@pytest.fixture(scope="module")
def answered(place: Path) -> Asked:
    """All calls of one server that may export."""
    pytest.importorskip("mcp")
    recipes = {key: (key.replace("-", "_"), {"zoo": "two", **OWN_ARGUMENTS.get(key, {})}) for key in RECIPES}
    return run_to_end(
        asked(place / "zoos", place / "home", ["--allow-export", str(place / "exports")], {**CALLS, **recipes})
    )


@pytest.fixture
def zoo(place: Path, monkeypatch: pytest.MonkeyPatch) -> sc.Zoo:
    monkeypatch.setenv("SOUP_ZOOS", str(place / "zoos"))
    return sc.open_zoo("two")


def test_every_tool_says_what_it_takes_and_that_it_only_reads(answered: Asked) -> None:
    keys = {key.replace("-", "_") for key in RECIPES}
    assert set(answered.offered) == {"list_zoos", "inspect", "evaluate", "preflight", "chart", "export", *keys}
    for name, tool in answered.offered.items():
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.annotations.read_only_hint is (name != "export")
        assert tool.annotations.open_world_hint is False
        assert tool.description


def test_zoos_and_ingredients_are_told_as_on_the_command_line(answered: Asked, zoo: sc.Zoo, run: Run) -> None:
    assert answered.rows("list_zoos")[-1] == {"zoo": "two", "title": zoo.title, "ingredients": 2, "base": True}
    _, out, _ = run("inspect", "two", "--json")
    assert answered.rows("inspect") == [json.loads(line) for line in out.splitlines()]


def test_a_soup_by_its_coefficients_counts_as_the_core_counts(answered: Asked, zoo: sc.Zoo) -> None:
    (row,) = answered.rows("evaluate")
    evaluation = sc.Evaluator(zoo, device="cpu")(sc.Soup({"a": 0.25, "base": 0.75}))
    assert row["soup"] == {"a": 0.25, "base": 0.75}
    assert (row["held_out"]["correct"], row["held_out"]["total"]) == (evaluation.correct, 60)


@pytest.mark.parametrize("key", RECIPES)
def test_each_recipe_ends_with_its_soup(key: str, answered: Asked, zoo: sc.Zoo) -> None:
    recipe, last = RECIPES[key], answered.rows(key)[-1]
    evaluate, soup = sc.Evaluator(zoo, device="cpu"), sc.Soup.from_json(json.dumps(last["soup"]))
    if recipe.averages == "weights":
        assert last["held_out"]["correct"] == evaluate(soup).correct
    if key != "learned":  # which takes long
        arguments = OWN_ARGUMENTS.get(key, {})
        assert soup == recipe.soup(zoo, evaluate, **arguments)


def test_preflight_ends_with_the_verdict(answered: Asked, zoo: sc.Zoo) -> None:
    findings = list(sc.preflight_checks(zoo, sc.Evaluator(zoo, device="cpu"), ["a", "b"]))
    assert [row["what"] for row in answered.rows("preflight")[:-1]] == [each.what for each in findings]
    assert answered.rows("preflight")[-1]["sentence"] == sc.overall(findings).sentence


def test_a_chart_is_a_png_and_the_numbers_beside_it(answered: Asked) -> None:
    image, _ = answered.results["chart"].content
    png = base64.b64decode(image.data)
    assert image.mime_type == "image/png"
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24])[0] == 900
    assert {row["candidate"] for row in answered.rows("chart")} == {"a", "b"}


def test_long_work_says_that_it_goes_on(answered: Asked) -> None:
    assert answered.progress["learned"]
    for notices in answered.progress.values():
        assert notices == sorted(set(notices))


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("elsewhere", "There is no zoo '/etc' here"),
        ("no such name", "no ingredient 'nobody'"),
        ("a file", "not by a file"),
        ("no number", "order: 3 is not of type"),
        ("beyond", "'temperature' was unexpected"),
        ("no such tool", "There is no tool 'train'"),
        ("export outside", "no place below the folder"),
        ("export over", "is there already"),
    ],
)
def test_a_mistake_is_one_sentence(label: str, sentence: str, answered: Asked) -> None:
    assert sentence in answered.mistake(label)
    assert "\n" not in answered.mistake(label)


def test_an_export_lies_below_its_folder_and_loads(answered: Asked, place: Path, zoo: sc.Zoo) -> None:
    assert [row.get("written") for row in answered.rows("export")[:-1]] == [
        f"new/soup.safetensors{ending}" for ending in ("", ".md", ".py")
    ]
    assert sc.imported((place / "exports/new/soup.safetensors.md").read_text().encode(), zoo) == sc.uniform_soup(zoo)
    assert not (place / "soup.safetensors").exists()


def test_without_leave_nothing_is_exported(place: Path) -> None:
    mcp = pytest.importorskip("mcp")
    from soup_core.cli.mcp.server import server_of

    async def asked_in_this_process() -> tuple[Any, Any]:
        async with mcp.Client(server_of(tools(None, "cpu"))) as client:
            return await client.list_tools(), await client.call_tool("export", CALLS["export"][1])

    offered, result = run_to_end(asked_in_this_process())
    assert "export" not in [tool.name for tool in offered.tools]
    assert result.is_error
    assert "--allow-export FOLDER" in result.content[0].text


def test_large_answers_keep_their_end() -> None:
    pytest.importorskip("mcp")
    from soup_core.cli.mcp.server import bounded

    rows = [{"step": number, "text": "x" * 80} for number in range(100)]
    kept = bounded([*rows, {"soup": {"a": 1.0}}], most=1000)
    assert kept[-1] == {"soup": {"a": 1.0}}
    assert kept[-2] == {"rows left out": 100 - len(kept[:-2])}
    assert kept[:-2] == rows[: len(kept[:-2])]
    assert len(json.dumps(kept)) < 1200
    (alone,) = bounded([{"soup": {f"name {n}": 0.1 for n in range(1000)}, "held_out": {"correct": 5}}], most=1000)
    assert alone == {"soup": None, "held_out": {"correct": 5}, "left_out": ["soup"]}
    assert bounded([]) == []


def test_without_the_sdk_one_line_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "soup_core.cli.mcp.server", raising=False)
    code, out, err = run("mcp")
    assert (code, out) == (2, "")
    assert 'pip install "mcp' in err
    assert len(err.splitlines()) == 1
    code, _, err = run("mcp", "--allow-export", "/nowhere")
    assert code == 2
    assert "takes a folder that is there" in err


def test_tools_need_no_sdk_and_take_all_that_recipes_take() -> None:
    for key, recipe in RECIPES.items():
        tool = tools(None, "cpu")[key.replace("-", "_")]
        assert set(tool.properties) == {"zoo", *(parameter.name for parameter in recipe.parameters)}
        assert os.linesep not in tool.title
