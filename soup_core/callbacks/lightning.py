"""A callback for Lightning's Trainer: a fit that has ended becomes an ingredient of a zoo.

The weights are taken when all other callbacks have ended theirs, so that averages (WeightAveraging, EMAWeightAveraging,
StochasticWeightAveraging) are in the module by then.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from soup_core.callbacks.runs import BegunRun, begin_run
from soup_core.checkpoints import open_checkpoint
from soup_core.errors import SoupError

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
except ImportError:  # under its older name
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.callbacks import Callback

SEEDS = 2**32  # those of seed_everything lie below; torch's own, where nobody seeded it, does not


class SoupCallback(Callback):
    """Writes each fit's weights, its last or its best checkpoint's, into the zoo in `folder`.

    `hyperparameters` come before the module's own `hparams`. `preprocessing` is read off the validation images' transform
    where it is not given. The other options are those of `begin_run`, and checked before the first step: SoupError is
    raised there, and after the last step where something cannot be written, which then says where the weights are.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        weights: Literal["last", "best"] = "last",
        hyperparameters: Mapping[str, Any] | None = None,
        preprocessing: object = None,
        **options: Any,
    ) -> None:
        if weights not in ("last", "best"):
            raise SoupError(f'The weights are those of the "last" step or of the "best" checkpoint; found {weights!r}.')
        self.folder, self.weights, self.preprocessing, self.options = folder, weights, preprocessing, options
        self.hyperparameters = dict(hyperparameters or {})
        self.start_digest: str | None = None
        self.run: BegunRun | None = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: from which base the run began, for a fit that goes on from it."""
        return {"start_digest": self.run.start_digest if self.run else self.start_digest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the base of the run that goes on."""
        self.start_digest = state_dict.get("start_digest")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See that the zoo can take the run, on every process alike; the weights are still those that it starts from."""
        message = None
        if trainer.is_global_zero and not trainer.fast_dev_run:
            try:
                self.run = self._begun(trainer, pl_module)
            except SoupError as error:
                message = str(error)
        if (message := trainer.strategy.broadcast(message)) is not None:
            raise SoupError(message)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the run into the zoo, from the first process."""
        if self.run is not None:
            run, self.run, self.start_digest = self.run, None, None
            weights = pl_module.state_dict() if self.weights == "last" else _best(trainer)
            run.end(weights, {**_settings(trainer, pl_module), **self.hyperparameters})

    def _begun(self, trainer: Trainer, pl_module: LightningModule) -> BegunRun:
        if self.weights == "best" and not getattr(trainer.checkpoint_callback, "monitor", None):
            raise SoupError('The best weights need a ModelCheckpoint with a `monitor`; add one, or say weights="last".')
        options = dict(self.options)
        if trainer.ckpt_path is not None:  # the weights are no longer those that the run began with
            options |= {"base": False, "start_digest": self.start_digest}
        transform = self.preprocessing or next(_transforms(trainer.val_dataloaders), None)
        return begin_run(self.folder, pl_module, preprocessing=transform, **options)


def _best(trainer: Trainer) -> dict[str, Tensor]:
    """The best checkpoint's state_dict, read without unpickling it."""
    path = str(getattr(trainer.checkpoint_callback, "best_model_path", ""))
    return dict(open_checkpoint(Path(path), "state_dict").read_all())


def _settings(trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
    """The hyperparameters that a fit has: the optimizer's own, those of the data module and of the module, epochs, seed."""
    first = trainer.optimizers[0] if trainer.optimizers else None
    optimizer = {"optimizer": type(first).__name__, **_plain(first.defaults, "lr", "weight_decay")} if first else {}
    modules = [getattr(trainer, "datamodule", None), pl_module]
    own = [dict(module.hparams) for module in modules if module is not None]
    seed = {"seed": torch.initial_seed()} if torch.initial_seed() < SEEDS else {}
    settings: dict[str, Any] = {**seed, **{key: value for each in own for key, value in each.items()}}
    if not {"lr", "learning_rate"} & {*settings}:
        settings = {**optimizer, **settings}
    return {**settings, "epochs": trainer.current_epoch}


def _plain(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: table[key] for key in keys if key in table}


def _transforms(loaders: Any) -> Iterator[object]:
    """The transforms of what validation loaders read: of a data set, or of the one that it is a part of."""
    for loader in (
        loaders.values() if isinstance(loaders, Mapping) else loaders if isinstance(loaders, list) else [loaders]
    ):
        dataset = getattr(loader, "dataset", None)
        while dataset is not None:
            if (transform := getattr(dataset, "transform", None)) is not None:
                yield transform
            dataset = getattr(dataset, "dataset", None)
