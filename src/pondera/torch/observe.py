"""One forward pass, watched: which weight is used when, what feeds it, and what the rest is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn

from pondera.model.graph import Network, Role
from pondera.torch.flow import cloned, tensors_of
from pondera.torch.watch import Watch, Watcher

NORM_MODULES: Final = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def observe(model: nn.Module, example: Any, watcher: Watcher | None = None) -> Network:
    """What one forward pass of the model on an example shows.

    Args:
        model: any module; run in the mode it is in.
        example: tuple (positional), dict (keyword arguments) or the one input.
        watcher: called at each weight use with (index, use, input, output).

    Returns:
        The network.
    """
    args, kwargs = call_arguments(cloned(example))
    with uncompiled(), Watch(model, [args, kwargs], watcher) as watch:
        output = model(*args, **kwargs)
    first = next(iter(tensors_of(output)), None)
    last = watch.flow(first if first is not None else torch.empty(0))
    parameters = dict(model.named_parameters())
    used = {use.name for use in watch.uses}
    return Network(
        uses=tuple(watch.uses),
        others={n: r for n, r in _other_roles(model, watch).items() if n not in used},
        shapes={name: tuple(p.shape) for name, p in parameters.items()},
        last=last.feed(),
        lookups=frozenset(watch.lookups),
        frozen=frozenset(name for name, p in parameters.items() if not p.requires_grad),
    )


def call_arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and keyword arguments."""
    if isinstance(example, dict):
        return (), example
    return (tuple(example), {}) if isinstance(example, tuple) else ((example,), {})


@contextmanager
def uncompiled() -> Iterator[None]:
    """Compiled parts run as they are written: a graph would hide its operations."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _other_roles(model: nn.Module, watch: Watch) -> dict[str, Role]:
    """Roles of what is not summed over: by the pass, then by module type."""
    names = {id(p): name for name, p in model.named_parameters()}
    roles = dict[str, Role]()
    for module, leaf, parameter in _owned(model):
        name = names[id(parameter)]
        if isinstance(module, NORM_MODULES):
            roles[name] = "norm scale" if leaf == "weight" else "norm shift"
        elif name in watch.biases:
            roles[name] = "bias"
        else:
            roles[name] = "other" if name in watch.reached else "unused"
    return roles


def _owned(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Every parameter with its module and the name it has there."""
    for module in model.modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            yield module, leaf, parameter
