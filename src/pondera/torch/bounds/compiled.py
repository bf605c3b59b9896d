"""The same proximal steps by the compiled kernel: float32 weights in the host's memory, in one pass over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from pondera.core.penalties import L1, L2, ElasticNet, GroupLasso, Groups, SparseGroupLasso
from pondera.kernel import steps
from pondera.kernel.rules import Prox, Tensors
from pondera.torch.bounds.metric import MEMORY, Group, second_of

_ROWS: Final = Groups.rows()
State = Mapping[str, Any]
_PLAIN: Final = (torch.Tensor, torch.nn.Parameter)
GROUPED: Final = (GroupLasso, SparseGroupLasso)
ADAM: Final = ("Adam.step", "AdamW.step")


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


def fits(bound: Any, step: str, group: Group, w: torch.Tensor, state: State) -> bool:
    """Whether the kernel can take the proximal step of a parameter.

    Args:
        bound: its penalty.
        step: name of the optimizer's step, as in "Adam.step".
        group: its param group.
        w: its weights.
        state: what the optimizer keeps for it.
    """
    if not has_form(bound, step) or not steps.available() or fault(w, w.numel()):
        return False
    second = state.get(second_of(group)) if step in ADAM else None  # None before the first step
    return second is None or not fault(second, w.numel())


def has_form(bound: Any, step: str) -> bool:
    """Whether the kernel has the prox of a bound in the metric of an optimizer's step."""
    if step == "SGD.step":
        return isinstance(bound, (L1, L2, ElasticNet))
    return step in ADAM and prox_of(bound) is not None


def fault(tensor: torch.Tensor, count: int) -> str:
    """Why the kernel cannot read a tensor of so many weights: a predicate, empty if it can.

    Asked at every step: a module that is moved or converted changes the memory behind a tensor.
    """
    if type(tensor) not in _PLAIN:
        return f"of the class {type(tensor).__name__}"
    if tensor.dtype is not torch.float32:
        return str(tensor.dtype)
    if not tensor.is_cpu:
        return f"on {tensor.device}"
    if tensor.layout is not torch.strided or not tensor.is_contiguous() or tensor.is_neg():
        return "not contiguous"
    if tensor.numel() != count:
        return f"of {tensor.numel()} numbers, not {count}"
    return "" if count and tensor.ndim else "empty or a scalar"


def sgd(bound: Any, weights: Sequence[torch.Tensor], step: float) -> None:
    """The proximal step with one step for all weights."""
    told = [Tensors(w.data_ptr(), columns=w.numel()) for w in weights]
    steps.sgd_prox(told, step=step, prox=_need(bound))


def adam(
    bound: Any, group: Group, weights: Sequence[torch.Tensor], states: Sequence[State]
) -> None:
    """The proximal step in Adam's metric.

    Args:
        bound: the penalty of all these parameters.
        group: their param group.
        weights: what the optimizer proposes for each.
        states: what it keeps for each; stepped equally often.
    """
    prox = _need(bound)
    told = [addresses(w, state, group) for w, state in zip(weights, states, strict=True)]
    options = adam_options(group, round(float(states[0]["step"])))
    options["beta2"] = options.pop("betas")[1]
    steps.adam_prox(told, prox=prox, **options)


def addresses(
    w: torch.Tensor, state: State, group: Group, gradient: torch.Tensor | None = None
) -> Tensors:
    """What the kernel is told of a parameter under Adam; without a gradient, for the prox alone."""
    rows, first, grad = w.shape[0], 0, 0
    peak = state["max_exp_avg_sq"].data_ptr() if group.get("amsgrad") else 0
    if gradient is not None:
        grad, first = gradient.data_ptr(), state["exp_avg"].data_ptr()
    second, columns = state["exp_avg_sq"].data_ptr(), w.numel() // rows
    return Tensors(w.data_ptr(), grad, first, second, peak, rows, columns)


def adam_options(group: Group, count: int) -> dict[str, Any]:
    """Adam's own numbers for the step of this count."""
    return {
        "count": count,
        "lr": float(group["lr"]),
        "betas": (float(group["betas"][0]), float(group["betas"][1])),
        "eps": float(group["eps"]),
        "young": count <= MEMORY,
    }


def _need(bound: Any) -> Prox:
    prox = prox_of(bound)
    if prox is None:
        raise AssertionError("a bound that fitted the kernel when its pieces were cut")
    return prox
