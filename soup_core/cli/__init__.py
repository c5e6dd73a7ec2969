"""The command line: a table for people, or with --json one object a line for scripts, and nothing else there.

Progress goes to standard error. Exit 0, or 2 with one line for a user's mistake.
"""

import sys
from collections.abc import Callable

import typer

from soup_core.cli import export, finetune, recipes, zoos
from soup_core.cli.mcp import mcp
from soup_core.errors import SoupError


def application() -> typer.Typer:
    """The command line, its commands in the order of `--help`, with the recipes that are in the registry now."""
    commands: tuple[Callable[..., None], ...] = (
        zoos.zoos,
        zoos.init,
        zoos.inspect,
        zoos.images,
        recipes.evaluate,
        zoos.preflight,
        zoos.published,
        *recipes.recipe_commands(),
        recipes.interpolate,
        finetune.finetune,
        export.export,
        finetune.build_zoo,
        mcp,
    )
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
    for command in commands:
        app.command()(command)
    return app


def main() -> None:
    """Run the command line; a user's mistake becomes one line on standard error and exit 2."""
    try:
        application()()
    except SoupError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
