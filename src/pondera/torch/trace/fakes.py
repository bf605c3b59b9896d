"""Stand-ins without numbers: of parameters, buffers and examples; nothing of the model's is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import is_lazy

from pondera.core.errors import DomainError
from pondera.model.inputs import Input


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
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        parameters = {name: _like(p, p.requires_grad) for name, p in model.named_parameters()}
        buffers = {name: _like(b, False) for name, b in model.named_buffers()}
    return Stand(mode, parameters, buffers)


def copies(model: nn.Module) -> Stand:
    """Parameters as they are and copies of buffers, to be run in earnest on the CPU."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise DomainError(
                f"plan: execute=True needs numbers; got {name!r} on the meta device. "
                "Call module.to_empty(device='cpu') first, or leave execute out."
            )
    parameters = {
        name: p.detach().cpu().requires_grad_(p.requires_grad)
        for name, p in model.named_parameters()
    }
    buffers = {name: b.detach().cpu().clone() for name, b in model.named_buffers()}
    return Stand(None, parameters, buffers)


def _like(tensor: torch.Tensor, trained: bool) -> torch.Tensor:
    if is_lazy(tensor):
        raise DomainError(
            "plan: a lazy module has no shapes yet. Run it once on a batch, or pass execute=True."
        )
    made = torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="cpu")
    return made.requires_grad_(trained) if trained else made


def faked_example(example: Any, mode: FakeTensorMode | None) -> Any:
    """An example of tensors without numbers; an `Input` becomes one of its shape and dtype."""
    if isinstance(example, Input):
        dtype = getattr(torch, example.dtype)
        return torch.empty(example.shape, dtype=dtype) if mode else _drawn(example, dtype)
    if isinstance(example, torch.Tensor):
        return _stand(example) if mode else example.detach().cpu().clone()
    if isinstance(example, dict):
        return type(example)({key: faked_example(e, mode) for key, e in example.items()})
    if isinstance(example, tuple) and hasattr(example, "_fields"):
        return type(example)(*(faked_example(e, mode) for e in example))
    if isinstance(example, (list, tuple)):
        return type(example)(faked_example(entry, mode) for entry in example)
    return example


def _stand(tensor: torch.Tensor) -> torch.Tensor:
    made = torch.empty(tuple(tensor.shape), dtype=tensor.dtype, device="cpu")
    return made.requires_grad_(tensor.requires_grad) if tensor.requires_grad else made


def _drawn(example: Input, dtype: torch.dtype) -> torch.Tensor:
    floats = dtype.is_floating_point or dtype.is_complex
    return (
        torch.randn(example.shape, dtype=dtype)
        if floats
        else torch.zeros(example.shape, dtype=dtype)
    )
