"""Stand-ins without numbers: of parameters, buffers and examples; nothing of the model's is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.parameter import is_lazy

from pondera.core.errors import DomainError
from pondera.model.inputs import Input
from pondera.torch.trace.trees import mapped


@dataclass
class Stand:
    """What stands for a model's tensors.

    Args:
        mode: the mode in which they have no numbers; None where they are copies with numbers.
        parameters: name → stand-in, tied ones by one name.
        buffers: name → stand-in.
    """

    mode: FakeTensorMode | None
    parameters: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """All of them, as `functional_call` takes them."""
        return {**self.parameters, **self.buffers}


def stand_ins(model: nn.Module) -> Stand:
    """Tensors without numbers, on the CPU, for all parameters and buffers."""
    _refuse_lazy(model)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        parameters = {name: _like(p, p.requires_grad) for name, p in model.named_parameters()}
        buffers = {name: _like(b, False) for name, b in model.named_buffers()}
    return Stand(mode, parameters, buffers)


def copies(model: nn.Module) -> Stand:
    """Copies of parameters and buffers, to be run in earnest on the CPU."""
    _refuse_lazy(model)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise DomainError(
                f"plan: execute=True needs numbers; got {name!r} on the meta device. "
                "Call module.to_empty(device='cpu') first, or leave execute out."
            )
    parameters = {
        name: p.detach().cpu().clone().requires_grad_(p.requires_grad)
        for name, p in model.named_parameters()
    }
    buffers = {name: b.detach().cpu().clone() for name, b in model.named_buffers()}
    return Stand(None, parameters, buffers)


def _refuse_lazy(model: nn.Module) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise DomainError(
                f"plan: every parameter must have a shape; got {name!r} of a lazy module. "
                "Run the model once on a batch, then plan."
            )


def _like(tensor: torch.Tensor, trained: bool) -> torch.Tensor:
    made = torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="cpu")
    return made.requires_grad_(trained) if trained else made


def faked_example(example: Any, mode: FakeTensorMode | None) -> Any:
    """An example of tensors without numbers; an `Input` becomes one of its shape and dtype."""
    if mode is None:
        return mapped(example, _copied)
    return mapped(example, stand_in)


def stand_in(tensor: torch.Tensor | Input) -> torch.Tensor:
    """A tensor without numbers, on the CPU; made inside the mode that makes them so."""
    if isinstance(tensor, Input):
        return torch.empty(tensor.shape, dtype=getattr(torch, tensor.dtype))
    if isinstance(tensor, FakeTensor):
        return tensor
    made = torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="cpu")
    return made.requires_grad_(tensor.requires_grad) if tensor.requires_grad else made


def _copied(tensor: torch.Tensor | Input) -> torch.Tensor:
    if isinstance(tensor, torch.Tensor):
        return tensor.detach().cpu().clone()
    dtype = getattr(torch, tensor.dtype)
    drawn = dtype.is_floating_point or dtype.is_complex
    return (
        torch.randn(tensor.shape, dtype=dtype) if drawn else torch.zeros(tensor.shape, dtype=dtype)
    )
