"""A network of convolutions with its BatchNorms folded into them and its activations done by the same kernel.

In evaluation mode a BatchNorm multiplies and shifts each channel by constants, so that a convolution with other weights
and a bias gives the same (Jacob et al. 2018, arXiv 1712.05877, section 3.2). The kernels are oneDNN's, which torch's own
compiler calls too; no compiler is needed for them.
"""

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

# Positions of a result up to which oneDNN is faster with images channel by channel: 162 against 48 GFLOP/s for 3×3 of 512
# channels at 2×2, where from 8×8 on channels last are as fast or faster.
SMALL_MAP = 16
ACTIVATIONS: Mapping[Any, str] = {nn.ReLU: "relu", nn.Hardswish: "hardswish", F.relu: "relu", torch.relu: "relu"}
ADDITIONS = (operator.add, operator.iadd, torch.add)


class FusedNetwork:
    """A network's forward pass with its convolutions fused; the weights stay in its module.

    After others are loaded there, call `refresh`. Raises ValueError for a network without a convolution that can be fused,
    and whatever torch.fx raises for one that it cannot trace.
    """

    def __init__(self, module: nn.Module) -> None:
        self._graph, self._convolutions = _fused(module)
        if not self._convolutions:
            raise ValueError("the network has no convolution that can be fused")

    def refresh(self) -> None:
        """Take over the weights that the module holds now."""
        for each in self._convolutions:
            each.refresh()

    def __call__(self, images: Tensor) -> Any:
        """What the network gives for N×C×H×W images."""
        return self._graph(images)


class _Convolution(nn.Module):
    """A convolution, the BatchNorm that follows it if any, an addition and an activation, as one step."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d | None, activation: str) -> None:
        super().__init__()
        self.of = (convolution, norm)  # in a tuple, since they are parts of the network already
        self.activation = activation
        self.adds_in_place = False
        self.geometry = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        self.weight = self.shift = torch.empty(0)
        self.packed: Tensor | None = None

    def refresh(self) -> None:
        convolution, norm = self.of
        bias = None if convolution.bias is None else convolution.bias.detach()
        self.weight, self.packed = convolution.weight.detach(), None
        if norm is None:
            self.shift = self.weight.new_zeros(len(self.weight)) if bias is None else bias
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = (norm.running_var + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight.detach()
        mean = norm.running_mean if bias is None else norm.running_mean - bias
        self.shift = -mean * scale if norm.bias is None else norm.bias.detach() - mean * scale
        self.weight = self.weight * scale.view(-1, 1, 1, 1)

    def forward(self, images: Tensor, other: Tensor | None = None) -> Tensor:
        """N×C×H×W to N×K×H'×W', plus `other` of that shape."""
        if self._has_small_map(images):
            return self._channel_by_channel(images, other)
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.geometry, list(images.shape))
        last = torch.channels_last
        arguments = (self.packed, self.shift, *self.geometry)
        images = images.contiguous(memory_format=last)
        found: Tensor
        if other is None:
            found = torch.ops.mkldnn._convolution_pointwise(images, *arguments, self.activation, [], None)
        else:
            activation = None if self.activation == "none" else self.activation
            in_place = self.adds_in_place and other.is_contiguous(memory_format=last)
            operation = (
                torch.ops.mkldnn._convolution_pointwise_ if in_place else torch.ops.mkldnn._convolution_pointwise
            )
            first = (other, images) if in_place else (images, other.contiguous(memory_format=last))
            found = operation.binary(*first, *arguments, "add", 1.0, activation, [], None)
        return found

    def _has_small_map(self, images: Tensor) -> bool:
        given = self.of[0]
        positions = images.shape[2] * images.shape[3] / (given.stride[0] * given.stride[1])
        return positions <= SMALL_MAP and given.groups == 1 and given.kernel_size != (1, 1)

    def _channel_by_channel(self, images: Tensor, other: Tensor | None) -> Tensor:
        padding, stride, dilation, groups = self.geometry
        if self.packed is None:
            self.packed = self.weight.contiguous()
        found = F.conv2d(images.contiguous(), self.packed, self.shift, stride, padding, dilation, groups)
        if other is not None:
            found += other
        if self.activation == "relu":
            found.relu_()
        elif self.activation == "hardswish":
            F.hardswish(found, inplace=True)
        return found.contiguous(memory_format=torch.channels_last)


MAKE_A_NEW_TENSOR = (_Convolution, nn.MaxPool2d)


class _Chain(NamedTuple):
    """Nodes of a graph that become one step, in their order; `other` is what is added, if anything."""

    nodes: tuple[fx.Node, ...]
    norm: nn.BatchNorm2d | None
    other: fx.Node | None
    activation: str


def _fused(module: nn.Module) -> tuple[fx.GraphModule, list[_Convolution]]:
    traced = fx.symbolic_trace(module)
    modules = dict(traced.named_modules())
    steps: list[_Convolution] = []
    for node in list(traced.graph.nodes):
        convolution = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(convolution, nn.Conv2d) or not _is_plain(convolution):
            continue
        chain = _chain(node, modules)
        steps.append(_Convolution(convolution, chain.norm, chain.activation))
        traced.add_submodule(name := f"fused_{len(steps)}", steps[-1])
        with traced.graph.inserting_before(chain.nodes[-1]):
            fused = traced.graph.call_module(name, (node.args[0], *([chain.other] if chain.other else [])))
        chain.nodes[-1].replace_all_uses_with(fused)
        for each in reversed(chain.nodes):
            traced.graph.erase_node(each)
    _add_in_place(traced)
    traced.recompile()
    return traced, steps


def _add_in_place(traced: fx.GraphModule) -> None:
    """Let a sum take the place of what is added, where a step or a pooling made that and nothing needs it any more."""
    modules = dict(traced.named_modules())
    order = {node: index for index, node in enumerate(traced.graph.nodes)}
    for node in traced.graph.nodes:
        step = _module_of(node, modules)
        if isinstance(step, _Convolution) and len(node.args) == 2:
            other = node.args[1]
            assert isinstance(other, fx.Node)
            step.adds_in_place = isinstance(_module_of(other, modules), MAKE_A_NEW_TENSOR) and all(
                user is node or (isinstance(_module_of(user, modules), _Convolution) and order[user] < order[node])
                for user in other.users
            )


def _is_plain(convolution: nn.Conv2d) -> bool:
    """Whether it computes what its class says, in float32, with padding in numbers and by zeros."""
    return (
        type(convolution) is nn.Conv2d
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and convolution.weight.dtype == torch.float32
        and not convolution._forward_hooks
        and not convolution._forward_pre_hooks
    )


def _chain(node: fx.Node, modules: Mapping[str, nn.Module]) -> _Chain:
    """What follows a convolution and is used by nothing else on the way."""
    nodes, norm, other, activation = [node], None, None, "none"
    if (then := _only_user(nodes[-1])) and _is_foldable(found := _module_of(then, modules)):
        assert isinstance(found, nn.BatchNorm2d)
        norm = found
        nodes.append(then)
    if (then := _only_user(nodes[-1])) and (addend := _addend(then, nodes[-1])) is not None:
        other = addend
        nodes.append(then)
    if then := _only_user(nodes[-1]):
        found = _module_of(then, modules)
        activation = ACTIVATIONS.get(then.target if found is None else type(found), "none")
        if activation == "none" or (other is not None and activation != "relu"):  # oneDNN has no other after a sum
            activation = "none"
        else:
            nodes.append(then)
    return _Chain(tuple(nodes), norm, other, activation)


def _is_foldable(module: nn.Module | None) -> bool:
    return type(module) is nn.BatchNorm2d and module.running_mean is not None and not module.training


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _module_of(node: fx.Node, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    return modules.get(str(node.target)) if node.op == "call_module" else None


def _addend(node: fx.Node, summand: fx.Node) -> fx.Node | None:
    """The other tensor of an addition of two, without a factor."""
    if node.op != "call_function" or node.target not in ADDITIONS or node.kwargs or len(node.args) != 2:
        return None
    others = [each for each in node.args if each is not summand]
    return others[0] if len(others) == 1 and isinstance(others[0], fx.Node) else None
