"""A figure before an audience: larger type, larger marks, and room for them."""

from typing import Any

import plotly.graph_objects as go

LARGER = 1.4


def enlarged(figure: go.Figure, by: float = LARGER) -> go.Figure:
    """The figure with its type and marks so many times as large."""

    def grown(value: Any, parent: str) -> Any:
        if isinstance(value, dict):
            return {
                key: _times(each, by)
                if key == "size" and (parent.endswith("font") or parent == "marker")
                else grown(each, key)
                for key, each in value.items()
            }
        if isinstance(value, (list, tuple)) and parent in ("data", "annotations", "sliders", "scatter"):
            return [grown(each, parent) for each in value]
        return value

    spoken = figure.to_dict()
    layout = spoken["layout"]
    layout["height"] = int(1.25 * (layout.get("height") or 360))
    margin = {"l": 64, "r": 16, "t": 36, "b": 52, **layout.get("margin", {})}
    layout["margin"] = {side: int(by * pixels) for side, pixels in margin.items()}
    return go.Figure({**spoken, "data": grown(spoken["data"], "data"), "layout": grown(layout, "layout")})


def _times(size: Any, by: float) -> Any:
    return [each * by for each in size] if isinstance(size, (list, tuple)) else size * by if size is not None else None
