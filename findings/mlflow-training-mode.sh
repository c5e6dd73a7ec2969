#!/usr/bin/env bash
# mlflow-skinny 3.17.2 with torch 2.14.1: log_model and save_model write, by default, an exported program (model.pt2) and no
# longer a pickled module; what mode the module was in is frozen into it. Saved after a training loop without model.eval(),
# the loaded network normalises by its batch: the answer for an image depends on the images beside it, the running
# statistics in the same file are not used, and eval() cannot be called. Of a pickled module (the former default) load_model
# gives one that answers eval(). Seen:
#   program: same answer alone and in a batch: False; eval(): NotImplementedError
#   pickle: same answer alone and in a batch: True; eval(): done
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 \
    torch==2.14.1 torchvision==0.29.1
cd "$place"
"$place/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON' | tee seen
import mlflow.pytorch
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
rows = torch.randn(8, 3)
optimizer = torch.optim.SGD(module.parameters(), 0.1)
for _ in range(5):
    optimizer.zero_grad()
    module(rows).square().mean().backward()
    optimizer.step()

example = np.zeros((4, 3), np.float32)
for name, options in (("program", {}), ("pickle", {"serialization_format": "pickle"})):
    mlflow.pytorch.save_model(module, name, input_example=example, pip_requirements=[], **options)
    loaded = mlflow.pytorch.load_model(name)
    try:
        loaded.eval()
        done = "done"
    except NotImplementedError as error:
        done = type(error).__name__
    with torch.inference_mode():
        same = torch.allclose(loaded(rows)[:4], loaded(rows[:4]), atol=1e-5)
    print(f"{name}: same answer alone and in a batch: {same}; eval(): {done}")
PYTHON
grep -qx "program: same answer alone and in a batch: False; eval(): NotImplementedError" seen
grep -qx "pickle: same answer alone and in a batch: True; eval(): done" seen
