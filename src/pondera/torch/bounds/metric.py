"""The step that an optimizer really makes along an average gradient: the metric of its proximal step.

A proximal step with the wrong length solves another problem: lr alone under momentum 0.9 solves a tenth of λ,
under Adam a few thousandths. Each formula is the steady state of PyTorch's own update, read from the state
after the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import torch

Group = dict[str, Any]
State = Mapping[str, Any]
Step = float | torch.Tensor
Metric = Callable[[Group, State], Step]


def _number(entry: Any) -> float:
    return float(entry)


def _sgd(group: Group, state: State) -> Step:
    """Buf ← μ·buf + (1 − d)·g sums to (1 − d)/(1 − μ) of the gradient; Nesterov's form does too."""
    momentum = _number(group["momentum"])
    share = (1 - _number(group["dampening"])) / (1 - momentum) if momentum else 1.0
    return _number(group["lr"]) * share


def _adam(group: Group, state: State) -> Step:
    beta2 = _number(group["betas"][1])
    if group.get("amsgrad"):
        second = state["max_exp_avg_sq"]
    else:
        second = state["exp_avg_sq"]
    correction = 1 - beta2 ** _number(state["step"])
    denominator = (second / correction).sqrt_().add_(_number(group["eps"]))
    return denominator.reciprocal_().mul_(_number(group["lr"]))


def _radam(group: Group, state: State) -> Step:
    """Adam's, times RAdam's rectification; plain lr while the variance is not tractable."""
    beta2, step = _number(group["betas"][1]), _number(state["step"])
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return _number(group["lr"])
    rectified = ((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length)
    # PyTorch adds eps before the bias correction here
    denominator = state["exp_avg_sq"].sqrt().add_(_number(group["eps"]))
    share = _number(group["lr"]) * rectified**0.5 * (1 - beta2**step) ** 0.5
    return denominator.reciprocal_().mul_(share)


def _rmsprop(group: Group, state: State) -> Step:
    second = state["square_avg"]
    if group["centered"]:
        second = second - state["grad_avg"] ** 2
    momentum = _number(group["momentum"])
    return (_number(group["lr"]) / (1 - momentum)) / (second.clamp(min=0).sqrt() + group["eps"])


def _adagrad(group: Group, state: State) -> Step:
    lr = _number(group["lr"]) / (1 + (_number(state["step"]) - 1) * group["lr_decay"])
    return lr / (state["sum"].sqrt() + group["eps"])


def _adamax(group: Group, state: State) -> Step:
    return _number(group["lr"]) / state["exp_inf"].clamp(min=group["eps"])


def _adadelta(group: Group, state: State) -> Step:
    eps = group["eps"]
    return _number(group["lr"]) * ((state["acc_delta"] + eps) / (state["square_avg"] + eps)).sqrt()


def _asgd(group: Group, state: State) -> Step:
    return _number(state["eta"])


METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "ASGD.step": _asgd,
        "Adadelta.step": _adadelta,
        "Adagrad.step": _adagrad,
        "Adam.step": _adam,
        "Adamax.step": _adamax,
        "NAdam.step": _adam,
        "RAdam.step": _radam,
        "RMSprop.step": _rmsprop,
        "SGD.step": _sgd,
    }
)


def metric_of(optimizer: torch.optim.Optimizer) -> Metric | None:
    """The metric of an optimizer whose step is PyTorch's own; None where it has none, or is unknown.

    A subclass that brings its own step is unknown: its steps are not those of its parent.
    """
    for base in type(optimizer).__mro__:
        step = base.__dict__.get("step")
        if step is not None:
            known = getattr(step, "__module__", "").startswith("torch.optim.")
            return METRICS.get(step.__qualname__) if known else None
    return None
