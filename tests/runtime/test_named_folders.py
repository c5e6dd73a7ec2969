"""Folders that are named while a server runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from soup_core.errors import ZooError
from soup_core.runtime.files import home
from soup_core.runtime.named_folders import FILE, PROJECT, heed_named_folders, lend_folder, name_folder, named_folders


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    heed_named_folders(True)
    folder = tmp_path / "sweep"
    folder.mkdir()
    return folder


def test_a_named_folder_counts_where_it_is_heeded_and_stays_for_later(sweep: Path) -> None:
    link = sweep.parent / "link"
    link.symlink_to(sweep)
    assert name_folder(link) == sweep
    assert name_folder(sweep) == sweep
    assert named_folders() == (sweep,)
    assert json.loads((home() / FILE).read_text()) == {"folders": [str(sweep)]}
    heed_named_folders(False)
    assert named_folders() == ()
    heed_named_folders(True)
    assert named_folders() == (), "others have reached this server, and may again"


def test_a_lent_folder_counts_until_it_is_gone(sweep: Path) -> None:
    lend_folder(sweep)
    assert named_folders() == (sweep,)
    sweep.rmdir()
    assert named_folders() == ()


@pytest.mark.parametrize(
    "folder",
    [
        lambda: Path("/"),
        Path.home,
        lambda: Path.home().parent,
        lambda: Path("/etc"),
        lambda: Path("/proc/self"),
        lambda: Path("/usr/lib"),
        home,
        lambda: home().parent,
        lambda: home() / "images",
        lambda: PROJECT,
        lambda: PROJECT / "assets",
        lambda: Path("sweep"),
        lambda: Path("/nowhere at all"),
        lambda: Path("/x\0y"),
        lambda: Path("/" + "n" * 5000),
        lambda: Path("~nobody-of-this-name/sweep"),
        lambda: PROJECT / "README.md",
    ],
)
def test_what_holds_more_than_checkpoints_is_refused(sweep: Path, folder: Callable[[], Path]) -> None:
    (home() / "images").mkdir(parents=True)
    with pytest.raises(ZooError, match=r"name the folder above your checkpoints|is no folder on this machine"):
        name_folder(folder())
    assert named_folders() == ()


@pytest.mark.parametrize("target", ["/", "/etc", str(Path.home())])
def test_row_18_a_link_to_what_is_refused_is_refused(sweep: Path, target: str) -> None:
    (sweep / "link").symlink_to(target)
    with pytest.raises(ZooError, match="name the folder above your checkpoints"):
        name_folder(sweep / "link")


def test_a_folder_that_a_link_has_replaced_counts_no_more(sweep: Path) -> None:
    name_folder(sweep)
    sweep.rmdir()
    sweep.symlink_to("/etc")
    assert named_folders() == ()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"folders": 3}', b'{"folders": [3, null, "x", "/etc"]}', b"[" * 10**5]
)
def test_row_45_a_damaged_file_names_none(sweep: Path, content: bytes) -> None:
    home().mkdir(parents=True)
    (home() / FILE).write_bytes(content)
    assert named_folders() == ()
    name_folder(sweep)
    assert named_folders() == (sweep,)


def test_row_54_a_pipe_is_never_opened(sweep: Path) -> None:
    home().mkdir(parents=True)
    os.mkfifo(home() / FILE)
    assert named_folders() == ()
