#!/usr/bin/env bash
# mmengine 0.10.7 with torch 2.14.1: its load_checkpoint cannot read what its Runner has just written. The file keeps the logs'
# HistoryBuffer beside the weights, and torch.load refuses unknown classes by default since torch 2.6, which mmengine does
# not take into account. Resuming and testing by its own Runner fail alike. Seen:
#   UnpicklingError: Unsupported global mmengine.logging.history_buffer.HistoryBuffer
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check mmengine==0.10.7 torch==2.14.1 torchvision==0.29.1
cd "$place"
"$place/venv/bin/python" - 2>/dev/null <<'PYTHON' | tee seen
import re
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint

class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode):
        return {"loss": self.layer(inputs).sum()}

batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 1)))
Runner(Line(), work_dir="work", train_dataloader=batches, train_cfg={"by_epoch": True, "max_epochs": 1},
       optim_wrapper={"optimizer": {"type": "SGD", "lr": 1.0}}, log_level="CRITICAL").train()
try:
    load_checkpoint(Line(), "work/epoch_1.pth")
    print("it was read")
except Exception as error:
    name = re.search(r"GLOBAL (\S+) was", str(error))[1]
    print(f"{type(error).__name__}: Unsupported global {name}")
PYTHON
grep -qx "UnpicklingError: Unsupported global mmengine.logging.history_buffer.HistoryBuffer" seen
