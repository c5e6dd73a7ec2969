"""One server, one browser and one store for all tests here, and pages that see no other machine.

Opening an address costs the browser a second and more, a new tab three, and a page's work is done once a store: so tests
share them, and where they can, they go through the app by its links and choosers. Each opening of an address is a
session of its own.
"""

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, ViewportSize, expect

import soup_core as sc
from soup_core import charts
from tests.e2e.driver import ROOT, WAIT, chromium, logs, server
from tests.e2e.zoos import write_five

VIEWPORT = ViewportSize(width=1280, height=900)
expect.set_options(timeout=WAIT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First, since they take longest and wait most: the others then fill what a second process leaves of the cores."""
    here = Path(__file__).parent
    items.sort(key=lambda item: not item.path.is_relative_to(here))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a test fails, what its servers said last: a page hides an error's text."""
    report = yield
    if report.failed and item.path.is_relative_to(Path(__file__).parent):
        report.sections += [(each.name, each.read_text(errors="replace")[-4000:]) for each in logs if each.exists()]
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tabs, so that the browser reads and compiles the app's scripts once."""
    with browser.new_context(viewport=VIEWPORT) as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(context: BrowserContext) -> Iterator[Page]:
    """One for a module's tests: a new one costs the browser more than twice what an address opened in this one does.

    Not one for all, since its memory grows with each address, past a gigabyte.
    """
    page = context.new_page()
    page.set_default_timeout(WAIT)
    yield page
    page.close()


@contextmanager
def guarded(tab: Page) -> Iterator[Page]:
    """The tab as a new one would be, which must not ask another machine for anything."""
    foreign: list[str] = []

    def look(request: Request) -> None:
        if "//127.0.0.1" not in request.url and not request.url.startswith(("about:", "data:", "blob:")):
            foreign.append(request.url)

    tab.set_viewport_size(VIEWPORT)
    tab.emulate_media(color_scheme="light", reduced_motion="no-preference", media="screen")
    tab.on("request", look)
    yield tab
    tab.goto("about:blank")
    tab.remove_listener("request", look)
    assert not foreign


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    with guarded(tab) as opened:
        yield opened


@pytest.fixture(scope="module")
def module_page(tab: Page) -> Iterator[Page]:
    """The tab for all tests of a module, which go on in it."""
    with guarded(tab) as opened:
        yield opened


@pytest.fixture(scope="session")
def core_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store of the numbers that tests expect; the server's is another, or else they would read its own back."""
    home = tmp_path_factory.mktemp("core") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOUP_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def zoos(core_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose zoos the shared server offers: "five", and what tests put beside it for as long as they run."""
    folder = tmp_path_factory.mktemp("zoos")
    write_five(folder / "five")
    return folder


@pytest.fixture(scope="session")
def address(zoos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shared server's."""
    with server(tmp_path_factory.mktemp("served") / "home", zoos, threads=1) as started:
        yield started


@pytest.fixture(scope="session")
def charts_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server's that shows live_chart_app.py, and at /export_app and /sent_app the others."""
    folder, here = tmp_path_factory.mktemp("charts"), Path(__file__).parent
    shutil.copy(here / "live_chart_app.py", folder)
    (folder / "pages").mkdir()
    for other in ("export_app.py", "sent_app.py"):
        shutil.copy(here / other, folder / "pages")
    (folder / "static").symlink_to(ROOT / "static")  # Streamlit serves the one beside the script
    with server(folder / "home", app=str(folder / "live_chart_app.py"), threads=1) as started:
        yield started


@pytest.fixture(autouse=True)
def own_home(own_home: None, core_home: Path, zoos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core sees the zoos that the shared server offers, and evaluates nothing twice."""
    monkeypatch.setenv("SOUP_HOME", str(core_home))
    monkeypatch.setenv("SOUP_ZOOS", str(zoos))


@pytest.fixture
def held_out() -> Callable[..., str]:
    """The held-out accuracy, as a page says it, of the uniform soup of some of a zoo's models, or all."""

    def accuracy(names: list[str] | None = None, zoo_name: str = "five") -> str:
        zoo = sc.open_zoo(zoo_name)
        return charts.percent(sc.Evaluator(zoo, device="cpu")(sc.uniform_soup(zoo, names)))

    return accuracy
