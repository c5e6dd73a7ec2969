"""The command that writes a soup where other libraries load it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from soup_core.cli.options import BatchSize, Device, Json, Precision, SoupOption, ZooCommand, ZooName
from soup_core.cli.output import Row, figures, print_rows
from soup_core.errors import SoupError
from soup_core.export import FORMATS, Export, export_adapter, export_soup, title_of
from soup_core.soup import Soup
from soup_core.weight_space.result_types import mixed_types


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
    test: Annotated[bool, typer.Option("--test", help="Report the test images too.")] = False,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Write a soup, by default the uniform one, as a file that loads elsewhere, with a card and a script beside it."""
    run = ZooCommand(zoo, device, batch_size, precision)
    mixed = run.soup(soup or "uniform")
    kind = f"{soup.capitalize()} soup" if soup in ("greedy", "learned") else ""
    titled = title or title_of(mixed, kind)
    if adapter:
        evaluators = run.evaluator(), run.evaluator("test") if test else None
        made = export_adapter(Export(mixed, *evaluators, titled), file, way=adapter, rank=rank)
        worst = max(made.errors, key=lambda layer: made.errors[layer])
        told = {"layers": len(made.errors), "rank": made.rank, "relative_error": made.error}
        print_rows([{"written": str(file), **told, "worst": {worst: made.errors[worst]}}], as_json)
        return
    if rank is not None:
        raise SoupError("--rank goes with --adapter svd.")
    print_rows(list(export_rows(run, mixed, file, format, titled, test=test)), as_json)


def export_rows(run: ZooCommand, soup: Soup, file: Path, format: str, title: str, *, test: bool) -> Iterator[Row]:
    """Write a soup; a row a file that was written, then where the soup stands."""
    out = Export(soup, run.evaluator(), run.evaluator("test") if test else None, title, format)
    yield from ({"written": str(path), "bytes": path.stat().st_size} for path in export_soup(out, file))
    evaluations = {split: figures(standing.evaluation) for split, standing in out.standings.items()}
    if types := mixed_types(out.zoo.members(soup), out.zoo.floating):
        print(types, file=sys.stderr)
    yield {"soup": json.loads(soup.to_json()), **evaluations}
