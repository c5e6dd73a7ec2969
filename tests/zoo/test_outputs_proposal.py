import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soup_core.errors import ZooError
from soup_core.zoo.inspection import sweep_folders
from soup_core.zoo.outputs import open_outputs
from soup_core.zoo.outputs.proposal import OutputsProposal, propose_outputs
from tests.outputs import CLASSES, FORMATS, as_folder, as_npz, made_labels, made_logits, made_outputs, write_outputs

LABELS = made_labels()
MODELS = {f"n{index}": made_logits(LABELS, index) for index in range(4)}


def proposed(folder: Path) -> OutputsProposal:
    proposal = propose_outputs(folder)
    assert proposal is not None
    return proposal


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_proposed_opens_as_what_a_person_wrote(form: Any, tmp_path: Path) -> None:
    written = open_outputs(write_outputs(tmp_path / "written", MODELS, LABELS, formats=[form]))
    folder = write_outputs(tmp_path / "made", MODELS, LABELS, formats=[form], with_toml=False)
    assert folder in sweep_folders() or form is not as_folder
    proposal = proposed(folder)
    assert proposal.write() == folder / "zoo.toml"
    zoo = open_outputs(folder)
    assert zoo.names == written.names
    assert zoo.digest == written.digest
    assert not zoo.excluded
    with pytest.raises(ZooError, match="is there already"):
        proposal.write()


def test_runs_names_settings_and_classes_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    np.savez(folder / "labels.npz", **LABELS)
    for index, (name, table) in enumerate(MODELS.items()):
        (folder / name).mkdir()
        as_npz(folder / name, "outputs", table)
        (folder / name / "hparams.json").write_text(json.dumps({"learning_rate": 10.0**-index}))
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    proposal = proposed(folder)
    assert [model.name for model in proposal.content.models] == list(MODELS)
    assert [model.hyperparameters for model in proposal.content.models] == [
        {"learning_rate": 10.0**-index} for index in range(4)
    ]
    assert proposal.content.classes == list(CLASSES)
    proposal.write()
    assert open_outputs(folder).classes == CLASSES


def test_a_folder_of_checkpoints_is_none_of_outputs(linear_zoo: Callable[..., Path], tmp_path: Path) -> None:
    assert propose_outputs(linear_zoo()) is None
    (tmp_path / "empty").mkdir()
    assert propose_outputs(tmp_path / "empty") is None


def test_outputs_without_labels_or_with_two_files_of_them_are_asked_about(tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "made", MODELS, LABELS, formats=[as_npz], with_toml=False)
    (folder / "labels.npz").rename(tmp_path / "labels.npz")
    with pytest.raises(ZooError, match=r"outputs of 4 models and no labels; expected held_out\.labels"):
        propose_outputs(folder)
    as_npz(folder, "labels", LABELS)
    as_npz(folder, "labels-again", LABELS)
    with pytest.raises(ZooError, match=r"labels in labels-again\.npz, labels\.npz"):
        propose_outputs(folder)


def test_hostile_files_beside_are_passed_over(tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "made", MODELS, LABELS, formats=[as_npz], with_toml=False)
    os.mkfifo(folder / "pipe.npz")
    (folder / "loop.npz").symlink_to("loop.npz")
    (folder / "out.npz").symlink_to("/etc/hostname")
    (folder / "round").symlink_to(folder)
    (folder / "text.npz").write_text("hello")
    proposal = proposed(folder)
    assert len(proposal.notices) == 4
    assert [model.name for model in proposal.content.models] == list(MODELS)


def test_init_writes_the_zoo(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    folder = made_outputs(tmp_path / "made", with_toml=False)
    code, out, _ = run("init", str(folder), "--title", "Mine", "--json")
    row = json.loads(out)
    assert code == 0
    assert row["models"] == 5
    assert row["splits"][:2] == ["held_out", "test"]
    assert open_outputs(folder).title == "Mine"
    code, _, error = run("init", str(folder))
    assert code == 2
    assert "--force" in error
    assert run("init", str(folder), "--force")[0] == 0
