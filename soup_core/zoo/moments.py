"""Which run a checkpoint is of, and when of that run it was saved, as its path says.

The names are those of transformers' Trainer, timm, Lightning, Ray Tune, mlflow, ultralytics, mmengine, accelerate, skorch
and ignite by default.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from soup_core.zoo.naming import WITHIN, stem

UNNAMED = ("model", "pytorch", "net", "network", "module", "weights", "params", "state", "dict", "checkpoint", "ckpt")
COUNTERS = ("epoch", "ep", "step", "iter", "iteration", "checkpoint", "ckpt")
BEST, LAST = "best", ("last", "latest", "final")
SCORES = ("acc", "accuracy", "top1", "top5", "auc", "f1", "score")  # the higher the better
LOSSES = ("loss", "error", "err")
OF_SCORES = ("val", "valid", "validation", "eval", "multiclass", "global", *SCORES, *LOSSES)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Moment:
    """When of its run a checkpoint was saved; `run` are the folders, and the part of the name, that all of the run share.

    `is_one` is False for a checkpoint under a name of its own, which is a run by itself; `folder` is the one that is of the
    moment, such as checkpoint-500; `count` an epoch's or a step's; `score` is higher for better ones.
    """

    run: tuple[str, ...] = ()
    is_one: bool = True
    folder: str = ""
    best: bool = False
    last: bool = False
    count: int | None = None
    score: float | None = None

    @property
    def is_told(self) -> bool:
        """Whether the name says anything of the moment."""
        return self.best or self.last or self.count is not None or self.score is not None


def moments_of(files: Sequence[PurePath]) -> list[Moment]:
    """What the paths of checkpoints, below the folder that holds them all, say of their runs.

    Beside model_best or model_final, or a name without a number, model_6 is a moment of that run, as ignite, detectron2 and
    torchvision's references number them; else it is one of several models.
    """
    read = {file: _read(stem(file.name)) for file in files}
    numbered = {
        file.parent
        for file, (moment, rest) in read.items()
        if not rest and (moment.best or moment.last or not moment.is_told)
    }
    return [_moment(file, numbered=file.parent in numbered) for file in files]


def _moment(file: PurePath, *, numbered: bool) -> Moment:
    folders = list(file.parent.parts)
    of_folder, folder = Moment(), ""
    while folders:
        read, rest = _read(folders[-1])
        if folders[-1].lower() not in WITHIN and (rest or not read.is_told):
            break
        if read.is_told:
            of_folder, folder = read, folders[-1]
        folders.pop()
    own, rest = _read(stem(file.name), numbered=numbered)
    read = of_folder if of_folder.is_told else own
    named = rest if own.is_told or not rest else stem(file.name)
    return replace(read, run=(*folders, *([named] if named else [])), folder=folder, is_one=read.is_told or not rest)


def _read(name: str, *, numbered: bool = False) -> tuple[Moment, str]:
    """What a name says, such as best_model_3_accuracy=0.93, epoch=3-step=20 or a_last, and what is left of it."""
    words = re.split(r"[-_ ]+", name)
    parts = [word.lower() for word in words]
    numbered = numbered or any(part in (BEST, *LAST) for part in parts)
    best = last = False
    count: int | None = None
    score: float | None = None
    rest: list[str] = []
    for before, part, whole in zip(["", *parts], parts, words, strict=False):
        word, _, value = part.partition("=")
        if counted := re.fullmatch(rf"(?:{'|'.join(COUNTERS)})=?(\d+)", part):
            count = int(counted[1]) if count is None else count
        elif part.isdigit() and count is None and (before in COUNTERS or (numbered and not rest)):
            count = int(part)
        elif word in (*SCORES, *LOSSES) and NUMBER.fullmatch(value):
            score = -float(value) if word in LOSSES else float(value)
        elif NUMBER.fullmatch(part) and not rest and count is not None:  # epoch_3_0.93
            continue
        elif part == BEST:
            best = True
        elif part in LAST:
            last = True
        elif part not in (*UNNAMED, *COUNTERS, *OF_SCORES) and not (last and re.fullmatch(r"v\d+", part)):
            rest.append(whole)
    return Moment(best=best, last=last, count=count, score=score), "-".join(rest)
