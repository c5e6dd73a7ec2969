"""What changes of a figure are sent: applied to the one before they make the next, and they are few."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st

from pages.shared.live_chart.patches import patch, rounded
from pages.shared.live_chart.sending import as_json

SCALARS = st.one_of(st.none(), st.integers(2, 9), st.text(max_size=3))
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.sampled_from("abcd"), inner))
)


def patched(old: Any, changes: Any) -> Any:
    """What live_chart.js makes of it, written anew."""
    if isinstance(changes, list):
        return changes[0] if len(changes) == 1 else [*old[: changes[0]], *changes[2], *old[changes[0] + changes[1] :]]
    new = list(old) if isinstance(old, list) else dict(old)
    for key, inner in changes.items():
        at = int(key) if isinstance(new, list) else key
        if inner == []:
            del new[at]
        else:
            new[at] = patched(new[at] if isinstance(new, list) else new.get(at), inner)
    return new


@given(st.dictionaries(st.sampled_from("abcd"), VALUES), st.dictionaries(st.sampled_from("abcd"), VALUES))
def test_changes_make_the_new_of_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert patched(old, json.loads(json.dumps(patch(old, new)))) == new


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_a_list_is_changed_where_it_differs(old: list[int], new: list[int]) -> None:
    start, removed, values = patch([old], [new])[0] if old != new else (0, 0, [])
    assert old[:start] + values + old[start + removed :] == new
    assert len(values) <= len(new)


def test_a_point_more_is_sent_alone() -> None:
    old, new = ({"data": [{"x": list(range(n)), "name": "a"}]} for n in (1000, 1001))
    assert patch(old, new) == {"data": {0: {"x": [1000, 0, [1000]]}}}


def test_arrays_are_lists_and_what_is_not_finite_is_none() -> None:
    figure = go.Figure(go.Heatmap(z=np.array([[1.5, np.nan], [np.inf, 2]]), x=np.array([1, 2])))
    (trace,) = as_json(figure)["data"]
    assert trace["z"] == [[1.5, None], [None, 2]]
    assert trace["x"] == [1, 2]


def test_numbers_keep_the_digits_that_can_be_seen() -> None:
    assert rounded({"y": [1 / 3, 2.0, "a", None, True, 123456.789]}) == {
        "y": [0.33333333, 2, "a", None, True, 123456.79]
    }
