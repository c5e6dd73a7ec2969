import json
from collections.abc import Callable
from pathlib import Path

import pytest

import soup_core as sc

Make = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


def test_rows_name_the_metric_that_selects(run: Run, linear_zoo: Make) -> None:
    folder = linear_zoo(5)
    zoo = sc.open_zoo(folder).judged_by("macro-f1")
    evaluate, steps = sc.Evaluator(zoo), list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    code, out, error = run("greedy", str(folder), "--metric", "macro-f1", "--json")
    *told, last = map(json.loads, out.splitlines())
    assert (code, error) == (0, "")
    assert [row["accepted"] for row in told] == [step.accepted for step in steps]
    assert [row["value_at_most"] for row in told] == [step.value_at_most for step in steps]
    for row in told:
        assert (row["value"] is None) == (row["correct"] is None)
    found = evaluate(steps[-1].soup)
    assert (last["held_out"]["metric"], last["held_out"]["value"]) == ("macro-f1", found.value)
    assert last["held_out"]["correct"] == found.correct
    assert "macro-f1 0." in run("evaluate", str(folder), "--metric", "macro-f1")[1]
    plain = json.loads(run("evaluate", str(folder), "--json")[1])
    assert set(plain["held_out"]) == {"correct", "total", "accuracy", "loss"}


def test_a_search_without_an_exact_bound_says_so(run: Run, linear_zoo: Make) -> None:
    code, out, error = run("pruned", str(linear_zoo(4)), "--metric", "log-loss", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert error.startswith("Log loss has no exact bound")
    assert all(row["correct"] is not None for row in rows[:-1])


def test_zoo_toml_says_the_metric_and_the_command_line_overrules_it(run: Run, linear_zoo: Make) -> None:
    file = (folder := linear_zoo(3)) / "zoo.toml"
    file.write_text(file.read_text().replace("[data]", 'metric = "worst-class"\n[data]', 1))
    assert sc.open_zoo(folder).metric == "worst-class"
    by_file, by_option = (
        json.loads(run("uniform", str(folder), "--json", *option)[1])["held_out"]
        for option in ((), ("--metric", "accuracy"))
    )
    assert by_file["metric"] == "worst-class"
    assert "metric" not in by_option


@pytest.mark.parametrize(
    ("key", "message"), [("recall", "The metric is one of accuracy"), ("auroc", "is for two classes")]
)
def test_a_metric_that_is_none_or_does_not_suit_is_one_line(run: Run, linear_zoo: Make, key: str, message: str) -> None:
    code, out, error = run("greedy", str(linear_zoo(2)), "--metric", key)
    assert (code, out) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_a_wrong_metric_in_zoo_toml_is_named(linear_zoo: Make) -> None:
    file = (folder := linear_zoo(2)) / "zoo.toml"
    file.write_text(file.read_text().replace("[data]", 'metric = "recall"\n[data]', 1))
    with pytest.raises(sc.ZooError, match=r"key metric: .*'accuracy'.*; found 'recall'"):
        sc.open_zoo(folder)


def test_a_card_and_its_command_name_the_metric(run: Run, linear_zoo: Make, tmp_path: Path) -> None:
    file = tmp_path / "soup.safetensors"
    options = ("--soup", "m0,m1", "--metric", "balanced-accuracy", "--test", "-o", str(file), "--json")
    code, out, _ = run("export", str(linear_zoo(3)), *options)
    value = json.loads(out.splitlines()[-1])["test"]["value"]
    card = Path(f"{file}.md").read_text()
    assert code == 0
    assert f"| test, balanced accuracy | {100 * value:.1f} % (" in card
    assert "Models are selected by balanced accuracy, whose intervals are by resampling the images 1,000 times." in card
    assert "--metric balanced-accuracy" in card
