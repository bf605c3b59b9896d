"""What is asked of bounds before anything is changed, and what is said about them."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from pondera.core.errors import DomainError, ShapeError, placed, unknown
from pondera.core.penalties import AbstractPenalty, Nuclear
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds.metric import decouples, own_step
from pondera.torch.bounds.plain import Bound, Schedule
from pondera.torch.observe import NORM_MODULES

_WRAPPED = "_orig_mod."  # torch.compile puts it in front of names
_HOMOGENEOUS = (nn.Dropout, nn.Identity, nn.LeakyReLU, nn.ReLU)  # f(c·x) = c·f(x), c > 0


def need_optimizer(where: str, optimizer: object) -> None:
    """Refuse what is not an optimizer."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise DomainError(
            f"{where}: needs a torch.optim.Optimizer; got {type(optimizer).__name__}. Pass the optimizer "
            "inside the wrapper."
        )


def need_arguments(bounds: object, model: object, schedule: object) -> None:
    """Refuse what is not a mapping, a module, a schedule."""
    if not isinstance(bounds, Mapping) or not bounds:
        shown = "an empty mapping" if isinstance(bounds, Mapping) else type(bounds).__name__
        raise DomainError(
            f"regularize: needs name patterns with a penalty each; got {shown}. "
            "Pass {'*.weight': L1(1e-4)}, for example."
        )
    if not isinstance(model, nn.Module):
        raise DomainError(
            f"regularize: model must be a torch.nn.Module; got {type(model).__name__}. "
            "Pass the module that names the parameters."
        )
    if schedule is not None and not isinstance(schedule, Schedule):
        raise DomainError(
            f"regularize: schedule must be a Schedule; got {type(schedule).__name__}. "
            "Use pondera.torch.Schedule(steps, course='cosine')."
        )


def names_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every name of every parameter: a tied one has several."""
    return {
        name.replace(_WRAPPED, ""): parameter
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }


def chosen(
    bounds: Mapping[str, Bound],
    held: Mapping[str, torch.Tensor],
    named: Mapping[str, torch.Tensor],
) -> dict[str, tuple[Any, Bound]]:
    """Parameter name → parameter and its one bound.

    Args:
        bounds: pattern → bound.
        held: names of what the optimizer steps.
        named: names of all parameters of the model.
    """
    found = dict[str, tuple[Any, Bound]]()
    source = dict[int, tuple[str, str]]()
    for pattern, bound in bounds.items():
        _need_bound(pattern, bound)
        matches = fnmatch.filter(held, pattern)
        if not matches:
            _refuse_pattern(pattern, held, named)
        for name in sorted(matches, key=list(held).index):
            seen = source.setdefault(id(held[name]), (name, pattern))
            if seen[1] != pattern:
                raise DomainError(
                    f"regularize: {name!r} matches two patterns; got {seen[1]!r} and {pattern!r}. "
                    "Give each parameter one bound."
                )
            if seen[0] == name:
                found[name] = (held[name], bound)
    return found


def _need_bound(pattern: object, bound: object) -> None:
    if not isinstance(pattern, str):
        raise DomainError(
            f"regularize: a pattern must be a string; got {pattern!r}. Pass a parameter's name."
        )
    if not isinstance(bound, (AbstractPenalty, WeightDecay, CPR)):
        shown = f"the class {bound.__name__}" if isinstance(bound, type) else repr(bound)
        raise DomainError(
            f"regularize: {pattern!r} needs a penalty, such as L1(1e-4); got {shown}. Make one first."
        )


def _refuse_pattern(pattern: str, held: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    others = fnmatch.filter(named, pattern)
    if others:
        raise DomainError(
            f"regularize: {pattern!r} matches nothing that this optimizer steps; got {others[0]!r}, "
            f"which it does "
            "not hold. Pass the optimizer that holds it."
        )
    raise unknown("regularize", "pattern", pattern, held)


def need_fit(
    name: str, parameter: torch.Tensor, bound: Bound, optimizer: torch.optim.Optimizer
) -> None:
    """Refuse a parameter that the bound or its way cannot take.

    Raises:
        DomainError: a dtype or an optimizer's option. ShapeError: groups that do not divide the shape.
    """
    if not parameter.is_floating_point():
        raise DomainError(
            f"regularize: {name!r} needs a real floating-point dtype; got {parameter.dtype}. "
            "Leave it out of the patterns."
        )
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    if group.get("differentiable"):
        raise DomainError(
            f"regularize: {name!r} is under differentiable=True, and the proximal step is not recorded; got "
            f"{type(optimizer).__name__}. Set differentiable=False."
        )
    if own_step(optimizer) == "LBFGS.step" and parameter.dtype in (torch.bfloat16, torch.float16):
        raise DomainError(
            f"regularize: LBFGS needs float32 or float64; got {name!r} in {parameter.dtype}. Convert the "
            "model, or use another optimizer."
        )
    _need_shape(name, parameter, bound)


def _need_shape(name: str, parameter: torch.Tensor, bound: Bound) -> None:
    if not isinstance(bound, AbstractPenalty) or (
        isinstance(bound, Nuclear) and parameter.ndim == 2
    ):
        return
    try:
        bound.value(parameter.detach().float(), xp=torch)
    except (DomainError, ShapeError) as fact:
        raise placed(f"{name} (torch, shape={tuple(parameter.shape)})", fact) from None


def warn(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    found: Mapping[str, tuple[Any, Bound]],
) -> None:
    """Say what undoes or blurs a penalty."""
    free = _followed_by_norm(model)
    for name, (parameter, bound) in found.items():
        if not isinstance(bound, AbstractPenalty):
            continue
        if name in free and bound.strengths:
            _say(
                f"{name} is followed by the normalisation {free[name]}, which undoes its length: a "
                f"penalty on its size "
                "changes the effective learning rate, not the function. Penalise the "
                "normalisation's own weight."
            )
        if _decoupled(optimizer, parameter):
            _say(
                f"{name} is under decoupled weight decay too, so that the fixed points belong to no "
                "objective. Set weight_decay=0 and use ElasticNet for the λ you state."
            )


def _say(text: str) -> None:
    warnings.warn(f"regularize: {text}", UserWarning, stacklevel=4)


def _decoupled(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    return bool(group.get("weight_decay", 0)) and decouples(optimizer, group)


def _followed_by_norm(model: nn.Module) -> dict[str, str]:
    """Weight name → the normalisation registered behind its layer, of the same width."""
    found = dict[str, str]()
    for path, parent in model.named_modules():
        prefix = f"{path}.".replace(_WRAPPED, "") if path else ""
        children = [
            child for child in parent.named_children() if not isinstance(child[1], _HOMOGENEOUS)
        ]
        for (first, layer), (second, norm) in pairwise(children):
            weight = getattr(layer, "weight", None)
            if not (isinstance(norm, NORM_MODULES) and isinstance(weight, nn.Parameter)):
                continue
            if weight.ndim >= 2 and _width(norm) == weight.shape[0]:
                found[f"{prefix}{first}.weight"] = f"{prefix}{second}"
    return found


def _width(norm: nn.Module) -> int:
    for attribute in ("num_features", "num_channels"):
        if hasattr(norm, attribute):
            return int(getattr(norm, attribute))
    shape = getattr(norm, "normalized_shape", ())
    return int(shape[0]) if len(shape) == 1 else -1
