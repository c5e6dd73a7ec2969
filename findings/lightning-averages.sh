#!/usr/bin/env bash
# Lightning 2.6.6 with torch 2.14.1, its two callbacks that average weights. StochasticWeightAveraging: for a network without
# BatchNorm no checkpoint's `state_dict` is the average, which is put into the module after the last file was written; the file
# has it below the callback's state alone. With BatchNorm it runs one epoch more than was asked for, and that one's file has it.
# EMAWeightAveraging: `state_dict` is the average, the plain weights are `current_model_state`. Seen:
#   SWA, no BatchNorm: asked for 4 epochs, file of epoch=3, state_dict is the average: False
#   SWA, BatchNorm: asked for 4 epochs, file of epoch=4, state_dict is the average: True
#   EMA: state_dict is the average: True; current_model_state is: False
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check lightning==2.6.6 torch==2.14.1 torchvision==0.29.1
cd "$place"
"$place/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON' | tee seen
from pathlib import Path
import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from torch import nn

class Classifier(L.LightningModule):
    def __init__(self, *layers):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 4), *layers, nn.Linear(4, 2))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

torch.manual_seed(0)
examples = torch.utils.data.TensorDataset(torch.randn(32, 4), torch.arange(32) % 2)

def trained(name, callback, *layers):
    module = Classifier(*layers)
    L.Trainer(max_epochs=4, accelerator="cpu", default_root_dir=name, callbacks=[callback], logger=False,
              enable_progress_bar=False, enable_model_summary=False).fit(module, torch.utils.data.DataLoader(examples, 8))
    file = next(Path(name).rglob("*.ckpt"))
    return module, file, torch.load(file, weights_only=False)  # written just above

def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first if key.endswith("weight"))

for name, layers in (("no BatchNorm", ()), ("BatchNorm", (nn.BatchNorm1d(4),))):
    # After fit() the module holds the average that the callback has made.
    module, file, saved = trained(name, StochasticWeightAveraging(0.05, swa_epoch_start=1), *layers)
    print(f"SWA, {name}: asked for 4 epochs, file of {file.stem.partition('-')[0]}, state_dict is the average:",
          same(module.state_dict(), saved["state_dict"]))
_, _, saved = trained("ema", EMAWeightAveraging(decay=0.5))
plain = {key.removeprefix("module."): value for key, value in saved["current_model_state"].items()}
module, _, without = trained("plain", L.Callback())
print("EMA: state_dict is the average:", not same(without["state_dict"], saved["state_dict"]),
      end="; current_model_state is: ")
print(not same(without["state_dict"], plain))
PYTHON
grep -qx "SWA, no BatchNorm: asked for 4 epochs, file of epoch=3, state_dict is the average: False" seen
grep -qx "SWA, BatchNorm: asked for 4 epochs, file of epoch=4, state_dict is the average: True" seen
grep -qx "EMA: state_dict is the average: True; current_model_state is: False" seen
