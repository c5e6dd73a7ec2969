"""What the pages have in common: opening a page, caching, and the address."""

import gc
from importlib import import_module

from streamlit import runtime


def _import_for_good() -> None:
    """Import what every page needs, with the garbage collector at rest, and have it leave all that alone from then on.

    torch brings a million objects that stay. Looking through them again and again takes a fifth of a second of a server's
    first page, and as much whenever Streamlit collects in full, which it does at the end of each run of a page.
    """
    gc.disable()
    try:
        import_module("pages.shared.page")
    finally:
        gc.freeze()
        gc.enable()


if runtime.exists():  # and not where the server is only about to be started
    _import_for_good()
