"""Modules that convert themselves in their forward: without numbers, tensors are exchanged, not swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def exchanged() -> Iterator[None]:
    """`module.to(…)` puts converted tensors in the places of the old ones; as it was behind."""
    before = nn.Module._apply
    nn.Module._apply = _exchange  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module._apply = before  # type: ignore[method-assign]


def _exchange(
    module: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
) -> nn.Module:
    for child in module.children() if recurse else ():
        _exchange(child, convert)
    for held in (module._parameters, module._buffers):
        for name, tensor in held.items():
            if tensor is not None:
                held[name] = convert(tensor)  # type: ignore[assignment]
    return module
