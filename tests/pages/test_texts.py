"""Pages on a zoo of texts: sentences stand where images would, and nothing is offered that is made of images."""

from pathlib import Path

import pytest

import soup_core as sc
from pages.lessons import text as lesson
from tests.app_pages import closes, metric, open_page, words
from tests.texts import bert, sentences, transformers, write_csv, write_splits, write_text_zoo, write_tokenizer
from tests.zoos import random_linears, write_zoo

HOSTILE = "<b>![x](h)</b>"


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    transformers()
    folder = write_text_zoo(tmp_path / "made", texts=60)
    write_csv(folder / "texts" / "test.csv", [(f"{text} {HOSTILE}", label) for text, label in sentences(60, 2)])
    return folder


def test_what_changed_shows_sentences_as_literal_text(zoo: Path) -> None:
    test = open_page("pages/5_Robustness.py", view="What changed", a="run-0", b="run-1")
    assert not test.exception
    opened = sc.open_zoo(zoo)
    evaluate = sc.Evaluator(opened, "test")
    ours, theirs = (evaluate(sc.Soup.single(name)) for name in ("run-0", "run-1"))
    compared = sc.compare(ours, theirs)
    assert metric(test, "Only run-0 is right") == f"{compared.gained:,} texts"
    shown = [str(part.value) for part in test.markdown if str(part.value).startswith("“")]
    assert len(shown) == min(6, compared.gained) + min(6, compared.lost)
    assert shown
    assert all("\\<b\\>" in each or "&lt;b" in each for each in shown)
    assert not any("![x]" in each or "<b>" in each for each in shown)
    assert "image" not in words(test).lower()


def test_shifts_are_the_given_ones_alone(zoo: Path) -> None:
    test = closes(open_page("pages/5_Robustness.py", view="Figure"))
    assert not test.exception
    assert "1 shift" in "\n".join(str(each.help) for each in test.metric) + words(test)
    (zoo / "texts" / "tweets.csv").unlink()
    test = open_page("pages/5_Robustness.py", view="Figure")
    assert "Without a shift nothing can be said" in words(test)


@pytest.mark.parametrize("page", ["app.py", "pages/1_Ingredients.py", "pages/6_Train.py"])
def test_pages_open_on_texts(zoo: Path, page: str) -> None:
    test = open_page(page)
    assert not test.exception
    assert not any("held-out images" in str(each.value) for each in test.error), "what speaks against made weights"
    if page == "pages/6_Train.py":
        assert not any(each.label in ("Augmentation", "Mixup") for each in (*test.selectbox, *test.number_input))


def test_a_lesson_runs_on_texts(zoo: Path) -> None:
    from pages.shared.context import Computing
    from soup_core.analysis.published import all_folders

    context = Computing("made", "cpu", "float32", 2.0, {}, all_folders(), None).open()
    outcome = lesson.run(context, (0.0,))
    steps = list(sc.greedy_soup(context.zoo, context.evaluator("held_out")))
    for split, where in (("test", outcome.sentence), ("test:tweets", outcome.why)):
        evaluate = sc.Evaluator(context.zoo, split)
        compared = sc.compare(evaluate(steps[-1].soup), evaluate(steps[0].soup))
        assert f"{100 * compared.difference:+.2f} points" in where
    assert len(f"Predict first, then see. {lesson.LESSON.setting}".split()) <= 40


def test_a_folder_of_runs_on_texts_is_proposed_and_asks_for_the_columns(tmp_path: Path) -> None:
    transformers()
    write_zoo(tmp_path / "made", random_linears(3))
    sweep = tmp_path / "sweep"
    write_splits(sweep / "texts", 30)
    for number in range(2):
        bert(number).save_pretrained(sweep / f"run-{number}")
        write_tokenizer(sweep / f"run-{number}")
    for file in (sweep / "texts").iterdir():
        file.write_text(file.read_text().replace("text,label", "body,stars", 1))
    test = open_page("pages/9_Add_a_zoo.py")
    assert not test.exception
    assert "Which column of train.csv is the text" in words(test)
    test.selectbox(key=f"{sweep}:column-text").set_value("body")
    test.selectbox(key=f"{sweep}:column-label").set_value("stars").run()
    assert "Which column" not in words(test)
    assert any(str(part.value).startswith("“") for part in test.markdown)
    next(each for each in test.button if each.label == "Write zoo.toml").click().run()
    assert not test.exception
    assert sc.open_zoo(sweep).data.split("test").tokens is not None
