"""Zeros under any optimizer: the gradient it sees is the problem's own, and a step may not cross a kink.

Off its kinks the penalty's slope is added to the gradient; on a kink the gradient is what is left outside the
subdifferential. After the step a weight that changed its sign (a group that turned away from itself) is set to
exactly 0, and what left a constraint is put back. Whatever the optimizer, if it stands still only where its gradient is
zero, its fixed points are then those of loss + penalty.

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
Seen = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Returned = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Sided:
    """A penalty for the orthant or half-space step.

    Args:
        pseudo_gradient: (weights, gradient) → the gradient of loss + penalty on the weights' side of its kinks.
        returned: (weights before, after, pseudo-gradient before) → weights with what crossed a kink put back on it.
    """

    pseudo_gradient: Seen
    returned: Returned


def sided(penalty: Any) -> Sided | None:
    """The hooks of a penalty, or None where it has none."""
    if isinstance(penalty, L2):
        return Sided(
            lambda w, g: g + penalty.slope(w, xp=torch), lambda before, after, pseudo: after
        )
    if isinstance(penalty, (L1, ElasticNet, MCP, SCAD)):
        return _orthant(penalty)
    if isinstance(penalty, GroupLasso):
        return _half_space(penalty)
    if isinstance(penalty, SparseGroupLasso):
        return _sparse_groups(penalty)
    if isinstance(penalty, (Box, NonNegative)):
        return _interval(penalty)
    if isinstance(penalty, MaxNorm):
        return _ball(penalty)
    return _shifted(penalty) if isinstance(penalty, Distance) else None


def _orthant(penalty: Any) -> Sided:
    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        kink = getattr(penalty, penalty.strengths[0])
        at_zero = soft_threshold(gradient, kink, xp=torch)  # outside [−λ, λ]
        return torch.where(w == 0, at_zero, gradient + penalty.slope(w, xp=torch))

    return Sided(pseudo_gradient, _same_orthant)


def _same_orthant(before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
    side = torch.where(before == 0, -pseudo.sign(), before.sign())  # where it may go
    return torch.where(after.sign() * side <= 0, 0.0, after)  # NaN compares false, and stays


def _half_space(penalty: GroupLasso) -> Sided:
    def weight(layout: Layout, z: torch.Tensor) -> Any:
        return penalty.strength * (layout.roots(z, torch) if penalty.size_weighted else 1.0)

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(w.shape))
        z, slope = layout.fold(w, torch), layout.fold(gradient, torch)
        return layout.unfold(_block_pseudo(layout, z, slope, weight(layout, z)), torch)

    def returned(before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
        return _same_half_space(penalty.groups.layout(tuple(after.shape)), before, after, pseudo)

    return Sided(pseudo_gradient, returned)


def _block_pseudo(
    layout: Layout, z: torch.Tensor, slope: torch.Tensor, weight: Any
) -> torch.Tensor:
    norm, steep = layout.norm(z, torch), layout.norm(slope, torch)
    left = torch.clamp(1 - weight / torch.where(steep == 0, 1.0, steep), min=0.0)
    at_zero = slope * torch.where(steep == 0, 0.0, left)  # outside the ball of radius λ
    off_zero = slope + weight * z / torch.where(norm == 0, 1.0, norm)
    return torch.where(norm == 0, at_zero, off_zero)


def _same_half_space(
    layout: Layout, before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor
) -> torch.Tensor:
    old, new = layout.fold(before, torch), layout.fold(after, torch)
    push = layout.fold(pseudo, torch)
    was_zero = layout.norm(old, torch) == 0
    turned = layout.sum(new * old, torch) <= 0
    uphill = layout.sum(new * push, torch) >= 0  # away from zero only downhill
    dies = torch.where(was_zero, uphill, turned)
    return layout.unfold(torch.where(dies, 0.0, new), torch)


def _sparse_groups(penalty: SparseGroupLasso) -> Sided:
    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(w.shape))
        rest = torch.where(
            w == 0,
            soft_threshold(gradient, penalty.l1, xp=torch),
            gradient + penalty.l1 * w.sign(),
        )
        z = layout.fold(w, torch)
        weight = penalty.l21 * (layout.roots(z, torch) if penalty.size_weighted else 1.0)
        return layout.unfold(_block_pseudo(layout, z, layout.fold(rest, torch), weight), torch)

    def returned(before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(after.shape))
        return _same_half_space(layout, before, _same_orthant(before, after, pseudo), pseudo)

    return Sided(pseudo_gradient, returned)


def _interval(penalty: Box | NonNegative) -> Sided:
    """At a bound only the part of the gradient that leads inside is seen."""
    low, high = (penalty.low, penalty.high) if isinstance(penalty, Box) else (0.0, float("inf"))

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        stuck = (w <= low) & (gradient > 0) | (w >= high) & (gradient < 0)
        return torch.where(stuck, 0.0, gradient)

    def returned(before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
        held = ((before <= low) | (before >= high)) & (pseudo == 0)
        return penalty.prox(torch.where(held, before, after), step=1.0, xp=torch)

    return Sided(pseudo_gradient, returned)


def _ball(penalty: MaxNorm) -> Sided:
    """On the sphere the part of the gradient that leads outside is not seen."""

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        layout = penalty.groups.layout(tuple(w.shape))
        z, slope = layout.fold(w, torch), layout.fold(gradient, torch)
        norm = layout.norm(z, torch)
        unit = z / torch.where(norm == 0, 1.0, norm)
        edge = norm >= penalty.bound * (1 - 4 * torch.finfo(w.dtype).eps * layout.roots(z, torch))
        outward = torch.clamp(-layout.sum(slope * unit, torch), min=0.0)
        return layout.unfold(slope + torch.where(edge, outward, 0.0) * unit, torch)

    return Sided(
        pseudo_gradient,
        lambda before, after, pseudo: penalty.prox(after, step=1.0, xp=torch),
    )


def _shifted(penalty: Distance) -> Sided | None:
    inner = sided(penalty.penalty)
    if inner is None:
        return None

    def offset(w: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(penalty.reference).to(w)

    def returned(before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor) -> torch.Tensor:
        start = offset(before)
        moved = inner.returned(before - start, after - start, pseudo)
        return torch.where(moved == after - start, after, start + moved)

    return Sided(lambda w, g: inner.pseudo_gradient(w - offset(w), g), returned)
