import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import soup_core as sc
from soup_core.runtime.store import Store
from tests.digests import digest_of
from tests.zoos import random_linears, write_zoo

Make = Callable[..., Path]


Run = Callable[..., tuple[int, str, str]]


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_greedy_tells_each_candidate_then_the_soup(run: Run, linear_zoo: Make) -> None:
    folder = linear_zoo(5)
    code, out, _ = run("greedy", str(folder), "--json")
    zoo = sc.open_zoo(folder)
    steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo)))
    *told, last = lines(out)
    assert code == 0
    assert [row["candidate"] for row in told] == [step.candidate for step in steps]
    assert set(told[0]) == {
        "step",
        "candidate",
        "accepted",
        "correct",
        "correct_at_most",
        "images_evaluated",
        "ingredients",
    }
    assert told[-1]["ingredients"] == list(steps[-1].soup.names)
    assert last["soup"] == dict(steps[-1].soup.coefficients)
    assert last["test"]["correct"] == sc.Evaluator(zoo, "test")(steps[-1].soup).correct
    assert set(last["held_out"]) == {"correct", "total", "accuracy", "loss"}


def test_evaluate_takes_names_files_and_a_split(run: Run, linear_zoo: Make, tmp_path: Path) -> None:
    folder = str(linear_zoo(3))
    by_names = lines(run("evaluate", folder, "--soup", "m0,m2", "--json")[1])[0]
    file = tmp_path / "soup.json"
    file.write_text(json.dumps(by_names["soup"]))
    assert lines(run("evaluate", folder, "--soup", str(file), "--json")[1])[0] == by_names
    only = lines(run("evaluate", folder, "--soup", "m0", "--split", "test:contrast-2", "--json")[1])[0]
    assert set(only) == {"soup", "test:contrast-2"}
    assert lines(run("uniform", folder, "--json")[1])[0]["soup"].keys() == {"m0", "m1", "m2"}


def test_export_tells_what_it_wrote_and_it_comes_back(run: Run, linear_zoo: Make, tmp_path: Path) -> None:
    folder, file = str(linear_zoo(4)), str(tmp_path / "out" / "soup.safetensors")
    code, out, _ = run("export", folder, "--soup", "greedy", "-o", file, "--json")
    *written, report = lines(out)
    assert code == 0
    assert [row["written"] for row in written] == [file, f"{file}.md", f"{file}.py"]
    assert [row["bytes"] for row in written] == [Path(row["written"]).stat().st_size for row in written]
    zoo = sc.open_zoo(folder)
    *_, last = sc.greedy_soup(zoo, sc.Evaluator(zoo))
    assert report["held_out"]["correct"] == sc.Evaluator(zoo)(last.soup).correct
    assert "test" not in report
    assert Path(f"{file}.md").read_text().startswith(f"# {sc.title_of(last.soup, 'Greedy soup')}\n")
    for source in (file, f"{file}.md"):
        (again,) = lines(run("evaluate", folder, "--soup", source, "--split", "held_out", "--json")[1])
        assert again == {"soup": report["soup"], "held_out": report["held_out"]}


def test_export_learns_and_reports_the_test_images_where_asked(run: Run, linear_zoo: Make, tmp_path: Path) -> None:
    folder, file = str(linear_zoo(3)), str(tmp_path / "learned")
    report = lines(run("export", folder, "--soup", "learned", "--test", "-o", file, "--title", "Mine", "--json")[1])[-1]
    zoo = sc.open_zoo(folder)
    *_, last = sc.learned_soup(zoo, sc.Evaluator(zoo))
    assert sc.Soup.from_json(json.dumps(report["soup"])) == last.soup
    assert report["test"]["correct"] == sc.Evaluator(zoo, "test")(last.soup).correct
    assert Path(f"{file}.md").read_text().startswith("# Mine\n")


def test_interpolate_tells_a_line_an_alpha(run: Run, linear_zoo: Make) -> None:
    rows = lines(run("interpolate", str(linear_zoo(3)), "m0", "greedy", "--alphas", "0.5,-0.25", "--json")[1])
    assert [row["alpha"] for row in rows] == [-0.25, 0.0, 0.5, 1.0]


def test_preflight_tells_a_finding_a_line_and_the_verdict_last(run: Run, linear_zoo: Make) -> None:
    folder = linear_zoo(4)
    zoo = sc.open_zoo(folder)
    names = list(zoo.names[:3])
    code, out, _ = run("preflight", str(folder), "--names", ",".join(names), "--json")
    findings = list(sc.preflight_checks(zoo, sc.Evaluator(zoo), names))
    *told, last = lines(out)
    assert code == 0
    assert [(row["what"], row["verdict"], row["sentence"]) for row in told] == [
        (each.what, each.verdict, each.sentence) for each in findings
    ]
    assert last["sentence"] == sc.overall(findings).sentence


def test_published_needs_a_folder_of_results(run: Run, tmp_path: Path) -> None:
    code, out, err = run("published", str(tmp_path), "--json")
    assert (code, out) == (2, "")
    assert "individual_model_results.jsonl" in err
    assert len(err.strip().splitlines()) == 1


def test_tables_hold_the_cores_numbers(run: Run, linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no cell is cut
    folder = linear_zoo(3)
    zoo = sc.open_zoo(folder)

    def table(*arguments: object) -> list[list[str]]:
        code, out, _ = run(*map(str, arguments))
        assert code == 0
        return [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]

    def counted(soup: sc.Soup) -> list[str]:
        correct = [sc.Evaluator(zoo, split, store=own)(soup).correct for split in ("held_out", "test")]
        return [f"{each} of 120 ({100 * each / 120:.2f} %)" for each in correct]

    heads, *rows = table("zoos")
    assert heads == ["zoo", "title", "ingredients", "base"]
    assert ["fashion", "Fashion-MNIST: 24 fine-tunings of one base", "24", "yes"] in rows
    assert ["linear-3-0", "A made zoo", "3", "no"] in rows
    digests = [digest_of(load_file(folder / f"m{index}.safetensors")) for index in range(3)]
    assert table("inspect", folder) == [
        ["name", "file", "digest", "learning_rate"],
        *([f"m{index}", f"m{index}.safetensors", digest[:12], "0.1"] for index, digest in enumerate(digests)),
    ]
    own = Store(folder / "own")
    steps = list(sc.greedy_soup(zoo, sc.Evaluator(zoo, store=own), full=True))
    in_the_soup = [sorted(step.soup.names) for step in steps]
    searched = table("greedy", folder, "--full")
    assert searched[0] == [
        "step",
        "candidate",
        "accepted",
        "correct",
        "correct_at_most",
        "images_evaluated",
        "ingredients",
    ]
    for index, (step, row, names) in enumerate(zip(steps, searched[1:4], in_the_soup, strict=True)):
        assert step.evaluation is not None
        count = str(step.evaluation.correct)
        accepted = "yes" if step.accepted else "no"
        wanted = [str(index), step.candidate, accepted, count, count, "120", f"{len(names)}: {', '.join(names)}"]
        assert row == wanted
    shares = ", ".join(f"{name} {1 / len(in_the_soup[-1]):.4g}" for name in in_the_soup[-1])
    assert searched[4:] == [["soup", "held_out", "test"], [shares, *counted(steps[-1].soup)]]
    soup = ["m0 0.3333, m1 0.3333, m2 0.3333", *counted(sc.uniform_soup(zoo))]
    assert table("uniform", folder) == [["soup", "held_out", "test"], soup]


def test_every_recipe_ends_with_the_cores_evaluation(run: Run, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "z", {"base": random_linears(1, 9)["m0"], **random_linears(4)})
    zoo = sc.open_zoo(folder)
    held_out, store = sc.Evaluator(zoo), sc.Evaluator(zoo).store
    *_, pruned = sc.pruned_soup(zoo, held_out)
    *_, learned = sc.learned_soup(zoo, held_out, granularity="layer", epochs=1)
    *_, wise = sc.wise_ft(zoo, held_out, towards=sc.Soup({"m2": 1.0}))
    expected = {
        ("pruned",): pruned.soup,
        ("learned", "--granularity", "layer", "--epochs", "1"): learned.soup,
        ("soup", "wise-ft", "--towards", "m2"): wise.soup,
        ("soup", "model-stock"): sc.model_stock_soup(zoo, store),
        ("soup", "slerp", "--names", "m0,m3", "--alpha", "0.3"): sc.slerp_soup(zoo, store, "m0", "m3", alpha=0.3),
        ("soup", "task-arithmetic", "--scale", "0.2"): sc.task_arithmetic_soup(zoo, scale=0.2),
        ("soup", "ema", "--decay", "0.5"): sc.ema_soup(zoo, decay=0.5),
        ("soup", "lawa", "--last", "2"): sc.lawa_soup(zoo, last=2),
    }
    for (command, *options), soup in expected.items():
        code, out, _ = run(command, str(folder), *options, "--json")
        last = lines(out)[-1]
        assert code == 0
        assert sc.Soup.from_json(json.dumps(last["soup"])) == soup
        assert last["held_out"]["correct"] == held_out(soup).correct
        assert last["test"]["correct"] == sc.Evaluator(zoo, "test")(soup).correct


def test_ensemble_tells_both_splits(run: Run, linear_zoo: Make) -> None:
    folder = linear_zoo(5)
    zoo = sc.open_zoo(folder)
    row = lines(run("ensemble", str(folder), "--names", "m1,m3", "--average", "logits", "--json")[1])[0]
    assert set(row["soup"]) == {"m1", "m3"}
    for split in ("held_out", "test"):
        found = sc.ensemble(sc.Evaluator(zoo, split), ["m1", "m3"], average="logits")
        assert row[split]["correct"] == found.correct
    *_, last = sc.greedy_ensemble(zoo, sc.Evaluator(zoo))
    assert lines(run("ensemble", str(folder), "--greedy", "--json")[1])[0]["soup"] == dict(last.soup.coefficients)


def test_another_precision_is_labelled(run: Run, linear_zoo: Make) -> None:
    folder = str(linear_zoo(3))
    assert lines(run("uniform", folder, "--precision", "bf16", "--json")[1])[0]["held_out"]["precision"] == "bf16"
    assert "precision" not in lines(run("uniform", folder, "--json")[1])[0]["held_out"]


MISTAKES = {
    "unknown recipe": (["soup", "{}", "stew"], r"The recipe is one of .*; found 'stew'"),
    "slerp of one": (["soup", "{}", "slerp", "--names", "m0"], r"two ingredients; found 'm0'"),
    "no base": (["soup", "{}", "wise-ft"], r"WiSE-FT needs a base, and the zoo linear-3-0 has none"),
    "precision": (
        ["uniform", "{}", "--precision", "tf32", "--device", "cpu"],
        r"one of float32, bf16, fp16; found 'tf32'",
    ),
    "granularity": (
        ["learned", "{}", "--granularity", "atom"],
        r"takes as granularity model, layer or tensor; found 'atom'",
    ),
    "average": (
        ["ensemble", "{}", "--average", "guesses"],
        r"takes as average probabilities or logits; found 'guesses'",
    ),
    "unknown zoo": (["greedy", "nowhere"], r"There is no zoo 'nowhere'; expected one of fashion"),
    "unknown ingredient": (
        ["evaluate", "{}", "--soup", "m0,nobody"],
        r"no ingredient 'nobody' in the zoo linear-3-0; it has m0, m1, m2",
    ),
    "unknown split": (["evaluate", "{}", "--split", "tset"], r"There is no split 'tset'; expected"),
    "unknown order": (["greedy", "{}", "--order", "random:x"], r"An order is .*; found 'random:x'"),
    "unknown device": (["uniform", "{}", "--device", "toaster"], r"The device 'toaster' is not available here"),
    "alphas": (
        ["interpolate", "{}", "m0", "m1", "--alphas", "0.5,much"],
        r"finite numbers with commas between; found '0\.5,much'",
    ),
    "unknown base": (["interpolate", "{}", "base", "m1"], r"no ingredient 'base' in the zoo"),
    "unknown plan": (
        ["build-zoo", "nothing", "--data", "/nowhere"],
        r"no plan for a zoo 'nothing'; expected one of fashion",
    ),
    "no images": (["build-zoo", "fashion", "--data", "/nowhere"], r"/nowhere holds no train-images"),
    "unknown format": (
        ["export", "{}", "-o", "/nowhere/soup", "--format", "onnx"],
        r"one of safetensors, torchvision, timm, transformers; found 'onnx'",
    ),
    "an architecture of another format": (
        ["export", "{}", "-o", "/nowhere/soup", "--format", "timm"],
        r"The format timm is for an architecture timm:NAME, and that of the zoo linear-3-0 is test_linear",
    ),
    "a place that cannot be": (["export", "{}", "-o", "/dev/null/soup"], r"/dev/null/soup could not be written"),
    "a file that holds no recipe": (
        ["evaluate", "{}", "--soup", __file__],
        r"There is no recipe of a soup in this file",
    ),
    "neither a zoo nor a new one": (["finetune"], r"name or folder, or --init ARCHITECTURE for a new one"),
    "a new zoo of nothing": (["finetune", "--init", "fashion_cnn"], r"--init takes --data SOURCE and --output FOLDER"),
    "no batch": (["uniform", "{}", "--batch-size", "0"], r"Invalid value for '--batch-size'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_exit_2(case: str, run: Run, linear_zoo: Make) -> None:
    arguments, message = MISTAKES[case]
    code, out, err = run(*(part.format(linear_zoo(3)) for part in arguments))
    assert (code, out) == (2, "")
    assert re.search(message, err), err
    assert "Traceback" not in err
    if case != "no batch":  # typer's own message has a frame around it
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1


def test_a_download_that_fails_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", offline)
    code, _, err = run("build-zoo", "fashion", "--data", str(tmp_path), "--output", str(tmp_path / "z"), "--download")
    assert code == 2
    assert "no route to host" in err
    assert len(err.splitlines()) == 1


def test_a_broken_ingredient_is_told_and_the_rest_works(run: Run, tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "z", random_linears(3))
    (folder / "m1.safetensors").unlink()
    code, out, _ = run("inspect", str(folder), "--json")
    assert code == 0
    assert "is missing" in lines(out)[-1]["excluded"]
    assert run("greedy", str(folder), "--json")[0] == 0
    assert run("evaluate", str(folder), "--soup", "m1")[0] == 2


def test_as_a_process_on_a_bundled_zoo() -> None:
    """The whole command, from a cold interpreter: only JSON on standard output."""
    ended = subprocess.run(
        [sys.executable, "-m", "soup_core", "evaluate", "fashion-scratch", "--soup", "start-1", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    row = json.loads(ended.stdout)
    assert (row["held_out"]["total"], row["test"]["total"]) == (5_000, 10_000)


def test_the_core_never_imports_streamlit() -> None:
    code = "import soup_core.cli, soup_core.charts, sys; sys.exit('streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
