"""Files made in the background: followed, shared, stopped, one after the other, and what goes wrong on the way."""

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.present import background_files
from pages.present.background_files import FileRequest, FileState
from pages.shared.uploads import LentUploads
from soup_core.presentation.scenes import Scene, to_link
from tests.app_pages import open_page, words
from tests.patience import PATIENCE
from tests.zoos import random_linears, write_zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")
NOTHING = LentUploads({})
CHILD = """
import json, pathlib, sys, time
args = sys.argv[1:]
given = {name: pathlib.Path(args[args.index(name) + 1]) for name in ("--scenes", "--uploads", "-o")}
zoo, title = args[args.index("--") + 1], json.loads(given["--scenes"].read_text())["scenes"][0]["title"]
print(json.dumps({"done": 1, "total": 4, "what": f"{zoo}, {title}"}), flush=True)
if title == "wrong":
    print(json.dumps({"error": "It is wrong."}), flush=True)
    sys.exit(2)
while title == "long":
    time.sleep(0.05)
if title != "nothing":
    given["-o"].write_bytes(title.encode() + given["--uploads"].read_bytes())
"""


def requested(title: str, zoo: str = "a zoo") -> FileRequest:
    return FileRequest(zoo, "digest", "html", (Scene(page="Greedy", title=title),))


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def ended(each: FileRequest) -> FileState:
    made = background_files.state_of(each)
    assert made is not None
    until(lambda: made.ended)
    return made


@pytest.fixture(autouse=True)
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program in place of the real one, that does what the first scene's title says; its folder is looked at."""
    st.cache_resource.clear()
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(background_files, "COMMAND", (sys.executable, str(tmp_path / "child.py")))
    yield
    background_files._files().end()
    until(lambda: not list((tmp_path / "temporary").iterdir()))


def test_a_file_is_followed_and_kept() -> None:
    background_files.start(requested("short", "-zoo"), LentUploads({"-zoo": {"mine": Path("/there")}}))
    made = ended(requested("short", "-zoo"))
    assert (made.words, made.share) == ("-zoo, short", 0.25)
    assert made.data == b'short{"-zoo": {"mine": "/there"}}'
    assert background_files.state_of(requested("other")) is None


def test_two_who_want_the_same_share_one_process() -> None:
    background_files.start(requested("long"), NOTHING)
    first = background_files.state_of(requested("long"))
    background_files.start(requested("long"), NOTHING)
    assert background_files.state_of(requested("long")) is first


def test_one_waits_for_the_other_and_goes_on_when_that_is_stopped() -> None:
    background_files.start(requested("long"), NOTHING)
    running = background_files.state_of(requested("long"))
    assert running is not None
    until(lambda: running.share)
    background_files.start(requested("short"), NOTHING)
    waiting = background_files.state_of(requested("short"))
    assert waiting is not None
    assert waiting.words == "waiting for another file"
    assert running.process is not None
    background_files.stop(requested("long"))
    assert background_files.state_of(requested("long")) is None
    assert running.process.wait(PATIENCE) != 0
    assert ended(requested("short")).data == b"short{}"


def test_one_that_is_stopped_while_it_waits_is_not_begun() -> None:
    background_files.start(requested("long"), NOTHING)
    background_files.start(requested("short"), NOTHING)
    waiting = background_files.state_of(requested("short"))
    background_files.stop(requested("short"))
    background_files.stop(requested("long"))
    background_files.start(requested("other"), NOTHING)
    assert ended(requested("other")).data
    assert waiting is not None
    assert waiting.process is None


@pytest.mark.parametrize(("title", "told"), [("wrong", "It is wrong."), ("nothing", "ended early. Try again")])
def test_what_goes_wrong_is_told_and_can_be_tried_again(title: str, told: str) -> None:
    background_files.start(requested(title), NOTHING)
    first = ended(requested(title))
    assert first.error is not None
    assert told in first.error
    background_files.start(requested(title), NOTHING)
    assert ended(requested(title)) is not first


def test_row_40_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        background_files.start(requested("short"), NOTHING)
        assert ended(requested("short")).error == "It could not be made: No space left on device."
    background_files.start(requested("short"), NOTHING)
    assert ended(requested("short")).data


def test_the_last_ones_are_kept() -> None:
    all_requested = [requested(f"short {number}") for number in range(background_files.FILES_KEPT + 2)]
    for each in all_requested:
        background_files.start(each, NOTHING)
        ended(each)
    assert [background_files.state_of(each) is None for each in all_requested] == [True] * 2 + [
        False
    ] * background_files.FILES_KEPT


def test_the_process_ends_with_the_server(tmp_path: Path) -> None:
    """Also where that is killed: its end of the pipe is closed then."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pages.present.rendering",
            "fashion",
            "-o",
            str(tmp_path / "x.html"),
            "--json",
            "--attended",
        ],
        cwd=background_files.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert json.loads(process.stdout.readline())["what"] == "the story"
        process.stdin.close()
        assert process.wait(PATIENCE) == 1
    assert not (tmp_path / "x.html").exists()


def labels(test: AppTest) -> list[str]:
    return [each.proto.label for each in (*test.get("button"), *test.get("download_button"))]


def press(test: AppTest, label: str) -> AppTest:
    next(button for button in test.button if button.label == label).click().run()
    assert not test.exception
    return test


def test_a_file_being_made_stays_in_sight_when_its_scenes_change(tmp_path: Path) -> None:
    zoo = sc.open_zoo(write_zoo(tmp_path / "made", random_linears(3)))
    scenes = [Scene(page="Greedy", state={"zoo": ("made",)}, title="long")]
    test = press(open_page("pages/8_Present.py", scenes=to_link(scenes)), "Make the report (HTML)")
    assert "Stop" in labels(test)
    test.text_input[0].set_value("short").run()
    assert "Stop" in labels(test), "it is still being made"
    press(test, "Stop")
    assert "Stop" not in labels(test)
    press(test, "Make the report (HTML)")
    ended(FileRequest("made", zoo.digest, "html", (scenes[0].model_copy(update={"title": "short"}),)))
    assert "Save the report, 0.0 MB" in labels(test.run())
    test.text_input[0].set_value("shorter").run()
    assert "It was made before the last changes" in words(test)
    assert {"Save the report, 0.0 MB", "Make it anew"} <= set(labels(test))
