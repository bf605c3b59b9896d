"""Zeros under any optimizer: the gradient it sees is the problem's own, and a step may not cross a kink.

Off its kinks the penalty's slope is added to the gradient; on a kink the gradient is what is left outside the
subdifferential. After the step a weight that changed its sign (a group that turned away from itself) is set to
exactly 0, and what left a constraint is put back. Whatever the optimizer, if it stands still only where its
gradient is zero, its fixed points are then those of loss + penalty.

Source: Andrew & Gao 2007, ICML (orthants, OWL-QN); Chen et al. 2021, arXiv 2107.07467 (half-spaces).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pondera.core.penalties import (
    L1,
    L2,
    MCP,
    SCAD,
    Box,
    Distance,
    ElasticNet,
    GroupLasso,
    MaxNorm,
    NonNegative,
    SparseGroupLasso,
    soft_threshold,
)
from pondera.core.penalties.groups import Layout

PROJECTED = (Box, MaxNorm, NonNegative)


@dataclass(frozen=True)
class Crossing:
    """One step of an optimizer, as seen from a kink.

    Args:
        before: weights before it.
        after: weights that it proposes.
        slope: gradient of the loss before it.
        pseudo: what the optimizer saw instead.
    """

    before: torch.Tensor
    after: torch.Tensor
    slope: torch.Tensor
    pseudo: torch.Tensor


@dataclass(frozen=True)
class Sided:
    """A penalty for the orthant or half-space step.

    Args:
        pseudo_gradient: (weights, gradient) → the gradient of loss + penalty on the weights' side of its kinks.
        returned: step → the weights that it proposes, with what crossed a kink put on it.
    """

    pseudo_gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    returned: Callable[[Crossing], torch.Tensor]


def sided(penalty: Any) -> Sided | None:
    """The hooks of a penalty, or None where it has none."""
    if isinstance(penalty, L2) or (penalty.strengths and _kink(penalty) == 0):
        return Sided(lambda w, g: g + penalty.slope(w, xp=torch), lambda step: step.after)
    if isinstance(penalty, (L1, ElasticNet, MCP, SCAD)):
        return _orthant(penalty)
    if isinstance(penalty, (GroupLasso, SparseGroupLasso)):
        return _half_space(penalty)
    if isinstance(penalty, (Box, NonNegative)):
        return _interval(penalty)
    if isinstance(penalty, MaxNorm):
        return _ball(penalty)
    return _shifted(penalty) if isinstance(penalty, Distance) else None


def _kink(penalty: Any) -> Any:
    """Largest strength that acts at zero: the slope there, for single weights."""
    if isinstance(penalty, SparseGroupLasso):
        return max(penalty.l1, penalty.l21)
    return getattr(penalty, penalty.strengths[0])


def _orthant(penalty: Any) -> Sided:
    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        at_zero = soft_threshold(gradient, _kink(penalty), xp=torch)  # outside [−λ, λ]
        return torch.where(w == 0, at_zero, gradient + penalty.slope(w, xp=torch))

    return Sided(pseudo_gradient, _same_orthant)


def _same_orthant(step: Crossing) -> torch.Tensor:
    side = torch.where(step.before == 0, -step.pseudo.sign(), step.before.sign())
    crossed = step.after.sign() * side <= 0  # the sign of NaN is 0
    return torch.where(crossed & ~torch.isnan(step.after), 0.0, step.after)


def _half_space(penalty: GroupLasso | SparseGroupLasso) -> Sided:
    single, strength = (
        (penalty.l1, penalty.l21)
        if isinstance(penalty, SparseGroupLasso)
        else (0.0, penalty.strength)
    )

    def weight(layout: Layout, z: torch.Tensor) -> Any:
        return strength * (layout.roots(z, torch) if penalty.size_weighted else 1.0)

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(w.shape))
        at_zero = soft_threshold(gradient, single, xp=torch)
        rest = torch.where(w == 0, at_zero, gradient + single * w.sign()) if single else gradient
        z, slope = layout.fold(w, torch), layout.fold(rest, torch)
        norm, steep = layout.norm(z, torch), layout.norm(slope, torch)
        left = torch.clamp(1 - weight(layout, z) / torch.where(steep == 0, 1.0, steep), min=0.0)
        off_zero = slope + weight(layout, z) * z / torch.where(norm == 0, 1.0, norm)
        return layout.unfold(
            torch.where(norm == 0, left * slope, off_zero), torch
        )  # 0: in the ball

    def returned(step: Crossing) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(step.after.shape))
        after = _same_orthant(step) if single else step.after
        old, new = layout.fold(step.before, torch), layout.fold(after, torch)
        was_zero = layout.norm(old, torch) == 0
        turned = layout.sum(new * old, torch) <= 0
        uphill = layout.sum(new * layout.fold(step.pseudo, torch), torch) >= 0
        # A step that is not along the gradient may circle around zero for ever without turning: where zero
        # is stationary and within the step's length, it is taken.
        steep = layout.norm(layout.fold(soft_threshold(step.slope, single, xp=torch), torch), torch)
        near = layout.norm(new, torch) <= layout.norm(new - old, torch)
        turned = turned | near & (steep <= weight(layout, old))
        return layout.unfold(torch.where(torch.where(was_zero, uphill, turned), 0.0, new), torch)

    return Sided(pseudo_gradient, returned)


def _interval(penalty: Box | NonNegative) -> Sided:
    """At a bound only the part of the gradient that leads inside is seen."""
    low, high = (penalty.low, penalty.high) if isinstance(penalty, Box) else (0.0, torch.inf)

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        stuck = (w <= low) & (gradient > 0) | (w >= high) & (gradient < 0)
        return torch.where(stuck, 0.0, gradient)

    def returned(step: Crossing) -> torch.Tensor:
        held = ((step.before <= low) | (step.before >= high)) & (step.pseudo == 0)
        return penalty.prox(torch.where(held, step.before, step.after), step=1.0, xp=torch)

    return Sided(pseudo_gradient, returned)


def _ball(penalty: MaxNorm) -> Sided:
    """On the sphere the part of the gradient that leads outside is not seen."""

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(w.shape))
        z, slope = layout.fold(w, torch), layout.fold(gradient, torch)
        norm = layout.norm(z, torch)
        unit = z / torch.where(norm == 0, 1.0, norm)
        slack = 4 * torch.finfo(w.dtype).eps * layout.roots(z, torch)
        outward = torch.clamp(-layout.sum(slope * unit, torch), min=0.0)
        outward = torch.where(norm >= penalty.bound * (1 - slack), outward, 0.0)
        return layout.unfold(slope + outward * unit, torch)

    return Sided(pseudo_gradient, lambda step: penalty.prox(step.after, step=1.0, xp=torch))


def _shifted(penalty: Distance) -> Sided | None:
    inner = sided(penalty.penalty)
    if inner is None:
        return None

    def offset(w: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(penalty.reference).to(w)

    def returned(step: Crossing) -> torch.Tensor:
        start = offset(step.before)
        away = step.after - start
        moved = inner.returned(Crossing(step.before - start, away, step.slope, step.pseudo))
        return torch.where(moved == away, step.after, start + moved)  # untouched: keep the bits

    return Sided(lambda w, g: inner.pseudo_gradient(w - offset(w), g), returned)
