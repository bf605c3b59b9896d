"""The step that an optimizer really makes along an average gradient: the metric of its proximal step.

A proximal step with the wrong length solves another problem: lr alone under momentum 0.9 solves a tenth of λ,
under Adam a few thousandths. Each formula follows PyTorch's own update, read from the state after the step:
of every update it is the factor in front of an average gradient, whose weights sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import torch

Group = dict[str, Any]
State = Mapping[str, Any]
Number = (
    float | torch.Tensor
)  # a tensor only if it lies on a device: reading it would wait for that
Step = float | torch.Tensor
Formula = Callable[[Group, State], Step]

CARRIED: Final = (
    "pondera_carried"  # of a parameter's state: what `Metric.carry` found before the step
)
_DECOUPLED: Final = ("Adafactor.step", "Muon.step")  # steps that decay beside the gradient, always
MEMORY: Final = 1000  # steps after which a weight without any gradient counts as dead


def number(entry: Any) -> Number:
    """A setting or a counter as a number, without stopping a device."""
    if isinstance(entry, torch.Tensor):
        return entry if entry.device.type != "cpu" else float(entry)
    return float(entry)


@dataclass(frozen=True)
class Metric:
    """How one family of optimizers steps.

    Args:
        formula: (group, state after the step) → step per weight.
        buffers: (group) → keys of the state's tensors, shaped like the weights, that the formula reads.
        numbers: keys of the state's numbers that it reads.
        carry: (group, state before the step) → what becomes state[CARRIED] behind it, None for nothing.
    """

    formula: Formula
    buffers: Callable[[Group], tuple[str, ...]]
    numbers: tuple[str, ...] = ("step",)
    carry: Callable[[Group, State], Number | None] | None = None


def _over(lr: Number, denominator: torch.Tensor) -> torch.Tensor:
    return denominator.reciprocal_().mul_(lr)


def _alive(step: torch.Tensor, second: torch.Tensor, group: Group, taken: Number) -> torch.Tensor:
    """Plain lr where no gradient was ever seen, at first.

    The optimizer does not move such a weight, so any step is in its metric; lr/eps would zero it, and a unit
    that is silent in the first batch would be lost for good.
    """
    if isinstance(taken, float) and taken > MEMORY:
        return step
    young = second == 0 if isinstance(taken, float) else (second == 0) & (taken <= MEMORY)
    return torch.where(young, number(group["lr"]), step)


def _sgd(group: Group, state: State) -> Step:
    lr, momentum = number(group["lr"]), number(group["momentum"])
    if not momentum:
        return lr
    summed = state[CARRIED]
    return lr * (1 + momentum * summed if group["nesterov"] else summed)


def _sgd_carry(group: Group, state: State) -> Number | None:
    """Sum of the buffer's weights: the first gradient counts in full, each later one 1 − dampening."""
    momentum, share = number(group["momentum"]), 1 - number(group["dampening"])
    if not momentum:
        return None
    if state.get("momentum_buffer") is None:
        return 1.0
    steady = share / (1 - momentum) if momentum < 1 else share
    return momentum * state.get(CARRIED, steady) + share


def _adam(group: Group, state: State) -> Step:
    second, taken = state[second_of(group)], number(state["step"])
    root = (1 - number(group["betas"][1]) ** taken) ** 0.5
    denominator = second.sqrt().add_(number(group["eps"]) * root)
    return _alive(_over(number(group["lr"]) * root, denominator), second, group, taken)


def second_of(group: Group) -> str:
    """Key of the mean squared gradient that Adam divides by."""
    return "max_exp_avg_sq" if group.get("amsgrad") else "exp_avg_sq"


def _nadam(group: Group, state: State) -> Step:
    """Adam's, times what its two momentum terms weigh together."""
    beta1, taken = number(group["betas"][0]), number(state["step"])

    def momentum(step: Number) -> Number:
        return beta1 * (1 - 0.5 * 0.96 ** (step * number(group["momentum_decay"])))

    product, coming = number(state["mu_product"]), momentum(taken + 1)
    fresh = (1 - momentum(taken)) / (1 - product)
    averaged = coming * (1 - beta1**taken) / (1 - product * coming)
    return _adam({**group, "lr": number(group["lr"]) * (fresh + averaged)}, state)


def _radam(group: Group, state: State) -> Step:
    """Adam's, times RAdam's rectification; plain lr while the variance is not tractable."""
    lr, beta2, taken = number(group["lr"]), number(group["betas"][1]), number(state["step"])
    decayed = beta2**taken
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * taken * decayed / (1 - decayed)
    excess = (length - 4) * (length - 2)
    if isinstance(excess, torch.Tensor):
        excess = torch.where(length > 5, excess, 0.0)
    elif length <= 5:
        return lr
    rectified = (excess * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
    second = state["exp_avg_sq"]
    # eps is added before the bias correction here
    step = _over(lr * rectified * (1 - decayed) ** 0.5, second.sqrt().add_(number(group["eps"])))
    if isinstance(excess, torch.Tensor):
        step = torch.where(excess > 0, step, lr)
    return _alive(step, second, group, taken)


def _rmsprop(group: Group, state: State) -> Step:
    second = state["square_avg"]
    if group["centered"]:
        second = second.addcmul(state["grad_avg"], state["grad_avg"], value=-1).clamp_(min=0)
    summed = state[CARRIED] if group["momentum"] else 1.0
    denominator = second.sqrt().add_(number(group["eps"]))
    step = _over(number(group["lr"]) * summed, denominator)
    return _alive(step, state["square_avg"], group, number(state["step"]))


def _rmsprop_buffers(group: Group) -> tuple[str, ...]:
    return ("square_avg", "grad_avg") if group["centered"] else ("square_avg",)


def _rmsprop_carry(group: Group, state: State) -> Number | None:
    momentum = number(group["momentum"])
    if not momentum:
        return None
    if "momentum_buffer" not in state:
        return 1.0
    return momentum * state.get(CARRIED, 1 / (1 - momentum) if momentum < 1 else 1.0) + 1


def _adagrad(group: Group, state: State) -> Step:
    taken = number(state["step"])
    lr = number(group["lr"]) / (1 + (taken - 1) * number(group["lr_decay"]))
    second = state["sum"]
    step = _over(lr, second.sqrt().add_(number(group["eps"])))
    return _alive(step, second, group, taken)


def _adamax(group: Group, state: State) -> Step:
    return number(group["lr"]) / state["exp_inf"].clamp(min=number(group["eps"]))


def _adadelta(group: Group, state: State) -> Step:
    eps = number(group["eps"])
    ratio = (state["acc_delta"] + eps) / (state["square_avg"] + eps)
    return ratio.sqrt_().mul_(number(group["lr"]))


def _asgd_carry(group: Group, state: State) -> Number:
    """The step that is about to be made: the state already holds the next one behind it."""
    eta = state.get("eta", group["lr"])
    return eta.clone() if isinstance(eta, torch.Tensor) and eta.device.type != "cpu" else float(eta)


def _keys(*names: str) -> Callable[[Group], tuple[str, ...]]:
    return lambda group: names


_ADAM: Final = Metric(_adam, lambda group: (second_of(group),))
METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "ASGD.step": Metric(lambda group, state: state[CARRIED], _keys(), (CARRIED,), _asgd_carry),
        "Adadelta.step": Metric(_adadelta, _keys("acc_delta", "square_avg"), ()),
        "Adagrad.step": Metric(_adagrad, _keys("sum")),
        "Adam.step": _ADAM,
        "AdamW.step": _ADAM,
        "Adamax.step": Metric(_adamax, _keys("exp_inf"), ()),
        "NAdam.step": Metric(_nadam, _keys("exp_avg_sq"), ("step", "mu_product")),
        "RAdam.step": Metric(_radam, _keys("exp_avg_sq")),
        "RMSprop.step": Metric(_rmsprop, _rmsprop_buffers, ("step", CARRIED), _rmsprop_carry),
        "SGD.step": Metric(_sgd, _keys(), (CARRIED,), _sgd_carry),
    }
)


def metric_of(optimizer: torch.optim.Optimizer) -> Metric | None:
    """The metric of an optimizer whose step is PyTorch's own; None where it has none, or is unknown.

    A subclass that brings its own step is unknown: its steps are not those of its parent. RMSprop with both a
    momentum and a centred variance has none: its buffer sums steps of denominators that vary too fast.
    """
    step = own_step(optimizer)
    if step == "RMSprop.step" and any(
        group["centered"] and group["momentum"] for group in optimizer.param_groups
    ):
        return None
    return METRICS.get(step)


def own_step(optimizer: torch.optim.Optimizer) -> str:
    """Name of the step that acts, as in "Adam.step", if it is PyTorch's own; else ""."""
    for base in type(optimizer).__mro__:
        step = base.__dict__.get("step")
        if step is not None:
            known = getattr(step, "__module__", "").startswith("torch.optim.")
            return step.__qualname__ if known else ""
    return ""


def decouples(optimizer: torch.optim.Optimizer, group: Group) -> bool:
    """Whether a group's weight_decay acts beside the gradient, as far as is known."""
    step = own_step(optimizer)
    return (
        not step  # unknown: most of them do
        or step in _DECOUPLED
        or bool(group.get("decoupled_weight_decay", isinstance(optimizer, torch.optim.AdamW)))
    )
