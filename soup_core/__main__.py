"""`python -m soup_core` is the command line."""

import gc


def _run() -> None:
    """Import the commands with the garbage collector at rest: it would look through torch's million objects, which stay."""
    gc.disable()
    try:
        from soup_core.cli import main
    finally:
        gc.freeze()
        gc.enable()
    main()


_run()
