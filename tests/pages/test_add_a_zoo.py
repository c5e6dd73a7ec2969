"""The page "Add a zoo" on a sweep that Streamlit's own test driver is shown."""

import tomllib
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button
from torchvision.models import get_model

import soup_core as sc
from tests.app_pages import open_page, words
from tests.class_folders import make_images
from tests.zoos import made_data, random_linears, write_zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two runs and a base beside a zoo that exists, and names that could be taken for markup."""
    write_zoo(tmp_path / "made", random_linears(3))
    folder = tmp_path / "my :red[sweep] **<b>**"
    folder.mkdir()
    for seed, name in enumerate(("base", "run-1", "run-:blue[2]")):
        torch.manual_seed(seed)
        torch.save(get_model("squeezenet1_1", weights=None, num_classes=3).state_dict(), folder / f"{name}.pt")
    return folder


def button(test: AppTest, label: str) -> Button:
    return next(each for each in test.button if each.label == label)


def test_a_sweep_is_proposed_corrected_and_written(sweep: Path) -> None:
    test = open_page("pages/9_Add_a_zoo.py")
    assert not test.exception
    assert "3 checkpoints belong together" in words(test)
    assert "Which images judge it" in words(test)
    assert button(test, "Write zoo.toml").disabled
    assert not (sweep / "zoo.toml").exists()
    assert test.selectbox(key=f"{sweep}:base").value == "base-1", "base is what a zoo calls its base"
    made_data(sweep)
    test.text_input(key=f"{sweep}:source").set_value("tensors:data.safetensors")
    test.text_input(key=f"{sweep}:title").set_value("Mine").run()
    assert not test.exception
    assert "It cannot be tried so" in words(test), "the images are of two pixels, which that network does not take"
    assert not (sweep / "zoo.toml").exists()
    button(test, "Write zoo.toml").click().run()
    assert not test.exception
    content = tomllib.loads((sweep / "zoo.toml").read_text())
    assert content["title"] == "Mine"
    assert content["architecture"] == {"name": "torchvision:squeezenet1_1", "num_classes": 3}
    assert sc.open_zoo(sweep).names == ("run-1", "run-:blue[2]")
    assert "is a zoo now: 2 ingredients, with a base" in "\n".join(each.value for each in test.success)


def test_without_a_folder_it_says_how_to_name_one(tmp_path: Path) -> None:
    write_zoo(tmp_path / "made", random_linears(3))
    test = open_page("pages/9_Add_a_zoo.py")
    assert "No folder is named" in words(test)
    assert any("SOUP_ZOOS" in info.value for info in test.info)


def test_an_order_of_classes_is_asked_for_and_written(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(1, 12)]
    write_zoo(tmp_path / "made", random_linears(3))
    folder = tmp_path / "sweep"
    make_images(folder / "photos" / "train", numbers, numbers, each=1)
    make_images(folder / "photos" / "valid", numbers, numbers, each=1)
    for seed in (1, 2):
        torch.manual_seed(seed)
        torch.save(get_model("squeezenet1_1", weights=None, num_classes=11).state_dict(), folder / f"run-{seed}.pt")
    test = open_page("pages/9_Add_a_zoo.py")
    assert "In which order are the class folders" in words(test)
    assert button(test, "Write zoo.toml").disabled
    test.selectbox(key=f"{folder}:class-list").set_value("1").run()
    assert not test.exception
    assert "In which order" not in words(test)
    button(test, "Write zoo.toml").click().run()
    assert tomllib.loads((folder / "zoo.toml").read_text())["data"]["classes"] == numbers
