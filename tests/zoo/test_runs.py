"""Runs as trainers leave them: files of the structure that each writes by default, a few numbers in each."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from soup_core.zoo.inspection import inspect_folder
from soup_core.zoo.proposal import Proposal, propose


def checkpoint(file: Path, value: float, beside: Mapping[str, Any] | None = None) -> None:
    """A checkpoint whose one number says which it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"odd.weight": torch.full((2, 3), float(value))}
    if file.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, file)
    else:
        torch.save({"state_dict": tensors, **beside} if beside is not None else tensors, file)


def text(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def proposed(folder: Path) -> Proposal:
    return propose(folder, list(inspect_folder(folder)))


def transformers_runs(folder: Path) -> None:
    for run, best in ((0, "/somewhere/else/run-0/checkpoint-4"), (1, None)):
        for step in (2, 4, 10):
            place = folder / f"run-{run}/checkpoint-{step}"
            checkpoint(place / "model.safetensors", 100 * run + step)
            text(place / "trainer_state.json", json.dumps({"best_model_checkpoint": best, "num_train_epochs": 3 + run}))
            for other in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
                checkpoint(place / other, 0)


def timm_runs(folder: Path) -> None:
    for run, rate in (("20261130-one", 0.1), ("20261130-two", 0.2)):
        place = folder / "output/train" / run
        for epoch, name in ((0, "checkpoint-0"), (1, "checkpoint-1"), (1, "last"), (0, "model_best")):
            checkpoint(place / f"{name}.pth.tar", rate + epoch, {"epoch": epoch, "arch": "odd"})
        text(place / "args.yaml", f"lr: {rate}\nopt: sgd\noutput: ''\nexperiment: {run}\n")


def lightning_runs(folder: Path) -> None:
    for version, names in enumerate((("epoch=1-step=4",), ("epoch=0-val_acc=0.90", "epoch=1-val_acc=0.80", "last"))):
        place = folder / f"lightning_logs/version_{version}"
        for number, name in enumerate(names):
            checkpoint(place / f"checkpoints/{name}.ckpt", 10 * version + number, {"epoch": number})
        text(place / "hparams.yaml", f"lr: 0.{version + 1}\nnet: !!python/object:builtins.object {{}}\nwidth: 3\n")


def hydra_jobs(folder: Path) -> None:
    for job in (0, 1):
        place = folder / f"multirun/2026-11-30/03-09-32/{job}"
        checkpoint(place / "best.pth", job)
        text(
            place / ".hydra/config.yaml",
            f"optimizer:\n  name: sgd\n  lr: 0.{job + 1}\nmodel: {{depth: {job}}}\nepochs: 3\n",
        )


def ray_trials(folder: Path) -> None:
    for trial in (0, 1):
        place = folder / f"exp/train_8eaa5_0000{trial}_{trial}_lr=0.{trial}_2026-11-30_03-10-12"
        for number, accuracy in enumerate((0.5, 0.9, 0.7)):
            name = f"checkpoint_00000{number}"
            checkpoint(place / name / "model.pt", 10 * trial + number)
            with (place / "result.json").open("a") as results:
                results.write(json.dumps({"val_accuracy": accuracy, "checkpoint_dir_name": name}) + "\n")
        text(place / "params.json", json.dumps({"lr": 0.1 * trial, "model": {"width": 3 + trial}}))


def mlflow_runs(folder: Path) -> None:
    for run, name in enumerate(("casual-grub-50", "gentle-moose-392")):
        identifier, experiment = f"{run}c7f4e3b41114651891765725571cc2d", folder / "mlruns/356976830092986963"
        text(experiment / identifier / "meta.yaml", f"run_id: {identifier}\nrun_name: {name}\n")
        text(experiment / identifier / "params/lr", f"0.{run + 1}")
        model = experiment / "models" / f"m-{run}e0f81b5fd2d43f79eaec17a8d616132"
        checkpoint(model / "artifacts/data/model.pth", run)
        text(model / "meta.yaml", f"name: model\nsource_run_id: {identifier}\n")
        text(model / "params/lr", f"0.{run + 1}")


def wandb_runs(folder: Path) -> None:
    for run, identifier in enumerate(("a1b2c3", "d4e5f6")):
        checkpoint(folder / f"project/{identifier}/checkpoints/epoch=1-step=4.ckpt", run)
        text(
            folder / f"wandb/run-20261130_030559-{identifier}/files/config.yaml",
            f"_wandb:\n  value: {{}}\nlr:\n  desc: null\n  value: 0.{run + 1}\noptim:\n  value: {{name: sgd}}\n",
        )


def ultralytics_runs(folder: Path) -> None:
    for run in ("train", "train2"):
        for value, name in enumerate(("best", "last")):
            checkpoint(folder / f"runs/classify/{run}/weights/{name}.pt", len(run) + value)
        text(folder / f"runs/classify/{run}/args.yaml", f"lr0: 0.0{len(run)}\nsave_dir: /x/{run}\nname: {run}\n")


def mmengine_runs(folder: Path) -> None:
    for run in (0, 1):
        place = folder / f"work_dirs/exp{run}"
        for value, name in enumerate(("epoch_1", "best_accuracy_top1_epoch_1", "epoch_2")):
            checkpoint(place / f"{name}.pth", 10 * run + value)
        text(place / "last_checkpoint", "epoch_2.pth")


def accelerate_runs(folder: Path) -> None:
    for run in (0, 1):
        for number in (2, 10):
            place = folder / f"run{run}/checkpoints/checkpoint_{number}"
            checkpoint(place / "model.safetensors", 100 * run + number)
            checkpoint(place / "optimizer.bin", 0)


def ignite_and_skorch_runs(folder: Path) -> None:
    for value, name in enumerate(("model_6", "best_model_acc=0.7000", "best_model_acc=0.8000", "model_9")):
        checkpoint(folder / f"ignite/{name}.pt", value)
    for name in ("params", "optimizer", "criterion"):
        checkpoint(folder / f"skorch/{name}.pt", len(name))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            transformers_runs,
            {
                "run-0": ("run-0/checkpoint-4/model.safetensors", {"epochs": 3}),
                "run-1": ("run-1/checkpoint-10/model.safetensors", {"epochs": 4}),
            },
        ),
        (
            timm_runs,
            {
                run: (f"output/train/{run}/model_best.pth.tar", {"learning_rate": rate, "optimizer": "sgd"})
                for run, rate in (("20261130-one", 0.1), ("20261130-two", 0.2))
            },
        ),
        (
            lightning_runs,
            {
                "version_0": ("lightning_logs/version_0/checkpoints/epoch=1-step=4.ckpt", {"learning_rate": 0.1}),
                "version_1": ("lightning_logs/version_1/checkpoints/epoch=0-val_acc=0.90.ckpt", {"learning_rate": 0.2}),
            },
        ),
        (
            hydra_jobs,
            {
                f"run-{job}": (
                    f"multirun/2026-11-30/03-09-32/{job}/best.pth",
                    {"optimizer": "sgd", "learning_rate": (job + 1) / 10, "model.depth": job, "epochs": 3},
                )
                for job in (0, 1)
            },
        ),
        (
            ray_trials,
            {
                f"0000{trial}_{trial}_lr=0.{trial}": (
                    f"exp/train_8eaa5_0000{trial}_{trial}_lr=0.{trial}_2026-11-30_03-10-12/checkpoint_000001/model.pt",
                    {"learning_rate": 0.1 * trial, "model.width": 3 + trial},
                )
                for trial in (0, 1)
            },
        ),
        (
            mlflow_runs,
            {
                name: (
                    f"mlruns/356976830092986963/models/m-{run}e0f81b5fd2d43f79eaec17a8d616132/artifacts/data/model.pth",
                    {"learning_rate": (run + 1) / 10},
                )
                for run, name in enumerate(("casual-grub-50", "gentle-moose-392"))
            },
        ),
        (
            wandb_runs,
            {
                name: (
                    f"project/{name}/checkpoints/epoch=1-step=4.ckpt",
                    {"learning_rate": (run + 1) / 10, "optimizer": "sgd"},
                )
                for run, name in enumerate(("a1b2c3", "d4e5f6"))
            },
        ),
        (
            ultralytics_runs,
            {
                "train": ("runs/classify/train/weights/best.pt", {"learning_rate": 0.05}),
                "train2": ("runs/classify/train2/weights/best.pt", {"learning_rate": 0.06}),
            },
        ),
        (mmengine_runs, {f"exp{run}": (f"work_dirs/exp{run}/best_accuracy_top1_epoch_1.pth", {}) for run in (0, 1)}),
        (
            accelerate_runs,
            {f"run{run}": (f"run{run}/checkpoints/checkpoint_10/model.safetensors", {}) for run in (0, 1)},
        ),
        (
            ignite_and_skorch_runs,
            {"ignite": ("ignite/best_model_acc=0.8000.pt", {}), "skorch": ("skorch/params.pt", {})},
        ),
    ],
)
def test_the_best_of_each_run_is_proposed_with_what_made_it(
    tmp_path: Path, made: Callable[[Path], None], expected: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    made(tmp_path)
    proposal = proposed(tmp_path)
    assert {
        each.name: (str(each.file.relative_to(tmp_path)), dict(each.hyperparameters)) for each in proposal.members
    } == {
        name: (file, pytest.approx(settings) if settings else settings) for name, (file, settings) in expected.items()
    }
    left_out = sum("further checkpoint" in notice for notice in proposal.notices)
    assert left_out == (made not in (hydra_jobs, mlflow_runs, wandb_runs))


def test_of_one_run_all_are_proposed_and_equal_weights_once(tmp_path: Path) -> None:
    for epoch in range(3):
        checkpoint(tmp_path / f"checkpoint-{epoch}.pth.tar", epoch, {"epoch": epoch})
    (tmp_path / "last.pth.tar").hardlink_to(tmp_path / "checkpoint-2.pth.tar")
    checkpoint(tmp_path / "model_best.pth.tar", 1, {"epoch": 5})
    checkpoint(tmp_path / "model_best.safetensors", 1)
    (tmp_path / "link.pth.tar").symlink_to("checkpoint-0.pth.tar")
    proposal = proposed(tmp_path)
    assert [each.name for each in proposal.members] == ["checkpoint-0", "checkpoint-1", "checkpoint-2"]
    assert len(proposal.notices) == 3


def test_runs_of_equal_weights_are_left_to_be_told(tmp_path: Path) -> None:
    for seed in (1, 2):
        checkpoint(tmp_path / f"seed-{seed}.safetensors", 1)
    assert [each.name for each in proposed(tmp_path).members] == ["seed-1", "seed-2"]


def test_models_in_one_folder_are_no_moments_of_one_run(tmp_path: Path) -> None:
    names = ["base", "model_1", "model_2", "model_10", "run_best", "run_last", "other_last"]
    for value, name in enumerate(names):
        checkpoint(tmp_path / f"{name}.safetensors", value)
    checkpoint(tmp_path / "pretrained/model.safetensors", 9)
    kept = {each.file.relative_to(tmp_path).as_posix() for each in proposed(tmp_path).members}
    assert kept == {f"{name}.safetensors" for name in names if name != "run_last"} | {"pretrained/model.safetensors"}


def test_a_noted_best_that_is_gone_leaves_the_last(tmp_path: Path) -> None:
    transformers_runs(tmp_path)
    (tmp_path / "run-0/checkpoint-4/model.safetensors").unlink()
    assert {each.file.parent.name for each in proposed(tmp_path).members} == {"checkpoint-10"}


def test_row_17_settings_that_are_no_regular_file_are_not_read(tmp_path: Path) -> None:
    lightning_runs(tmp_path)
    place = tmp_path / "lightning_logs/version_0"
    os.mkfifo(place / "args.yaml")
    (tmp_path / "secret").mkdir()
    text(tmp_path / "secret/lr", "5")
    (place / "params").symlink_to(tmp_path / "secret")
    (place / "config.yaml").symlink_to(tmp_path / "secret/lr")
    os.mkfifo(place / "meta.yaml")
    assert [dict(each.hyperparameters) for each in proposed(tmp_path).members] == [
        {"learning_rate": 0.1},
        {"learning_rate": 0.2},
    ]


def test_settings_that_repeat_themselves_without_end_are_cut(tmp_path: Path) -> None:
    lightning_runs(tmp_path)
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 40)), "lr: 0.7"]
    text(tmp_path / "lightning_logs/version_0/args.yaml", "\n".join(lines))
    assert len(proposed(tmp_path).members) == 2
