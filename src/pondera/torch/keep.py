"""What a look at a model must not move: modes, buffers, gradients and the global generators."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; modes and buffers as before behind, also after an error."""
    with restored(model):
        model.eval()
        yield


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """Training and evaluation modes as before behind, also after an error."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """Modes, buffers and gradients as before behind, also after an error."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if not is_lazy(buffer)
    ]
    gradients = [(p, p.grad) for p in model.parameters() if not is_lazy(p)]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, gradient in gradients:
            parameter.grad = gradient
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                module._buffers[name] = buffer.copy_(before)


def predicted(model: nn.Module, inputs: torch.Tensor) -> Any:
    """What the model returns, without a graph; inputs are copied, for it may work in place."""
    try:
        with torch.no_grad():
            return model(inputs.clone())
    except RuntimeError:  # perhaps it differentiates on its way
        with torch.enable_grad():
            output = model(inputs.clone())
        return output.detach() if isinstance(output, torch.Tensor) else output


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """PyTorch's, NumPy's and Python's global generators begin at a seed; behind they are as before.

    Args:
        seed: 0 ≤ seed < 2³²; None leaves them where they are until then.
    """
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    if seed is not None:
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])
        if devices:
            torch.cuda.set_rng_state_all(devices)
