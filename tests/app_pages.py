"""Pages of the app, opened and read through Streamlit's own test driver."""

import time
from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from soup_core.runtime.store import default_store
from tests import ROOT
from tests.patience import PATIENCE


def open_page(path: str, **address: str | list[str]) -> AppTest:
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE)
    if path != "app.py":
        test.switch_page(path)
    for key, value in {"zoo": "made", **address}.items():
        test.query_params[key] = value
    return test.run()


def words(test: AppTest) -> str:
    parts = [*test.markdown, *test.error, *test.warning, *test.info, *test.caption]
    return "\n".join(str(part.value) for part in parts)


def until(test: AppTest, ready: Callable[[AppTest], object]) -> AppTest:
    """Run the page again until it is ready, as its jobs come on; without one that goes on, not for ever."""
    end, runs_without_a_job = time.monotonic() + PATIENCE, 0
    while not ready(test):
        assert time.monotonic() < end, words(test)
        assert runs_without_a_job < 40, words(test)
        look_again = time.monotonic() + 0.2
        while (working := works()) and time.monotonic() < look_again:
            time.sleep(0.01)
        runs_without_a_job += not working
        test.run()
    return test


def works() -> bool:
    """Whether a job has not ended."""
    return any(row.state in ("queued", "running", "cancelling") for row in default_store().jobs())


def closes(test: AppTest) -> AppTest:
    """Run the page again until its work has ended and its sentence stands there."""
    return until(test, lambda test: any(str(part.value).startswith("**") for part in test.markdown))


def metric(test: AppTest, label: str) -> str:
    return str(next(each.value for each in test.metric if each.label.startswith(label)))


def meaning(test: AppTest) -> str:
    (found,) = [part.value for part in test.markdown if str(part.value).startswith("**")]
    return str(found)
