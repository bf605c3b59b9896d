"""Weights in bfloat16 or float16: their step is taken in float32, and what does not fit is kept.

A step of 1e-5 on a weight of 0.5 is lost in bfloat16, where the next number is 0.004 away. Carrying the
penalty's share alone would be worse: it would no longer be balanced by the gradient's, which is lost too. So
for one step the optimizer gets the weights in float32 in place of the parameter. Its own buffers stay in
float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch

from pondera.torch.bounds.entries import Bounded

RESIDUAL: Final = "pondera_residual"  # of a parameter's state: weights less their rounding
BITS: Final = (
    "pondera_bits"  # of a saved state: float32 tensors as the parameter's dtype, bit for bit
)


def enter(optimizer: torch.optim.Optimizer, entry: Bounded) -> None:
    """Put float32 weights, made at the first call of a step, in the parameter's place."""
    parameter = entry.parameter
    if entry.acting is parameter:
        state = _widened(optimizer, parameter)
        master = parameter.detach().float()
        if RESIDUAL in state:
            master = master + state[RESIDUAL]
        entry.acting = torch.nn.Parameter(master, requires_grad=parameter.requires_grad)
    acting = entry.acting
    if parameter.grad is not None:
        acting.grad = parameter.grad.float()
    optimizer.state[acting] = optimizer.state[
        parameter
    ]  # one dictionary: what is made there is here
    entry.group["params"][entry.place] = acting


def leave(optimizer: torch.optim.Optimizer, entry: Bounded) -> None:
    """Put the parameter back, with the float32 weights rounded into it."""
    parameter, acting = entry.parameter, entry.acting
    if acting is parameter:
        return
    entry.group["params"][entry.place] = parameter
    if acting in optimizer.state:
        optimizer.state[parameter] = optimizer.state.pop(acting)
    parameter.copy_(acting)


def drop(optimizer: torch.optim.Optimizer, entry: Bounded) -> None:
    """Put the parameter back as it was before a step that failed."""
    entry.group["params"][entry.place] = entry.parameter
    if entry.acting in optimizer.state:
        optimizer.state[entry.parameter] = optimizer.state.pop(entry.acting)


def keep_rest(optimizer: torch.optim.Optimizer, entry: Bounded) -> None:
    """Remember what the rounding took away."""
    rest = entry.acting.detach() - entry.parameter.detach().float()
    optimizer.state[entry.parameter][RESIDUAL] = rest


def _widened(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> dict[str, Any]:
    """The parameter's state with its buffers in float32: as they were saved, if they were."""
    if parameter not in optimizer.state:
        return {}
    state = optimizer.state[parameter]
    saved = state.pop(BITS, {})
    for key, entry in state.items():
        if key in saved:
            bits = saved[key].clone().view(torch.float32)
            state[key] = bits.reshape(entry.shape)
        elif isinstance(entry, torch.Tensor) and entry.dtype == parameter.dtype:
            state[key] = entry.float()
    return state


def narrow(optimizer: torch.optim.Optimizer, entries: Iterable[Bounded]) -> None:
    """Give the buffers back the dtypes that PyTorch gives them."""
    for entry in (e for e in entries if e.is_low):
        state = optimizer.state.get(entry.parameter, {})
        state.pop(RESIDUAL, None)
        state.pop(BITS, None)
        for key, kept in state.items():
            if _is_wide(key, kept):
                state[key] = kept.to(entry.parameter.dtype)


def packed(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any], entries: Iterable[Bounded]
) -> None:
    """Let float32 buffers survive `load_state_dict`, which casts them to the parameter's dtype."""
    places = {
        id(parameter): place
        for group, numbered in zip(optimizer.param_groups, saved["param_groups"], strict=True)
        for parameter, place in zip(group["params"], numbered["params"], strict=True)
    }
    for entry in (e for e in entries if e.is_low):
        place, dtype = places[id(entry.parameter)], entry.parameter.dtype
        state = saved["state"].get(place, {})
        wide = {key: kept for key, kept in state.items() if _is_wide(key, kept)}
        if wide:
            bits = {key: kept.contiguous().reshape(-1).view(dtype) for key, kept in wide.items()}
            rounded = {key: kept.to(dtype) for key, kept in wide.items()}
            saved["state"][place] = {**state, **rounded, BITS: bits}


def _is_wide(key: str, kept: Any) -> bool:
    return isinstance(kept, torch.Tensor) and kept.dtype == torch.float32 and key != "step"
