"""The page Learn: every lesson asks, runs and closes with the core's own numbers; scores and progress."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import safetensors.torch
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

import soup_core as sc
from pages.lessons import LESSONS, batchnorm, ensemble, gap, hot, learned, lesson, line, lora, shift, uniform, why
from pages.lessons.lesson import agreed, near, near_difference
from pages.lessons.progress import Answer, read
from pages.shared import drawing, session
from soup_core import charts, checkpoints, formatting
from soup_core.analysis.ablations import Averaged, GapStep, NumberStep, greedy_on
from soup_core.recipes.greedy import candidate_order
from soup_core.zoo import user_ingredients
from tests.app_pages import metric, open_page, words
from tests.zoos import random_linears, write_zoo

PAGE = "pages/7_Learn.py"
BY_KEY = {each.key: each for each in LESSONS}
FASHION = "fashion"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for all tests here, so that nothing of the bundled zoos is evaluated twice."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def quick(own_home: None, few_images: None, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_HOME", str(home))
    st.cache_resource.clear()
    monkeypatch.setattr(shift, "SHIFTS", ("noise-3", "contrast-3"))
    monkeypatch.setattr(gap, "SIZES", (50, 100))
    monkeypatch.setattr(gap, "IMAGES", 200)
    monkeypatch.setattr(gap, "DRAWS", 2)
    monkeypatch.setattr(hot, "RATES", (0.001, 0.064))
    monkeypatch.setattr(ensemble, "MODELS", 3)
    monkeypatch.setattr(learned, "MODELS", 3)
    monkeypatch.setattr(lora, "COUNTS", (2, 3))


def opened(key: str, **address: str) -> AppTest:
    return open_page(PAGE, **{"zoo": FASHION, "lesson": BY_KEY[key].title, **address})


def answered(key: str, *said: float | str, score: int | None = None) -> AppTest:
    return opened(key, answered=json.dumps({key: [score, *said]}))


def kept(test: AppTest) -> dict[str, Answer]:
    return read(test.session_state[session.ANSWERED])


def meaning(test: AppTest) -> str:
    (found,) = [str(part.value) for part in test.markdown if str(part.value).startswith("**")]
    return found


def press(test: AppTest, label: str) -> AppTest:
    return next(button for button in test.button if button.label == label).click().run()


def predict(test: AppTest, key: str) -> AppTest:
    """Say something by the lesson's widgets, and ask for the run."""
    if key == "greedy":
        while any(button.label == "Accept" for button in test.button):
            press(test, "Accept")
        return test
    if not test.slider:
        test.radio[0].set_value(test.radio[0].options[0]).run()
    return press(test, "See the run")


def soups(zoo: str) -> tuple[sc.Zoo, sc.Evaluator, list[str]]:
    """A bundled zoo, its held-out evaluator, and its names from best to worst."""
    found = sc.open_zoo(zoo)
    held_out = sc.Evaluator(found)
    return found, held_out, candidate_order({name: held_out(sc.Soup({name: 1.0})) for name in found.names}, "accuracy")


def of_why() -> list[str]:
    zoo, held_out, (best, *_) = soups(FASHION)
    *_, last = sc.greedy_soup(zoo, held_out)
    assert len(last.soup.names) > 1
    test = held_out.on("test")
    return [
        formatting.points(sc.compare(test(last.soup), test(sc.Soup({best: 1.0})))),
        f"of {len(last.soup.names)} of 24",
    ]


def of_uniform() -> list[str]:
    zoo, held_out, (best, *_) = soups(FASHION)
    return [formatting.points(sc.compare(held_out(sc.uniform_soup(zoo)), held_out(sc.Soup({best: 1.0}))))]


def of_greedy() -> list[str]:
    zoo, held_out, names = soups(FASHION)
    steps = list(sc.greedy_soup(zoo, held_out, order=names[:8]))
    accepted = sum(step.accepted for step in steps[1:])
    ours = held_out(sc.uniform_soup(zoo, names[:8]))
    return [
        f"{accepted} times out of 7",
        charts.percent(ours),
        formatting.points(sc.compare(ours, held_out(steps[-1].soup))),
    ]


def of_line(zoo_name: str) -> list[str]:
    zoo, held_out, (a, b, *_) = soups(zoo_name)
    middle, first, last = (held_out(sc.uniform_soup(zoo, names)) for names in ((a, b), (a,), (b,)))
    return [
        charts.percent(middle),
        formatting.points(sc.compare(middle, max(first, last, key=lambda end: end.correct))),
    ]


def of_hot() -> list[str]:
    """By hand: the files' mean as weights, run on all held-out images."""
    zoo, held_out, _ = soups(FASHION)
    by_rate: dict[float, list[Path]] = {}
    for file in user_ingredients.files_of(hot.PLACE):
        settings = user_ingredients.origin_of(checkpoints.Checkpoint(file)).hyperparameters
        by_rate.setdefault(float(settings["learning_rate"]), []).append(file)
    assert {rate: len(files) for rate, files in by_rate.items()} == {0.001: 2, 0.064: 2}
    told = []
    for rate, both in by_rate.items():
        states = [safetensors.torch.load_file(file) for file in both]
        mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
        right = []
        for state in (*states, mean):
            module = zoo.module().eval()
            module.load_state_dict(state)
            with torch.inference_mode():
                outputs = module(held_out.inputs(torch.arange(held_out.total)))
            right.append(int((outputs.argmax(1) == held_out.data.labels).sum()))
        told.append(f"at {rate:g} by {100 * (right[2] - min(right[:2])) / held_out.total:+.2f} points")
    return told


def of_batchnorm() -> list[str]:
    zoo, held_out, _ = soups("fashion-batchnorm")
    made = [held_out(replace(sc.uniform_soup(zoo), batch_norm=way)) for way in ("averaged", "re-estimated", "first")]
    best, second, third = sorted(made, key=lambda each: -each.correct)
    return [formatting.points(sc.compare(best, second)), formatting.points(sc.compare(best, third))]


def of_ensemble() -> list[str]:
    zoo, held_out, names = soups(FASHION)
    test = held_out.on("test")
    return [
        formatting.points(sc.compare(sc.ensemble(test, names[:3]), test(sc.uniform_soup(zoo, names[:3])))),
        "runs 3 models",
    ]


def of_gap() -> list[str]:
    zoo, held_out, _ = soups(FASHION)
    few, test, gains = sc.Evaluator(zoo, images=200), held_out.on("test"), []
    for draw in range(2):
        images = np.random.default_rng([0, 100, draw]).choice(200, 100, replace=False)
        steps = [step for step in greedy_on(zoo, few, images) if step.accepted]
        there = (steps[-1].correct_at_most - steps[0].correct_at_most) / 100
        gains.append(there - (test(steps[-1].soup).correct - test(steps[0].soup).correct) / test.total)
    return [f"a gap of {100 * float(np.mean(gains)):+.2f} points"]


def of_learned() -> list[str]:
    zoo, held_out, names = soups(FASHION)
    *_, last = sc.learned_soup(zoo, held_out, granularity="model", names=names[:3], epochs=1)
    if last.best_index == 0:
        return ["equal shares of the start"]
    name, share = max(last.soup.coefficients.items(), key=lambda item: item[1])
    gain = sc.compare(held_out(last.soup), held_out(sc.uniform_soup(zoo, names[:3])))
    return [f"{name}, ", f"takes {100 * share:.0f} %", formatting.points(gain)]


def of_shift() -> list[str]:
    zoo, held_out, (best, *_) = soups(FASHION)
    *_, last = sc.greedy_soup(zoo, held_out)
    leads = []
    for split in ("test:noise-3", "test:contrast-3"):
        report = held_out.on(split)
        leads.append(report(last.soup).accuracy - report(sc.Soup({best: 1.0})).accuracy)
    return [f"on {sum(lead > 0 for lead in leads)} of 2 shifts", f"by {100 * sum(leads) / 2:+.2f} points"]


def of_run() -> list[str]:
    zoo, held_out, _ = soups("fashion-trajectory")
    test = held_out.on("test")
    latest = test(sc.uniform_soup(zoo, zoo.names[-5:]))
    return [formatting.points(sc.compare(latest, test(sc.Soup({zoo.names[-1]: 1.0}))))]


def of_lora() -> list[str]:
    """By hand: numpy's factors of each file's difference from the base, averaged apart and run on all held-out images."""
    zoo, held_out, _ = soups(FASHION)
    base, *models = (safetensors.torch.load_file(zoo.by_name[name].file) for name in ("base", *zoo.names[:3]))
    apart = {}
    for name, start in base.items():
        steps = [(model[name] - start).double().numpy().reshape(len(start), -1) for model in models]
        if start.dim() < 2:
            apart[name] = torch.from_numpy(np.mean(steps, 0)).view_as(start) + start
            continue
        parts = [np.linalg.svd(step, full_matrices=False) for step in steps]
        signs = [np.sign(left[np.abs(left).argmax(0), range(left.shape[1])]) for left, _, _ in parts]
        b = np.mean([left * sign * np.sqrt(values) for sign, (left, values, _) in zip(signs, parts, strict=True)], 0)
        a = np.mean(
            [(sign * np.sqrt(values))[:, None] * right for sign, (_, values, right) in zip(signs, parts, strict=True)],
            0,
        )
        apart[name] = start + torch.from_numpy(b @ a).view_as(start)
    module = zoo.module()
    module.load_state_dict({name: tensor.float() for name, tensor in apart.items()})
    with torch.inference_mode():
        outputs = module(held_out.inputs(torch.arange(held_out.total)))
    right = int((outputs.argmax(1) == held_out.data.labels).sum())
    together = held_out(sc.uniform_soup(zoo, zoo.names[:3]))
    return [
        f"factors of 3 adapters apart differs from averaging their products by {100 * (right - together.correct) / held_out.total:+.2f} points"
    ]


EXPECTED: dict[str, Callable[[], list[str]]] = {
    "why": of_why, "uniform": of_uniform, "greedy": of_greedy, "line": lambda: of_line(FASHION),
    "strangers": lambda: of_line("fashion-scratch"), "hot": of_hot, "batchnorm": of_batchnorm, "ensemble": of_ensemble,
    "gap": of_gap, "learned": of_learned, "shift": of_shift, "run": of_run,
    "lora": of_lora,
}  # fmt: skip


@pytest.mark.parametrize("key", list(BY_KEY))
def test_a_lesson_asks_runs_and_closes_with_the_cores_numbers(key: str) -> None:
    chosen = BY_KEY[key]
    test = opened(key)
    assert not test.exception
    assert not test.error
    assert chosen.question in test.subheader[0].value
    assert len(f"Predict first, then see. {chosen.setting}".split()) <= 40
    assert meaning(test).endswith(".**")
    assert not [each for each in test.metric if each.label == "The run"]
    predict(test, key)
    assert not test.exception
    assert not test.error
    told = meaning(test)
    for expected in EXPECTED[key]():
        assert expected in told
    score = kept(test)[key].score
    assert score is not None
    assert metric(test, "Score") == f"{score} of 100"
    assert f"Score: {score} of {100 * len(LESSONS):,}, with 1 of {len(LESSONS)}" in words(test)
    (link,) = [each.proto for each in test.get("page_link") if each.proto.query_string]
    assert parse_qs(link.query_string)["zoo"] == [chosen.zoo]
    assert any("](https://" in str(part.value) for part in test.markdown), "a source is cited"
    press(test, "Predict again")
    assert key not in lesson_answers(test)
    assert not [each for each in test.metric if each.label == "The run"]


def lesson_answers(test: AppTest) -> dict[str, Answer]:
    return kept(test) if session.ANSWERED in test.session_state else {}


def test_deciding_as_greedy_does_gives_the_full_score() -> None:
    zoo, held_out, names = soups(FASHION)
    steps = list(sc.greedy_soup(zoo, held_out, order=names[:8]))
    right = ["accept" if step.accepted else "reject" for step in steps[1:]]
    test = answered("greedy", *right[:-1])
    assert "7 of 8" not in meaning(test)
    press(test, right[-1].capitalize())
    assert kept(test)["greedy"] == Answer(tuple(right), 100)
    assert "your soup is greedy's" in meaning(test)
    wrong = ["reject" if right[0] == "accept" else "accept", *right[1:]]
    assert kept(answered("greedy", *wrong))["greedy"].score == 86  # 6 of 7


def test_a_number_set_just_before_the_run_is_asked_for_is_the_one_that_counts() -> None:
    test = opened("run")
    test.slider[0].set_value(0.05)  # both reach the page in one run, as from a quick hand
    press(test, "See the run")
    assert kept(test)["run"].predicted == (0.05,)


def test_a_score_in_the_address_is_not_believed() -> None:
    test = answered("run", -2.0, score=100)
    zoo, held_out, _ = soups("fashion-trajectory")
    report = held_out.on("test")
    gain = sc.compare(report(sc.uniform_soup(zoo, zoo.names[-5:])), report(sc.Soup({zoo.names[-1]: 1.0})))
    assert 100 * gain.low + 2.0 > 1.0, "so far off that nothing is given"
    assert kept(test)["run"] == Answer((-2.0,), 0)


def test_progress_comes_from_the_address_and_goes_when_one_begins_again() -> None:
    test = opened("uniform", answered='{"why":[80,0.4],"run":[15,1],"line":[null,90]}')
    assert f"Score: 95 of {100 * len(LESSONS):,}, with 2 of {len(LESSONS)}" in words(test)
    assert kept(test)["why"] == Answer((0.4,), 80)
    press(test, "Begin again")
    assert "Score: 0 of" in words(test)
    assert "answered" not in test.query_params


def test_answers_to_lessons_that_do_not_exist_are_not_counted() -> None:
    test = opened("uniform", answered='{"why":[80,0.4],"nothing":[100,1],"more":[null,1]}')
    assert f"Score: 80 of {100 * len(LESSONS):,}, with 1 of {len(LESSONS)} lessons answered" in words(test)


def test_progress_outlives_a_visit_to_another_page(tmp_path: Path) -> None:
    write_zoo(tmp_path / "made", random_linears(3))
    test = open_page(PAGE, answered='{"why":[80,0.4]}', lesson="Strangers")
    test.switch_page("app.py").run()
    del test.query_params["answered"]
    test.switch_page(PAGE).run()
    assert "Score: 80 of" in words(test)
    assert test.query_params["answered"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "7",
        '{"why":7}',
        '{"why":[]}',
        '{"why":[101,0.4]}',
        '{"why":[true,0.4]}',
        '{"why":[80,[0.4]]}',
        '{"why":[80,NaN]}',
        '{"why":[0.5]}',
        "[" * 100_000,
    ],
)
def test_answers_that_are_none_are_told_and_forgotten(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|a score|an answer"):
        read(text)


def test_a_damaged_address_leaves_the_page_usable() -> None:
    test = opened("why", answered='{"why":[101]}')
    assert not test.exception
    assert "cannot be read" in words(test)
    assert "Score: 0 of" in words(test)
    assert test.slider


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("why", ("high",)),
        ("why", (5.0,)),
        ("why", ()),
        ("batchnorm", ("none",)),
        ("line", (90.0, 90.0)),
        ("line", (90.0, 90.0, "x")),
        ("greedy", ("perhaps",)),
        ("greedy", ("accept",) * 9),
        ("learned", ("nobody",)),
    ],
)
def test_an_answer_that_is_none_of_the_lesson_is_asked_for_again(key: str, said: tuple[float | str, ...]) -> None:
    test = answered(key, *said)
    assert not test.exception
    assert not [each for each in test.metric if each.label == "The run"]


def test_lessons_run_on_their_own_zoo_whichever_is_open(tmp_path: Path) -> None:
    write_zoo(tmp_path / "made", random_linears(3))
    test = open_page(PAGE, lesson="Along one run", answered='{"run":[null,0.5]}')
    assert of_run()[0] in meaning(test)
    assert test.selectbox(key="zoo").value == "made"


def test_a_link_onward_opens_the_lessons_zoo_with_its_state(tmp_path: Path) -> None:
    write_zoo(tmp_path / "made", random_linears(3))
    test = open_page(PAGE, lesson="Strangers", answered='{"strangers":[null,90,60,90]}')
    (link,) = [each.proto for each in test.get("page_link") if each.proto.query_string]
    test.switch_page("pages/3_Interpolation.py")
    for key in ("zoo", "lesson", "answered"):
        test.query_params.pop(key, None)
    for key, values in parse_qs(link.query_string).items():
        if key != "zoo":  # what the page before had bound does not arrive
            test.query_params[key] = values
    test.run()
    assert test.selectbox(key="zoo").value == "fashion-scratch"
    *_, (a, b, *_) = soups("fashion-scratch")
    assert [test.selectbox(key=key).value for key in ("a", "b")] == [a, b]
    assert "open" not in test.query_params


def comparison(low: float, high: float) -> sc.Comparison:
    return sc.Comparison((low + high) / 2, low, high, 0.5, 0, 0)


def test_scores_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "RATES", (0.001, 0.064))
    assert near(1.5, 1.0, 2.0, 1.0) == near(1.0, 1.0, 2.0, 1.0) == 100
    assert near(2.25, 1.0, 2.0, 1.0) == near(0.75, 1.0, 2.0, 1.0) == 75
    assert near(9.0, 1.0, 2.0, 1.0) == near(3.0, 1.0, 2.0, 1.0) == 0
    assert near_difference(0.5, comparison(0.001, 0.009)) == 100
    assert near_difference(1.4, comparison(0.001, 0.009)) == 50
    assert agreed("abab", "abba") == 50
    assert batchnorm.score("a", {"a": 3, "b": 3, "c": 2}) == 100
    assert batchnorm.score("c", {"a": 3, "b": 3, "c": 2}) == 0
    assert learned.score("b", {"a": 0.5, "b": 0.25}) == 50
    assert learned.score("b", {"a": 0.5, "b": -0.25}) == 0
    assert hot.score("0.001", "0.001") == 100
    assert hot.score("0.064", "0.001") == hot.score("0.064", hot.NEVER) == 50
    assert hot.score("0.001", hot.NEVER) == 0


def evaluation(correct: int, total: int = 100) -> sc.Evaluation:
    bits = np.arange(total) < correct
    return sc.Evaluation(correct, total, 0.5, 0.1, np.packbits(bits).tobytes())


def test_a_sketch_is_scored_at_its_three_places() -> None:
    points = [sc.LinePoint(alpha, evaluation(50)) for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)]
    low, high = (100 * bound for bound in sc.accuracy_interval(evaluation(50)))
    assert line.score((50.0, low, high), points) == 100
    assert line.score((50.0, low - 10, high + 10), points) == 33
    assert line.score((50.0, low - 5, high), points) == 83


def test_sentences_say_so_where_the_usual_claim_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "RATES", (0.001, 0.064))
    assert "better than the one that" in why.meaning(comparison(0.001, 0.009), 4, 24)
    assert "is not shown to gain" in why.meaning(comparison(-0.001, 0.009), 4, 24)
    assert "averaging costs accuracy" in why.meaning(comparison(-0.009, -0.001), 4, 24)
    assert "keeps that one alone" in why.meaning(comparison(0.0, 0.0), 1, 24)
    assert "it loses here" in uniform.meaning(comparison(-0.02, -0.01), 24)
    assert "cannot tell" in uniform.meaning(comparison(-0.02, 0.01), 24)
    assert "it wins here" in uniform.meaning(comparison(0.01, 0.02), 24)
    assert "not lose" in uniform.meaning(comparison(0.0, 0.01), 24)
    assert "no wall" in line.meaning(sc.Barrier(0.5, 0.01), comparison(-0.01, 0.01), evaluation(90))
    assert "a wall lies between" in line.meaning(sc.Barrier(0.5, 0.4), comparison(-0.5, -0.3), evaluation(50))
    cold, warm = comparison(-0.001, 0.01), comparison(-0.5, -0.3)
    assert "these images cannot tell" in lora.meaning(comparison(-0.01, 0.01), comparison(0.0, 0.0), 8)
    assert "happens to do better" in lora.meaning(comparison(0.01, 0.02), comparison(0.0, 0.0), 8)
    assert "nothing is left" in lora.meaning(comparison(-0.02, -0.01), comparison(-0.02, 0.01), 8)
    assert "a part of the gain" in lora.meaning(comparison(-0.02, -0.01), comparison(0.0, 0.01), 8)
    assert hot.first_failing({0.001: cold, 0.064: warm}) == "0.064"
    assert hot.first_failing({0.001: cold, 0.064: cold}) == hot.NEVER
    assert hot.first_failing({0.001: cold}) == "0.064", "there the runs diverged"
    assert "none of these rates was too hot" in hot.meaning({0.001: cold}, hot.NEVER)
    assert "usable weights" in hot.meaning({}, "0.001")


@pytest.mark.parametrize(
    ("gains", "right", "told", "wall"),
    [
        ({0.001: (-0.001, 0.01), 0.064: (-0.01, 0.001)}, "at none of them", "nothing is seen to part them", False),
        ({0.001: (-0.001, 0.01), 0.064: (-0.5, -0.3)}, "0.064", "At 0.064 the two runs left the base", True),
        ({0.001: (-0.5, -0.3), 0.064: (-0.5, -0.3)}, "0.001", "At 0.001 the two runs left the base", True),
        ({0.001: (-0.001, 0.01)}, "0.064", "At 0.064 a run broke down", False),
        ({}, "0.001", "At 0.001 a run broke down", False),
    ],
)
def test_too_hot_speaks_of_a_wall_only_where_an_average_failed(
    monkeypatch: pytest.MonkeyPatch, gains: dict[float, tuple[float, float]], right: str, told: str, wall: bool
) -> None:
    found = {rate: comparison(*bounds) for rate, bounds in gains.items()}
    monkeypatch.setattr(hot, "fine_tunings", lambda here: {})
    monkeypatch.setattr(hot, "compared", lambda here, names: found)
    outcome = hot.run(None, ("0.001",))
    assert outcome.result == right
    assert told in outcome.why
    assert ("wall" in outcome.sentence + outcome.why) == wall
    assert ("since a run there left no usable weights" in outcome.sentence) == (0 < len(found) < 2)


@pytest.mark.parametrize(
    ("shared", "height", "told", "untold"),
    [
        (True, 0.0199, "started from one base. Such models often lie in one valley", ("no warrant", "another order")),
        (True, 0.02, "started from one base, which is no warrant", ("often lie in one", "another order")),
        (False, 0.0199, "share no start. Between such networks there usually is a wall", ("one base", "another order")),
        (False, 0.02, "their neurons in another order", ("one base", "none was found")),
    ],
)
def test_a_line_is_explained_by_its_ends_and_its_wall(
    shared: bool, height: float, told: str, untold: tuple[str, ...]
) -> None:
    found = line.why(sc.Barrier(0.5, height), shared=shared)
    assert told in found
    assert not [each for each in untold if each in found]
    assert "a straight line between the ends' errors ([Entezari" in found
    assert "below 2 points two networks count as linearly connected ([Frankle" in found


@pytest.mark.parametrize(("key", "told"), [("line", "started from one base"), ("strangers", "share no start")])
def test_the_two_lines_know_whether_their_ends_share_a_start(key: str, told: str) -> None:
    test = answered(key, 80.0, 80.0, 80.0)
    assert told in words(test)


def test_a_gap_is_judged_on_both_sides() -> None:
    def told(*gains: float) -> str:
        return gap.meaning([GapStep(100, gains, (0.0,) * len(gains))])

    assert "flatters" in told(0.02, 0.021, 0.019)
    assert "understate" in told(-0.02, -0.021, -0.019)
    assert "within what chance explains" in told(0.02, -0.02, 0.01)
    assert "chance" not in told(-0.02, -0.021, -0.019)


def test_the_best_of_the_averages_is_named() -> None:
    def steps(*correct: int) -> list[NumberStep]:
        return [
            NumberStep(
                count, "a", sc.Soup({"a": 1.0}), Averaged(evaluation(50), evaluation(right), evaluation(50)), None
            )
            for count, right in enumerate(correct, 1)
        ]

    assert "No average of fewer does as well" in uniform.peak(steps(50, 60, 70))
    assert "better than the best model alone: +20.00 points" in uniform.peak(steps(70, 60, 50))
    assert "the average of the first 2: +0.00 points" in uniform.peak(steps(50, 70, 70))


def test_three_uniform_soups_bear_one_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(drawing, "chart", lambda figure, *rest: drawn.append(figure))
    answered("batchnorm", "averaged like the weights")
    marks = [(trace.marker.symbol, trace.marker.color) for trace in drawn[-1].data]
    assert marks[:3] == [("circle", "#0072B2")] * 3
    assert marks[3] != marks[0]


def test_the_sketch_and_the_real_line_stand_in_one_chart() -> None:
    sketch, ends = {0.25: 80.0, 0.75: 60.0, 0.5: 70.0}, (evaluation(90), evaluation(50))
    alone = charts.sketched_line(sketch, ends)
    assert list(alone.data[0].x) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert list(alone.data[0].y) == [90.0, 80.0, 70.0, 60.0, 50.0]
    both = charts.sketched_line(sketch, ends, [sc.LinePoint(1.0, ends[1]), sc.LinePoint(0.0, ends[0])])
    assert [trace.name for trace in both.data] == ["your sketch", "the real line", "the two ends"]
    assert list(both.data[1].y) == [90.0, 50.0]


def test_two_walks_hold_the_last_accepted_accuracy() -> None:
    soup = sc.Soup({"a": 1.0})
    steps = [
        sc.GreedyStep(index, name, taken, evaluation(correct), correct, 0, soup)
        for index, (name, taken, correct) in enumerate((("a", True, 60), ("b", False, 50), ("<c>", True, 70)))
    ]
    figure = charts.two_walks(steps, steps[:1])
    assert [list(trace.y) for trace in figure.data] == [[60.0], [60.0, 60.0, 70.0]]
    assert list(figure.data[1].marker.symbol) == ["circle", "circle-open", "circle"]
    assert "<c>" not in figure.to_json().replace("\\u003c", "<")


def test_predicted_is_a_line_within_the_picture() -> None:
    figure = charts.accuracy_points([("a", "best", evaluation(50))], images="test", predicted=99.0)
    assert figure.layout.yaxis.range[1] > 99.0
    assert figure.layout.shapes[0].y0 == 99.0


def test_lessons_have_keys_and_titles_of_their_own() -> None:
    assert len({each.key for each in LESSONS}) == len({each.title for each in LESSONS}) == len(LESSONS)
    assert {each.zoo for each in LESSONS} == {FASHION, "fashion-scratch", "fashion-batchnorm", "fashion-trajectory"}
    assert lesson.PAPER.endswith("(https://arxiv.org/abs/2203.05482)")
