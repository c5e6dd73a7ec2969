"""The command that serves the others to a client of the Model Context Protocol, over standard input and output alone.

The protocol: https://modelcontextprotocol.io. Its official SDK speaks it; it is imported only where it is served.
"""

from pathlib import Path
from typing import Annotated

import typer

from soup_core.cli.options import Device
from soup_core.errors import SoupError


def mcp(
    allow_export: Annotated[
        Path | None,
        typer.Option(help="Offer to write soups too, as new files below this folder; without it, only reading."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Serve the zoos to a client of the Model Context Protocol on standard input and output; needs the package mcp."""
    if allow_export is not None and not allow_export.is_dir():
        raise SoupError(f"--allow-export takes a folder that is there; found {str(allow_export)!r}.")
    try:
        from soup_core.cli.mcp.server import serve
    except ImportError as error:
        raise SoupError(
            f"The server speaks the protocol by its official SDK, which is not installed here ({error}). Install it with: "
            'pip install "mcp>=2.3"'
        ) from error
    serve(allow_export, device)
