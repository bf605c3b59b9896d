"""Sets that the weights must stay in: penalties of 0 inside and inf outside.

Their prox is the nearest point of the set in the step's metric; a step of 0 is taken as the
limit of short steps, so it projects too (and leaves feasible weights as they are).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.errors import DomainError
from pondera.core.penalties.base import AbstractPenalty, Array, Step
from pondera.core.penalties.groups import Groups, Layout
from pondera.core.penalties.secular import secular_root


def _no_strength(name: str) -> DomainError:
    return DomainError(
        f"{name}: a critical strength needs a strength; got a constraint, which has none. "
        "Vary its bounds instead."
    )


def _interval_gap(w: Array, gradient: Array, low: float, high: float, xp: Any) -> Array:
    """Distance of −gradient to the normal cone of [low, high]: ℝ₋ at low, ℝ₊ at high, else {0}."""
    zero = xp.zeros_like(w)
    up = xp.where(w == low, zero, xp.clip(gradient, 0, None))  # part that would lower w
    down = xp.where(w == high, zero, xp.clip(-gradient, 0, None))  # part that would raise it
    return xp.where((w >= low) & (w <= high), up + down, math.inf)


@final
@dataclass(frozen=True)
class NonNegative(AbstractPenalty):
    """No weight below zero.

    Law:
        sum(where(w >= 0, 0, inf))

    Limits:
        Has no strength; element-wise, so the metric does not matter.

    Source:
        Parikh & Boyd 2014, Proximal Algorithms, §6.2.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox

    >>> NonNegative().prox(np.array([3.0, -0.5]), step=1.0)
    array([3., 0.])
    """

    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ()

    def _value(self, w: Array, xp: Any) -> Array:
        return xp.where(xp.all(w >= 0), 0.0, math.inf)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        return xp.clip(w, 0, None)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        return _interval_gap(w, gradient, 0.0, math.inf, xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """There is none: a constraint has no strength."""
        raise _no_strength("NonNegative")


@final
@dataclass(frozen=True)
class Box(AbstractPenalty):
    """Every weight between two bounds.

    Law:
        sum(where((low <= w) & (w <= high), 0, inf))

    Args:
        low: lower bound; -inf for none.
        high: upper bound, ≥ low; inf for none.

    Raises:
        DomainError: low exceeds high, or one is NaN.

    Limits:
        Has no strength; element-wise, so the metric does not matter. Bounds are rounded to
        the weights' dtype.

    Source:
        Parikh & Boyd 2014, Proximal Algorithms, §6.2.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox

    >>> Box(-1.0, 1.0).prox(np.array([3.0, -0.5]), step=1.0)
    array([ 1. , -0.5])
    """

    low: float
    high: float
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise DomainError(
                f"Box: low must not exceed high; got low={self.low!r}, high={self.high!r}. "
                "Swap them, or use -inf and inf for no bound."
            )
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    def _value(self, w: Array, xp: Any) -> Array:
        return xp.where(xp.all((w >= self.low) & (w <= self.high)), 0.0, math.inf)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        return xp.clip(w, self.low, self.high)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        return _interval_gap(w, gradient, self.low, self.high, xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """There is none: a constraint has no strength."""
        raise _no_strength("Box")


@final
@dataclass(frozen=True)
class MaxNorm(AbstractPenalty):
    """No group's Euclidean norm above a bound.

    Law:
        0 if all(norm(g) <= bound*(1 + 4*eps*sqrt(size(g))) for g in parts(w)) else inf

    Args:
        bound: largest norm, in (0, inf).
        groups: which weights share a norm; rows unless said otherwise.

    Raises:
        DomainError: bound is not a positive finite number.

    Limits:
        `value` and `gap` allow a norm the rounding of its sum, 4·eps·√|g|. Steps below 1e-20
        of the group's largest are taken as that.

    Source:
        Srivastava et al. 2014, J. Mach. Learn. Res. 15, §5.1 (max-norm); projection in a diagonal
        metric: derived from its Lagrangian, w/(1 + step·μ) on the sphere.

    Checked by:
        test_penalties_exact.py::test_max_norm_projection_is_the_nearest_point_of_the_ball
        test_penalties.py::test_prox_and_gap_agree

    >>> MaxNorm(1.0).prox(np.array([[3.0, 4.0], [0.3, 0.4]]), step=1.0)
    array([[0.6, 0.8],
           [0.3, 0.4]])
    """

    bound: float
    groups: Groups = field(default_factory=Groups.rows)
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        self._settle("bound", included=False, hint="For weights of zero remove them instead.")

    def _value(self, w: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        inside = layout.norm(z, xp) <= self.bound * (1 + self._slack(layout, z, xp))
        return xp.where(xp.all(inside), 0.0, math.inf)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z = layout.fold(w, xp)
        if getattr(step, "shape", ()):
            step = layout.fold(step, xp)
            longest = layout.peak(step, xp)
            relative = xp.where(longest == 0, 1.0, step / xp.where(longest == 0, 1.0, longest))
            metric = 1 / xp.clip(relative, 1e-20, None)
            multiplier = secular_root(z * metric / self.bound, metric, layout, xp=xp)
            z = z * (metric / (multiplier + metric))
        norm = layout.norm(z, xp)
        outside = norm > self.bound
        shrunk = z * (self.bound / xp.where(outside, norm, self.bound))
        return layout.unfold(xp.where(outside, shrunk, z), xp)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        layout = self.groups.layout(w.shape)
        z, slope = layout.fold(w, xp), layout.fold(gradient, xp)
        norm, slack = layout.norm(z, xp), self._slack(layout, z, xp)
        unit = z / xp.where(norm == 0, 1.0, norm)
        along = xp.clip(-layout.sum(slope * unit, xp), 0, None)  # −g on the ray of w
        edge = layout.norm(slope + along * unit, xp)
        distance = xp.where(norm < self.bound * (1 - slack), layout.norm(slope, xp), edge)
        distance = xp.where(norm <= self.bound * (1 + slack), distance, math.inf)
        return layout.per_group(distance, xp)

    def _slack(self, layout: Layout, z: Array, xp: Any) -> Any:
        return 4 * xp.finfo(z.dtype).eps * layout.roots(z, xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """There is none: a constraint has no strength."""
        raise _no_strength("MaxNorm")
