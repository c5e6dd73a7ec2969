"""A callback for the Trainer of transformers: a training that has ended becomes an ingredient of a zoo.

Where the Trainer was told to load its best checkpoint, that is read again by the model's own class: the Trainer matches names
without translating them, and in release 5.24 so ends with parts of two checkpoints for networks such as ViT.
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from soup_core.callbacks.runs import BegunRun, begin_run
from soup_core.errors import ZooError
from soup_core.runtime.files import listed, write_atomically

CONFIGURATION = "network"  # the folder within the zoo's whose config.json says what the network is
KEPT = "soup_core"  # the entry of trainer_state.json that says from which base a run began
SETTINGS = {  # of TrainingArguments, by a zoo's words
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "batch_size": "per_device_train_batch_size",
    "label_smoothing": "label_smoothing_factor",
    "seed": "seed",
}
OF_TRAINING = ("drop", "_name_or_path", "version", "dtype", "initializer", "architectures")  # parts of keys


class SoupCallback(TrainerCallback):
    """Writes each training's weights, as they are when it ends, into the zoo in `folder`.

    `hyperparameters` come before the Trainer's arguments. `preprocessing` is the Trainer's own processor where it is not
    given. The other options are those of `begin_run`, and checked before the first step: SoupError is raised there, and
    after the last step where something cannot be written, which then says where the weights are.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        preprocessing: object = None,
        **options: Any,
    ) -> None:
        self.folder, self.preprocessing, self.options = Path(folder), preprocessing, options
        self.hyperparameters = dict(hyperparameters or {})
        self.run: BegunRun | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        processing_class: Any = None,
        **others: Any,
    ) -> None:
        """See that the zoo can take the run, from the first process; the weights are still those that it starts from."""
        if not state.is_world_process_zero or model is None:
            return
        options = dict(self.options)
        kept: Any = state.stateful_callbacks  # a table by now, whatever its type says
        if state.global_step:  # resumed: the weights are no longer those that the run began with
            options |= {"base": False, "start_digest": kept.get(KEPT)}
        own = getattr(processing_class, "image_processor", processing_class)
        transform = self.preprocessing or (own if hasattr(own, "image_mean") else None)
        if "architecture" not in options:
            options["architecture"] = _described(self.folder, model)
        self.run = begin_run(self.folder, model, preprocessing=transform, **options)
        kept[KEPT] = self.run.start_digest

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **others: Any,
    ) -> None:
        """Write the run into the zoo, from the first process."""
        if self.run is not None and model is not None:
            run, self.run = self.run, None
            run.end(_best(args, state, model) or model, {**_settings(args, state), **self.hyperparameters})


def _described(folder: Path, model: Any) -> dict[str, Any]:
    """The network as a zoo's architecture: its configuration, which the first run writes into the zoo's folder.

    Raises ZooError where another run's says that it computes something else.
    """
    file = folder / CONFIGURATION / "config.json"
    text = model.config.to_json_string()
    if not file.exists():
        write_atomically(file, text.encode())
    there, here = (_computed(each) for each in (file.read_text(), text))
    if apart := sorted(key for key in {*there, *here} if there.get(key) != here.get(key)):
        raise ZooError(
            f"{file} is the configuration of another network: {listed(apart)} differ; write this run into another folder."
        )
    return {"name": f"transformers:{CONFIGURATION}", "num_classes": model.config.num_labels}


def _computed(configuration: str) -> dict[str, Any]:
    """A configuration without what only training, or a release, looks at."""
    table = json.loads(configuration)
    return {key: value for key, value in table.items() if not any(part in key for part in OF_TRAINING)}


def _best(args: TrainingArguments, state: TrainerState, model: Any) -> dict[str, Tensor] | None:
    """The best checkpoint's state_dict, where the Trainer was to end with it; with a warning where it did not."""
    if not args.load_best_model_at_end or state.best_model_checkpoint is None:
        return None
    best = dict(type(model).from_pretrained(state.best_model_checkpoint).state_dict())
    ended = model.state_dict()
    if apart := [name for name, tensor in best.items() if not torch.equal(tensor, ended[name].cpu())]:
        warnings.warn(
            f"The Trainer has loaded {len(best) - len(apart)} of {len(best)} tensors of {state.best_model_checkpoint}, its best "
            "checkpoint. The zoo gets all of them; the model in memory is another one.",
            stacklevel=2,
        )
    return best


def _settings(args: TrainingArguments, state: TrainerState) -> dict[str, Any]:
    settings = {word: getattr(args, key) for word, key in SETTINGS.items()}
    optimizer = getattr(args.optim, "value", args.optim)
    return {**settings, "optimizer": optimizer, "epochs": round(state.epoch or args.num_train_epochs, 3)}
