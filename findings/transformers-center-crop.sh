#!/bin/bash
# transformers 5.24.0 with torchvision 0.29.1: the "torchvision backend" of an image processor does not cut the middle that
# torchvision's own CenterCrop cuts. Where it lies between two pixels torchvision rounds to even, transformers rounds down,
# so that images are one pixel off for CLIP, BiT, DINOv2, LeViT, MobileNet and PoolFormer, at one width in four.
#
# Seen:
#   width 11, crop 8: torchvision begins at column 2, transformers at column 1
#   other columns at widths 11 15 19 23 of 8 to 23
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 transformers==5.24.0 pillow==13.0.0
cat > "$folder/seen.py" <<'PYTHON'
import numpy as np
import torch
from torchvision.transforms import CenterCrop
from transformers import CLIPImageProcessor

processor = CLIPImageProcessor(
    do_resize=False, do_rescale=False, do_normalize=False, crop_size={"height": 8, "width": 8}
)
assert processor.backend == "torchvision"
begins = {}
for width in range(8, 24):
    columns = torch.arange(width, dtype=torch.uint8).expand(3, 8, width).contiguous()
    cut = processor(columns, return_tensors="pt")["pixel_values"][0]
    begins[width] = int(CenterCrop(8)(columns)[0, 0, 0]), int(cut[0, 0, 0])
print(f"width 11, crop 8: torchvision begins at column {begins[11][0]}, transformers at column {begins[11][1]}")
differ = [width for width, (theirs, own) in begins.items() if theirs != own]
print("other columns at widths", *differ, "of 8 to 23")
assert begins[11] == (2, 1) and differ == [11, 15, 19, 23], begins
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
