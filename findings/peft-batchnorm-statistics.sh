#!/usr/bin/env bash
# peft 0.21.2 with torch 2.14.1: LoRA on the convolutions of a network with BatchNorm. Training updates the running
# statistics of the base's BatchNorm layers, which are frozen in name only, and save_pretrained leaves them out, with no
# warning; from_pretrained over the same base gives another model than the one that was trained and evaluated, unless the
# BatchNorm layers are in modules_to_save. Expected was the same outputs. Seen:
#   modules_to_save=["head"]: 0 tensors of BatchNorm in the file, accuracy 1.00 before saving, 0.50 after loading
#   modules_to_save=["head", "norm"]: 5 tensors of BatchNorm in the file, accuracy 1.00 before saving, 1.00 after loading
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 torch==2.14.1
cd "$place"
"$place/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON' | tee seen
import peft
import safetensors.torch
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2)

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).relu().mean((2, 3)))


def batch(count):
    """Images of two colours, of a mean and spread that the untrained statistics do not have."""
    labels = torch.arange(count) % 2
    images = 2 + 3 * torch.randn(count, 3, 8, 8)
    images[:, 0] += 3 * labels[:, None, None]
    return images, labels


def accuracy(model):
    torch.manual_seed(2)
    images, labels = batch(1000)
    with torch.no_grad():
        return (model.eval()(images).argmax(1) == labels).float().mean().item()


for whole in (["head"], ["head", "norm"]):
    config = peft.LoraConfig(r=2, target_modules=["conv"], modules_to_save=whole)
    model = peft.get_peft_model(Network(), config)
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], 0.1)
    torch.manual_seed(1)
    for _ in range(200):
        images, labels = batch(64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.train()(images), labels).backward()
        optimizer.step()
    before = accuracy(model)
    model.save_pretrained("adapter")
    count = sum("norm" in name for name in safetensors.torch.load_file("adapter/adapter_model.safetensors"))
    after = accuracy(peft.PeftModel.from_pretrained(Network(), "adapter"))
    listed = ", ".join(f'"{each}"' for each in whole)
    print(f"modules_to_save=[{listed}]: {count} tensors of BatchNorm in the file, accuracy {before:.2f} before saving, {after:.2f} after loading")
PYTHON
awk '{ count[NR] = $0; sub(/.*: /, "", count[NR]); before[NR] = $(NF - 5) + 0; after[NR] = $(NF - 2) + 0 }
     END { exit !(NR == 2 && count[1] + 0 == 0 && before[1] > after[1] + 0.1 && count[2] + 0 == 5 && before[2] == after[2]) }' seen
