"""What a network raises, or gives instead of logits, is one sentence or none of anybody's business."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import soup_core as sc

FACTORIES = """
import torch
from torch import nn

class Answer:
    def __init__(self, logits):
        self.logits = logits

class Wrapped(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.stem, self.wrap = nn.Conv2d(3, 4, 3), wrap

    def forward(self, images):
        assert images.shape[-1] == 6, f"Input height ({images.shape[-1]}) doesn't match model (6)"
        return self.wrap(self.stem(images).mean((2, 3)))

def dictionary(num_classes):
    return Wrapped(lambda logits: {"loss": None, "logits": logits})

def answer(num_classes):
    return Wrapped(Answer)

def plain(num_classes):
    return Wrapped(lambda logits: logits)

def features(num_classes):
    return Wrapped(lambda logits: {"features": logits})

def several(num_classes):
    return Wrapped(lambda logits: (logits, logits))
"""


def zoo(folder: Path, function: str, channels: int = 3, side: int = 6) -> sc.Zoo:
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    stem = nn.Conv2d(3, 4, 3)
    weights = {f"stem.{name}": torch.randn(its.shape, generator=generator) for name, its in stem.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "run.safetensors")
    content: dict[str, Tensor] = {}
    for split in ("held_out", "test"):
        shape = (8, channels, side, side)
        content[f"{split}.images"] = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        content[f"{split}.labels"] = torch.arange(8) % 4
    safetensors.torch.save_file(content, folder / "data.safetensors")
    (folder / "net.py").write_text(FACTORIES)
    (folder / "zoo.toml").write_text(
        f'format = 1\ntitle = "x"\narchitecture = {{ factory = "net.py:{function}", num_classes = 4 }}\n'
        '[data]\nsource = "tensors:data.safetensors"\n[[ingredients]]\nname = "run"\nfile = "run.safetensors"\n'
    )
    return sc.open_zoo(folder)


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_TRUST", str(tmp_path))


def test_logits_are_taken_out_of_what_holds_them(tmp_path: Path) -> None:
    found = {
        name: sc.Evaluator(zoo(tmp_path / name, name)).logits(sc.Soup.single("run"))
        for name in ("plain", "dictionary", "answer")
    }
    opened = sc.open_zoo(tmp_path / "plain")
    images = opened.data.split("held_out").images.float() / 255
    weights = safetensors.torch.load_file(tmp_path / "plain/run.safetensors")
    expected = nn.functional.conv2d(images, weights["stem.weight"], weights["stem.bias"]).mean((2, 3))
    for name, logits in found.items():
        torch.testing.assert_close(logits, expected, msg=name)


@pytest.mark.parametrize(
    ("function", "what"), [("features", "gives a dictionary of features"), ("several", "gives a tuple")]
)
def test_what_holds_no_logits_is_told(tmp_path: Path, function: str, what: str) -> None:
    with pytest.raises(sc.ZooError, match=f"{what}; expected its logits as a tensor, or under the name logits"):
        sc.Evaluator(zoo(tmp_path / function, function))(sc.Soup.single("run"))


@pytest.mark.parametrize(
    ("channels", "side", "parts"),
    [
        (1, 6, ("images of 1×6×6", "The network takes 3 channels, and the images have 1", "three of each")),
        (3, 9, ("images of 3×9×9", "Input height (9) doesn't match model (6)", "preprocessing = {")),
        (3, 1, ("images of 3×1×1", "preprocessing = {")),
    ],
)
def test_images_that_a_network_does_not_take_are_told(
    tmp_path: Path, channels: int, side: int, parts: tuple[str, ...]
) -> None:
    with pytest.raises(sc.DataError) as told:
        sc.Evaluator(zoo(tmp_path / "zoo", "plain", channels, side))(sc.Soup.single("run"))
    for part in parts:
        assert part in str(told.value)
    assert "\n" not in str(told.value)
