"""The uniform soup as the repository of Model soups makes it, as a script of its own: rewritten from its main.py.

    python benchmarks/model_soups_loop.py OUTPUT FILE...

One dictionary, to which each model's tensors are added with its share: https://github.com/mlfoundations/model-soups.
With --bare first it does without torchvision, which that imports for its data sets and, by clip, for its networks.
"""

import sys
from collections.abc import Sequence

import torch
from safetensors.torch import load_file, save_file


def main(output: str, files: Sequence[str]) -> None:
    """Average the files, of torch.save or safetensors, into one that is as they are."""
    is_safetensors = output.endswith(".safetensors")
    soup: dict[str, torch.Tensor] = {}
    for number, file in enumerate(files):
        theta = load_file(file) if is_safetensors else torch.load(file, map_location="cpu")
        if number == 0:
            soup = {name: tensor * (1.0 / len(files)) for name, tensor in theta.items()}
        else:
            soup = {name: tensor * (1.0 / len(files)) + soup[name] for name, tensor in theta.items()}
    if is_safetensors:
        save_file(soup, output)
    else:
        torch.save(soup, output)


if __name__ == "__main__":
    if sys.argv[1] == "--bare":
        sys.argv.remove("--bare")
    else:
        import torchvision  # noqa: F401  (which such a script has for its network)
    main(sys.argv[1], sys.argv[2:])
