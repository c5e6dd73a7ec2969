"""Commands about zoos: listing, proposing, inspecting, decoding their images, checking, published results."""

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from soup_core.analysis.first_look import can_be_tried, tried
from soup_core.analysis.preflight import overall, preflight_checks
from soup_core.analysis.published import open_results, report, results_folders
from soup_core.cli.options import BatchSize, Device, Json, MetricName, Precision, ZooCommand, ZooName
from soup_core.cli.output import Row, print_rows
from soup_core.cli.outputs import model_rows, opened_outputs, proposed_outputs_row
from soup_core.data import PLAIN_SPLITS
from soup_core.errors import DataError, SoupError
from soup_core.runtime.files import shown
from soup_core.zoo import BASE, Zoo, open_zoo, zoo_folders, zoo_from
from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.outputs.proposal import propose_outputs
from soup_core.zoo.proposal import (
    Proposal,
    free_zoo_file,
    propose,
    read_classes,
    with_architecture,
    with_base,
    with_classes,
    with_columns,
    with_source,
)


def zoos(as_json: Json = False) -> None:
    """List the zoos."""
    print_rows(list(zoo_rows()), as_json)


def zoo_rows() -> Iterator[Row]:
    """A row a zoo; what is wrong with one that cannot be opened stands in its row."""
    for name in zoo_folders():
        try:
            if outputs := opened_outputs(name):
                counted = {"ingredients": len(outputs.models), "base": False}
                yield {"zoo": name, "title": outputs.title, **counted, "kind": "outputs"}
                continue
            zoo = open_zoo(name)
            yield {"zoo": name, "title": zoo.title, "ingredients": len(zoo.ingredients), "base": bool(zoo.base)}
        except SoupError as error:
            yield {"zoo": name, "error": str(error)}


def init(
    folder: Annotated[Path, typer.Argument(help="A folder of checkpoints, with sub-folders.")],
    architecture: Annotated[str | None, typer.Option(help="The network, for instance torchvision:resnet18.")] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="How many classes it tells apart.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="The images or texts: imagefolder:PATH, torchvision:CLASS, tensors:FILE, texts:PATH."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="The network's outputs in order: text or natural order of the class folders, a file, or names."
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="The columns of texts: TEXT,LABEL, or of pairs TEXT,SECOND,LABEL.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The file that all were fine-tuned from, or none.")] = None,
    title: Annotated[str | None, typer.Option(help="What pages call it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a zoo.toml that is there.")] = False,
    no_trial: Annotated[
        bool, typer.Option("--no-trial", help="Write without running one ingredient on a few images first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at a folder of checkpoints and write the zoo.toml that makes a zoo of it, to be read and corrected.

    A folder of outputs, which has no weights, is told by the names of its arrays.
    """
    if outputs := propose_outputs(folder):
        print_rows([proposed_outputs_row(outputs.with_title(title) if title else outputs, force)], as_json)
        return
    shown_columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*shown_columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("looking", total=1)
        inspected = []
        for each in inspect_folder(folder):  # by their bytes, since one file may take as long as a hundred others
            inspected.append(each)
            coming = f": {shown(each.coming.name)}" if each.coming else ""
            progress.update(task, completed=each.share, description=f"{len(inspected)} of {each.of} files{coming}")
    proposal = propose(folder, inspected)
    if architecture or (
        proposal.architecture is None and (architecture := _asked("The network (torchvision:NAME, …)"))
    ):
        count = num_classes or (proposal.architecture or {}).get("num_classes") or _asked("How many classes")
        if not str(count or "").isdigit():
            raise SoupError("The number of classes is not known; give it with --num-classes.")
        proposal = with_architecture(proposal, {"name": architecture, "num_classes": int(str(count))})
    elif num_classes and proposal.architecture:
        proposal = with_architecture(proposal, {**proposal.architecture, "num_classes": num_classes})
    if data or (
        "source" not in proposal.data
        and (data := _asked("The images or texts (imagefolder:PATH, tensors:FILE, texts:PATH, …)"))
    ):
        proposal = with_source(proposal, data)
    if columns is not None:
        proposal = with_columns(proposal, _columns(columns))
    if classes is not None:
        proposal = with_classes(proposal, read_classes(proposal, classes, anywhere=True))
    if base is not None:
        proposal = with_base(proposal, None if base == "none" else base)
    if title is not None:
        proposal = replace(proposal, title=title)
    free_zoo_file(folder, replace_old=force)
    found: Row = {}
    if can_be_tried(proposal) and not no_trial:
        proposal, found = _tried(proposal)
    if proposal.questions:
        raise SoupError(
            f"{' '.join(proposal.questions)} Say it with --architecture, --num-classes, --data, --classes or --columns."
        )
    zoo = zoo_from(proposal.zoo_file(), folder)
    file = proposal.write(replace_old=force)
    for notice in (*proposal.all_notices, *(excluded.reason for excluded in zoo.excluded)):
        print(notice, file=sys.stderr)
    rows: list[Row] = [
        {
            "file": shown(file),
            "architecture": dict(proposal.architecture or {}),
            "data": proposal.data["source"],
            "base": bool(zoo.base),
            "ingredients": len(zoo.ingredients),
            "left_out": len(zoo.excluded),
            **found,
        }
    ]
    print_rows(rows, as_json)


def _columns(given: str) -> dict[str, str]:
    """The columns of texts as --columns names them. Raises SoupError for another number of names."""
    names = [name.strip() for name in given.split(",")]
    if len(names) not in (2, 3) or not all(names):
        raise SoupError(f"--columns is TEXT,LABEL, or of pairs TEXT,SECOND,LABEL; found {given!r}.")
    return {"text": names[0], "pair": names[1] if len(names) == 3 else "", "label": names[-1]}


def _tried(proposal: Proposal) -> tuple[Proposal, Row]:
    """The proposal with what one ingredient on a few images has shown, said on standard error, and what it got of them."""
    try:
        with Console(stderr=True).status("trying one ingredient on a few images"):
            found = tried(proposal)
    except SoupError as error:
        if proposal.questions:  # they come first, and the answer may be the remedy
            return proposal, {}
        raise SoupError(
            f"{error} Nothing was written; --no-trial writes zoo.toml as it is, to be corrected."
        ) from error
    for sentence in found.sentences:
        print(sentence, file=sys.stderr)
    if sys.stdin.isatty() and found.is_doubtful and not typer.confirm("Write zoo.toml so?", default=True, err=True):
        raise SoupError("Nothing was written.")
    best = found.look.best
    return found.proposal, {"tried": {"name": found.look.name, "correct": best.correct, "total": len(best.bits)}}


def _asked(question: str) -> str | None:
    """The answer of whoever sits before the terminal, None where nobody does."""
    answer: str = typer.prompt(question, default="", err=True) if sys.stdin.isatty() else ""
    return answer.strip() or None


def inspect(zoo: ZooName, as_json: Json = False) -> None:
    """List a zoo's ingredients with their hyperparameters, and what is left out and why."""
    if outputs := opened_outputs(zoo):
        print_rows(model_rows(outputs), as_json)
        return
    rows = list(ingredient_rows(open_zoo(zoo)))
    if not as_json:
        rows = [{**row, "digest": row["digest"][:12]} if "digest" in row else row for row in rows]
    print_rows(rows, as_json)


def ingredient_rows(zoo: Zoo) -> Iterator[Row]:
    """A row an ingredient, the base last; then what is left out, and what is wrong with the images."""
    for i in zoo.by_name.values():
        yield {
            "name": i.name,
            "file": shown(i.file),
            "digest": i.digest,
            **({} if i.name == BASE else i.hyperparameters),
            **({"notes": list(i.checkpoint.notes)} if i.checkpoint.notes else {}),
        }
    yield from ({"name": excluded.name, "excluded": excluded.reason} for excluded in zoo.excluded)
    yield from ({"notice": notice} for notice in zoo.data.notices())


def images(
    zoo: ZooName,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch a data set of torchvision into its root first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decode a zoo's images, or make tokens of its texts, so that all else finds them ready, and list its splits and what is wrong with them."""
    data = open_zoo(zoo).data
    if download:
        with redirect_stdout(sys.stderr):
            data.fetch()
    rows: list[Row] = []
    layout = data.layout()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed}}/{{task.total}} {data.things}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        for name in (*PLAIN_SPLITS, *(f"test:{shift}" for shift in data.given_shifts)):
            task = None
            try:
                for seen in data.decode(name):
                    task = progress.add_task(name) if task is None else task
                    progress.update(task, completed=seen.done, total=seen.total or None)
                split = data.split(name)
            except DataError as error:
                rows.append({"split": name, "error": str(error)})
            else:
                classes = len(split.labels.unique())
                judged = {} if split.outputs is None else {"judged_over": len(split.outputs)}
                row = {"split": name, data.things: len(split), "classes": classes, **judged, "digest": split.digest}
                rows.append(row | ({"folder": layout[name]} if name in layout else {}))
    if all("error" in row for row in rows):
        raise DataError(rows[0]["error"])
    print_rows([*rows, *({"notice": notice} for notice in data.notices())], as_json)


def preflight(
    zoo: ZooName,
    names: Annotated[str | None, typer.Option(help="Ingredients, separated by commas; without it, all.")] = None,
    metric: MetricName = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Check whether ingredients will average well: a line a finding, and the verdict last."""
    run = ZooCommand(zoo, device, batch_size, precision, metric)
    print_rows(finding_rows(run, names.split(",") if names else None), as_json)


def finding_rows(run: ZooCommand, names: list[str] | None) -> Iterator[Row]:
    """A row a finding of preflight on some ingredients or all, the verdict last."""
    findings = []
    for finding in preflight_checks(run.zoo, run.evaluator(), names):
        findings.append(finding)
        yield asdict(finding)
    yield asdict(overall(findings))


def published(
    folder: Annotated[str, typer.Argument(help="A folder of published results, or its name.")], as_json: Json = False
) -> None:
    """Report results without weights: every model, the soups' gains, correlations and drops."""
    print_rows(report(open_results(results_folders().get(folder, Path(folder)))), as_json)
