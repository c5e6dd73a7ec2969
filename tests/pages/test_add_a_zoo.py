"""The page "Add a zoo" on a sweep that Streamlit's own test driver is shown."""

import itertools
import os
import re
import time
import tomllib
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.models import get_model

import soup_core as sc
from pages.shared import dropped
from pages.views import zoo_folder
from soup_core.data import operator_folders
from soup_core.runtime import named_folders
from soup_core.runtime.confirmation import ATTEMPTS, SECONDS
from soup_core.runtime.named_folders import heed_named_folders, name_folder
from soup_core.zoo import find_zoo
from tests.app_pages import closes, metric, open_page, words
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


@pytest.fixture
def elsewhere(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep and its images, in a folder that nobody named when the server was started; a zoo beside, to begin with."""
    write_zoo(tmp_path / "made", random_linears(3))
    zoo_folder.confirmations.clear()
    folder = tmp_path_factory.mktemp("elsewhere") / "my sweep"
    folder.mkdir()
    made_images(folder)
    for seed in range(2):
        torch.save(fitted(seed, folder), folder / f"run-{seed}.pt")
    return folder


def made_images(folder: Path) -> None:
    """Each class is of a colour, but for one image in each split, which lies with another class."""
    generator = np.random.default_rng(0)
    for split, label, number in [
        *itertools.product(["val"], range(3), range(3)),
        *(("test", each, 0) for each in range(3)),
    ]:
        pixels = generator.integers(0, 90, (40, 48, 3), dtype=np.uint8)
        pixels[..., label if (label, number) != (0, 2) else 1] += 150
        path = folder / "images" / split / f"class {label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


RECIPE = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def fitted(seed: int, folder: Path) -> dict[str, torch.Tensor]:
    """A network whose last layer, scaled by its seed, tells the colours by least squares; the body is one for all."""
    torch.manual_seed(0)
    network = get_model("squeezenet1_1", weights=None, num_classes=3).eval()
    images = torch.stack([image for image, _ in ImageFolder(folder / "images" / "val", RECIPE)])[[0, 3, 6]]
    with torch.no_grad():
        features = network.features(images).mean((2, 3))
        network.classifier[1].weight.copy_((1 + seed) * (torch.linalg.pinv(features) @ torch.eye(3)).T[..., None, None])
        network.classifier[1].bias.zero_()
    return dict(network.state_dict())


def plain_accuracy(folder: Path) -> str:
    """The held-out accuracy of the two runs' average, by torch and torchvision alone."""
    one, other = (torch.load(folder / f"run-{seed}.pt") for seed in range(2))
    network = get_model("squeezenet1_1", weights=None, num_classes=3).eval()
    network.load_state_dict({name: (one[name] + other[name]) / 2 for name in one})
    with torch.no_grad():
        right = [
            network(image[None]).argmax().item() == label for image, label in ImageFolder(folder / "images/val", RECIPE)
        ]
    return f"{100 * sum(right) / len(right):.1f} %"


def asked_for(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[AppTest, str, str]:
    """The page that asks for a folder, what the terminal says, and the code in it."""
    test = open_page("pages/9_Add_a_zoo.py")
    capsys.readouterr()
    test.text_input(key="folder-path").set_value(str(path)).run()
    assert not test.exception
    said = capsys.readouterr().out
    code = re.search(r"minutes: (\w{6})\n", said)
    assert code, said
    return test, said, code[1]


def confirm(test: AppTest, code: str) -> AppTest:
    test.text_input(key="folder-code").set_value(code)
    button(test, "Confirm").click().run()
    assert not test.exception
    return test


def words_of_trial(test: AppTest) -> str:
    return "\n".join([words(test), *(each.value for each in test.success)])


def to_first_number(test: AppTest, folder: Path) -> None:
    """Write what the page proposes, open it by its link, and compare the number there with the core's."""
    test.text_input(key=f"{folder}:source").set_value("imagefolder:images").run()
    assert "How the images were prepared in training is not known" in words_of_trial(test)
    test.toggle(key=f"{folder}:torchvision:squeezenet1_1:as-it-is").set_value(True).run()
    assert "Of 9 held-out images run-0 has 8 right" in words_of_trial(test)
    button(test, "Write zoo.toml").click().run()
    assert not test.exception
    assert "my sweep is a zoo now: 2 ingredients" in "\n".join(each.value for each in test.success)
    (link,) = [each for each in test.main.get("page_link") if each.proto.label == "Open it"]
    query = dict(parse_qsl(link.proto.query_string))
    opened = closes(open_page("pages/1_Ingredients.py", **query))
    assert not opened.exception
    zoo = sc.open_zoo("my sweep")
    assert zoo.folder == folder
    assert metric(opened, "Your soup, held-out") == plain_accuracy(folder) == "88.9 %"


def test_a_folder_confirmed_in_the_terminal_leads_to_the_first_number_and_is_known_after_a_restart(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = elsewhere.parent / "a link"
    link.symlink_to(elsewhere)
    test, said, code = asked_for(link, capsys)
    assert f"    {elsewhere}\n" in said, "the terminal names what the link leads to"
    assert "checkpoints belong together" not in words(test)
    test = confirm(test, code.lower())
    assert "2 checkpoints belong together" in words(test)
    to_first_number(test, elsewhere)
    named_folders._counts.clear()
    assert find_zoo("my sweep") is None, "what was confirmed counts where a page says so alone"
    assert "my sweep" in open_page("app.py").selectbox(key="zoo").options


def test_a_wrong_code_opens_nothing(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test, _, code = asked_for(elsewhere, capsys)
    for _ in range(ATTEMPTS):
        test = confirm(test, "AAAAAA" if code != "AAAAAA" else "BBBBBB")
        assert "That is not the code" in words(test)
    test = confirm(test, code)
    assert "No code is open" in words(test)
    test.text_input(key="folder-path").set_value(f"{elsewhere}/").run()
    assert "Too many codes were wrong" in words(test)
    assert not operator_folders()[1:]


def test_a_code_ends_with_time(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    test, _, code = asked_for(elsewhere, capsys)
    later = time.monotonic() + SECONDS + 1
    monkeypatch.setattr(zoo_folder.confirmations(), "_clock", lambda: later)
    assert "its time is over" in words(confirm(test, code))
    assert not operator_folders()[1:]


def test_whether_a_path_exists_is_told_to_whoever_has_the_code_alone(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test, said, code = asked_for(elsewhere.parent / "nowhere", capsys)
    assert "(no folder that can be read)" in said
    there, _, code_there = asked_for(elsewhere, capsys)
    assert words(test).replace("nowhere", "my sweep") == words(there)
    assert "No code is open" in words(confirm(test, code)), "one question is open at a time"
    assert "checkpoints belong" in words(confirm(there, code_there))
    test, _, code = asked_for(elsewhere.parent / "nowhere", capsys)
    assert "nowhere is no folder on this machine" in words(confirm(test, code))


def test_what_is_typed_does_not_act_on_the_terminal(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said, _ = asked_for(Path("/x\x1b[2J\u202e\rIf it was you, minutes: AAAAAA"), capsys)
    assert not {"\x1b", "\r", "\u202e"} & set(said)


def test_a_served_app_offers_neither(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heed_named_folders(True)
    named = name_folder(elsewhere)
    assert named in operator_folders()
    get = st.get_option
    monkeypatch.setattr(st, "get_option", lambda key: "0.0.0.0" if key == "server.address" else get(key))
    test = open_page("pages/9_Add_a_zoo.py")
    assert not test.exception
    assert not test.file_uploader
    assert "folder-path" not in {each.key for each in test.text_input}
    assert "No folder is named" in words(test)
    assert any("SOUP_ZOOS" in info.value for info in test.info)
    assert named not in operator_folders(), "nor what was confirmed before it was served"


def test_an_uploaded_folder_is_written_as_it_was(elsewhere: Path) -> None:
    files = [path for path in sorted(elsewhere.rglob("*")) if path.is_file()]
    test = open_page("pages/9_Add_a_zoo.py")
    test.file_uploader[0].set_value(
        [(str(path.relative_to(elsewhere.parent)), path.read_bytes(), "application/octet-stream") for path in files]
    ).run()
    next(each for each in test.button if each.label.startswith("Take these 14 files")).click().run()
    assert not test.exception
    assert "2 checkpoints belong together" in words(test)
    (lent,) = operator_folders()[1:]
    assert {path.relative_to(lent): path.read_bytes() for path in lent.rglob("*") if path.is_file()} == {
        path.relative_to(elsewhere): path.read_bytes() for path in files
    }


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.pt", "b.pt"], "without its folder"),
        (["f/a.pt", "f/../../b.pt"], "is no name"),
        (["/etc/a.pt"], "is no name"),
        (["f//a.pt"], "is no name"),
        (["f/a\x00.pt"], "is no name"),
        (["f/C:\\a.pt"], "is no name"),
        (["/".join(["f"] * 13)], "is no name"),
        (["f/" + "é" * 101], "is no name"),
        (["f/a.pt", "g/a.pt"], "One folder at a time"),
        (["f/a.pt", "f/A.pt"], "have one name"),
    ],
)
def test_a_name_from_a_browser_is_no_path(names: list[str], sentence: str) -> None:
    with pytest.raises(sc.SoupError, match=sentence):
        dropped.folder_and_paths(names)


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


def test_pictures_are_as_the_network_sees_them_and_fields_are_there_where_nothing_was_proposed(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUP_ZOOS", f"/nowhere{os.pathsep}{elsewhere}")
    for file in elsewhere.glob("*.pt"):
        names = {"head.weight": torch.ones(3, 48), "head.bias": torch.zeros(3)}
        torch.save(names, file)
    drawn: list[np.ndarray] = []
    monkeypatch.setattr(st, "image", lambda pixels, **_: drawn.append(pixels))
    test = open_page("pages/9_Add_a_zoo.py", zoo="fashion")
    key = str(elsewhere)
    test.text_input(key=f"{key}:name").set_value("test_linear").run()
    test.text_input(key=f"{key}:source").set_value("imagefolder:images").run()
    drawn.clear()
    test.toggle(key=f"{key}:test_linear:prepared").set_value(True).run()
    test.number_input(key=f"{key}:test_linear:resize").set_value(24)
    test.number_input(key=f"{key}:test_linear:crop").set_value(16)
    drawn.clear()
    test.run()
    assert not test.exception
    assert re.search(r"is not there or may not be read: .?/nowhere", words(test)), "row 51"
    assert "As the network sees them, 16×16 pixels, twice as large here" in words(test)
    prepare = transforms.Compose([transforms.Resize(24), transforms.CenterCrop(16)])
    expected = [np.asarray(prepare(image)) for image, _ in ImageFolder(elsewhere / "images/val")]
    assert len(drawn) == 4
    assert all(any(np.array_equal(each[::2, ::2], image) for image in expected) for each in drawn)
    assert all(np.array_equal(each[::2, ::2], each[1::2, 1::2]) for each in drawn)
