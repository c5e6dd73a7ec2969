#!/usr/bin/env bash
# peft 0.21.2 with torch 2.14.1: an adapter of a convolution takes its kernel, stride and padding, but neither its dilation
# nor its padding mode. merge_and_unload() adds B A to the weight nevertheless, and the merged network computes something
# else than the one that was trained, without an error or a warning, also with safe_merge=True. Expected was the same output,
# as for a plain convolution. (Grouped convolutions are refused with an error.) Seen:
#   plain: largest difference 0.00 of outputs up to 5.24
#   padding_mode="reflect": largest difference 2.94 of outputs up to 4.99
#   dilation=2, padding="same": largest difference 7.48 of outputs up to 5.20
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 torch==2.14.1
cd "$place"
"$place/venv/bin/python" - 2>stderr <<'PYTHON' | tee seen
import peft
import torch
from torch import nn

torch.manual_seed(0)
layers = {
    "plain": nn.Conv2d(4, 4, 3, padding=1),
    'padding_mode="reflect"': nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    'dilation=2, padding="same"': nn.Conv2d(4, 4, 3, padding="same", dilation=2),
}
for name, layer in layers.items():
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["0"], init_lora_weights=False)  # a product that is not 0
    model = peft.get_peft_model(nn.Sequential(layer), config).eval()
    images = torch.randn(2, 4, 12, 12)
    with torch.no_grad():
        adapted = model(images)
        merged = model.merge_and_unload(safe_merge=True)(images)
    off = (adapted - merged).abs().max()
    print(f"{name}: largest difference {off:.2f} of outputs up to {adapted.abs().max():.2f}")
PYTHON
awk '{ off[NR] = $(NF - 5) + 0 } END { exit !(NR == 3 && off[1] < 0.01 && off[2] > 1 && off[3] > 1) }' seen
! grep -qiE "merg|dilat|padding" stderr
