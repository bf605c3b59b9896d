"""Zeros under any optimizer: the gradient it sees is the problem's own, and a step may not cross zero.

For weights off zero the penalty's slope is added; at zero the gradient is what is left outside the
subdifferential. After the step a weight that changed its sign (a group that turned away from itself) is set to
exactly 0. Whatever the optimizer, its fixed points are then those of loss + penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from pondera.core.penalties import L1, L2, ElasticNet, GroupLasso
from pondera.core.penalties.elementwise import soft_threshold
from pondera.core.penalties.groups import Layout

_EPSILON: Final = 0.0  # half-space test: a group dies when its step turns it around


@dataclass(frozen=True)
class Sided:
    """A penalty for the orthant or half-space step.

    Args:
        pseudo_gradient: (weights, gradient) → the gradient of loss + penalty on the weights' side of zero.
        returned: (weights before, after, pseudo-gradient before) → weights with what crossed zero set to 0.
    """

    pseudo_gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    returned: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def sided(penalty: Any, loss_factor: float = 1.0) -> Sided | None:
    """The hooks of a penalty, or None where it has none.

    Args:
        penalty: L1, L2, ElasticNet or GroupLasso.
        loss_factor: what gradients are multiplied by (a gradient scaler's factor).

    Returns:
        The pair of functions.
    """
    k = loss_factor
    if isinstance(penalty, L1):
        return _orthant(k * penalty.strength, 0.0)
    if isinstance(penalty, L2):
        return Sided(
            lambda w, g: g + 2 * k * penalty.strength * w, lambda before, after, pseudo: after
        )
    if isinstance(penalty, ElasticNet):
        return _orthant(k * penalty.l1, k * penalty.l2)
    if isinstance(penalty, GroupLasso):
        return _half_space(penalty, k)
    return None


def _orthant(l1: float, l2: float) -> Sided:
    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        smooth = gradient + 2 * l2 * w if l2 else gradient
        at_zero = soft_threshold(smooth, l1, xp=torch)  # outside [−λ, λ]
        return torch.where(w == 0, at_zero, smooth + l1 * w.sign())

    def returned(
        before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor
    ) -> torch.Tensor:
        side = torch.where(before == 0, -pseudo.sign(), before.sign())  # where it may go
        return torch.where(after.sign() == side, after, torch.zeros_like(after))

    return Sided(pseudo_gradient, returned)


def _half_space(penalty: GroupLasso, factor: float) -> Sided:
    def parts(w: torch.Tensor) -> tuple[Layout, torch.Tensor, Any]:
        layout = penalty.groups.layout(tuple(w.shape))
        folded = layout.fold(w, torch)
        root = layout.roots(folded, torch) if penalty.size_weighted else 1.0
        return layout, folded, factor * penalty.strength * root

    def pseudo_gradient(w: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        layout, z, weight = parts(w)
        slope = layout.fold(gradient, torch)
        norm, steep = layout.norm(z, torch), layout.norm(slope, torch)
        left = torch.clamp(1 - weight / torch.where(steep == 0, 1.0, steep), min=0.0)
        at_zero = slope * torch.where(steep == 0, 0.0, left)  # outside the ball of radius λ
        off_zero = slope + weight * z / torch.where(norm == 0, 1.0, norm)
        return layout.unfold(torch.where(norm == 0, at_zero, off_zero), torch)

    def returned(
        before: torch.Tensor, after: torch.Tensor, pseudo: torch.Tensor
    ) -> torch.Tensor:
        layout, z, _ = parts(before)
        new, push = layout.fold(after, torch), layout.fold(pseudo, torch)
        was_zero = layout.norm(z, torch) == 0
        turned = layout.sum(new * z, torch) <= _EPSILON * layout.sum(z * z, torch)
        held = layout.norm(push, torch) == 0
        dies = torch.where(was_zero, held, turned)
        return layout.unfold(torch.where(dies, torch.zeros_like(new), new), torch)

    return Sided(pseudo_gradient, returned)
