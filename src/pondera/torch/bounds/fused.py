"""The optimizer's own step and the proximal one together: the compiled kernel, in one pass over memory.

PyTorch's step runs as ever, but while it does, the parameters that the kernel has stepped show no gradient.
The state stays PyTorch's: a first step of its own makes it, the kernel advances it, any code can go on with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, Final

import torch
from torch.autograd.graph import increment_version

from pondera.core.errors import DomainError, MissingFramework
from pondera.kernel import library, steps
from pondera.kernel.rules import Tensors
from pondera.torch.bounds.compiled import (
    ADAM,
    GROUPED,
    adam_options,
    addresses,
    fault,
    fits,
    has_form,
    prox_of,
)
from pondera.torch.bounds.entries import Bounded
from pondera.torch.bounds.metric import CARRIED, Group, Metric, Number, decouples, own_step

_FIRST: Final = "PyTorch makes the optimizer's state in a first step of its own"
_SGD: Final = "SGD.step"
_EMPTY: Final = MappingProxyType(dict[str, Any]())
State = Any  # dictionary of what an optimizer keeps for a parameter
Lot = Sequence[tuple[Bounded, State]]


def need_wish(fused: object) -> None:
    """Refuse what is not True, False or None."""
    if fused is not None and not isinstance(fused, bool):
        raise DomainError(
            f"regularize: fused must be True, False or None; got fused={fused!r}. Leave it out: the compiled "
            "kernel steps what it can."
        )


def need(entry: Bounded, optimizer: torch.optim.Optimizer) -> None:
    """Refuse a parameter for which the fused step was asked, and cannot be had."""
    if entry.plain.get("fused") is not True:
        return
    reason = barred(entry, optimizer)
    if reason and not steps.available():
        raise MissingFramework(
            f"regularize: fused=True needs the compiled kernel; got {library.running().why}. Leave fused out: "
            "PyTorch then takes the step, and the proximal one follows."
        )
    if reason:
        raise DomainError(
            f"regularize: fused=True cannot be had for {entry.name!r}: {reason}. Leave fused out: "
            "the compiled kernel steps what it can."
        )


def barred(entry: Bounded, optimizer: torch.optim.Optimizer) -> str:
    """Why the kernel does not step a parameter, whatever its gradient: a clause, empty if it does."""
    w, step = entry.parameter, own_step(optimizer)
    if entry.plain.get("fused") is False:
        return "fused=False was asked for"
    if not steps.available():
        return f"there is no compiled kernel ({library.running().why})"
    if step != _SGD and step not in ADAM:
        return f"the kernel steps SGD, Adam and AdamW, not {type(optimizer).__name__}"
    if entry.way != "metric":
        return f"the kernel takes proximal steps, and the way is {entry.way!r}"
    if not has_form(entry.base, step):
        rows = " but on rows" if isinstance(entry.base, GROUPED) and step in ADAM else ""
        return (
            f"the kernel has no {type(entry.base).__name__} under {type(optimizer).__name__}{rows}"
        )
    options = [o for o in ("capturable", "differentiable") if entry.group.get(o)]
    if options:
        return f"the optimizer has {options[0]}=True"
    found = "made in inference mode" if w.is_inference() else fault(w, w.numel())
    return f"the weights are {found}" if found else ""


def delayed(entry: Bounded, state: State, *, scaled: bool) -> str:
    """Why the kernel leaves one step of a parameter to PyTorch: a clause, empty if it does not.

    Args:
        entry: not barred.
        state: what the optimizer keeps for it.
        scaled: whether a gradient scaler has left its work to the optimizer.
    """
    w, group = entry.parameter, entry.group
    if scaled and not group.get("fused"):
        return "the gradient scaler expects fused=True of the optimizer"
    count = w.numel()
    for key in _buffers(group):
        kept = state.get(key)
        if kept is None:
            return _FIRST
        if found := fault(kept, count):
            return f"{key} is {found}"
    if found := fault(w, count):
        return f"the weights are {found}"
    gradient = w.grad
    if gradient is not None and (found := fault(gradient, count)):
        return f"the gradient is {found}"
    return ""


def _buffers(group: Group) -> tuple[str, ...]:
    if "betas" not in group:
        return ("momentum_buffer",) if group["momentum"] else ()
    averages = ("exp_avg", "exp_avg_sq")
    return (*averages, "max_exp_avg_sq") if group.get("amsgrad") else averages


def _is_scaled(optimizer: torch.optim.Optimizer) -> bool:
    return getattr(optimizer, "found_inf", None) is not None


def taken(entry: Bounded, optimizer: torch.optim.Optimizer) -> tuple[str, str]:
    """How the next step's share is computed, and why.

    Returns:
        ("fused", "separate" or "framework", reason).
    """
    name, state = type(optimizer).__name__, optimizer.state.get(entry.parameter, {})
    reason = barred(entry, optimizer) or delayed(entry, state, scaled=_is_scaled(optimizer))
    if reason in ("", _FIRST):
        late = f", from the second step on: {_FIRST}" if reason else ""
        return "fused", f"one pass of the compiled kernel for {name}'s step and the prox{late}"
    apart = entry.way == "metric" and fits(
        entry.bound, own_step(optimizer), entry.group, entry.parameter, state
    )
    return "separate" if apart else "framework", reason


def take(
    optimizer: torch.optim.Optimizer, entries: Iterable[Bounded], metric: Metric
) -> list[Bounded]:
    """Step what the kernel can, and take the prox with it.

    Args:
        optimizer: SGD, Adam or AdamW.
        entries: parameters that are not barred; what the metric carries is found.
        metric: of this optimizer.

    Returns:
        Those that were stepped; PyTorch must not step them again.
    """
    lots, stepped = dict[Any, list[tuple[Bounded, State]]](), list[Bounded]()
    scaled, is_sgd = _is_scaled(optimizer), own_step(optimizer) == _SGD
    for entry in entries:
        state = optimizer.state.get(entry.parameter, _EMPTY)
        if entry.parameter.grad is None or delayed(entry, state, scaled=scaled):
            continue
        number = entry.carried if is_sgd else state["step"].item() + 1
        key = id(entry.group), prox_of(entry.bound), number
        lots.setdefault(key, []).append((entry, state))
        stepped.append(entry)
    for (_, prox, number), lot in lots.items():
        options = {**_options(optimizer, lot[0][0].group), "prox": prox}
        if is_sgd:
            _sgd(lot, number, metric, options)
        else:
            _adam(lot, number, options)
    for entry in stepped:
        entry.fused = True
        increment_version(entry.parameter)  # by which autograd notices a stale graph
    return stepped


def _adam(lot: Lot, count: float, options: dict[str, Any]) -> None:
    group = lot[0][0].group
    told = [addresses(e.parameter, state, group, e.parameter.grad) for e, state in lot]
    torch._foreach_add_([state["step"] for _, state in lot], 1)
    steps.adam_step(told, **adam_options(group, round(count)), **options)


def _sgd(lot: Lot, carried: Number | None, metric: Metric, options: dict[str, Any]) -> None:
    group, told = lot[0][0].group, list[Tensors]()
    momentum = float(group["momentum"])
    for entry, state in lot:
        w, buffer = entry.parameter, 0
        if momentum:
            state[CARRIED], buffer = carried, state["momentum_buffer"].data_ptr()
        gradient = 0 if w.grad is None else w.grad.data_ptr()
        told.append(Tensors(w.data_ptr(), gradient, buffer, columns=w.numel()))
    steps.sgd_step(
        told,
        lr=float(group["lr"]),
        step=float(metric.formula(group, {CARRIED: carried})),
        momentum=momentum,
        dampening=float(group["dampening"]),
        nesterov=bool(group["nesterov"]),
        **options,
    )


def _options(optimizer: torch.optim.Optimizer, group: Group) -> dict[str, Any]:
    """What may come of a gradient scaler, and the options that tell one kind of Adam from another."""
    factor = getattr(optimizer, "grad_scale", None)
    found: dict[str, Any] = {
        "weight_decay": float(group["weight_decay"]),
        "maximize": bool(group.get("maximize")),
        "grad_scale": None if factor is None else float(factor),
    }
    return {**found, "decoupled": decouples(optimizer, group)} if "betas" in group else found
