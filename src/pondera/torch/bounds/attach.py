"""Attach penalties to an optimizer: patterns to parameters, checks, and what survives a copy."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import torch
from torch import nn

from pondera.core.errors import DomainError, ShapeError, placed, unknown
from pondera.core.penalties import AbstractPenalty
from pondera.torch.bounds.engine import KEY, STEPS, Engine, way_of
from pondera.torch.bounds.handle import Handle
from pondera.torch.bounds.plain import Bound, Schedule, as_plain, placed_like
from pondera.torch.observe import NORM_MODULES

_ENGINE = "_pondera_engine"


def regularize(
    optimizer: torch.optim.Optimizer,
    bounds: Mapping[str, Bound],
    /,
    *,
    model: nn.Module,
    schedule: Schedule | None = None,
) -> Handle:
    """Keep the weights of an optimizer in bounds: exact zeros, and the λ that is asked for.

    The loss stays the caller's own. Behind (or around) each `optimizer.step()` the penalty's share of the step is
    taken in the optimizer's own metric, so that what stands still is a minimum of loss + penalty.
    The configuration lies in the param groups and the optimizer's state: state_dict, deepcopy and resuming keep
    it.

    Args:
        optimizer: any torch.optim.Optimizer; changed in place.
        bounds: name pattern (as in fnmatch, over the model's parameter names) → penalty, WeightDecay or CPR.
        model: names the parameters.
        schedule: multiplies every strength; constant if not given.

    Returns:
        A handle: report, gap, detach.

    Raises:
        DomainError: not an optimizer, a pattern that matches nothing the optimizer holds, a parameter under two
            patterns, attached already, or a penalty that this optimizer cannot reach. ShapeError: groups that
            do not divide a weight. The optimizer is then unchanged.

    Warns:
        UserWarning: a penalised weight is followed by a normalisation, which undoes its length; or AdamW's
            own decay stands beside a penalty.

    >>> import torch, pondera
    >>> layer = torch.nn.Linear(4, 2)
    >>> optimizer = torch.optim.Adam(layer.parameters())
    >>> handle = pondera.torch.regularize(optimizer, {"weight": pondera.L1(1e-3)}, model=layer)
    >>> handle.report().rows[0].way
    'metric'
    """
    _need_optimizer(optimizer)
    names = {parameter: name for name, parameter in model.named_parameters()}
    held = [p for group in optimizer.param_groups for p in group["params"]]
    chosen = _chosen(bounds, {names[p]: p for p in held if p in names})
    plains = dict[torch.nn.Parameter, dict[str, Any]]()
    for name, (parameter, bound) in chosen.items():
        if _attached(optimizer, parameter):
            raise DomainError(
                f"regularize: {name!r} is under a bound of this optimizer already. Call detach() on its "
                "handle first."
            )
        _need_fit(name, parameter, bound)
        way, why = way_of(bound, optimizer)
        plains[parameter] = {
            "bound": as_plain(placed_like(bound, parameter)),
            "name": name,
            "way": way,
            "why": why,
            "schedule": None if schedule is None else asdict(schedule),
        }
    _warn(optimizer, model, chosen)
    for group in optimizer.param_groups:
        before = group.get(KEY) or [None] * len(group["params"])
        group[KEY] = [
            plains.get(p, old) for p, old in zip(group["params"], before, strict=True)
        ]
        group.setdefault(STEPS, 0)
    return resume(optimizer)


def resume(optimizer: torch.optim.Optimizer, /) -> Handle:
    """Act on the bounds that an optimizer's param groups hold: after loading a checkpoint into a new one.

    Args:
        optimizer: whose param groups came from a regularised optimizer's state_dict, or hold bounds already.

    Returns:
        A handle.

    Raises:
        DomainError: it holds none.
    """
    _need_optimizer(optimizer)
    if not any(KEY in group for group in optimizer.param_groups):
        raise DomainError(
            "resume: the param groups hold no bounds; got an optimizer that was never regularised. Load its "
            "state_dict first, or call regularize."
        )
    if not isinstance(optimizer, _Surviving):
        optimizer.__class__ = _surviving(type(optimizer))
    _hook(optimizer)
    return Handle(optimizer, getattr(optimizer, _ENGINE))


class _Surviving:
    """Mixed into an optimizer's class: a copy of it hooks itself up again (PyTorch drops hooks)."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        _hook(self)  # type: ignore[arg-type]

    def __reduce_ex__(self, protocol: Any) -> Any:
        base = type(self).__mro__[2]
        return _copied, (base,), self.__getstate__()


def _copied(base: type[torch.optim.Optimizer]) -> Any:
    surviving = _surviving(base)
    return surviving.__new__(surviving)


@cache
def _surviving(base: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    return type(f"Regularized{base.__name__}", (_Surviving, base), {"__module__": base.__module__})


def _hook(optimizer: torch.optim.Optimizer) -> None:
    if getattr(optimizer, _ENGINE, None) is None:
        engine = Engine()
        setattr(optimizer, _ENGINE, engine)
        optimizer.register_step_pre_hook(engine.before)
        optimizer.register_step_post_hook(engine.after)


def _need_optimizer(optimizer: object) -> None:
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise DomainError(
            f"regularize: needs a torch.optim.Optimizer; got {type(optimizer).__name__}. Pass the optimizer "
            "inside the wrapper."
        )


def _chosen(
    bounds: Mapping[str, Bound], named: Mapping[str, nn.Parameter]
) -> dict[str, tuple[nn.Parameter, Bound]]:
    """Parameter name → parameter and its one bound."""
    chosen = dict[str, tuple[nn.Parameter, Bound]]()
    source = dict[str, str]()
    for pattern, bound in bounds.items():
        matches = [name for name in named if fnmatch.fnmatchcase(name, pattern)]
        if not matches:
            raise unknown("regularize", "pattern", pattern, named)
        for name in matches:
            if name in chosen:
                raise DomainError(
                    f"regularize: {name!r} matches two patterns; got {source[name]!r} and {pattern!r}. "
                    "Give each parameter one bound."
                )
            chosen[name], source[name] = (named[name], bound), pattern
    return chosen


def _attached(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    return any(
        p is parameter and plain is not None
        for group in optimizer.param_groups
        for p, plain in zip(group["params"], group.get(KEY, ()), strict=False)
    )


def _need_fit(name: str, parameter: nn.Parameter, bound: Bound) -> None:
    if not parameter.is_floating_point():
        raise DomainError(
            f"regularize: {name!r} needs a real floating-point dtype; got {parameter.dtype}. "
            "Leave it out of the patterns."
        )
    if isinstance(bound, AbstractPenalty):
        try:
            bound.value(parameter.detach().float(), xp=torch)
        except (DomainError, ShapeError) as fact:
            raise placed(f"{name} (torch, shape={tuple(parameter.shape)})", fact) from None


def _warn(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    chosen: Mapping[str, tuple[nn.Parameter, Bound]],
) -> None:
    free = _followed_by_norm(model)
    for name, (parameter, bound) in chosen.items():
        if name in free:
            warnings.warn(
                f"regularize: {name} is followed by the normalisation {free[name]}, which undoes its length: "
                "a penalty on its size changes the effective learning rate, not the function. Penalise "
                "the norm's own weight, or whole groups.",
                UserWarning,
                stacklevel=3,
            )
        if isinstance(bound, AbstractPenalty) and _decoupled(optimizer, parameter):
            warnings.warn(
                f"regularize: {name} is under decoupled weight decay too, so that the fixed points belong to no "
                "objective. Set weight_decay=0 and use ElasticNet for the λ you state.",
                UserWarning,
                stacklevel=3,
            )


def _decoupled(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    for group in optimizer.param_groups:
        if any(p is parameter for p in group["params"]):
            apart = group.get("decoupled_weight_decay", False)
            return bool(apart and group.get("weight_decay", 0))
    return False


def _followed_by_norm(model: nn.Module) -> dict[str, str]:
    """Weight name → the normalisation registered right behind its layer, of the same width."""
    found = dict[str, str]()
    for path, parent in model.named_modules():
        prefix = f"{path}." if path else ""
        children = list(parent.named_children())
        for (first, layer), (second, norm) in zip(children, children[1:], strict=False):
            weight = getattr(layer, "weight", None)
            if isinstance(norm, NORM_MODULES) and isinstance(weight, nn.Parameter):
                if weight.ndim >= 2 and _width(norm) == weight.shape[0]:
                    found[f"{prefix}{first}.weight"] = f"{prefix}{second}"
    return found


def _width(norm: nn.Module) -> int:
    for attribute in ("num_features", "num_channels"):
        if hasattr(norm, attribute):
            return int(getattr(norm, attribute))
    shape = getattr(norm, "normalized_shape", ())
    return int(shape[0]) if len(shape) == 1 else -1
