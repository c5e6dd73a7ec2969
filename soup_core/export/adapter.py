"""A soup as an adapter of peft over its base: the ingredients' factors side by side, exactly, or cut to a rank.

Averaging factors is not averaging weights: the mean of B A is not the mean of B times the mean of A. Side by side they are:
c₁ B₁ A₁ + c₂ B₂ A₂ = [c₁ B₁, c₂ B₂] · [A₁; A₂].
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soup_core import checkpoints
from soup_core.checkpoints import Checkpoint, adapters
from soup_core.errors import CheckpointError, SoupError
from soup_core.export.export import Export
from soup_core.export.files import weights
from soup_core.runtime.files import listed, write_together
from soup_core.soup import Soup
from soup_core.weight_space.low_rank import Product, approximated, cut, joined
from soup_core.zoo import BASE, Zoo

WAYS = ("concat", "svd")
WHOLE = "export the whole model instead, without --adapter"


@dataclass(frozen=True, eq=False)
class SoupAdapter:
    """A soup's difference from its base, as peft loads it.

    `config` is adapter_config.json's content, `tensors` the weights' file. `errors` gives, by layer, the Frobenius norm of
    what was cut off over that of the difference, 0 where nothing was; `error` is the same of all layers together.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    errors: Mapping[str, float]
    error: float

    @property
    def rank(self) -> int:
        """The largest rank of a layer."""
        return max(int(rank) for rank in (self.config["r"], *self.config["rank_pattern"].values()))


def export_adapter(export: Export, folder: Path, *, way: str = "concat", rank: int | None = None) -> SoupAdapter:
    """Write a soup as an adapter into a folder that peft loads, both files or none; the weights' file holds the recipe.

    Raises SoupError as `soup_adapter` does, for a folder of the zoo's own adapters, and where the disk is full.
    """
    members = export.zoo.by_name.values()
    if folder.resolve() in {place.resolve() for each in members for place in (each.file, each.file.parent)}:
        raise SoupError(
            f"{folder} holds a checkpoint of the zoo {export.zoo.name}; export the adapter to another folder."
        )
    made = soup_adapter(export.zoo, export.soup, way=way, rank=rank)
    text = (json.dumps(made.config, indent=2, sort_keys=True) + "\n").encode()
    writers = {
        folder / adapters.WEIGHTS[0]: checkpoints.writer(made.tensors, {"soup_core": export.recipe}),
        folder / adapters.CONFIG: lambda path: path.write_bytes(text),
    }
    write_together(writers, checkpoints.size_of(made.tensors) + len(text))
    return made


def soup_adapter(zoo: Zoo, soup: Soup, *, way: str = "concat", rank: int | None = None) -> SoupAdapter:
    """A soup as an adapter over its base: "concat" joins the ingredients' factors, "svd" keeps the best of a rank.

    Joined factors give the soup exactly, with the sum of the ranks; they need ingredients that are LoRA adapters and
    coefficients that sum to one, since what is left over would be a share of the base itself, of full rank. The cut takes
    any soup of a zoo with a base. Layers that were trained whole are held whole. Raises SoupError where the soup cannot
    be said so, with the reason.
    """
    if way not in WAYS:
        raise SoupError(f"An adapter is made by one of {', '.join(WAYS)}; found {way!r}.")
    if (rank is None) == (way == "svd") or (rank is not None and rank < 1):
        raise SoupError('A rank of at least 1 goes with "svd"; joined factors ("concat") have the sum of the ranks.')
    base, network = _base(zoo), zoo.reference
    theta = weights(zoo, soup)
    products: dict[str, Product] = {}
    whole: set[str] = set()
    biases: list[str] = []
    for name in zoo.tensors:
        if not _differs(zoo, soup, base, name):
            continue
        module, _, part = name.rpartition(".")
        if part == "weight" and _takes_factors(network, module) and not _is_replaced(zoo, soup, name):
            products[module] = _product(zoo, soup, base, theta, name, rank)
        elif part == "bias":
            biases.append(name)
        else:
            whole.add(module)
    whole = {module for module in whole if not any(module != other and _inside(module, other) for other in whole)}
    biases = [name for name in biases if not any(_inside(name, module) for module in whole)]
    _check(network, products, whole)
    return _assembled(zoo, network, theta, products, sorted(whole), biases)


def _base(zoo: Zoo) -> Checkpoint:
    """What the zoo's adapters lie over, else the zoo's own base."""
    for each in zoo.ingredients:
        if isinstance(each.checkpoint, adapters.Merged):
            return each.checkpoint.base
    if zoo.base:
        return zoo.base.checkpoint
    raise SoupError(f"An adapter is a difference from a base, and the zoo {zoo.name} has none; {WHOLE}.")


def _differs(zoo: Zoo, soup: Soup, base: Checkpoint, name: str) -> bool:
    """Whether a soup's tensor is another than its base's, by what its ingredients hold there."""
    coefficients = soup.coefficients_for(name)
    if name in zoo.buffers:
        if soup.batch_norm == "re-estimated" and zoo.tensors[name].is_floating_point():
            return True
    elif not _sums_to_one(coefficients):
        return True
    return any(_changes(zoo, base, member, name) for member in coefficients)


def _changes(zoo: Zoo, base: Checkpoint, member: str, name: str) -> bool:
    if member == BASE:
        return False
    info = zoo.by_name[member].checkpoint.tensors[name]
    if isinstance(info, adapters.MergedTensor):
        return info.replaced or info.added is not None
    return name not in base.tensors or not torch.equal(zoo.by_name[member].checkpoint.read(name), base.read(name))


def _is_replaced(zoo: Zoo, soup: Soup, name: str) -> bool:
    """Whether an ingredient's adapter holds the tensor whole, so that the soup's must too."""
    infos = (zoo.by_name[member].checkpoint.tensors[name] for member in soup.coefficients_for(name))
    return any(isinstance(info, adapters.MergedTensor) and info.replaced for info in infos)


def _sums_to_one(coefficients: Mapping[str, float]) -> bool:
    return math.isclose(math.fsum(coefficients.values()), 1.0, abs_tol=1e-9)


def _product(
    zoo: Zoo, soup: Soup, base: Checkpoint, theta: Mapping[str, Tensor], name: str, rank: int | None
) -> Product:
    """A weight's difference from the base's: the ingredients' factors joined, or, where a rank is given, the best of it."""
    try:
        product = _joined(zoo, soup, name)
    except SoupError:
        if rank is None:
            raise
        return approximated((theta[name].double() - base.read(name).double()).flatten(1), rank)
    return product if rank is None else cut(product, rank)


def _joined(zoo: Zoo, soup: Soup, name: str) -> Product:
    """The ingredients' factors of a weight side by side. Raises SoupError where these are not the whole difference."""
    coefficients = soup.coefficients_for(name)
    total = math.fsum(coefficients.values())
    reason = ""
    if not _sums_to_one(coefficients):
        reason = f"the coefficients sum to {total:.6g}, not to 1, which leaves a share of the base itself, of full rank"
    factors = []
    for member, coefficient in coefficients.items():
        checkpoint = zoo.by_name[member].checkpoint
        info = checkpoint.tensors[name]
        if isinstance(checkpoint, adapters.Merged) and isinstance(info, adapters.MergedTensor):
            if info.added and info.added.magnitude:
                reason = f"{member} is a DoRA adapter, whose difference from the base is of full rank"
            elif info.added:
                with checkpoint.adapter.reader() as read:
                    factors.append((coefficient, *checkpoint.factors(name, read)))
        elif member != BASE:
            reason = f"{member} is no adapter but a whole model"
    if reason:
        raise SoupError(
            f"{name} cannot be joined from factors: {reason}. Take --adapter svd with a --rank, or {WHOLE}."
        )
    return joined(factors)


def _takes_factors(network: nn.Module, module: str) -> bool:
    """Whether peft adapts a layer so that it is the merged one exactly."""
    layer = network.get_submodule(module)
    if isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear):  # within torch's attention, never called
        return False
    try:
        adapters.is_transposed(layer, module, "")
    except CheckpointError:
        return False
    return True


def _inside(name: str, module: str) -> bool:
    return not module or name == module or name.startswith(f"{module}.")


def _check(network: nn.Module, products: Mapping[str, Product], whole: set[str]) -> None:
    for module in whole:
        if not module or any(_inside(target, module) for target in products):
            owned = [name for name, _ in network.get_submodule(module).named_parameters(recurse=False)]
            where = f"of {module}" if module else "of the network itself"
            raise SoupError(
                f"{listed(owned)} {where} differ from the base's, and an adapter holds layers, not single parameters; {WHOLE}."
            )
    if not products:
        raise SoupError(f"No layer differs from the base's by a product of factors, as an adapter must; {WHOLE}.")


def _assembled(
    zoo: Zoo,
    network: nn.Module,
    theta: Mapping[str, Tensor],
    products: Mapping[str, Product],
    whole: list[str],
    biases: list[str],
) -> SoupAdapter:
    tensors: dict[str, Tensor] = {}
    for module, product in products.items():
        tensors |= _named(network.get_submodule(module), module, product)
    held = {name: theta[name] for name in zoo.tensors if any(_inside(name, module) for module in whole)}
    bias = "none"
    if biases:
        bias = "lora_only" if all(name.rpartition(".")[0] in products for name in biases) else "all"
        for name in zoo.tensors:
            module, _, part = name.rpartition(".")
            if part == "bias" and name not in held and (bias == "all" or module in products):
                held[f"{module}.base_layer.bias" if module in products else name] = theta[name]
    tensors |= {name: tensor.clone() for name, tensor in held.items()}
    ranks = {module: product.rank for module, product in products.items()}
    usual = Counter(ranks.values()).most_common(1)[0][0]
    # A pattern is also found at the end of longer names, so that where one is needed all are given, the longest first.
    patterns = {re.escape(module): ranks[module] for module in sorted(ranks, key=len, reverse=True)}
    patterns = patterns if set(ranks.values()) != {usual} else {}
    config = {
        "peft_type": "LORA",
        "r": usual,
        "lora_alpha": usual,  # the scale is in the factors
        "rank_pattern": patterns,
        "alpha_pattern": patterns,
        "target_modules": _targets(network, list(ranks)),
        "modules_to_save": whole or None,
        "bias": bias,
        "base_model_name_or_path": _base_named(zoo),
        "fan_in_fan_out": all(type(network.get_submodule(module)).__name__ == "Conv1D" for module in ranks),
        "lora_dropout": 0.0,
        "inference_mode": True,
        "task_type": None,
    }
    errors = {module: math.sqrt(each.lost / each.whole) if each.whole else 0.0 for module, each in products.items()}
    total = math.fsum(each.whole for each in products.values())
    lost = math.fsum(each.lost for each in products.values())
    named = {f"{adapters.PREFIX}{name}": tensor for name, tensor in tensors.items()}
    return SoupAdapter(config, named, errors, math.sqrt(lost / total) if total else 0.0)


def _named(layer: nn.Module, module: str, product: Product) -> dict[str, Tensor]:
    """The two factors under peft's names, in the shapes of the layer's kind."""
    left, right = product.left.float(), product.right.float()
    a, b = (left.T, right.T) if adapters.is_transposed(layer, module, "") else (right, left)
    if isinstance(layer, nn.Embedding):
        return {f"{module}.lora_embedding_A": a.contiguous(), f"{module}.lora_embedding_B": b.contiguous()}
    if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        a = a.reshape(len(a), *layer.weight.shape[1:])
        b = b.reshape(*b.shape, *(1 for _ in layer.kernel_size))
    return {f"{module}.lora_A.weight": a.contiguous(), f"{module}.lora_B.weight": b.contiguous()}


def _targets(network: nn.Module, modules: list[str]) -> list[str] | str:
    """What peft finds exactly these modules by: the last parts of their names, or a pattern of their whole names."""
    last = {module.rpartition(".")[2] for module in modules}
    found = [name for name, _ in network.named_modules() if name.rpartition(".")[2] in last]
    return sorted(last) if set(found) == set(modules) else "|".join(map(re.escape, sorted(modules)))


def _base_named(zoo: Zoo) -> str | None:
    """The base's name as all the zoo's adapters have it, None where they do not agree."""
    configs = [each.checkpoint.config for each in zoo.ingredients if isinstance(each.checkpoint, adapters.Merged)]
    names = {config.base_model_name_or_path for config in configs}
    return names.pop() if len(names) == 1 else None
