#!/usr/bin/env bash
# The Trainer of transformers 5.24.0 with a ViT, on CPU. A checkpoint's model.safetensors holds the encoder's tensors under
# older names than the model in memory (vit.encoder.layer.0… and vit.layers.0…). from_pretrained translates them; the Trainer,
# where it reads the file itself, loads without strict and without translating: `load_best_model_at_end=True` ends with the
# best checkpoint's head and embeddings on the last step's encoder, and `resume_from_checkpoint` goes on with an encoder that
# is as new as the model was made. Both say so in a warning of the log alone. Seen:
#   load_best_model_at_end: 8 of 40 tensors are the best checkpoint's; by from_pretrained 40
#   resume_from_checkpoint: 8 of 40 tensors are the checkpoint's when training goes on
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 accelerate==1.15.0 torch==2.14.1
cd "$place"
"$place/venv/bin/python" -W ignore - 2>log <<'PYTHON' | tee seen || { cat log; exit 1; }
from pathlib import Path
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainingArguments, ViTConfig, ViTForImageClassification

def new():
    torch.manual_seed(0)
    return ViTForImageClassification(ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                                               image_size=16, patch_size=8, num_labels=2))

torch.manual_seed(0)
images = [{"pixel_values": torch.randn(3, 16, 16), "labels": index % 2} for index in range(16)]

def trainer(model, **options):
    arguments = TrainingArguments("out", num_train_epochs=2, learning_rate=1e-2, save_strategy="epoch", eval_strategy="epoch",
                                  report_to=[], use_cpu=True, disable_tqdm=True, **options)
    return Trainer(model, arguments, train_dataset=images, eval_dataset=images, compute_metrics=lambda _: {"first": -len(evaluated)})

def alike(state, folder):
    right = ViTForImageClassification.from_pretrained(folder).state_dict()
    return sum(torch.equal(state[name], right[name]) for name in right), len(right)

evaluated = []

class Count(TrainerCallback):
    def on_epoch_end(self, *_, **__):
        evaluated.append(1)

class Look(TrainerCallback):
    def on_train_begin(self, *_, model, **__):
        same, of = alike(model.state_dict(), "out/checkpoint-2")
        print(f"resume_from_checkpoint: {same} of {of} tensors are the checkpoint's when training goes on")

model = new()
first = trainer(model, load_best_model_at_end=True, metric_for_best_model="first", greater_is_better=True)
first.add_callback(Count())
first.train()
best = first.state.best_model_checkpoint
assert Path(best).name == "checkpoint-2", best
same, of = alike(model.state_dict(), best)
print(f"load_best_model_at_end: {same} of {of} tensors are the best checkpoint's; by from_pretrained {of}")
assert set(load_file(f"{best}/model.safetensors")) != set(model.state_dict())
again = trainer(new())
again.add_callback(Look())
again.train(resume_from_checkpoint="out/checkpoint-2")
PYTHON
grep -qx "load_best_model_at_end: 8 of 40 tensors are the best checkpoint's; by from_pretrained 40" seen
grep -qx "resume_from_checkpoint: 8 of 40 tensors are the checkpoint's when training goes on" seen
