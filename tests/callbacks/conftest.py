"""Fixtures of these tests alone."""

from pathlib import Path

import pytest

from tests.callbacks.sweeps import image_folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that nobody changes, made once."""
    folder = tmp_path_factory.mktemp("photographs")
    image_folder(folder)
    return folder
