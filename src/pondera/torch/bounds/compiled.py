"""The same proximal steps by the compiled kernel: float32 weights in the host's memory, in one pass over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from pondera.core.penalties import L1, L2, ElasticNet, GroupLasso, Groups, SparseGroupLasso
from pondera.kernel import steps
from pondera.kernel.rules import Prox, Tensors
from pondera.torch.bounds.entries import Bounded
from pondera.torch.bounds.metric import MEMORY, second_of

_ROWS: Final = Groups.rows()
State = Mapping[str, Any]
_ADAM: Final = ("Adam.step", "AdamW.step")


def prox_of(bound: Any) -> Prox | None:
    """The bound as the kernel is told it; None if it has no form for it."""
    if isinstance(bound, L1):
        return Prox(l1=bound.strength)
    if isinstance(bound, L2):
        return Prox(l2=bound.strength)
    if isinstance(bound, ElasticNet):
        return Prox(l1=bound.l1, l2=bound.l2)
    if isinstance(bound, GroupLasso) and bound.groups == _ROWS:
        return Prox(group=bound.strength, size_weighted=bound.size_weighted)
    if isinstance(bound, SparseGroupLasso) and bound.groups == _ROWS:
        return Prox(l1=bound.l1, group=bound.l21, size_weighted=bound.size_weighted)
    return None


def fits(bound: Any, step: str, group: dict[str, Any], w: torch.Tensor, state: State) -> bool:
    """Whether the kernel can take the proximal step of a parameter.

    Args:
        bound: its penalty.
        step: name of the optimizer's step, as in "Adam.step".
        group: its param group.
        w: its weights.
        state: what the optimizer keeps for it.
    """
    prox = prox_of(bound)
    if prox is None or not steps.available() or not _is_plain(w):
        return False
    if step == "SGD.step":
        return prox.group == 0 and not isinstance(bound, (GroupLasso, SparseGroupLasso))
    return step in _ADAM and _is_plain(state[second_of(group)])


def _is_plain(tensor: torch.Tensor) -> bool:
    return (
        tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.is_contiguous()
        and tensor.ndim > 0
        and tensor.numel() > 0
    )


def sgd(bound: Any, weights: Sequence[torch.Tensor], step: float) -> None:
    """The proximal step with one step for all weights."""
    told = [Tensors(w.data_ptr(), columns=w.numel()) for w in weights]
    steps.sgd_prox(told, step=step, prox=_need(bound))


def adam(
    entries: Sequence[Bounded], weights: Sequence[torch.Tensor], states: Sequence[State]
) -> bool:
    """The proximal step in Adam's metric; whether it was taken.

    It is not while a weight has never had a gradient, in the first steps: see `metric`.

    Args:
        entries: parameters under one bound, in one param group, stepped equally often.
        weights: what the optimizer proposes for each.
        states: what it keeps for each.
    """
    group = entries[0].group
    key, count = second_of(group), round(float(states[0]["step"]))
    if not _are_grown(entries, states, key, count):
        return False
    amsgrad = bool(group.get("amsgrad"))
    told = [
        Tensors(
            w.data_ptr(),
            second=state["exp_avg_sq"].data_ptr(),
            peak=state[key].data_ptr() if amsgrad else 0,
            rows=(rows := w.shape[0]),
            columns=w.numel() // rows,
        )
        for w, state in zip(weights, states, strict=True)
    ]
    beta2, prox = float(group["betas"][1]), _need(entries[0].bound)
    options: dict[str, Any] = {"beta2": beta2, "eps": float(group["eps"]), "prox": prox}
    steps.adam_prox(told, count=count, lr=float(group["lr"]), **options)
    return True


def _are_grown(entries: Sequence[Bounded], states: Sequence[State], key: str, count: int) -> bool:
    """Whether every weight has had a gradient, or had time for one: looked at until it is so."""
    if count <= MEMORY:
        for entry, state in zip(entries, states, strict=True):
            entry.grown = entry.grown or bool((state[key] != 0).all())
        return all(entry.grown for entry in entries)
    return True


def _need(bound: Any) -> Prox:
    prox = prox_of(bound)
    if prox is None:
        raise AssertionError("a bound that fitted the kernel when its pieces were cut")
    return prox
