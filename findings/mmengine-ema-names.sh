#!/usr/bin/env bash
# mmengine 0.10.7 with torch 2.14.1: of a checkpoint that its EMAHook has written, `state_dict` is the running average and
# `ema_state_dict` the network as the optimizer left it, under the names of the averaging wrapper. A rule that takes what has
# "ema" in its name therefore takes the plain weights. Seen:
#   state_dict is the average: True
#   ema_state_dict is the average: False
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check mmengine==0.10.7 torch==2.14.1 torchvision==0.29.1
cd "$place"
"$place/venv/bin/python" - 2>/dev/null <<'PYTHON' | tee seen
import torch
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.runner import Runner

class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.layer.weight)

    def forward(self, inputs, mode):
        return {"loss": -self.layer(inputs).sum()}  # the weight grows by one a step of learning rate one

batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 1)))
Runner(Line(), work_dir="work", train_dataloader=batches, train_cfg={"by_epoch": True, "max_epochs": 1},
       optim_wrapper={"optimizer": {"type": "SGD", "lr": 1.0}}, custom_hooks=[EMAHook(momentum=0.5)],
       log_level="CRITICAL").train()
saved = torch.load("work/epoch_1.pth", weights_only=False)  # written just above
plain = 4.0
average = saved["state_dict"]["layer.weight"].item()
under_ema = saved["ema_state_dict"]["module.layer.weight"].item()
print("state_dict is the average:", average != plain)
print("ema_state_dict is the average:", under_ema != plain)
PYTHON
grep -qx "state_dict is the average: True" seen
grep -qx "ema_state_dict is the average: False" seen
