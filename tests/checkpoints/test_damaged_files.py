"""Damaged and hostile files by the hundred; `make soak` tries 100,000 of each kind."""

from dataclasses import replace
from pathlib import Path

import pytest

import soup_core as sc
from benchmarks import soak
from soup_core.checkpoints import open_checkpoint
from tests.patience import PATIENCE

KINDS = {kind.name: kind for kind in soak.kinds()}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(soak, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(soak, "HANG", PATIENCE)  # `make soak` has the machine for itself
    return tmp_path / "kept"


@pytest.mark.parametrize("name", KINDS)
def test_the_sound_files_are_opened(tmp_path: Path, name: str) -> None:
    for content in KINDS[name].contents:
        for finish in KINDS[name].finished[:1]:
            (tmp_path / "x.pt").write_bytes(finish(content))
            if KINDS[name].opened:
                assert soak.is_sound(dict(open_checkpoint(tmp_path / "x.pt").read_all()))
            else:
                with pytest.raises(sc.CheckpointError, match="before 2017"):
                    open_checkpoint(tmp_path / "x.pt")


@pytest.mark.parametrize("name", KINDS)
def test_two_hundred_damaged_files_are_refused_or_read_as_they_are(kept: Path, name: str) -> None:
    outcome = soak.tried(KINDS[name], 200)
    assert outcome.failures == []
    assert outcome.refused + outcome.unchanged + outcome.changed == outcome.files == 200
    assert outcome.refused > 150
    assert (outcome.in_place > 0) == (name not in ("tar", "safetensors"))
    assert not kept.exists()


def test_numbers_that_changed_under_a_checksum_would_be_noticed(kept: Path) -> None:
    kind = KINDS["legacy"]
    outcome = soak.tried(replace(kind, contents=kind.contents[:2], covered=True), 100)  # which are mostly numbers
    assert len(outcome.failures) == outcome.changed > 0
    assert len(list(kept.iterdir())) == outcome.changed


def test_code_that_runs_would_be_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / soak.CANARY).touch()
    assert soak.tried(KINDS["tar"], 1).failures == ["tar 0: ran code"]


def test_an_error_of_another_kind_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "open_checkpoint", lambda file: 1 // 0)
    assert "ZeroDivisionError" in soak.tried(KINDS["zip"], 1).failures[0]


def test_the_same_seed_gives_the_same_files() -> None:
    kind = KINDS["zip"]
    assert [kind.mutant(index, 0) for index in range(5)] == [kind.mutant(index, 0) for index in range(5)]
    assert kind.mutant(0, 0) != kind.mutant(0, 1)
