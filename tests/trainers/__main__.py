"""docs/trainers.md, made from the walks that the tests make: python -m tests.trainers

Every trainer must be installed: pip install -r requirements-trainers.txt
"""

import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import ROOT
from tests.trainers.pictures import A_CLASS, CLASSES
from tests.trainers.walk import MODULES, Walked, trainer_of, version_of, walk

EXPERIMENT = "20261130-120000-test_resnet-64"  # as timm names it
HEAD = """# Trainers
What each trainer of image classifiers leaves on disk by its own defaults, what `init` takes of it, and whether the counts are
the trainer's own. Made by `python -m tests.trainers` from three small runs of each with the real library, as
`tests/trainers/` makes them: {pictures} pictures held out, {classes} classes.

| trainer | leaves | taken of each run | read from beside | held-out pictures right, by run: here | by the library | greedy's soup on test: here | by the library |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def row(walked: Walked) -> str:
    """A trainer's line of the table."""
    trainer = walked.trainer
    pattern = (
        trainer.files[0].replace("run-0", "RUN").replace("version_0", "version_N").replace(EXPERIMENT, "EXPERIMENT")
    )
    keys = sorted({key for run in walked.hyperparameters for key in run})
    cells = (
        f"{trainer.name} {version_of(trainer)}",
        f"`{trainer.leaves}`",
        f"`{pattern}`",
        ", ".join(keys) or "nothing",
        ", ".join(map(str, walked.ours)),
        ", ".join(map(str, walked.theirs)),
        str(walked.ours_of_soup["test"]),
        str(walked.theirs_of_soup["test"]),
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Write the table."""
    warnings.filterwarnings("ignore")
    lines = []
    for module in MODULES:
        print(module, file=sys.stderr)
        with TemporaryDirectory() as place:
            lines.append(row(walk(trainer_of(module), Path(place) / "sweep")))
    head = HEAD.format(pictures=A_CLASS["val"] * len(CLASSES), classes=len(CLASSES))
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs/trainers.md").write_text(head + "".join(lines))


if __name__ == "__main__":
    main()
