"""Scenes as a file to take along: `python -m pages.present.rendering ZOO [--scenes FILE] -o FILE.html|pptx|zip`.

Each scene's page is run as it is, without a browser, until its work has ended; so the file says what the page says.
"""

import io
import json
import logging
import os
import re
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import plotly.graph_objects as go
import typer
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.shared import page, session
from pages.shared.presenting import address_of
from pages.shared.uploads import LentUploads
from soup_core.presentation import figures, report, slides
from soup_core.presentation.panels import Drawing, Number, Panel, Table
from soup_core.presentation.scenes import Scene, from_json
from soup_core.presentation.story import story
from soup_core.runtime.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 600  # one run of a page
WORK_SECONDS = 1800  # all of a page's work
LOOK_SECONDS = 0.5


def panel_of(scene: Scene, uploads: LentUploads | None = None) -> Panel:
    """What a scene's page shows to the session of these uploads.

    Raises SoupError where the page has an error, or its work does not end.
    """
    paths = page.paths()
    if scene.page not in paths:
        raise sc.SoupError(f"There is no page {scene.page!r}; expected one of {', '.join(paths)}.")
    test = AppTest(str(ROOT / "app.py"), default_timeout=RUN_SECONDS)
    if scene.page != "Home":
        test.switch_page(paths[scene.page])
    test.session_state[session.RENDERING] = True
    if uploads:
        test.session_state[session.UPLOADS] = uploads
    for key, values in address_of(scene).items():
        test.query_params[key] = values
    end = time.monotonic() + WORK_SECONDS
    try:
        test.run()
        while test.get("progress") and not test.exception:
            if time.monotonic() > end:
                raise sc.SoupError(f"The page {scene.page} did not end its work within {WORK_SECONDS} seconds.")
            time.sleep(LOOK_SECONDS)
            test.run()
    except RuntimeError as error:  # as the driver says that a run took too long
        raise sc.SoupError(f"The page {scene.page} was not drawn within {RUN_SECONDS} seconds.") from error
    if test.error or test.exception:
        errors = [without_markup(str(each.value)) for each in test.error] or ["it failed; look at it in the browser"]
        raise sc.SoupError(f"The page {scene.page} cannot be shown: {errors[0]}")
    return Panel(
        scene.title,
        scene.note,
        tuple(_numbers(test)),
        tuple(_drawings(test)),
        tuple(_tables(test)),
        tuple(_sentences(test)),
        tuple(without_markup(str(each.value)) for each in (*test.main.warning, *test.main.info)),
    )


def _sentences(test: AppTest) -> Iterator[str]:
    """A page's sentences of meaning: paragraphs in bold."""
    for text in (str(each.value) for each in test.main.markdown):
        if text.startswith("**") and text.endswith("**"):
            yield without_markup(text)


def _numbers(test: AppTest) -> Iterator[Number]:
    for each in test.main.metric:
        yield Number(*(without_markup(str(part or "")) for part in (each.label, each.value, each.delta)))


def _drawings(test: AppTest) -> Iterator[Drawing]:
    for each in test.main.get("bidi_component"):
        content: Any = json.loads(each.proto.json)
        if "figure" in content:
            yield Drawing(go.Figure(content["figure"]), content["alt"])


def _tables(test: AppTest) -> Iterator[Table]:
    for each in test.main.dataframe:
        frame = each.value
        yield Table(
            tuple(map(str, frame.columns)),
            tuple(tuple(_cell(cell) for cell in row) for row in frame.itertuples(index=False)),
        )


def _cell(value: Any) -> str:
    if value is None or value is False or value != value:
        return ""  # also NaN, which is not itself
    return f"{value:.6g}" if isinstance(value, float) else "yes" if value is True else str(value)


def without_markup(text: str) -> str:
    """Markdown as the text that it shows: without bold, with the words of its links, escapes undone."""
    text = re.sub(r"(?<!\\)\[((?:[^\]\\]|\\.)*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?<!\\)\*\*|(?<!\\):material/\w+:", "", text)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("\u2060", "").strip()


def main(
    zoo: Annotated[str, typer.Argument(help="A zoo's name.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A file that ends in .html, .pptx or .zip (figures).")],
    scenes: Annotated[Path | None, typer.Option(help="A file of scenes; else the zoo's story in five.")] = None,
    uploads: Annotated[Path | None, typer.Option(help="A session's uploads as JSON: {zoo: {name: file}}.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the progress as JSON, a line a step.")] = False,
    attended: Annotated[
        bool, typer.Option(help="End as soon as standard input does, with the process that holds it.")
    ] = False,
) -> None:
    """Write a zoo's scenes as one HTML page, as slides, or their figures as SVG and PNG."""

    def tell(done: int, total: int, what: str) -> None:
        if as_json:
            print(json.dumps({"done": done, "total": total, "what": what}), flush=True)
        else:
            print(f"{done} of {total}: {what}", file=sys.stderr)

    logging.disable(logging.WARNING)  # Streamlit tells that it runs without a browser
    if attended:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        lent_uploads = LentUploads(json.loads(uploads.read_bytes(), object_hook=_paths)) if uploads else None
        write(zoo, output, scenes, tell, lent_uploads)
    except (sc.SoupError, OSError) as error:
        if as_json:
            print(json.dumps({"error": str(error)}), flush=True)
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


def _paths(content: dict[str, Any]) -> dict[str, Any]:
    return {key: Path(value) if isinstance(value, str) else value for key, value in content.items()}


def write(
    zoo_name: str,
    output: Path,
    file: Path | None,
    tell: Callable[[int, int, str], None],
    uploads: LentUploads | None = None,
) -> None:
    """Write the file that `output` is named as; `tell` is called with how far it is."""
    kind = output.suffix.removeprefix(".")
    if kind not in ("html", "pptx", "zip"):
        raise sc.SoupError(f"{output.name}: expected a name that ends in .html, .pptx or .zip.")
    zoo = sc.open_zoo(zoo_name)
    if file is None:
        tell(0, 1, "the story")
        scenes: Sequence[Scene] = story(zoo, sc.Evaluator(zoo))
    else:
        scenes = from_json(file.read_bytes(), file.name)
    total = len(scenes) + 1
    panels = []
    for done, scene in enumerate(scenes):
        tell(done, total, f"scene {done + 1} of {len(scenes)}")
        panels.append(panel_of(scene, uploads))
    tell(total - 1, total, "writing")
    title, lead = zoo.title, "A model soup is one model whose weights are the average of several fine-tuned ones."
    if kind == "html":
        content = report.html_report(title, lead, panels).encode()
    elif kind == "pptx":
        content = slides.slides(title, lead, panels)
    else:
        content = zipped_figures(panels)
    write_atomically(output, content)
    tell(total, total, "done")


def zipped_figures(panels: Sequence[Panel]) -> bytes:
    """Every figure of the panels as SVG and PNG, in a zip."""
    drawn = [
        (scene, number, each) for scene, panel in enumerate(panels, 1) for number, each in enumerate(panel.drawings, 1)
    ]
    pictures = figures.pictures([each.figure for _, _, each in drawn])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for (scene, number, _), each in zip(drawn, pictures, strict=True):
            file.writestr(f"{scene}-{number}.svg", each.svg)
            file.writestr(f"{scene}-{number}.png", each.png)
    return archive.getvalue()


if __name__ == "__main__":
    typer.run(main)
