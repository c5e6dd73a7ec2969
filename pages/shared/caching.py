"""The seam between pages and core: opened zoos and evaluators, shared between sessions, keyed by names and settings."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
import torch

import soup_core as sc
from pages.shared import session
from soup_core.analysis.calibration import Calibration
from soup_core.analysis.first_look import Doubt, doubt_of
from soup_core.analysis.outputs import outputs_calibrations, outputs_robustness
from soup_core.analysis.published import Results, open_results
from soup_core.analysis.robustness import RobustnessResult
from soup_core.evaluation import OutputsEvaluator
from soup_core.jobs import Jobs
from soup_core.runtime.store import default_store
from soup_core.zoo import files_of, find_zoo, user_ingredients, with_uploads
from soup_core.zoo.outputs import OutputsZoo, files_of_outputs, open_outputs

Stamp = tuple[tuple[str, int, int, int], ...]


def undrawn() -> AbstractContextManager[None]:
    """Within it, work does not say how far it is: what is cached must not draw on the page that happens to ask first."""
    return sc.interruptible(lambda: None)


class ZooKey(NamedTuple):
    """A zoo as one session sees it: its name, what its files were like, what the session has uploaded to it.

    Without a `metric` its soups are selected by the zoo's own.
    """

    name: str
    stamp: Stamp
    uploads: tuple[tuple[str, Path], ...] = ()
    metric: str | None = None


# A key part by part, with the time and size of every file, takes Streamlit longer than all else that a page looks up.
_BY_TEXT: dict[str | type[Any], Callable[[Any], Any]] = {ZooKey: repr}


def zoo_folder(name: str) -> Path:
    """The folder of a zoo. Raises ZooError for a name that no zoo has."""
    folder = find_zoo(name)
    if folder is None:
        raise sc.ZooError(f"There is no zoo {name!r}; expected one of {', '.join(sc.zoo_folders())}.")
    return folder


def zoo_stamp(folder: Path) -> Stamp:
    """What changes when a zoo's files do, or those that a user has added to it: their names, sizes and times."""
    try:
        deeper = [path for path in files_of(folder) if path.parent != folder]
    except sc.ZooError:  # no zoo, one of outputs, or one that says what is wrong when it is opened
        deeper = [path for path in files_of_outputs(folder) if path.parent != folder]
    entries = []
    for path in (*sorted(folder.iterdir()), *deeper, *user_ingredients.files_of(folder.name)):
        try:
            status = path.stat()
        except OSError:
            continue
        entries.append((str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(entries)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_TEXT)
def open_zoo(zoo_key: ZooKey) -> sc.Zoo:
    """The zoo, opened once for as long as its files stay the same."""
    if zoo_key.metric is not None:
        return open_zoo(zoo_key._replace(metric=None)).judged_by(zoo_key.metric)
    if zoo_key.uploads:
        return with_uploads(open_zoo(zoo_key._replace(uploads=())), dict(zoo_key.uploads))
    return sc.open_zoo(zoo_key.name)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_TEXT)  # each holds the images of its split
def evaluator(
    zoo_key: ZooKey, split: str, device: str, precision: str, memory: float, images: int | None = None
) -> sc.Evaluator:
    """One evaluator a zoo, split and way of computing; it locks itself while a model is evaluated."""
    zoo = open_zoo(zoo_key)
    with undrawn():
        return sc.Evaluator(zoo, split, device, precision=precision, memory=memory, images=images)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=_BY_TEXT)
def doubt(zoo_key: ZooKey, device: str, precision: str, memory: float) -> Doubt | None:
    """What speaks against all numbers of a zoo, looked for once; None where nothing does."""
    evaluate = evaluator(zoo_key, "held_out", device, precision, memory)
    with undrawn():
        return doubt_of(evaluate)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=_BY_TEXT)
def cost(zoo_key: ZooKey, device: str, precision: str, memory: float) -> sc.Cost:
    """What one model of a zoo costs at inference, measured once."""
    zoo, evaluate = open_zoo(zoo_key), evaluator(zoo_key, "held_out", device, precision, memory)
    with undrawn():
        return sc.measured_cost(evaluate, [sc.uniform_soup(zoo)])


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_BY_TEXT)
def probabilities(zoo_key: ZooKey, split: str, device: str, precision: str, memory: float, soup: str) -> torch.Tensor:
    """What a soup, given as JSON, says of every image of a split: float32, N×num_classes."""
    evaluate = evaluator(zoo_key, split, device, precision, memory)
    with undrawn():
        return evaluate.logits(sc.Soup.from_json(soup)).softmax(1)


def jobs() -> Jobs:
    """The jobs of this server; those that an earlier one left unfinished are taken up again, but not to render a scene."""
    return _jobs(default_store().path, not st.session_state.get(session.RENDERING, False))


@st.cache_resource(show_spinner=False)
def _jobs(store: Path, _take_up: bool) -> Jobs:  # one for a store, however it was first asked for
    return Jobs(default_store(), take_up=_take_up)


@st.cache_resource(max_entries=4, show_spinner=False)
def results(folder: Path, stamp: Stamp) -> Results:
    """The published results of a folder, read once for as long as its files stay the same."""
    return open_results(folder)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_TEXT)
def outputs(zoo_key: ZooKey) -> OutputsZoo:
    """The zoo of outputs, opened once for as long as its files stay the same."""
    if zoo_key.metric is not None:
        return outputs(zoo_key._replace(metric=None)).judged_by(zoo_key.metric)
    return open_outputs(zoo_key.name)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_TEXT)
def outputs_evaluator(zoo_key: ZooKey, split: str) -> OutputsEvaluator:
    """The evaluator of a zoo of outputs on a split."""
    return OutputsEvaluator(outputs(zoo_key), split)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_TEXT)
def robustness_of_outputs(zoo_key: ZooKey) -> tuple[RobustnessResult, ...]:
    """What is compared of a zoo of outputs, on the test images and every shift, made once."""
    evaluate = outputs_evaluator(zoo_key, "held_out")
    with undrawn():
        return outputs_robustness(evaluate)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_BY_TEXT)
def calibrations_of_outputs(zoo_key: ZooKey) -> tuple[Calibration, ...]:
    """What is compared of a zoo of outputs, by its calibration on the test images, made once."""
    evaluate = outputs_evaluator(zoo_key, "held_out")
    with undrawn():
        return tuple(outputs_calibrations(evaluate))
