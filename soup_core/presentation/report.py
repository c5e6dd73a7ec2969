"""Panels as one self-contained HTML page: live charts, no request to anywhere, and a layout that prints."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import plotly

from soup_core.formatting import visible
from soup_core.presentation.panels import Drawing, Number, Panel, Table

PAGE = Template((Path(__file__).resolve().parent / "report.html").read_text(encoding="utf-8"))
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ROWS_AT_MOST = 500  # of a table; a figure's own data are whole in it
LETTERS_AT_MOST = 110  # across a page of paper, without breaking words


def html_report(title: str, lead: str, panels: Sequence[Panel]) -> str:
    """The panels as an HTML page, each a section; texts stand in it as they are, whatever they hold."""
    script = PLOTLY.read_text(encoding="utf-8").replace("</script", "<\\/script")
    sections = "\n".join(_section(number, panel) for number, panel in enumerate(panels, 1))
    return PAGE.substitute(title=_text(title), lead=_text(lead), sections=sections, plotly=script)


def _section(number: int, panel: Panel) -> str:
    head = (
        f"<h2>{number}. {_text(panel.title)}</h2>",
        f'<p class="note">{_text(panel.note)}</p>' if panel.note else "",
        f'<dl class="numbers">{"".join(map(_number, panel.numbers))}</dl>' if panel.numbers else "",
        *map(_drawing, panel.drawings[:1]),
    )
    if panel.drawings:
        head = ("<header>", *head, "</header>")  # on one page of paper
    rest = (
        *map(_drawing, panel.drawings[1:]),
        *(f'<div class="wide" tabindex="0">{_table(each)}</div>' for each in panel.tables),
        *(f"<p><strong>{_text(each)}</strong></p>" for each in panel.sentences),
        *(f'<p class="note">{_text(each)}</p>' for each in panel.told),
    )
    return "\n".join(("<section>", *filter(None, (*head, *rest)), "</section>"))


def _number(number: Number) -> str:
    beneath = f"<dd>{_text(number.beneath)}</dd>" if number.beneath else ""
    return f'<div><dt>{_text(number.label)}</dt><dd class="value">{_text(number.value)}</dd>{beneath}</div>'


def _drawing(drawing: Drawing) -> str:
    figure = drawing.figure.to_json().replace("<", "\\u003c")  # or else a name could end the script that holds it
    return (
        f'<figure><div class="chart" role="group" aria-label="{_text(drawing.alt)}"></div>'
        f'<script type="application/json">{figure}</script>'
        f'<details><summary>Data</summary><div class="wide" tabindex="0">{_table(drawing.table)}</div></details></figure>'
    )


def _table(table: Table) -> str:
    rows = table.rows[:ROWS_AT_MOST]
    left = len(table.rows) - len(rows)
    words = [
        max(len(word) for cell in column for word in cell.split() or [""])
        for column in zip(table.heads, *rows, strict=True)
    ]
    crowded = ' class="crowded"' if sum(words) + 2 * len(words) > LETTERS_AT_MOST else ""
    return (
        f"<table{crowded}><thead>{_row('th', table.heads)}</thead>"
        f"<tbody>{''.join(_row('td', row) for row in rows)}</tbody></table>"
        f"{f'<p>{left:,} more rows are left out.</p>' if left > 0 else ''}"
    )


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _text(text: str) -> str:
    return escape(visible(text))
