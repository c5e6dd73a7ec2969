"""mlflow: a run's parameters, and its logged model, by default an exported program, data/model.pt2."""

import os
from pathlib import Path

import mlflow
import mlflow.pytorch
import numpy as np
from torch import Tensor, nn

from tests.trainers.trainer import EPOCHS, LEARNING_RATES, RUNS, Trainer, fit, normalized, started


def train(folder: Path) -> None:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    mlflow.set_tracking_uri(f"file:{folder}/mlruns")
    for run in range(RUNS):
        module = started()
        with mlflow.start_run(run_name=f"run-{run}"):
            mlflow.log_params({"lr": LEARNING_RATES[run], "epochs": EPOCHS})
            for _ in fit(module, folder, normalized(), run):
                pass
            mlflow.pytorch.log_model(
                module.eval(), name="model", input_example=np.zeros((2, 3, 64, 64), np.float32), pip_requirements=[]
            )


class Program(nn.Module):
    """The loaded program, which has no modes: it computes as it was when it was logged, and refuses `eval`."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.program = (mlflow.pytorch.load_model(str(file.parents[1])),)  # in a tuple it is no child

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.program[0](pixels)
        return logits


TRAINER = Trainer(
    "mlflow",
    "mlflow-skinny",
    "mlruns/EXPERIMENT/{RUN/params, models/m-MODEL/artifacts/data/model.pt2}",
    tuple("mlruns/0/models/*/artifacts/data/model.pt2" for run in range(RUNS)),
    train,
    Program,
    lambda folder: started(),
    normalized(),
)
