"""What torch.save writes, as bytes."""

import io
from typing import Any

import torch


def saved(content: object, **options: Any) -> bytes:
    """A file of torch.save."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def legacy(content: object) -> bytes:
    """A file as torch.save wrote it before 2020."""
    return saved(content, _use_new_zipfile_serialization=False)
