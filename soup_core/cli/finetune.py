"""Commands that train: new ingredients, and the bundled zoos."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from soup_core import finetune as finetuning
from soup_core.analysis.acceptance import acceptances
from soup_core.analysis.shipped import ship_evaluations
from soup_core.checkpoints import Checkpoint
from soup_core.cli.options import BatchSize, Device, Json, Precision
from soup_core.cli.output import COLUMNS, Row, figures, print_rows
from soup_core.data import ASSETS, FASHION_MNIST
from soup_core.data.packed_images import is_packed
from soup_core.errors import SoupError
from soup_core.evaluation import Evaluator
from soup_core.finetune import bundled
from soup_core.runtime.store import default_store
from soup_core.zoo import BASE, Zoo, find_zoo, open_zoo, user_ingredients


def finetune(
    zoo: Annotated[str | None, typer.Argument(help="A zoo's name or folder; left out with --init.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="A random search of so many; without it, one run.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the run, or of the search.")] = 0,
    learning_rate: Annotated[str | None, typer.Option(help="A number; with --runs also LOW,HIGH to draw from.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="What is given holds for every run of a search.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the fine-tuning images.")] = None,
    augmentation: Annotated[
        str | None, typer.Option(help='"none", or flip, shift, affine, crop and randaugment with plus signs between.')
    ] = None,
    mixup: Annotated[float | None, typer.Option(help="The alpha of mixup's beta distribution, 0 for none.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="The share spread over all classes.")] = None,
    start: Annotated[str, typer.Option(help="What to start from: base, or an ingredient.")] = BASE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The zoo's folder to write into, or with --init the new one.")
    ] = None,
    remove: Annotated[
        str | None, typer.Option(help="Take this ingredient away, which was added to ZOO before.")
    ] = None,
    init: Annotated[str | None, typer.Option(help="Make a new zoo of this architecture, as zoo.toml names it.")] = None,
    data: Annotated[str | None, typer.Option(help="With --init: tensors:FILE or imagefolder:PATH.")] = None,
    weights: Annotated[Path | None, typer.Option(help="With --init: a safetensors file to start from.")] = None,
    download: Annotated[bool, typer.Option("--download", help="With --init: fetch torchvision's weights.")] = False,
    side: Annotated[int, typer.Option(min=8, help="With --init: image files become squares of so many pixels.")] = 224,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Train new ingredients from a zoo's base, and say what greedy makes of them; stopped, it goes on when run again.

    A zoo given by its name keeps them in your own folder beside it, one given by its folder in that folder.
    """
    how: Row = {"device": device, "batch_size": batch_size, "precision": precision}
    if remove is not None:
        user_ingredients.remove(zoo or "", remove)
        return
    if (zoo is None) == (init is None):
        raise SoupError(
            "finetune takes a zoo's name or folder, or --init ARCHITECTURE for a new one; give one of them."
        )
    base_steps: Iterator[finetuning.FinetuneStep] = iter(())
    if init is not None:
        if data is None or output is None:
            raise SoupError("--init takes --data SOURCE and --output FOLDER beside it.")
        pretrained = (
            finetuning.downloaded(init) if download else dict(Checkpoint(weights).read_all()) if weights else None
        )
        opened = finetuning.planned_zoo(output, init, data, pretrained=pretrained is not None, side=side)
        destination: finetuning.Destination = finetuning.Inside(output, default_store(), finetuning.header(opened))
        base_steps = finetuning.make_base(opened, Evaluator(opened, **how), weights=pretrained, seed=seed)
        shown = output
    else:
        assert zoo is not None, "checked above"
        named = find_zoo(zoo)
        opened = open_zoo(named or zoo)
        shown = output or Path(zoo)
        if named and output is None:
            destination = finetuning.Beside(opened, zoo, default_store())
        else:
            destination = finetuning.Inside(shown, default_store())
            if (
                finetuning.start_of(open_zoo(shown.resolve()), start).digest
                != finetuning.start_of(opened, start).digest
            ):
                raise SoupError(
                    f"The zoo in {shown} has another {start} than {zoo}, so the new one would not fit there."
                )
    wanted = _hyperparameters(
        opened,
        runs,
        seed,
        learning_rate,
        {
            "weight_decay": weight_decay,
            "epochs": epochs,
            "augmentation": augmentation,
            "mixup": mixup,
            "label_smoothing": label_smoothing,
        },
    )

    def steps() -> Iterator[finetuning.FinetuneStep]:
        yield from base_steps
        trained = finetuning.with_base(opened) if init else opened
        evaluate = Evaluator(trained, **how)
        yield from finetuning.finetune(trained, evaluate, hyperparameters=wanted, start=start, place=destination)

    def rows() -> Iterator[Row]:
        names = []
        for step in steps():
            names += [step.name] if step.name and step.run else []
            yield {
                "run": step.run,
                "epoch": step.epoch,
                "loss": step.loss if math.isfinite(step.loss) else None,
                "held_out": figures(step.held_out),
                "name": step.name,
            }
        whole = open_zoo(str(shown)) if init is None and output is None else open_zoo(shown.resolve())
        for each in acceptances(whole, Evaluator(whole, **how), names):
            yield {
                "name": each.name,
                "hyperparameters": dict(whole.by_name[each.name].hyperparameters),
                "held_out": figures(each.single),
                "accepted": each.accepted,
                "before": figures(each.before),
                "after": figures(each.after),
                "low": each.comparison.low,
                "high": each.comparison.high,
            }

    if as_json:
        print_rows(rows(), as_json)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} epochs"))
    shown_rows: list[Row] = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("training", total=sum(each.epochs for each in wanted))
        for row in rows():
            shown_rows.append(row)
            progress.update(task, advance=1 if row.get("run") else 0)
    print_rows(shown_rows, as_json)


def _hyperparameters(
    zoo: Zoo, runs: int | None, seed: int, learning_rate: str | None, given: Row
) -> list[finetuning.Hyperparameters]:
    """One run as the options say, in the middle of the zoo's own where they do not, or a random search of several."""
    try:
        rates = [float(part) for part in learning_rate.split(",")] if learning_rate else []
        if not all(0 < rate < math.inf for rate in rates) or len(rates) > (1 if runs is None else 2):
            raise ValueError
    except ValueError:
        raise SoupError(
            f"--learning-rate is a number above 0, or with --runs two with a comma between; found {learning_rate!r}."
        ) from None
    side = zoo.data.split("held_out").side
    if runs is None:
        drawn = [replace(finetuning.usual(zoo, side), seed=seed)]
    else:
        space = finetuning.space_of(zoo, side)
        if len(rates) == 2:
            space = replace(space, learning_rates=(min(rates), max(rates)))
        drawn = list(finetuning.random_search(runs, seed=seed, space=space))
    if len(rates) == 1:
        given = {**given, "learning_rate": rates[0]}
    return [finetuning.checked(finetuning.with_given(each, given)) for each in drawn]


def build_zoo(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(bundled.PLANS)}.")],
    data: Annotated[
        Path,
        typer.Option(
            help="The folder of Fashion-MNIST's IDX files, of the icons to pretrain on, or of MobileNetV2's weights."
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="Where to build; default the bundled zoo's folder.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The build's seed; default the bundled build's.")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch Fashion-MNIST into DIR first, by torchvision.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Train a bundled zoo from its seed; stopped and started again, it goes on."""
    if download:
        bundled.fetch_images(data)
    folder = output or ASSETS / "zoos" / name
    seed = bundled.BUNDLED_SEEDS.get(name, 0) if seed is None else seed
    steps = bundled.build(name, data, folder, seed=seed, device=device)
    first = next(steps)
    of_fashion = bundled.PLANS[name](seed).trains_on.source == "fashion_mnist"
    if of_fashion and not is_packed(FASHION_MNIST, bundled.BUNDLED_SPLITS):
        bundled.bundle_images(data)
    with Progress(*COLUMNS, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=first.total, completed=first.done)
        for step in steps:
            progress.update(task, completed=step.done, total=step.total, description=f"{name}: {step.name} done")
    ship_evaluations(open_zoo(folder), device)
