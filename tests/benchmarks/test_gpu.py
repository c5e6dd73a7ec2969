"""The measurements that only a GPU can make, on the CPU and on hardly anything: that they run, not how fast."""

import pytest
import torch

from benchmarks import gpu


def test_every_row_of_the_gpu_is_made_at_a_toy_size_on_the_cpu(few_images: None) -> None:
    scale = gpu.Scale("cpu", "fashion_cnn", 10, (1, 28, 28), models=3, images=40, soups=3, rounds=1)
    rows = gpu.measured_at(scale)
    kinds = ("average of", "a greedy step, ", "rejected", "3 soups", "a learned step")
    assert all(sum(kind in row.what for row in rows) >= 2 for kind in kinds)
    assert len(rows) == 2 * len(kinds)
    assert all(row.ours > 0 and row.theirs > 0 for row in rows)


def test_without_cuda_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.measured() == ["**no CUDA device here: GPU rows not measured.**"]
