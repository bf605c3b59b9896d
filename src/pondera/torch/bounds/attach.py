"""Attach penalties to an optimizer, and act on those that a checkpoint brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from pondera.core.errors import DomainError
from pondera.torch.bounds.checks import (
    chosen,
    names_of,
    need_arguments,
    need_fit,
    need_optimizer,
    warn,
)
from pondera.torch.bounds.entries import KEY, STEPS, Bounded, way_of
from pondera.torch.bounds.fused import need, need_wish
from pondera.torch.bounds.handle import Handle
from pondera.torch.bounds.plain import Bound, Schedule, as_plain, placed_like
from pondera.torch.bounds.survive import engine_of


def regularize(
    optimizer: torch.optim.Optimizer,
    bounds: Mapping[str, Bound],
    /,
    *,
    model: nn.Module,
    schedule: Schedule | None = None,
    fused: bool | None = None,
) -> Handle:
    """Keep the weights of an optimizer in bounds: exact zeros, and the λ that is asked for.

    The loss stays the caller's own. Behind (or around) each `optimizer.step()` the penalty's share of the step
    is taken in the optimizer's own metric, so that what stands still is a minimum of loss + penalty.
    The configuration lies in the param groups and the optimizer's state: state_dict, deepcopy and pickle keep
    it.

    Args:
        optimizer: any torch.optim.Optimizer; changed in place.
        bounds: name pattern (as in fnmatch, over the model's parameter names) → penalty, WeightDecay or CPR.
        model: names the parameters.
        schedule: multiplies every strength; constant if not given.
        fused: whether the compiled kernel takes the optimizer's own step and the penalty's share in one
            pass: under SGD, Adam and AdamW, of float32 weights on the CPU, for L1, L2 and elastic net, under
            Adam also for the group lassos on rows. The step is PyTorch's within 2 units in the last place, and
            faster. None: where it can be had, which the report tells; False: nowhere; True: or an error.

    Returns:
        A handle: report, gap, replace, identify, detach.

    Raises:
        DomainError: not an optimizer, a pattern that matches nothing the optimizer holds, a parameter under two
            patterns, attached already, or a penalty that this optimizer cannot reach. ShapeError: groups that
            do not divide a weight. MissingFramework: fused=True without the compiled kernel. The optimizer is
            then unchanged.

    Warns:
        UserWarning: a penalised weight is followed by a normalisation, which undoes its length; or decoupled
            decay stands beside a penalty.

    >>> import torch, pondera
    >>> layer = torch.nn.Linear(4, 2)
    >>> optimizer = torch.optim.Adam(layer.parameters())
    >>> handle = pondera.torch.regularize(optimizer, {"weight": pondera.L1(1e-3)}, model=layer)
    >>> handle.report().rows[0].way
    'metric'
    """
    need_optimizer("regularize", optimizer)
    need_arguments(bounds, model, schedule)
    need_wish(fused)
    named = names_of(model)
    mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
    held = {name: parameter for name, parameter in named.items() if id(parameter) in mine}
    found = chosen(bounds, held, named)
    plains = {
        id(parameter): _plain(optimizer, name, parameter, bound, schedule, fused)
        for name, (parameter, bound) in found.items()
    }
    warn(optimizer, model, found)
    for group in optimizer.param_groups:
        old = group.get(KEY) or []
        old = [*old, *[None] * (len(group["params"]) - len(old))]
        group[KEY] = [plains.get(id(p), o) for p, o in zip(group["params"], old, strict=True)]
        group.setdefault(STEPS, 0)
        for plain in group[KEY]:
            if plain is not None:
                plain.setdefault("start", group[STEPS])
    return Handle(optimizer, engine_of(optimizer), [parameter for parameter, _ in found.values()])


def resume(optimizer: torch.optim.Optimizer, /) -> Handle:
    """Act on the bounds that an optimizer's param groups hold: after loading a checkpoint into a new one.

    Args:
        optimizer: whose param groups came from a regularised optimizer's state_dict, or hold bounds already.

    Returns:
        A handle on all of them.

    Raises:
        DomainError: it holds none.
    """
    need_optimizer("resume", optimizer)
    parameters = [
        p
        for group in optimizer.param_groups
        for p, plain in zip(group["params"], group.get(KEY, ()), strict=False)
        if plain is not None
    ]
    if not parameters:
        raise DomainError(
            "resume: the param groups hold no bounds; got an optimizer that was never regularised. Load its "
            "state_dict first, or call regularize."
        )
    return Handle(optimizer, engine_of(optimizer), parameters)


def _plain(
    optimizer: torch.optim.Optimizer,
    name: str,
    parameter: nn.Parameter,
    bound: Bound,
    schedule: Schedule | None,
    fused: bool | None,
) -> dict[str, Any]:
    """The configuration of one parameter, once it is clear that it can be kept."""
    for group in optimizer.param_groups:
        for p, plain in zip(group["params"], group.get(KEY, ()), strict=False):
            if p is parameter and plain is not None:
                raise DomainError(
                    f"regularize: {name!r} is under a bound of this optimizer already. Call detach() on "
                    "its handle first, or replace()."
                )
    need_fit(name, parameter, bound, optimizer)
    way, why = way_of(bound, optimizer)
    plain = {
        "bound": as_plain(placed_like(bound, parameter)),
        "name": name,
        "way": way,
        "why": why,
        "schedule": None if schedule is None else asdict(schedule),
        "fused": fused,
    }
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    need(Bounded(parameter, group, 0, plain, bound, bound, schedule), optimizer)
    return plain
