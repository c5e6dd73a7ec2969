"""The command line: a table for people, or with --json one object a line for scripts, and nothing else there.

Progress goes to standard error. Exit 0, or 2 with one line for a user's mistake.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from soup_core import finetune as finetuning
from soup_core.analysis.acceptance import acceptances
from soup_core.analysis.interpolation import ALPHAS, line
from soup_core.analysis.preflight import overall, preflight_checks
from soup_core.analysis.published import open_results, report, results_folders
from soup_core.checkpoints import Checkpoint
from soup_core.data import ASSETS, FASHION_MNIST, PLAIN_SPLITS
from soup_core.errors import DataError, SoupError
from soup_core.evaluation import Evaluation, Evaluator
from soup_core.export import FORMATS, Export, export_soup, imported, read_recipe, step_row, title_of
from soup_core.finetune import bundled
from soup_core.recipes.ensemble import ensemble as ensemble_evaluation
from soup_core.recipes.ensemble import greedy_ensemble
from soup_core.recipes.greedy import GreedyStep, greedy_soup
from soup_core.recipes.learned import learned_soup
from soup_core.recipes.model_stock import model_stock_soup
from soup_core.recipes.pruned import pruned_soup
from soup_core.recipes.slerp import slerp_soup
from soup_core.recipes.task_arithmetic import task_arithmetic_soup
from soup_core.recipes.trajectory import ema_soup, lawa_soup
from soup_core.recipes.uniform import uniform_soup
from soup_core.recipes.wise_ft import wise_ft
from soup_core.runtime.devices import PRECISIONS
from soup_core.runtime.files import shown, write_atomically
from soup_core.runtime.store import default_store
from soup_core.soup import Soup
from soup_core.zoo import BASE, Zoo, open_zoo, user_ingredients, zoo_folders
from soup_core.zoo.proposal import look, propose, with_architecture, with_base, with_source

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
ZooName = Annotated[str, typer.Argument(help="A bundled zoo's name, or a folder that holds zoo.toml.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images a forward pass; default 250, on CUDA all.")]
Precision = Annotated[str, typer.Option(help=f"One of {', '.join(PRECISIONS)}.")]
Full = Annotated[bool, typer.Option("--full", help="Evaluate every candidate in full.")]
Ties = Annotated[bool, typer.Option("--ties", help="Accept on an equal count too.")]
SoupOption = Annotated[
    str | None,
    typer.Option(
        "--soup", help="Names with commas between, uniform, greedy, learned, or a file: JSON or what export wrote."
    ),
]
Row = dict[str, Any]
COLUMNS = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))


def main() -> None:
    """Run the command line; a user's mistake becomes one line on standard error and exit 2."""
    try:
        app()
    except SoupError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


@app.command()
def zoos(as_json: Json = False) -> None:
    """List the zoos."""
    rows = []
    for name in zoo_folders():
        try:
            zoo = open_zoo(name)
            rows.append({"zoo": name, "title": zoo.title, "ingredients": len(zoo.ingredients), "base": bool(zoo.base)})
        except SoupError as error:
            rows.append({"zoo": name, "error": str(error)})
    _print(rows, as_json)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A folder of checkpoints, with sub-folders.")],
    architecture: Annotated[str | None, typer.Option(help="The network, for instance torchvision:resnet18.")] = None,
    num_classes: Annotated[int | None, typer.Option(min=1, help="How many classes it tells apart.")] = None,
    data: Annotated[
        str | None, typer.Option(help="The images: imagefolder:PATH, torchvision:CLASS, tensors:FILE.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The file that all were fine-tuned from, or none.")] = None,
    title: Annotated[str | None, typer.Option(help="What pages call it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a zoo.toml that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Look at a folder of checkpoints and write the zoo.toml that makes a zoo of it, to be read and corrected."""
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("looking", total=None)
        looked = []
        for each in look(folder):
            looked.append(each)
            progress.update(task, completed=len(looked), total=each.of, description=shown(each.file.name))
    proposal = propose(folder, looked)
    if architecture or (
        proposal.architecture is None and (architecture := _asked("The network (torchvision:NAME, …)"))
    ):
        classes = num_classes or (proposal.architecture or {}).get("num_classes") or _asked("How many classes")
        if not str(classes or "").isdigit():
            raise SoupError("The number of classes is not known; give it with --num-classes.")
        proposal = with_architecture(proposal, {"name": architecture, "num_classes": int(str(classes))})
    elif num_classes and proposal.architecture:
        proposal = with_architecture(proposal, {**proposal.architecture, "num_classes": num_classes})
    if data or ("source" not in proposal.data and (data := _asked("The images (imagefolder:PATH, tensors:FILE, …)"))):
        proposal = with_source(proposal, data)
    if base is not None:
        proposal = with_base(proposal, None if base == "none" else base)
    if title is not None:
        proposal = replace(proposal, title=title)
    if proposal.questions:
        raise SoupError(f"{' '.join(proposal.questions)} Say it with --architecture, --num-classes or --data.")
    file = proposal.write(replace_old=force)
    zoo = open_zoo(folder)
    for notice in (*proposal.notices, *(excluded.reason for excluded in zoo.excluded)):
        print(notice, file=sys.stderr)
    rows: list[Row] = [{
        "file": shown(file), "architecture": dict(proposal.architecture or {}), "data": proposal.data["source"],
        "base": bool(zoo.base), "ingredients": len(zoo.ingredients), "left_out": len(zoo.excluded),
    }]  # fmt: skip
    _print(rows, as_json)


def _asked(question: str) -> str | None:
    """The answer of whoever sits before the terminal, None where nobody does."""
    answer: str = typer.prompt(question, default="", err=True) if sys.stdin.isatty() else ""
    return answer.strip() or None


@app.command()
def inspect(zoo: ZooName, as_json: Json = False) -> None:
    """List a zoo's ingredients with their hyperparameters, and what is left out and why."""
    opened = open_zoo(zoo)
    rows: list[Row] = [
        {
            "name": i.name,
            "file": shown(i.file),
            "digest": i.digest,
            **({} if i.name == BASE else i.hyperparameters),
            **({"notes": list(i.checkpoint.notes)} if i.checkpoint.notes else {}),
        }
        for i in opened.by_name.values()
    ]
    rows += [{"name": excluded.name, "excluded": excluded.reason} for excluded in opened.excluded]
    rows += [{"notice": notice} for notice in opened.data.notices()]
    if not as_json:
        rows = [{**row, "digest": row["digest"][:12]} if "digest" in row else row for row in rows]
    _print(rows, as_json)


@app.command()
def images(
    zoo: ZooName,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch a data set of torchvision into its root first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decode a zoo's images, so that all else finds them ready, and list its splits and what is wrong with them."""
    data = open_zoo(zoo).data
    if download:
        with redirect_stdout(sys.stderr):
            data.fetch()
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} images"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        for name in (*PLAIN_SPLITS, *(f"test:{shift}" for shift in data.shift_folders)):
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
                rows.append({"split": name, "images": len(split), "classes": classes, "digest": split.digest})
    if all("error" in row for row in rows):
        raise DataError(rows[0]["error"])
    _print([*rows, *({"notice": notice} for notice in data.notices())], as_json)


@app.command()
def evaluate(
    zoo: ZooName,
    soup: SoupOption = None,
    split: Annotated[str | None, typer.Option(help="held_out, test or test:SHIFT; without it, the first two.")] = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Evaluate a soup, by default the uniform one."""
    run = _Run(zoo, device, batch_size, precision)
    _print([run.report(run.soup(soup or "uniform"), [split] if split else None)], as_json)


@app.command()
def preflight(
    zoo: ZooName,
    names: Annotated[str | None, typer.Option(help="Ingredients, separated by commas; without it, all.")] = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Check whether ingredients will average well: a line a finding, and the verdict last."""
    run = _Run(zoo, device, batch_size, precision)

    def found() -> Iterator[Row]:
        findings = []
        for finding in preflight_checks(run.zoo, run.evaluator(), names.split(",") if names else None):
            findings.append(finding)
            yield asdict(finding)
        yield asdict(overall(findings))

    _print(found(), as_json)


@app.command()
def published(
    folder: Annotated[str, typer.Argument(help="A folder of published results, or its name.")], as_json: Json = False
) -> None:
    """Report results without weights: every model, the soups' gains, correlations and drops."""
    _print(report(open_results(results_folders().get(folder, Path(folder)))), as_json)


@app.command()
def uniform(
    zoo: ZooName,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Average all ingredients and evaluate the soup."""
    run = _Run(zoo, device, batch_size, precision)
    _print([run.report(uniform_soup(run.zoo))], as_json)


@app.command()
def greedy(
    zoo: ZooName,
    order: Annotated[str, typer.Option(help="accuracy, random:SEED, or names with commas between.")] = "accuracy",
    full: Full = False,
    ties: Ties = False,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Run the greedy soup, a line a candidate, then its evaluation."""
    run = _Run(zoo, device, batch_size, precision)
    names = order.split(",") if "," in order else order
    _print(run.search(greedy_soup(run.zoo, run.evaluator(), order=names, ties=ties, full=full)), as_json)


@app.command()
def pruned(
    zoo: ZooName,
    full: Full = False,
    ties: Ties = False,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Run the pruned soup, a line a candidate ("accepted" means dropped), then its evaluation."""
    run = _Run(zoo, device, batch_size, precision)
    _print(run.search(pruned_soup(run.zoo, run.evaluator(), ties=ties, full=full)), as_json)


@app.command()
def learned(
    zoo: ZooName,
    granularity: Annotated[str, typer.Option(help="One coefficient a model, layer or tensor.")] = "tensor",
    parameterization: Annotated[str, typer.Option(help="softmax or unconstrained.")] = "softmax",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the held-out images at most.")] = 5,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Default 0.05, unconstrained 0.005.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the fold and of the batches.")] = 0,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Learn the coefficients, a line a round of batches, then the soup's evaluation; stopped, it goes on when run again."""
    run = _Run(zoo, device, batch_size, precision)
    steps = learned_soup(
        run.zoo, run.evaluator(), granularity=granularity, parameterization=parameterization, epochs=epochs,
        learning_rate=learning_rate, seed=seed,
    )  # fmt: skip

    def rows() -> Iterator[Row]:
        soup = None
        for step in steps:
            soup = step.soup
            yield {
                "step": step.index, "loss": None if math.isnan(step.loss) else step.loss, "fold": _figures(step.fold),
                "temperature": step.temperature, "best_step": step.best_index,
            }  # fmt: skip
        assert soup is not None, "a learned soup has at least its start"
        yield run.report(soup)

    _print(rows(), as_json)


@app.command()
def ensemble(
    zoo: ZooName,
    names: Annotated[str | None, typer.Option(help="Names with commas between; default all.")] = None,
    greedily: Annotated[bool, typer.Option("--greedy", help="Choose the members greedily on held-out images.")] = False,
    average: Annotated[str, typer.Option(help="probabilities or logits.")] = "probabilities",
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Average the models' outputs instead of their weights, and evaluate that."""
    run = _Run(zoo, device, batch_size, precision)
    members = uniform_soup(run.zoo, [name for name in names.split(",") if name] if names else None)
    if greedily:
        *_, final = greedy_ensemble(run.zoo, run.evaluator(), average=average)
        members = final.soup
    found = {
        split: _figures(ensemble_evaluation(run.evaluator(split), members.names, average=average))
        for split in ("held_out", "test")
    }
    _print([{"soup": dict(members.coefficients), **found}], as_json)


@app.command()
def soup(
    zoo: ZooName,
    recipe: Annotated[str, typer.Argument(help="model-stock, wise-ft, slerp, task-arithmetic, ema or lawa.")],
    towards: Annotated[str, typer.Option(help="wise-ft: the soup to walk to, as --soup takes it.")] = "uniform",
    names: Annotated[str | None, typer.Option(help="slerp: two names with a comma between.")] = None,
    alpha: Annotated[float, typer.Option(help="slerp: where between the two.")] = 0.5,
    scale: Annotated[float, typer.Option(help="task-arithmetic: the factor of each difference.")] = 0.1,
    decay: Annotated[float, typer.Option(help="ema: the share that the past keeps at each checkpoint.")] = 0.8,
    last: Annotated[int, typer.Option(help="lawa: how many of the latest checkpoints.")] = 5,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Make a soup by a recipe in closed form, or on the line from the base, and evaluate it."""
    run = _Run(zoo, device, batch_size, precision)
    held_out = run.evaluator()
    if recipe == "wise-ft":
        *_, step = wise_ft(run.zoo, held_out, towards=run.soup(towards))
        made = step.soup
    elif recipe == "model-stock":
        made = model_stock_soup(run.zoo, held_out.store)
    elif recipe == "slerp":
        pair = (names or "").split(",")
        if len(pair) != 2:
            raise SoupError(f"slerp takes --names A,B, two ingredients; found {names!r}.")
        made = slerp_soup(run.zoo, held_out.store, *pair, alpha=alpha)
    elif recipe == "task-arithmetic":
        made = task_arithmetic_soup(run.zoo, scale=scale)
    elif recipe in ("ema", "lawa"):
        made = ema_soup(run.zoo, decay=decay) if recipe == "ema" else lawa_soup(run.zoo, last=last)
    else:
        known = "model-stock, wise-ft, slerp, task-arithmetic, ema or lawa"
        raise SoupError(f"The recipe is one of {known}; found {recipe!r}.")
    _print([run.report(made)], as_json)


@app.command()
def interpolate(
    zoo: ZooName,
    a: Annotated[str, typer.Argument(help="Names, a JSON file, base, uniform or greedy.")],
    b: Annotated[str, typer.Argument(help="The same.")],
    alphas: Annotated[str | None, typer.Option(help="Numbers with commas between; default -0.5 to 1.5.")] = None,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Evaluate along the line (1 - alpha) * A + alpha * B, both ends always among the points."""
    run = _Run(zoo, device, batch_size, precision)
    try:
        wanted = [float(alpha) for alpha in alphas.split(",")] if alphas else list(ALPHAS)
        if not all(math.isfinite(alpha) for alpha in wanted):
            raise ValueError
    except ValueError:
        raise SoupError(f"--alphas takes finite numbers with commas between; found {alphas!r}.") from None
    points = sorted(line(run.evaluator(), run.soup(a), run.soup(b), wanted), key=lambda point: point.alpha)
    _print(({"alpha": point.alpha, "held_out": _figures(point.evaluation)} for point in points), as_json)


@app.command()
def finetune(
    zoo: Annotated[str | None, typer.Argument(help="A zoo's name or folder; left out with --init.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="A random search of so many; without it, one run.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the run, or of the search.")] = 0,
    learning_rate: Annotated[str | None, typer.Option(help="A number; with --runs also LOW,HIGH to draw from.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="What is given holds for every run of a search.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the fine-tuning images.")] = None,
    augmentation: Annotated[
        str | None, typer.Option(help='"none", or flip, shift, crop and randaugment with plus signs between.')
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
        found = finetuning.downloaded(init) if download else dict(Checkpoint(weights).read_all()) if weights else None
        opened = finetuning.planned_zoo(output, init, data, pretrained=found is not None, side=side)
        place: finetuning.Place = finetuning.Inside(output, default_store(), finetuning.header(opened))
        base_steps = finetuning.make_base(opened, Evaluator(opened, **how), weights=found, seed=seed)
        shown = output
    else:
        assert zoo is not None, "looked at above"
        named = zoo in zoo_folders()
        opened = open_zoo(zoo_folders()[zoo] if named else zoo)
        shown = output or Path(zoo)
        if named and output is None:
            place = finetuning.Beside(opened, zoo, default_store())
        else:
            place = finetuning.Inside(shown, default_store())
            if (
                finetuning.start_of(open_zoo(shown.resolve()), start).digest
                != finetuning.start_of(opened, start).digest
            ):
                raise SoupError(
                    f"The zoo in {shown} has another {start} than {zoo}, so the new one would not fit there."
                )
    wanted = _hyperparameters(
        opened, runs, seed, learning_rate,
        {"weight_decay": weight_decay, "epochs": epochs, "augmentation": augmentation, "mixup": mixup,
         "label_smoothing": label_smoothing},
    )  # fmt: skip

    def steps() -> Iterator[finetuning.FinetuneStep]:
        yield from base_steps
        trained = finetuning.with_base(opened) if init else opened
        evaluate = Evaluator(trained, **how)
        yield from finetuning.finetune(trained, evaluate, hyperparameters=wanted, start=start, place=place)

    def rows() -> Iterator[Row]:
        names = []
        for step in steps():
            names += [step.name] if step.name and step.run else []
            yield {
                "run": step.run, "epoch": step.epoch, "loss": step.loss if math.isfinite(step.loss) else None,
                "held_out": _figures(step.held_out), "name": step.name,
            }  # fmt: skip
        whole = open_zoo(str(shown)) if init is None and output is None else open_zoo(shown.resolve())
        for each in acceptances(whole, Evaluator(whole, **how), names):
            yield {
                "name": each.name, "hyperparameters": dict(whole.by_name[each.name].hyperparameters),
                "held_out": _figures(each.single), "accepted": each.accepted, "before": _figures(each.before),
                "after": _figures(each.after), "low": each.comparison.low, "high": each.comparison.high,
            }  # fmt: skip

    if as_json:
        _print(rows(), as_json)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} epochs"))
    told: list[Row] = []
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("training", total=sum(each.epochs for each in wanted))
        for row in rows():
            told.append(row)
            progress.update(task, advance=1 if row.get("run") else 0)
    _print(told, as_json)


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
    side = min(zoo.data.split("held_out").images.shape[2:])
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


@app.command()
def export(
    zoo: ZooName,
    file: Annotated[Path, typer.Option("--output", "-o", help="Where to write; its card and script go beside it.")],
    soup: SoupOption = None,
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")] = "safetensors",
    title: Annotated[str, typer.Option(help="The card's title.")] = "",
    test: Annotated[bool, typer.Option("--test", help="Report the test images too.")] = False,
    as_json: Json = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
) -> None:
    """Write a soup, by default the uniform one, as a file that loads elsewhere, with a card and a script beside it."""
    run = _Run(zoo, device, batch_size, precision)
    made = run.soup(soup or "uniform")
    kind = f"{soup.capitalize()} soup" if soup in ("greedy", "learned") else ""
    out = Export(
        made, run.evaluator(), run.evaluator("test") if test else None, title or title_of(made, kind), format
    )  # fmt: skip
    written = export_soup(out, file)
    found = {split: _figures(standing.evaluation) for split, standing in out.standings.items()}
    rows: list[Row] = [{"written": str(path), "bytes": path.stat().st_size} for path in written]
    _print([*rows, {"soup": json.loads(made.to_json()), **found}], as_json)


@app.command("build-zoo")
def build_zoo(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(bundled.PLANS)}.")],
    data: Annotated[Path, typer.Option(help="The folder of Fashion-MNIST's IDX files.")],
    output: Annotated[Path | None, typer.Option(help="Where to build; default the bundled zoo's folder.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The build's seed; default the bundled build's.")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the files into DIR first, by torchvision.")
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
    if not all((FASHION_MNIST / f"{split}.safetensors.xz").is_file() for split in ("held_out", "test", "train")):
        bundled.bundle_images(data)
    with Progress(*COLUMNS, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=first.total, completed=first.done)
        for step in steps:
            progress.update(task, completed=step.done, total=step.total, description=f"{name}: {step.name} done")
    zoo = open_zoo(folder)
    evaluators = [Evaluator(zoo, split, device) for split in ("held_out", "test")]
    lines = [bundled.shipped_line(evaluator, Soup({each: 1.0})) for evaluator in evaluators for each in zoo.by_name]
    write_atomically(zoo.evaluations_file, "".join(f"{line}\n" for line in lines).encode())


class _Run:
    """What the commands share: the open zoo and how to compute on it."""

    def __init__(self, zoo: str, device: str, batch_size: int | None, precision: str) -> None:
        self.zoo = open_zoo(zoo)
        self._how: Row = {"device": device, "batch_size": batch_size, "precision": precision}

    def evaluator(self, split: str = "held_out") -> Evaluator:
        return Evaluator(self.zoo, split, **self._how)

    def soup(self, text: str) -> Soup:
        """A soup as the command line takes it: uniform, greedy, learned, names with commas between, or a file."""
        if text == "uniform":
            return uniform_soup(self.zoo)
        if text == "greedy":
            *_, last = greedy_soup(self.zoo, self.evaluator())
            return last.soup
        if text == "learned":
            *_, final = learned_soup(self.zoo, self.evaluator())
            return final.soup
        if Path(text).is_file():
            return imported(read_recipe(Path(text)), self.zoo)
        return uniform_soup(self.zoo, [name for name in text.split(",") if name])

    def report(self, soup: Soup, splits: list[str] | None = None) -> Row:
        found = {split: _figures(self.evaluator(split)(soup)) for split in splits or ["held_out", "test"]}
        return {"soup": json.loads(soup.to_json()), **found}

    def search(self, steps: Iterator[GreedyStep]) -> Iterator[Row]:
        soup = None
        for step in steps:
            soup = step.soup
            yield step_row(step)
        assert soup is not None, "a search has at least its first step"
        yield self.report(soup)


def _figures(evaluation: Evaluation) -> Row:
    loss = None if math.isnan(evaluation.loss) else evaluation.loss
    figures: Row = {
        "correct": evaluation.correct,
        "total": evaluation.total,
        "accuracy": evaluation.accuracy,
        "loss": loss,
    }
    if evaluation.not_finite:
        figures["not_finite"] = evaluation.not_finite
    if evaluation.precision != "float32":
        figures["precision"] = evaluation.precision
    return figures


def _print(rows: Iterable[Row], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row), flush=True)
        return
    console, table = Console(), None
    with _waiting():
        rows = list(rows)
    for index, row in enumerate(rows):
        if table is None or list(row) != list(rows[index - 1]):
            if table is not None:
                console.print(table)
            table = Table(*row, box=None, header_style="bold")
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    if table is not None:
        console.print(table)


@contextmanager
def _waiting() -> Iterator[None]:
    with Console(stderr=True).status("evaluating"):
        yield


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "correct" in value:
        return f"{value['correct']} of {value['total']} ({100 * value['accuracy']:.2f} %)"
    if isinstance(value, dict):
        return ", ".join(f"{key} {part:.4g}" if isinstance(part, float) else key for key, part in value.items())
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(value)}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
