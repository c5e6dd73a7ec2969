"""Panels as one self-contained HTML page: live charts, no request to anywhere, and a layout that prints."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from soup_core.charts import plotly_script
from soup_core.formatting import visible
from soup_core.presentation.panels import Drawing, Panel, Table

ROWS_AT_MOST = 500  # of a table; a figure's own data are whole in it
LETTERS_AT_MOST = 110  # across a page of paper, without breaking words


def html_report(title: str, lead: str, panels: Sequence[Panel]) -> str:
    """The panels as an HTML page, each a section; texts stand in it as they are, whatever they hold."""
    script = plotly_script.script().read_text(encoding="utf-8").replace("</script", "<\\/script")
    return PAGE.render(title=title, lead=lead, panels=panels, plotly=Markup(script), rows_at_most=ROWS_AT_MOST)


def figure_json(drawing: Drawing) -> Markup:
    """The figure as JSON within a script, which no name can end."""
    return Markup(drawing.figure.to_json().replace("<", "\\u003c"))


def is_crowded(table: Table) -> bool:
    """Whether a page of paper is too narrow for the longest words of the columns side by side."""
    widths = [
        max(len(word) for cell in column for word in cell.split() or [""])
        for column in zip(table.heads, *table.rows[:ROWS_AT_MOST], strict=True)
    ]
    return sum(widths) + 2 * len(widths) > LETTERS_AT_MOST


def _shown(value: object) -> object:
    """What an expression of the template stands for: of a text what can be seen, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
    finalize=_shown,
)
_environment.filters["figure_json"] = figure_json
_environment.tests["crowded"] = is_crowded
PAGE = _environment.get_template("report.html")
