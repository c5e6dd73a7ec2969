"""The command that writes a soup where other libraries load it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from soup_core.cli.options import BatchSize, Device, Json, MetricName, Precision, SoupOption, ZooCommand, ZooName
from soup_core.cli.output import Row, figures, print_rows
from soup_core.errors import CheckpointError, SoupError
from soup_core.export import FORMATS, Export, export_adapter, export_soup, not_evaluated, title_of
from soup_core.weight_space.result_types import mixed_types
from soup_core.zoo import open_zoo


def export(
    zoo: ZooName,
    file: Annotated[Path, typer.Option("--output", "-o", help="Where to write; its card and script go beside it.")],
    soup: SoupOption = None,
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")] = "safetensors",
    title: Annotated[str, typer.Option(help="The card's title.")] = "",
    adapter: Annotated[
        str | None,
        typer.Option(
            help="Into a folder, as an adapter of peft: concat is exact, svd cuts it to a rank and tells the error."
        ),
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="The rank to cut to, with --adapter svd.")] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate what is not known of it yet, on the held-out images.")
    ] = False,
    test: Annotated[bool, typer.Option("--test", help="Evaluate, and report the test images too.")] = False,
    metric: MetricName = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Write a soup, by default the uniform one, as a file that loads elsewhere, with a card and a script beside it.

    Both say how accurate it is as far as that is known; --evaluate finds out what is not.
    """
    if rank is not None and not adapter:
        raise SoupError("--rank goes with --adapter svd.")
    asked, evaluate = soup or "uniform", evaluate or test
    selects = asked in ("greedy", "learned")  # by evaluations, for which every file is read in any case
    run = ZooCommand(zoo, device, batch_size, precision, metric, examine=evaluate or selects)

    def rows() -> list[Row]:
        mixed = run.soup(asked)
        titled = title or title_of(mixed, f"{asked.capitalize()} soup" if selects else "")
        held_out = run.evaluator() if evaluate else run.informed()
        out = Export(mixed, held_out, run.evaluator("test") if test else None, titled, format, evaluate)
        return [_adapter_row(out, file, adapter, rank)] if adapter else list(export_rows(out, file))

    try:
        written = rows()
    except CheckpointError:
        broken = [each for each in open_zoo(zoo, examine=False).excluded if each.name in run.zoo.by_name]
        if not broken:
            raise
        for each in broken:  # what the reading has told is known now
            print(f"{each.name} was left out: {each.reason}", file=sys.stderr)
        run = ZooCommand(zoo, device, batch_size, precision, metric, examine=False)
        written = rows()
    print_rows(written, as_json)


def _adapter_row(out: Export, folder: Path, way: str, rank: int | None) -> Row:
    made = export_adapter(out, folder, way=way, rank=rank)
    worst = max(made.errors, key=lambda layer: made.errors[layer])
    told = {"layers": len(made.errors), "rank": made.rank, "relative_error": made.error}
    return {"written": str(folder), **told, "worst": {worst: made.errors[worst]}}


def export_rows(out: Export, file: Path) -> Iterator[Row]:
    """Write a soup; a row a file that was written, then where the soup stands as far as that is known."""
    yield from ({"written": str(path), "bytes": path.stat().st_size} for path in export_soup(out, file))
    if types := mixed_types(out.zoo.members(out.soup), out.zoo.floating):
        print(types, file=sys.stderr)
    if missing := not_evaluated(out):
        print(f"{missing} Add --evaluate to find out.", file=sys.stderr)
    evaluations = {split: figures(standing.evaluation) for split, standing in out.standings.items()}
    yield {"soup": json.loads(out.soup.to_json()), **evaluations}
