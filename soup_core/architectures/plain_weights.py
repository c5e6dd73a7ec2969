"""A network without parametrizations: plain weights where torch.nn.utils had it compute them from parts.

Weight and spectral normalisation, orthogonal weights, and whatever else torch.nn.utils.parametrize has registered.
"""

from torch import nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

FOLDED = "fold_parametrizations"  # the option of an architecture in zoo.toml


def without_parametrizations(module: nn.Module) -> nn.Module:
    """The same module, changed in place, with each parametrised weight as the parameter that its parts now make."""
    was_training = module.training
    module.eval()  # spectral normalisation goes on estimating otherwise
    for layer in module.modules():
        if parametrize.is_parametrized(layer):
            registered = layer.parametrizations
            assert isinstance(registered, nn.ModuleDict)
            for name in list(registered):
                parametrize.remove_parametrizations(layer, name)
        for hook in list(layer._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(layer, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(layer, hook.name)
    return module.train(was_training)
