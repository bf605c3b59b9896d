"""Penalties that remove whole groups: the group lasso and its sparse form.

In a diagonal metric the group step has no closed form, and the common stand-in (one mean
step per group) solves another problem. Here it is exact: see `secular.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.errors import DomainError
from pondera.core.penalties.base import AbstractPenalty, Array, Step
from pondera.core.penalties.elementwise import excess, soft_threshold
from pondera.core.penalties.groups import Groups, Layout
from pondera.core.penalties.secular import secular_root


def block_prox(z: Array, step: Step, weight: Any, layout: Layout, /, *, xp: Any) -> Array:
    """The step of Σ_g weight·‖z_g‖ on folded weights.

    Law:
        argmin_x sum((x - z)**2 / (2*step)) + sum(weight * norm(x))

    Args:
        z: weights, folded by `layout`.
        step: a number, or an array in the weights' own shape.
        weight: strength of each group, ≥ 0: a number, or one per group.
        layout: the groups.
        xp: namespace of the arrays.

    Returns:
        New folded weights: z·s/(s + step·weight), s their norm; groups that die are exactly 0.

    Source:
        Deleu & Bengio 2021, arXiv 2102.03869, §3; one step for all: Yuan & Lin 2006,
        J. R. Stat. Soc. B 68(1), eq. (2.4).

    Checked by:
        test_penalties_exact.py::test_group_prox_agrees_with_its_dual_problem
    """
    if not getattr(step, "shape", ()):
        norm, threshold = layout.norm(z, xp), step * weight
        dead = norm <= threshold
        return z * xp.where(dead, 0.0, 1 - threshold / xp.where(dead, 1.0, norm))
    c = layout.fold(step, xp) * weight
    s = secular_root(z, c, layout, xp=xp)
    shifted = s + c
    return z * (s / xp.where(shifted == 0, 1.0, shifted))  # 0/0: a zero group, no strength


def block_gap(z: Array, slope: Array, weight: Any, layout: Layout, xp: Any) -> Array:
    """Distance of −slope to the subdifferential of Σ_g weight·‖z_g‖, one per group.

    Law:
        norm(slope + weight * z / norm(z)) if norm(z) > 0 else maximum(norm(slope) - weight, 0)

    Args:
        z: weights, folded by `layout`.
        slope: gradient of everything else, folded too.
        weight: strength of each group, ≥ 0: a number, or one per group.
        layout: the groups.
        xp: namespace of the arrays.

    Source:
        Yuan & Lin 2006, J. R. Stat. Soc. B 68(1), eqs. (2.2) and (2.3).

    Checked by:
        test_penalties.py::test_prox_and_gap_agree
    """
    norm = layout.norm(z, xp)
    at_zero = excess(layout.norm(slope, xp), weight, xp)  # −g to the ball of radius weight
    direction = z / xp.where(norm == 0, 1.0, norm)
    elsewhere = layout.norm(slope + weight * direction, xp)  # −g to {weight·z/‖z‖}
    return layout.per_group(xp.where(norm == 0, at_zero, elsewhere), xp)


def _block_slope(z: Array, weight: Any, layout: Layout, xp: Any) -> Array:
    """Derivative of Σ_g weight·‖z_g‖ on folded weights, 0 in a zero group."""
    norm = layout.norm(z, xp)
    return weight * z / xp.where(norm == 0, 1.0, norm)


def _need_groups(groups: object, who: str) -> None:
    """Refuse what tells no groups.

    Raises:
        DomainError: it is no `Groups`.
    """
    if not isinstance(groups, Groups):
        raise DomainError(
            f"{who}: groups must be made by Groups; got groups={groups!r}. "
            "Pass one such as Groups.rows()."
        )


@final
@dataclass(frozen=True)
class GroupLasso(AbstractPenalty):
    """Sum of group norms: sets whole groups to zero, leaves the others dense.

    Law:
        strength * sum((sqrt(size(g)) if size_weighted else 1) * norm(g) for g in parts(w))

    Args:
        strength: λ in `loss + λ·Σ_g √|g|·‖w_g‖₂`, in [0, inf).
        groups: which weights belong together.
        size_weighted: False drops the root, and large groups are then favoured.

    Raises:
        DomainError: strength is negative or not finite.

    Limits:
        Surviving groups are shrunk: fit once more without it. `gap` is one number per group.

    Source:
        Yuan & Lin 2006, J. R. Stat. Soc. B 68(1), eq. (2.1); step: see `block_prox`.

    Checked by:
        test_penalties_exact.py::test_group_prox_agrees_with_its_dual_problem
        test_penalties.py::test_prox_and_gap_agree

    >>> w = np.array([[3.0, 4.0], [0.3, 0.4]])
    >>> GroupLasso(1.0, Groups.rows(), size_weighted=False).prox(w, step=1.0)
    array([[2.4, 3.2],
           [0. , 0. ]])
    """

    strength: float
    groups: Groups
    size_weighted: bool = True
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()
        _need_groups(self.groups, self._name)

    def _weight(self, layout: Layout, like: Array, xp: Any) -> Any:
        return self.strength * (layout.roots(like, xp) if self.size_weighted else 1.0)

    def _value(self, w: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        return xp.sum(self._weight(layout, z, xp) * layout.norm(z, xp))

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        return layout.unfold(block_prox(z, step, self._weight(layout, z, xp), layout, xp=xp), xp)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z, slope = layout.fold(w, xp), layout.fold(gradient, xp)
        return block_gap(z, slope, self._weight(layout, z, xp), layout, xp)

    def _slope(self, w: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        return layout.unfold(_block_slope(z, self._weight(layout, z, xp), layout, xp), xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """Largest group norm of the gradient, over the root of the group's size."""
        layout = self.groups.layout(gradient_at_zero.shape)
        slope = layout.fold(gradient_at_zero, xp)
        roots = layout.roots(slope, xp) if self.size_weighted else 1.0
        return float(xp.max(layout.norm(slope, xp) / roots))


@final
@dataclass(frozen=True)
class SparseGroupLasso(AbstractPenalty):
    """Group lasso and L1 together: few groups, and few weights in each.

    Law:
        l1 * sum(abs(w))
        + l21 * sum((sqrt(size(g)) if size_weighted else 1) * norm(g) for g in parts(w))

    Args:
        l1: strength of Σ|w|, in [0, inf); the leading one.
        l21: strength of Σ_g √|g|·‖w_g‖₂, in [0, inf).
        groups: which weights belong together.
        size_weighted: False drops the root.

    Raises:
        DomainError: a strength is negative or not finite.

    Limits:
        `critical_strength` speaks of `l1`, with l21/l1 held; it needs l1 > 0.

    Source:
        Simon, Friedman, Hastie & Tibshirani 2013, J. Comput. Graph. Stat. 22(2), §3; that the
        L1 step followed by the group step is exact in a diagonal metric too: derived (the
        group step keeps signs and zeros).

    Checked by:
        test_penalties_exact.py::test_sparse_group_prox_is_group_after_l1
        test_penalties_exact.py::test_group_prox_agrees_with_its_dual_problem
    """

    l1: float
    l21: float
    groups: Groups
    size_weighted: bool = True
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("l1", "l21")

    def __post_init__(self) -> None:
        self._settle_strengths()
        _need_groups(self.groups, self._name)

    def _roots(self, layout: Layout, like: Array, xp: Any) -> Any:
        return layout.roots(like, xp) if self.size_weighted else 1.0

    def _value(self, w: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        blocks = xp.sum(self._roots(layout, z, xp) * layout.norm(z, xp))
        return self.l1 * xp.sum(xp.abs(w)) + self.l21 * blocks

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(soft_threshold(w, step * self.l1, xp=xp), xp)
        weight = self.l21 * self._roots(layout, z, xp)
        return layout.unfold(block_prox(z, step, weight, layout, xp=xp), xp)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        # Where w is 0, l1's interval takes off what it can: the rest is for the group's ball.
        rest = xp.where(
            w == 0,
            soft_threshold(gradient, self.l1, xp=xp),
            gradient + self.l1 * xp.sign(w),
        )
        z, slope = layout.fold(w, xp), layout.fold(rest, xp)
        return block_gap(z, slope, self.l21 * self._roots(layout, z, xp), layout, xp)

    def _slope(self, w: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        blocks = _block_slope(z, self.l21 * self._roots(layout, z, xp), layout, xp)
        return self.l1 * xp.sign(w) + layout.unfold(blocks, xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """The l1 at which ‖soft(gradient_g, l1)‖ ≤ l21·√|g| in each group, by bisection."""
        if self.l1 == 0:
            raise DomainError(
                "SparseGroupLasso: a critical l1 needs l1 > 0; got l1=0.0. Use GroupLasso."
            )
        layout = self.groups.layout(gradient_at_zero.shape)
        slope = layout.fold(gradient_at_zero, xp)
        ratio = self.l21 / self.l1 * self._roots(layout, slope, xp)
        norm = layout.norm(slope, xp)
        low, high = norm / (ratio + layout.roots(slope, xp)), layout.peak(xp.abs(slope), xp)
        for _ in range(64):
            middle = (low + high) / 2
            dies = layout.norm(soft_threshold(slope, middle, xp=xp), xp) <= ratio * middle
            low, high = xp.where(dies, low, middle), xp.where(dies, middle, high)
        return float(xp.max(high))
