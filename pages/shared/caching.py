"""The seam between pages and core: opened zoos and evaluators, shared between sessions, keyed by names and settings."""

from pathlib import Path

import streamlit as st

import soup_core as sc

Stamp = tuple[tuple[str, int, int], ...]


def zoo_folder(name: str) -> Path:
    """The folder of a zoo. Raises ZooError for a name that no zoo has."""
    folders = sc.zoo_folders()
    if name not in folders:
        raise sc.ZooError(f"There is no zoo {name!r}; expected one of {', '.join(folders)}.")
    return folders[name]


def zoo_stamp(folder: Path) -> Stamp:
    """What changes when a zoo's files do: their names, sizes and times."""
    entries = []
    for path in sorted(folder.iterdir()):
        try:
            status = path.stat()
        except OSError:
            continue
        entries.append((path.name, status.st_size, status.st_mtime_ns))
    return tuple(entries)


@st.cache_resource(max_entries=8, show_spinner=False)
def open_zoo(name: str, stamp: Stamp) -> sc.Zoo:
    """The zoo of that name, opened once for as long as its files stay the same."""
    return sc.open_zoo(name)


@st.cache_resource(max_entries=16, show_spinner=False)
def evaluator(name: str, stamp: Stamp, split: str, device: str) -> sc.Evaluator:
    """One evaluator a zoo, split and device; it locks itself while a model is evaluated."""
    return sc.Evaluator(open_zoo(name, stamp), split, device)
