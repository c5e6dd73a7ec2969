"""Fine-tuning beside a zoo: new ingredients, found again, resumed after any stop, removed; and zoos made anew."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import soup_core as sc
from soup_core import checkpoints, cli
from soup_core.analysis.acceptance import acceptances
from soup_core.data import ASSETS, Normalization, Preprocessing
from soup_core.finetune import (
    FinetuneStep,
    Hyperparameters,
    Inside,
    finetune,
    header,
    make_base,
    planned_zoo,
    space_of,
    sweep,
    tensor_source,
    train,
    training,
    usual,
    with_base,
)
from soup_core.finetune.new_zoo import IMAGENET, head_names, measured_normalization
from soup_core.jobs import Jobs, Task
from soup_core.runtime.store import Store, default_store
from soup_core.zoo import user_ingredients
from tests.patience import PATIENCE
from tests.zoos import CLASSES, SIDE, Linear, random_deeps, random_linears, write_zoo

Make = Callable[..., Path]
RUN = Hyperparameters(0.02, 0.01, 3, mixup=0.2, augmentation="flip", seed=4)


def itself(zoo: sc.Zoo) -> sc.Zoo:
    """The zoo as its folder holds it."""
    return sc.open_zoo(zoo.folder)


def tuned(zoo: sc.Zoo, *wanted: Hyperparameters, store: Store | None = None, **options: Any) -> list[FinetuneStep]:
    evaluate = sc.Evaluator(itself(zoo), store=store)
    return list(finetune(itself(zoo), evaluate, hyperparameters=wanted or (RUN,), **options))


def named(folder: Path) -> sc.Zoo:
    return sc.open_zoo(folder.name)


def file_of(folder: Path, name: str = "own-01") -> dict[str, Tensor]:
    return dict(named(folder).by_name[name].checkpoint.read_all())


@pytest.fixture
def epochs_run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that any run trains from here on."""
    ran: list[int] = []

    def counted(*given: Any, **options: Any) -> Iterator[training.Epoch]:
        for epoch in train(*given, **options):
            ran.append(epoch.index)
            yield epoch

    monkeypatch.setattr(sweep, "train", counted)
    return ran


def test_a_run_starts_from_the_base_and_is_shown_beside_the_zoos_own(deep_zoo: Make) -> None:
    folder = deep_zoo(3)
    before, digest = named(folder), sc.open_zoo(folder).digest
    steps = tuned(before)
    assert [(step.run, step.epoch, step.name) for step in steps] == [(1, 1, None), (1, 2, None), (1, 3, "own-01")]
    after, evaluate = named(folder), sc.Evaluator(named(folder))
    assert after.names == ("m0", "m1", "m2", "own-01")
    assert {step.start for step in steps} == {evaluate(sc.Soup({"base": 1.0}))}
    assert steps[-1].held_out == evaluate(sc.Soup({"own-01": 1.0}))
    assert after.by_name["own-01"].hyperparameters == {k: v for k, v in asdict(RUN).items() if k != "schedule"}
    module, images = before.module(), before.data.split("train")
    assert before.base is not None
    module.load_state_dict(dict(before.base.checkpoint.read_all()))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a run does, so that it is the same on any number of cores
    try:
        source = tensor_source(images.images, images.labels, "cpu")
        epochs = list(train(module, source, RUN, normalization=before.data.normalization))
    finally:
        torch.set_num_threads(threads)
    assert [step.loss for step in steps] == [epoch.loss for epoch in epochs]
    assert all(torch.equal(tensor, file_of(folder)[name]) for name, tensor in module.state_dict().items())
    assert sc.open_zoo(folder).names == before.names  # the folder itself is as it was
    assert (sc.open_zoo(folder).digest, sorted(path.name for path in folder.iterdir())) == (
        digest,
        sorted(["zoo.toml", "data.safetensors", *(f"{name}.safetensors" for name in before.by_name)]),
    )


def test_the_same_run_again_is_the_ingredient_that_is_there(deep_zoo: Make, epochs_run: list[int]) -> None:
    zoo = named(deep_zoo(2))
    first = tuned(zoo)
    assert tuned(zoo) == first
    assert epochs_run == [1, 2, 3]
    other = tuned(zoo, RUN, replace(RUN, seed=5))
    assert [step.name for step in other if step.name] == ["own-01", "own-02"]
    assert epochs_run == [1, 2, 3, 1, 2, 3]
    assert not list((default_store().path.parent / "training").iterdir())


@pytest.mark.parametrize("stop", [1, 2])
def test_row_38_a_stopped_run_goes_on_from_its_last_epoch(deep_zoo: Make, epochs_run: list[int], stop: int) -> None:
    folder = deep_zoo(2)
    whole = tuned(named(folder))
    expected = file_of(folder)
    user_ingredients.remove(folder.name, "own-01")
    store = Store(folder / "other" / "store.sqlite")
    steps = finetune(itself(named(folder)), sc.Evaluator(itself(named(folder)), store=store), hyperparameters=[RUN])
    for _ in range(stop):
        next(steps)
    steps.close()
    del epochs_run[:]
    rest = tuned(named(folder), store=store)
    assert rest == whole
    assert epochs_run == [1, 2, 3][stop:]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in file_of(folder).items())


def test_row_38_a_kill_between_what_goes_on_and_its_figures_loses_nothing(
    deep_zoo: Make, epochs_run: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deep_zoo(2)
    whole = tuned(named(folder))
    user_ingredients.remove(folder.name, "own-01")
    store, keep = Store(folder / "other" / "store.sqlite"), Store.keep_step

    def killed(self: Store, run: str, number: int, step: dict[str, Tensor]) -> None:
        if number == 2:
            raise KeyboardInterrupt
        keep(self, run, number, step)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep_step", killed)
        with pytest.raises(KeyboardInterrupt):
            tuned(named(folder), store=store)
    del epochs_run[:]
    assert tuned(named(folder), store=store) == whole
    assert epochs_run == [3]


@pytest.mark.parametrize("damage", ["flipped", "cut", "other"])
def test_row_45_a_damaged_state_is_set_aside_and_the_run_begins_anew(
    deep_zoo: Make, epochs_run: list[int], damage: str
) -> None:
    folder = deep_zoo(2)
    steps = finetune(itself(named(folder)), sc.Evaluator(itself(named(folder))), hyperparameters=[RUN])
    for _ in range(2):
        next(steps)
    steps.close()
    (state,) = (default_store().path.parent / "training").iterdir()
    content = bytearray(state.read_bytes())
    content[-9] ^= 1
    state.write_bytes({"flipped": content, "cut": content[:-100], "other": b"no weights"}[damage])
    del epochs_run[:]
    assert tuned(named(folder))[-1].name == "own-01"
    assert epochs_run == [1, 2, 3]


def test_row_40_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(
    deep_zoo: Make, epochs_run: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deep_zoo(2)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(
            user_ingredients,
            "save",
            lambda path, *_: (patch.setattr(os, "fsync", full), checkpoints.save(path, {}, "")),
        )
        with pytest.raises(sc.SoupError, match="No space left"):
            tuned(named(folder))
    assert named(folder).names == ("m0", "m1")
    assert not list(user_ingredients.folder_of(folder.name).iterdir())
    assert tuned(named(folder))[-1].name == "own-01"
    assert epochs_run == [1, 2, 3]


WORKER = """
import json, sys, time, soup_core as sc
from soup_core.finetune import training
from soup_core.jobs import Jobs, Task
from soup_core.runtime.store import default_store
gradients, batches = training._gradients, []

def some(*given):
    batches.append(1)
    if len(batches) > 10:
        sys.stdin.read()  # until it is killed
    return gradients(*given)

training._gradients = some
zoo = sc.open_zoo(sys.argv[1])
job = Jobs(default_store()).submit(Task(**json.loads(sys.argv[2])), zoo)
seen = 0
while not (progress := job.progress()).ended:
    for _ in range(len(progress.steps) - seen):
        print("step", flush=True)
    seen = len(progress.steps)
    time.sleep(0.01)
"""


def grey_zoo(folder: Path) -> Path:
    """A zoo of the bundled architecture, which another process can open too, on few images."""
    folder.mkdir()
    generator, tensors = torch.Generator().manual_seed(0), {}
    for split in ("held_out", "test", "train"):
        images = torch.randint(0, 256, (256, 1, 28, 28), generator=generator, dtype=torch.uint8)
        tensors |= {f"{split}.images": images, f"{split}.labels": images[:, 0, :3, 0].float().argmax(1)}
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    torch.manual_seed(0)
    module = sc.architectures.build("fashion_cnn", 3)
    for name in ("base", "m0"):
        safetensors.torch.save_file(module.state_dict(), folder / f"{name}.safetensors")
    (folder / "zoo.toml").write_text(
        'format = 1\ntitle = "grey"\narchitecture = { name = "fashion_cnn", num_classes = 3 }\n'
        'base = "base.safetensors"\n[data]\nsource = "tensors:data.safetensors"\n'
        '[[ingredients]]\nname = "m0"\nfile = "m0.safetensors"\n'
    )
    return folder


def task(folder: Path, *wanted: Hyperparameters) -> Task:
    arguments = {"hyperparameters": [asdict(each) for each in wanted], "beside": folder.name}
    return Task("finetune", str(folder), arguments=arguments)


def test_row_38_a_killed_job_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    folder = grey_zoo(tmp_path / "grey")
    wanted = task(folder, replace(RUN, epochs=15))
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), wanted.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SOUP_DEVICE": "cpu"},
    ) as killed:
        assert killed.stdout is not None
        for _ in range(4):
            assert killed.stdout.readline() == "step\n"
        killed.send_signal(signal.SIGKILL)
    zoo = sc.open_zoo(folder)
    row = default_store().job(wanted.key(zoo))
    assert row is not None
    assert row.state == "running"
    assert 4 <= row.steps <= 15
    every = Jobs(default_store())  # takes it up by itself
    job = every.find(wanted, zoo)
    assert job is not None
    assert job.wait(PATIENCE).state == "done"
    resumed = file_of(folder)
    user_ingredients.remove(folder.name, "own-01")
    tuned(named(folder), replace(RUN, epochs=15), store=Store(tmp_path / "b" / "store.sqlite"))
    assert all(torch.equal(tensor, file_of(folder)[name]) for name, tensor in resumed.items())


def test_row_43_a_job_stops_in_the_middle_of_an_epoch_and_goes_on(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deep_zoo(2)
    gradients, batches = training._gradients, []
    reached, go_on = threading.Event(), threading.Event()

    def slowly(*given: Any) -> Any:
        batches.append(1)
        while len(batches) == 4 and not go_on.is_set():
            reached.set()
            time.sleep(0.01)
            training.yield_point()
        return gradients(*given)

    monkeypatch.setattr(training, "_gradients", slowly)
    every, wanted = Jobs(default_store()), task(folder, replace(RUN, epochs=40))
    job = every.submit(wanted, sc.open_zoo(folder))
    assert reached.wait(PATIENCE)
    every.cancel(job)
    stopped = job.wait(PATIENCE)
    assert stopped.state == "cancelled"  # in the middle of an epoch, which ends only from now on
    assert len(stopped.steps) == 3
    go_on.set()
    again = every.submit(wanted, sc.open_zoo(folder)).wait(PATIENCE)
    assert again.state == "done"
    assert again.steps[: len(stopped.steps)] == stopped.steps
    assert again.steps[-1].name == "own-01"
    assert every.submit(wanted, sc.open_zoo(folder)).progress().steps == again.steps  # the new one is no change of it


def test_row_44_the_same_run_twice_at_once_is_trained_once(deep_zoo: Make, epochs_run: list[int]) -> None:
    zoo = named(deep_zoo(2))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: tuned(zoo, replace(RUN, epochs=20))[-1].name, range(2)))
    assert both == ["own-01", "own-01"]
    assert epochs_run == list(range(1, 21))


def test_what_was_added_can_be_removed_and_made_again(deep_zoo: Make) -> None:
    folder = deep_zoo(2)
    tuned(named(folder), RUN, replace(RUN, seed=5))
    before = file_of(folder)
    digest = named(folder).digest
    user_ingredients.remove(folder.name, "own-01")
    assert named(folder).names == ("m0", "m1", "own-02")
    with pytest.raises(sc.SoupError, match="No ingredient 'own-01' has been added"):
        user_ingredients.remove(folder.name, "own-01")
    with pytest.raises(sc.SoupError, match="own folder stay"):
        user_ingredients.remove(folder.name, "m0")
    assert tuned(named(folder))[-1].name == "own-01"  # the first name that is free
    assert all(torch.equal(tensor, before[name]) for name, tensor in file_of(folder).items())
    assert named(folder).digest == digest


@pytest.mark.parametrize("name", ["/", "..", ".", "", "a/b"])
def test_row_18_no_name_leads_out_of_the_users_own_folder(deep_zoo: Make, name: str) -> None:
    folder = deep_zoo(2)
    with pytest.raises(sc.SoupError, match=r"added to a zoo by its name, and .* is none"):
        user_ingredients.remove(name, "m0")
    with pytest.raises(sc.SoupError, match=r"added to a zoo by its name, and .* is none"):
        user_ingredients.remove(str(folder), "m0")
    assert (folder / "m0.safetensors").exists()
    assert user_ingredients.files_of(str(folder)) == []


def test_what_started_from_another_base_is_left_out_with_the_reason(deep_zoo: Make) -> None:
    folder = deep_zoo(2)
    tuned(named(folder))
    safetensors.torch.save_file(random_deeps(1, seed=9)["base"], folder / "base.safetensors")
    zoo = named(folder)
    assert zoo.names == ("m0", "m1")
    (excluded,) = zoo.excluded
    assert excluded.name == "own-01 (added)"
    assert "other weights than the zoo now has as base" in excluded.reason


def test_what_does_not_belong_beside_a_zoo_is_left_out(deep_zoo: Make) -> None:
    folder = deep_zoo(2)
    tuned(named(folder))
    place = user_ingredients.folder_of(folder.name)
    (place / "m0.safetensors").write_bytes((place / "own-01.safetensors").read_bytes())
    (place / "stray.safetensors").write_bytes((folder / "m1.safetensors").read_bytes())
    (place / "link.safetensors").symlink_to(folder / "m1.safetensors")
    (place / "cut.safetensors").write_bytes((place / "own-01.safetensors").read_bytes()[:-4])
    zoo = named(folder)
    assert zoo.names == ("m0", "m1", "own-01")
    reasons = {each.name: each.reason for each in zoo.excluded}
    assert set(reasons) == {"m0 (added)", "stray (added)", "cut (added)"}
    assert "under a name that the zoo has itself" in reasons["m0 (added)"]
    assert "does not say how it was made" in reasons["stray (added)"]
    assert sc.Evaluator(zoo)(sc.Soup({"m0": 1.0})).total == 120  # the zoo's own of that name


def test_a_zoo_without_a_base_starts_from_an_ingredient_that_is_named(linear_zoo: Make) -> None:
    folder = linear_zoo(3)
    with pytest.raises(sc.ZooError, match=r"no base to fine-tune.*random start"):
        tuned(named(folder))
    with pytest.raises(sc.CoefficientError, match="no ingredient 'nobody'"):
        tuned(named(folder), start="nobody")
    steps = tuned(named(folder), start="m1")
    assert steps[0].start == sc.Evaluator(named(folder))(sc.Soup({"m1": 1.0}))
    assert named(folder).names[-1] == "own-01"


def test_images_to_train_on_are_asked_for_and_checked(deep_zoo: Make) -> None:
    folder = deep_zoo(2)
    tensors = safetensors.torch.load_file(folder / "data.safetensors")
    tensors["train.labels"] = tensors["train.labels"] + 1
    safetensors.torch.save_file(tensors, folder / "data.safetensors")
    with pytest.raises(sc.DataError, match=f"labels from 1 to {CLASSES}"):
        tuned(named(folder))
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("train")}
    safetensors.torch.save_file(kept, folder / "data.safetensors")
    with pytest.raises(sc.DataError, match=r"no tensor train\.images"):
        tuned(named(folder))


def test_training_never_asks_for_the_test_images(deep_zoo: Make, splits_asked: list[str]) -> None:
    zoo = named(deep_zoo(2))
    tuned(zoo)
    list(acceptances(named(zoo.folder), sc.Evaluator(named(zoo.folder)), ["own-01"]))
    assert set(splits_asked) == {"train", "held_out"}


def test_a_run_that_diverges_adds_nothing_and_the_next_goes_on(
    based_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Linear.forward

    def broken(self: Linear, images: Tensor) -> Tensor:
        return forward(self, images) * (float("inf") if self.training and self.broken else 1)

    monkeypatch.setattr(Linear, "forward", broken)
    monkeypatch.setattr(Linear, "broken", True, raising=False)
    folder = based_zoo(2)
    steps = finetune(
        itself(named(folder)), sc.Evaluator(itself(named(folder))), hyperparameters=[RUN, replace(RUN, seed=5)]
    )
    told = next(steps)
    assert (told.run, told.epoch, told.diverged, told.name) == (1, 1, True, None)
    monkeypatch.setattr(Linear, "broken", False)
    assert [(step.run, step.name) for step in steps][-1] == (2, "own-01")
    assert named(folder).names == ("m0", "m1", "own-01")


def test_the_middle_of_what_the_zoo_used_is_usual(tmp_path: Path) -> None:
    zoo = sc.open_zoo("fashion")
    space, middle = space_of(zoo, 28), usual(zoo, 28)
    assert space.epochs == (8, 12, 16)
    assert set(space.augmentations) == {"flip", "shift", "flip+shift"}
    rates = sorted(each.hyperparameters["learning_rate"] for each in zoo.ingredients)
    assert space.learning_rates == (rates[0], rates[-1])
    assert rates[11] * 0.95 <= middle.learning_rate <= rates[12] * 1.05
    assert middle.epochs == 12
    silent = sc.open_zoo(write_zoo(tmp_path / "z", random_linears(2)))
    assert usual(silent, 224).augmentation == "flip"
    assert space_of(silent, 224).augmentations == ("flip", "flip+crop", "flip+crop+randaugment")


def test_acceptance_is_what_greedy_decides(deep_zoo: Make) -> None:
    folder = deep_zoo(4)
    tuned(named(folder), RUN, replace(RUN, seed=9, epochs=12))
    zoo = named(folder)
    evaluate = sc.Evaluator(zoo)
    steps = list(sc.greedy_soup(zoo, evaluate))
    found = {each.name: each for each in acceptances(zoo, evaluate, zoo.names)}
    assert {name for name, each in found.items() if each.accepted} == set(steps[-1].soup.names)
    assert [name for name, each in found.items() if each.starts] == [steps[0].candidate]
    for before, step in pairwise(steps):
        each = found[step.candidate]
        assert each.before == evaluate(before.soup)
        assert each.after == evaluate(before.soup.add(step.candidate))
        assert each.accepted == (each.after.correct > each.before.correct)
        assert each.single == evaluate(sc.Soup({step.candidate: 1.0}))
    first = found[steps[0].candidate]
    assert (first.after, first.before) == (first.single, found[steps[1].candidate].single)


def inside(folder: Path, *wanted: Hyperparameters) -> list[str | None]:
    steps = finetune(
        sc.open_zoo(folder),
        sc.Evaluator(sc.open_zoo(folder)),
        hyperparameters=wanted or (RUN,),
        place=Inside(folder, default_store()),
    )
    return [step.name for step in steps if step.name]


def test_into_a_zoos_own_folder_an_entry_is_appended_and_comments_stay(deep_zoo: Make) -> None:
    folder = deep_zoo(2)
    text = "# mine\n" + (folder / "zoo.toml").read_text().rstrip("\n") + "  # the last"
    (folder / "zoo.toml").write_text(text)
    assert inside(folder, RUN, replace(RUN, seed=5)) == ["ft-01", "ft-02"]
    assert (folder / "zoo.toml").read_text().startswith(text)
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("m0", "m1", "ft-01", "ft-02")
    assert zoo.by_name["ft-02"].hyperparameters["seed"] == 5
    assert inside(folder) == ["ft-01"]
    assert sc.open_zoo(folder).names == zoo.names
    assert not user_ingredients.files_of(folder.name)


def test_row_39_a_kill_between_the_checkpoint_and_its_entry_leaves_a_sound_zoo(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deep_zoo(2)
    with monkeypatch.context() as patch:
        patch.setattr(Inside, "_append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            inside(folder)
    assert sc.open_zoo(folder).names == ("m0", "m1")
    assert inside(folder) == ["ft-01"]
    assert sc.open_zoo(folder).names == ("m0", "m1", "ft-01")


def test_entries_that_cannot_be_appended_are_told(deep_zoo: Make) -> None:
    folder = deep_zoo(1)
    head, _, _ = (folder / "zoo.toml").read_text().partition("[data]")
    whole = (
        head + 'ingredients = [{ name = "m0", file = "m0.safetensors" }]\n[data]\nsource = "tensors:data.safetensors"\n'
    )
    (folder / "zoo.toml").write_text(whole)
    with pytest.raises(sc.ZooError, match=r"under a line \[\[ingredients\]\]"):
        inside(folder)
    assert (folder / "zoo.toml").read_text() == whole


def test_a_bundled_zoos_folder_is_never_written() -> None:
    with pytest.raises(sc.ZooError, match="is a bundled zoo's folder, which is not written"):
        Inside(ASSETS / "zoos" / "fashion", default_store())


def new(
    folder: Path, weights: dict[str, Tensor] | None, architecture: str = "test_deep"
) -> tuple[sc.Zoo, list[FinetuneStep]]:
    zoo = planned_zoo(folder, architecture, f"tensors:{folder.parent}/data.safetensors", pretrained=weights is not None)
    steps = list(make_base(zoo, sc.Evaluator(zoo), weights=weights))
    return with_base(zoo), steps


@pytest.fixture
def images(tmp_path: Path) -> Path:
    from tests.zoos import made_data

    made_data(tmp_path)
    return tmp_path


def test_a_new_zoo_probes_its_weights_for_a_head_and_trains_from_there(images: Path) -> None:
    weights = random_deeps(1)["base"]
    weights["head.weight"], weights["head.bias"] = torch.zeros(7, 32), torch.zeros(7)  # of another task
    folder = images / "made"
    zoo, steps = new(folder, weights)
    assert [step.name for step in steps] == [None] * 7 + ["base"]
    assert steps[-1].held_out.loss < steps[0].start.loss
    assert zoo.base is not None
    base = dict(zoo.base.checkpoint.read_all())
    assert {name for name, tensor in base.items() if name not in weights or not torch.equal(tensor, weights[name])} == {
        "head.weight",
        "head.bias",
    }
    assert not (folder / "zoo.toml").exists()  # none that cannot be opened
    place = Inside(folder, default_store(), header(zoo))
    names = [s.name for s in finetune(zoo, sc.Evaluator(zoo), hyperparameters=[RUN, replace(RUN, seed=5)], place=place)]
    assert [name for name in names if name] == ["ft-01", "ft-02"]
    opened = sc.open_zoo(folder)
    assert (opened.names, opened.excluded) == (("ft-01", "ft-02"), ())
    assert opened.architecture == {"name": "test_deep", "num_classes": CLASSES}
    assert opened.data.normalization == zoo.data.normalization
    assert inside(folder) == ["ft-01"]  # the same run from the zoo as it is now


def test_without_weights_the_base_is_trained_in_whole(images: Path) -> None:
    zoo, steps = new(images / "made", None)
    assert zoo.base is not None
    assert steps[-1].held_out.loss < steps[0].start.loss
    torch.manual_seed(0)
    start = zoo.module().state_dict()
    assert all(not torch.equal(tensor, start[name]) for name, tensor in zoo.base.checkpoint.read_all())


def test_weights_that_fit_in_whole_are_the_base(images: Path) -> None:
    weights = random_deeps(1)["base"]
    zoo, steps = new(images / "made", weights)
    assert steps == []
    assert zoo.base is not None
    assert all(torch.equal(tensor, weights[name]) for name, tensor in zoo.base.checkpoint.read_all())


def test_weights_that_fit_but_for_more_than_the_head_are_refused(images: Path) -> None:
    weights = random_deeps(1)["base"]
    del weights["stem.weight"]
    with pytest.raises(sc.CheckpointError, match=r"stem\.weight"):
        new(images / "made", weights)


def test_a_new_zoo_stopped_goes_on_and_another_in_its_folder_is_refused(images: Path, epochs_run: list[int]) -> None:
    weights = {name: tensor for name, tensor in random_deeps(1)["base"].items() if not name.startswith("head")}
    folder = images / "made"
    zoo = planned_zoo(folder, "test_deep", f"tensors:{images}/data.safetensors", pretrained=True)
    steps = make_base(zoo, sc.Evaluator(zoo), weights=weights)
    for _ in range(4):
        next(steps)
    steps.close()
    kept = list(epochs_run)
    new(folder, weights)
    assert epochs_run == kept + list(range(len(kept) + 1, 9))
    new(folder, weights)
    assert len(epochs_run) == 8
    with pytest.raises(sc.ZooError, match="not made with these settings"):
        new(folder, None)


def test_a_new_zoo_measures_what_it_needs(images: Path) -> None:
    zoo = planned_zoo(images / "made", "test_deep", f"tensors:{images}/data.safetensors", pretrained=True)
    pixels = zoo.data.split("train").images.double() / 255
    assert zoo.data.normalization.mean == pytest.approx((float(pixels.mean()),), abs=1e-5)
    assert zoo.data.normalization.std == pytest.approx((float(pixels.std(correction=0)),), abs=1e-5)
    assert head_names(zoo) == {"head.weight", "head.bias"}
    colour = torch.stack([torch.full((5, 4, 4), shade, dtype=torch.uint8) for shade in (0, 51, 255)], 1)
    assert measured_normalization(colour).mean == pytest.approx((0, 0.2, 1))
    safetensors.torch.save_file(
        {
            f"{split}.{part}": tensor.clone()
            for split in ("train", "held_out", "test")
            for part, tensor in (("images", colour), ("labels", torch.arange(5)))
        },
        images / "inside.safetensors",
    )
    within = planned_zoo(images, "torchvision:resnet18", f"tensors:{images}/inside.safetensors", pretrained=True)
    assert within.data.source == "tensors:inside.safetensors"
    assert within.data.normalization == IMAGENET
    assert within.architecture["num_classes"] == 5
    half = planned_zoo(images, "timm:vit_base_patch16_224", f"tensors:{images}/inside.safetensors", pretrained=True)
    assert half.data.normalization == Normalization((0.5,) * 3, (0.5,) * 3)


def test_a_new_zoo_of_image_files_is_cut_to_squares_and_opens_so_again(tmp_path: Path) -> None:
    from PIL import Image

    for split in ("train", "val", "test"):
        for number, name in enumerate(("cat", "dog")):
            place = tmp_path / "photos" / split / name
            place.mkdir(parents=True)
            for index in range(4):
                Image.new("RGB", (40 + 3 * index, 36), (90 * number + index, 20, 30)).save(place / f"{index}.png")
    source = f"imagefolder:{tmp_path}/photos"
    vit = planned_zoo(tmp_path / "vit", "timm:vit_base_patch16_224", source, pretrained=True, side=112)
    assert vit.data.preprocessing == Preprocessing(124, 112, "bicubic")  # 248 and 224, says timm
    zoo = planned_zoo(tmp_path / "made", "torchvision:shufflenet_v2_x0_5", source, pretrained=False, side=32)
    assert zoo.data.split("train").images.shape == (8, 3, 32, 32)
    assert zoo.architecture["num_classes"] == 2
    evaluate = sc.Evaluator(zoo)
    *_, last = make_base(zoo, evaluate, weights=None)
    assert last.name == "base"
    place = Inside(zoo.folder, default_store(), header(zoo))
    wanted = Hyperparameters(1e-3, 0.01, 1, augmentation="flip+crop+randaugment")
    list(finetune(with_base(zoo), evaluate, hyperparameters=[wanted], place=place))
    opened = sc.open_zoo(zoo.folder)
    assert opened.data == zoo.data
    assert sc.Evaluator(opened)(sc.Soup({"ft-01": 1.0})).total == 8


def test_images_that_the_network_does_not_take_are_told(images: Path) -> None:
    with pytest.raises(sc.DataError, match=f"does not take images of 1×{SIDE}×{SIDE}"):
        new(images / "made", None, "torchvision:squeezenet1_1")


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[Any], str]]:
    def call(*arguments: str) -> tuple[int, list[Any], str]:
        monkeypatch.setattr(sys, "argv", ["soup_core", "finetune", *arguments, "--json"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), [json.loads(line) for line in out.splitlines()], err

    return call


Run = Callable[..., tuple[int, list[Any], str]]
ONE = ("--learning-rate", "0.02", "--weight-decay", "0.01", "--epochs", "3", "--mixup", "0.2", "--augmentation", "flip",
       "--seed", "4")  # fmt: skip


def test_the_command_line_tells_each_epoch_and_what_greedy_makes_of_it(run: Run, deep_zoo: Make) -> None:
    folder = deep_zoo(3)
    code, rows, _ = run(folder.name, *ONE)
    assert code == 0
    zoo = named(folder)
    evaluate = sc.Evaluator(zoo)
    (expected,) = acceptances(zoo, evaluate, ["own-01"])
    *epochs, last = rows
    assert [(row["run"], row["epoch"], row["name"]) for row in epochs] == [(1, 1, None), (1, 2, None), (1, 3, "own-01")]
    assert epochs[-1]["held_out"]["correct"] == evaluate(sc.Soup({"own-01": 1.0})).correct
    assert (last["name"], last["accepted"]) == ("own-01", expected.accepted)
    assert last["held_out"]["correct"] == expected.single.correct
    assert (last["before"]["correct"], last["after"]["correct"]) == (expected.before.correct, expected.after.correct)
    assert (last["low"], last["high"]) == (expected.comparison.low, expected.comparison.high)
    assert last["hyperparameters"] == {k: v for k, v in asdict(RUN).items() if k != "schedule"}
    assert run(folder.name, *ONE)[1] == rows
    assert run(folder.name, "--remove", "own-01")[:2] == (0, [])
    assert named(folder).names == ("m0", "m1", "m2")


def test_a_search_holds_what_is_given_and_draws_the_rest(run: Run, deep_zoo: Make) -> None:
    folder = deep_zoo(2)
    code, rows, _ = run(str(folder), "--runs", "3", "--epochs", "1", "--learning-rate", "0.001,0.01", "--mixup", "0")
    assert code == 0
    zoo = sc.open_zoo(folder)
    assert zoo.names == ("m0", "m1", "ft-01", "ft-02", "ft-03")
    made = [zoo.by_name[row["name"]].hyperparameters for row in rows if "accepted" in row]
    assert len(made) == 3
    assert {(each["epochs"], each["mixup"]) for each in made} == {(1, 0.0)}
    rates = [float(each["learning_rate"]) for each in made]
    assert all(0.001 <= rate <= 0.01 for rate in rates)
    assert len(set(rates)) == 3


def test_a_zoo_is_made_from_an_architecture_and_images(run: Run, images: Path) -> None:
    weights = {name: tensor for name, tensor in random_deeps(1)["base"].items() if not name.startswith("head")}
    safetensors.torch.save_file(weights, images / "w.safetensors")
    given = (
        "--init",
        "test_deep",
        "--data",
        f"tensors:{images}/data.safetensors",
        "-o",
        str(images / "made"),
        "--weights",
        str(images / "w.safetensors"),
        "--runs",
        "2",
        "--epochs",
        "1",
    )
    code, rows, err = run(*given)
    assert code == 0, err
    assert [row["name"] for row in rows if row.get("name") and "accepted" not in row] == ["base", "ft-01", "ft-02"]
    assert {row["name"] for row in rows if "accepted" in row} == {"ft-01", "ft-02"}
    assert sc.open_zoo(images / "made").base is not None
    assert run(*given)[1] == rows


MISTAKES = {
    "no zoo": [],
    "both": ["{}", "--init", "test_deep"],
    "unknown zoo": ["nowhere"],
    "rate": ["{}", "--learning-rate", "quick"],
    "two rates for one run": ["{}", "--learning-rate", "0.1,0.2"],
    "augmentation": ["{}", "--augmentation", "paint"],
    "start": ["{}", "--start", "nobody"],
    "removal from a folder": ["{}", "--remove", "m0"],
    "removal of what is not there": ["fashion", "--remove", "ft-01"],
    "bundled folder": [str(ASSETS / "zoos" / "fashion")],
    "folder without a zoo": ["{}", "--output", "/nowhere"],
    "init with another source": ["--init", "test_deep", "--data", "cifar", "-o", "/nowhere"],
    "init without images": ["--init", "test_deep", "--output", "/nowhere"],
    "download of what is not torchvision's": [
        "--init",
        "timm:x",
        "--data",
        "tensors:x",
        "-o",
        "/nowhere",
        "--download",
    ],
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_exit_2(case: str, run: Run, deep_zoo: Make) -> None:
    code, rows, err = run(*(part.format(deep_zoo(2)) for part in MISTAKES[case]))
    assert (code, rows) == (2, [])
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_another_zoos_folder_is_no_place_for_the_ingredient(run: Run, deep_zoo: Make) -> None:
    code, _, err = run(str(deep_zoo(2)), "--output", str(deep_zoo(2, 5)))
    assert code == 2
    assert "another base" in err


def test_a_table_is_for_people(
    deep_zoo: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["soup_core", "finetune", deep_zoo(2).name, *ONE])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out = capsys.readouterr().out
    assert not end.value.code
    assert "own-01" in out
    assert "{" not in out
