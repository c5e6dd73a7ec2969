#!/usr/bin/env bash
# torchvision 0.29.1 with torch 2.14.1: `import torchvision` imports the compiler, torch._dynamo, which `import torch` leaves
# alone, since torchvision/ops/roi_align.py asks torch._dynamo.utils for one function when it is imported. Who only builds a
# resnet18 waits for it. Seen:
#   torch alone: 0 modules of torch._dynamo
#   with torchvision: 95 modules of torch._dynamo, first asked for by torchvision.ops.roi_align
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1
cd "$place"
"$place/venv/bin/python" - <<'PYTHON' | tee seen
import sys
import torch

def loaded():
    return sum(name.split(".")[:2] == ["torch", "_dynamo"] for name in sys.modules)

class Asked:
    """Tells which module first asks for the compiler, and finds nothing itself."""

    by = None

    def find_spec(self, name, path=None, target=None):
        if name == "torch._dynamo" and Asked.by is None:
            frame = sys._getframe(1)
            while frame and not frame.f_globals.get("__name__", "").startswith("torch"):
                frame = frame.f_back
            Asked.by = frame.f_globals["__name__"]

print(f"torch alone: {loaded()} modules of torch._dynamo")
sys.meta_path.insert(0, Asked())
import torchvision
print(f"with torchvision: {loaded()} modules of torch._dynamo, first asked for by {Asked.by}")
PYTHON
grep -qx "torch alone: 0 modules of torch._dynamo" seen
grep -qx "with torchvision: [1-9][0-9]* modules of torch._dynamo, first asked for by torchvision.ops.roi_align" seen
