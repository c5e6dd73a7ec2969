"""One browser for all tests here, and a page that sees no other machine."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.driver import WAIT, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    foreign: list[str] = []
    opened.on("request", lambda r: foreign.append(r.url) if "//127.0.0.1" not in r.url and "://" in r.url else None)
    yield opened
    context.close()
    assert not [url for url in foreign if not url.startswith(("data:", "blob:"))]
