"""What a zoo has got since it was opened."""

from pathlib import Path

import soup_core as sc
from pages.shared.newcomers import newcomers
from soup_core.callbacks import record_run
from tests.zoos import CLASSES, Linear, random_linears, write_zoo


def test_newcomers_are_what_zoo_toml_has_beyond_the_open_zoo(tmp_path: Path) -> None:
    folder = write_zoo(tmp_path / "made", random_linears(3))
    (folder / "m1.safetensors").unlink()  # left out, and yet known
    zoo = sc.open_zoo(folder)
    assert newcomers(zoo) == []
    for name in ("late", "later"):
        record_run(folder, Linear(CLASSES), name=name)
    assert newcomers(zoo) == ["late", "later"]
    assert newcomers(sc.open_zoo(folder)) == []
    (folder / "zoo.toml").write_text("while a person edits it [")
    assert newcomers(zoo) == []
