"""Figures for print, as SVG and PNG: dark on white, without what only a screen can do; drawn by the machine's Chromium."""

import asyncio
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import kaleido  # type: ignore[import-untyped]  # it has no types
import plotly.graph_objects as go
from choreographer.errors import BrowserDepsError, BrowserFailedError, ChromeNotFoundError

from soup_core.charts.style import TEMPLATE
from soup_core.errors import SoupError

WIDTH = 900  # pixels: about 24 cm where a pixel is a 96th of an inch
PIXELS_PER_PIXEL = 3  # of the PNG: about 300 dots an inch where the figure is 24 cm wide
INK = "#1b2430"


@dataclass(frozen=True)
class Picture:
    """A figure as files, and how wide and high it is in pixels."""

    svg: bytes
    png: bytes
    width: int
    height: int


def for_print(figure: go.Figure) -> go.Figure:
    """The figure in the print template: dark on white, without sliders and buttons. The figure given is left as it is."""
    content = figure.to_dict()
    layout: dict[str, Any] = {**content["layout"], "width": WIDTH, "template": TEMPLATE}
    layout["height"] = max(360, int(layout.get("height") or 0))
    for what in ("sliders", "updatemenus"):
        layout.pop(what, None)
    drawn = go.Figure({"data": content["data"], "layout": layout})
    return drawn.update_layout(paper_bgcolor="white", plot_bgcolor="white", font={"color": INK}).for_each_annotation(
        lambda note: note.update(font_color=INK)
    )


def pictures(figures: Sequence[go.Figure], *, scale: int = PIXELS_PER_PIXEL) -> list[Picture]:
    """The figures drawn in the print template, in their order; a PNG has `scale` pixels for one of the figure's.

    Raises SoupError where no Chromium can be started.
    """
    if not figures:
        return []
    try:
        with ThreadPoolExecutor(1) as thread:  # of its own, since where this is called an event loop may run
            return thread.submit(_draw, [for_print(figure) for figure in figures], scale).result()
    except (ChromeNotFoundError, BrowserDepsError, BrowserFailedError) as error:
        raise SoupError(
            "Figures are drawn for print by Chromium or Chrome, and none could be started here; install it (on Debian: "
            "apt-get install chromium), or name it in BROWSER_PATH."
        ) from error


def _draw(figures: Sequence[go.Figure], scale: int) -> list[Picture]:
    with warnings.catch_warnings():  # of pipes that are closed late
        warnings.simplefilter("ignore")
        return asyncio.run(_drawn(figures, scale))


async def _drawn(figures: Sequence[go.Figure], scale: int) -> list[Picture]:
    async with kaleido.Kaleido(n=1, mathjax=False) as drawing:  # its letters come from a network
        drawn = []
        for figure in figures:
            size = {"width": figure.layout.width, "height": figure.layout.height}
            svg = await drawing.calc_fig(figure, opts={**size, "format": "svg"})
            png = await drawing.calc_fig(figure, opts={**size, "format": "png", "scale": scale})
            drawn.append(Picture(svg, png, **size))
        return drawn
