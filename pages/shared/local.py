"""Whether a session comes from the machine that the server runs on, and nobody else can have one.

Only then may folders be named from a page. What was confirmed before counts no more in a server that others reach.
"""

import streamlit as st

from pages.shared import session
from soup_core.runtime.named_folders import heed_named_folders

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def is_local() -> bool:
    """Whether the server listens to this machine alone, under its names alone, and nothing forwards what others ask."""
    hosts = st.get_option("server.allowedHosts") or ["*"]
    headers = {name.lower() for name in st.context.headers}
    return (
        st.get_option("server.address") in LOOPBACK
        and all(host in LOOPBACK for host in hosts)
        and headers.isdisjoint(FORWARDED)
    )


def heed_folders() -> None:
    """Let folders that were named from a page count, or end that; in a process that renders, SOUP_ZOOS has them all."""
    if not st.session_state.get(session.RENDERING, False):
        heed_named_folders(is_local())
