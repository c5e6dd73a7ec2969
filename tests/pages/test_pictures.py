"""What Home shows of a zoo with a real shift: its images, the numbers on them, and whose they are."""

import sys

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.views.pictures import GAP, SHOWN, TIMES, _strip
from soup_core.data import bundled_set
from tests.app_pages import words
from tests.patience import PATIENCE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture(autouse=True)
def main_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit makes the script it runs the main module, which processes that other tests spawn would then run again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def home_of(zoo: str) -> AppTest:
    def script(name: str) -> None:
        from types import SimpleNamespace

        import soup_core as sc
        from pages.shared import attribution
        from pages.views import pictures

        zoo = sc.open_zoo(name)
        context = SimpleNamespace(zoo=zoo, evaluator=lambda split: sc.Evaluator(zoo, split, "cpu"))
        pictures.draw(context, sc.Soup.single(zoo.names[0]), sc.uniform_soup(zoo))  # type: ignore[arg-type]  # as much of a context as is drawn
        attribution.draw(zoo)

    return AppTest.from_function(script, args=(zoo,), default_timeout=PATIENCE).run()


def test_icons_are_shown_with_their_numbers_and_their_authors() -> None:
    test, zoo = home_of("icons"), sc.open_zoo("icons")
    assert not test.exception
    for where, split in (("Test images", "test"), ("Under the shift filled", "test:filled")):
        evaluate = sc.Evaluator(zoo, split, "cpu")
        one, other = evaluate(sc.Soup.single(zoo.names[0])), evaluate(sc.uniform_soup(zoo))
        sentence = next(line for line in words(test).splitlines() if line.startswith(where))
        assert f"{100 * one.accuracy:.2f}" in sentence
        assert f"{100 * other.accuracy:.2f}" in sentence
    icons = bundled_set("icons")
    assert icons is not None
    (table,) = test.dataframe
    assert table.value["images"].sum() == sum(each.images for each in icons.licences)
    assert "Lucide" in set(table.value["set"])


def test_a_zoo_without_a_real_shift_shows_neither() -> None:
    test = home_of("fashion-scratch")
    assert not test.exception
    assert (words(test), len(test.dataframe)) == ("", 0)


def test_a_strip_holds_an_image_of_each_class_that_it_names() -> None:
    icons = bundled_set("icons")
    assert icons is not None
    data = sc.data.Data("icons", sc.data.ICONS, icons.normalization)
    split = data.split("test")
    strip, names = _strip(split, data.classes)
    assert strip.shape == (28 * TIMES, (SHOWN * (28 + GAP) - GAP) * TIMES)
    for place, name in enumerate(names):
        left = place * (28 + GAP) * TIMES
        shown = strip[::TIMES, left : left + 28 * TIMES : TIMES]
        of_class = split.images[split.labels == data.classes.index(name)][:, 0].numpy()
        assert any(np.array_equal(shown, image) for image in of_class)
