"""The script for our charts: of plotly.py's version, under its licence, with the traces that are drawn and no others."""

import ast
import inspect
from pathlib import Path

import plotly.graph_objects as go
import pytest
from plotly.basedatatypes import BaseTraceType

from soup_core.charts import plotly_script

ROOT = Path(__file__).resolve().parents[2]
TRACES = {name for name, kind in inspect.getmembers(go, inspect.isclass) if issubclass(kind, BaseTraceType)}
ADDERS = {name for name, _ in inspect.getmembers(go.Figure, inspect.isfunction) if name.startswith("add_")}
ADDERS -= {"add_trace", "add_traces", "add_annotation", "add_layout_image", "add_shape", "add_selection"}
ADDERS -= {"add_vline", "add_hline", "add_vrect", "add_hrect", "add_table"}  # the last is of slides too


def drawn(text: str) -> set[str]:
    """The types of trace that a module makes by their classes, by a figure's `add_…`, and by name."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in TRACES:
            found.add(node.attr.lower())
        if isinstance(node, ast.Attribute) and node.attr in ADDERS:
            found.add(node.attr.removeprefix("add_"))
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            types = [
                v.value
                for k, v in pairs
                if isinstance(k, ast.Constant) and k.value == "type" and isinstance(v, ast.Constant)
            ]
            found |= {kind for kind in types if str(kind).capitalize() in TRACES}
    return found


def test_a_trace_is_found_however_it_is_made() -> None:
    text = "figure.add_pie(); go.Scatter3d(); go.Figure([{'type': 'box'}]); figure.add_trace(1)"
    assert drawn(text) == {"pie", "scatter3d", "box"}


def test_the_script_draws_every_trace_of_ours_and_no_other() -> None:
    files = [*ROOT.glob("soup_core/**/*.py"), *ROOT.glob("pages/**/*.py"), ROOT / "app.py"]
    used = set().union(*(drawn(file.read_text()) for file in files))
    assert plotly_script.traces(plotly_script.OURS) == used


def test_the_script_is_of_plotlys_version_and_keeps_its_licence() -> None:
    assert plotly_script.script() == plotly_script.OURS
    assert plotly_script.version(plotly_script.OURS) == plotly_script.version(plotly_script.WHOLE)
    ours, whole = (file.read_text(encoding="utf-8")[:300] for file in (plotly_script.OURS, plotly_script.WHOLE))
    licence = [line for line in whole.splitlines()[2:5] if line.startswith("* ")]
    assert len(licence) == 3
    assert all(line in ours for line in licence)


def test_another_version_of_plotly_brings_its_whole_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "plotly.min.js"
    other.write_text("/**\n* plotly.js v9.9.9\n*/")
    monkeypatch.setattr(plotly_script, "WHOLE", other)
    plotly_script.script.cache_clear()
    assert plotly_script.script() == other
    assert plotly_script.traces(other) == frozenset()
    plotly_script.script.cache_clear()
    other.write_text("function(){}")
    with pytest.raises(ValueError, match="make it again"):
        plotly_script.script()
    plotly_script.script.cache_clear()
