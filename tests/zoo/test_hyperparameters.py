from pathlib import Path

import pytest

from soup_core.zoo.hyperparameters import found_hyperparameters


def files(folder: Path, *names: str) -> list[Path]:
    made = [folder / name for name in names]
    for file in made:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return made


def test_timm_runs_keep_what_varies_and_the_usual(tmp_path: Path) -> None:
    one, two = files(tmp_path, "a/model_best.pth.tar", "b/model_best.pth.tar")
    (tmp_path / "a/args.yaml").write_text(
        "aa: rand-m9\nlr: 0.001\nepochs: 10\nworkers: 4\ntta: 0\nbetas: [0.9, 0.99]\n"
    )
    (tmp_path / "b/args.yaml").write_text("aa: null\nlr: 1.0e-05\nepochs: 10\nworkers: 4\ntta: 2\n")
    assert found_hyperparameters(tmp_path, [one, two]) == {
        one: {"augmentation": "rand-m9", "learning_rate": 0.001, "epochs": 10, "tta": 0},
        two: {"learning_rate": 1e-05, "epochs": 10, "tta": 2},
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("runs.csv", "checkpoint,lr,mixup,Label Smoothing\none.pt,1e-4,True,0\ntwo,0.5,false,0.1\nother,1,true,0\n"),
        (
            "runs.jsonl",
            '{"file": "one.pt", "lr": 1e-4, "mixup": true, "smoothing": 0}\n\n'
            '{"run": "two", "lr": 0.5, "mixup": false, "smoothing": 0.1}\n',
        ),
        (
            "hparam_info.json",
            '{"one": {"lr": 1e-4, "mix": true, "smoothing": 0, "aug": null}, '
            '"two": {"lr": 0.5, "mix": false, "smoothing": 0.1}}',
        ),
    ],
)
def test_tables_are_matched_by_name_or_stem(tmp_path: Path, name: str, text: str) -> None:
    one, two = files(tmp_path, "one.pt", "two.safetensors")
    (tmp_path / name).write_text(text)
    assert found_hyperparameters(tmp_path, [one, two]) == {
        one: {"learning_rate": 1e-4, "mixup": True, "label_smoothing": 0},
        two: {"learning_rate": 0.5, "mixup": False, "label_smoothing": 0.1},
    }


def test_a_table_wins_over_the_run_and_that_over_metadata(tmp_path: Path) -> None:
    (one,) = files(tmp_path, "runs/one.pt")
    (tmp_path / "runs/args.yaml").write_text("lr: 0.2\nseed: 2\n")
    (tmp_path / "t.csv").write_text("path,lr\nruns/one.pt,0.3\n")
    found = found_hyperparameters(tmp_path, [one], {one: {"lr": "0.1", "seed": "1", "epochs": "5", "note": "x"}})
    assert found == {one: {"learning_rate": 0.3, "seed": 2, "epochs": 5}}


@pytest.mark.parametrize(
    "text", ["a: [", "- 1\n- 2", "lr: .inf", "lr: 1e400", "!!python/object/apply:os.system ['touch /tmp/x']", "\x00"]
)
def test_what_cannot_be_read_counts_as_absent(tmp_path: Path, text: str) -> None:
    (one,) = files(tmp_path, "one.pt")
    (tmp_path / "args.yaml").write_text(text)
    for name in ("t.csv", "t.json", "t.jsonl"):
        (tmp_path / name).write_text("\x00{[")
    (tmp_path / "big.csv").write_text("file,lr\none.pt,1\n" + "x" * 5_000_001)
    assert found_hyperparameters(tmp_path, [one]) == {one: {}}


def test_what_trainers_write_into_the_checkpoint_is_read(tmp_path: Path) -> None:
    one, two = files(tmp_path, "one.ckpt", "two.pth.tar")
    beside = {
        one: {
            "epoch": 3,
            "hyper_parameters": {
                "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1, "betas": [1, 2]},
                "root_dir": "/x",
            },
            "loops": {"lr": 5},
        },
        two: {"args": {"lr": 0.2, "opt": "sgd", "a": {"name": "x", "seed": 1}, "b": {"seed": 2}}, "best_acc1": 0.9},
    }
    assert found_hyperparameters(tmp_path, [one, two], beside) == {
        one: {"epoch": 3, "optimizer": "torch.optim.SGD", "learning_rate": 0.1},
        two: {"learning_rate": 0.2, "optimizer": "sgd", "a": "x", "a.seed": 1, "b.seed": 2},
    }
