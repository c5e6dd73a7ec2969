"""Starts the app on a free port and prints its address: `python -m pages.shared.launch [STREAMLIT OPTIONS]`."""

import socket
import sys
from pathlib import Path

from streamlit.web import cli

APP = Path(__file__).resolve().parents[2] / "app.py"
FIRST_PORT = 8501


def free_port() -> int:
    """Streamlit's usual port where it is free, else one that the system gives."""
    for port in (FIRST_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("no free port on 127.0.0.1")


def main() -> None:
    """Serve the app until interrupted."""
    port = free_port()
    print(f"Model Soups Explorer: http://127.0.0.1:{port}", flush=True)
    sys.argv = ["streamlit", "run", str(APP), f"--server.port={port}", *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
