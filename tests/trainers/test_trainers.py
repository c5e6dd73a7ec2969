"""Three runs of each trainer whose library is installed; what is here and what is not is seen among the skipped."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests import ROOT
from tests.trainers.walk import MODULES, trainer_of, walk

pytestmark = pytest.mark.filterwarnings("ignore")  # the trainers' own


@pytest.mark.parametrize("module", MODULES)
def test_three_runs_become_a_soup_that_their_own_library_counts_the_same(module: str, tmp_path: Path) -> None:
    try:
        trainer = trainer_of(module)
    except ImportError as error:
        pytest.skip(f"{module} is not installed: {error}")
    walked = walk(trainer, tmp_path / "sweep")
    assert len(walked.taken) == len(trainer.files)
    assert all(fnmatch(*pair) for pair in zip(walked.taken, trainer.files, strict=True))
    if trainer.tells_hyperparameters:
        assert len({run["learning_rate"] for run in walked.hyperparameters}) == len(walked.taken)
    assert walked.ours == walked.theirs
    assert walked.ours_of_soup == walked.theirs_of_soup


def test_the_table_has_every_trainer_with_its_own_counts() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs/trainers.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(MODULES)
    for _, _, _, _, ours, theirs, soup, soup_theirs in rows[2:]:
        assert (ours, soup) == (theirs, soup_theirs.removesuffix(" |"))
