"""Penalties like L1 near zero and flat far out: no shrinkage of large weights, no convexity.

Every prox is the global minimiser at every step, long ones included: an adaptive optimizer's
step is huge where its second moment is near zero. On a tie zero wins. `gap` is zero at
stationary points, not only at minima.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.penalties.base import AbstractPenalty, Array, Step
from pondera.core.penalties.counting import hard_threshold
from pondera.core.penalties.elementwise import excess, soft_threshold


def _spread(step: Step, w: Array, xp: Any) -> Array:
    """The step of every weight, as an array: branches here depend on it."""
    return xp.zeros_like(w) + step


@final
@dataclass(frozen=True)
class MCP(AbstractPenalty):
    """Minimax concave penalty: L1 near zero, flat from gamma·strength on.

    Law:
        sum(where(abs(w) <= gamma*strength,
                  strength*abs(w) - w**2/(2*gamma), gamma*strength**2/2))

    Args:
        strength: slope λ at zero, in [0, inf).
        gamma: weights beyond gamma·λ are not shrunk, in (0, inf).

    Raises:
        DomainError: strength or gamma is out of its range.

    Limits:
        For step ≥ gamma the sub-problem is concave up to gamma·λ and the prox is a hard
        threshold at λ·√(step·gamma); the formula for short steps is wrong there.

    Source:
        Zhang 2010, Ann. Statist. 38(2), §2; long steps: derived by comparing the two
        local minima, 0 and w.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties_exact.py::test_mcp_is_a_hard_threshold_for_long_steps

    >>> MCP(1.0, gamma=3.0).prox(np.array([0.5, 2.0, 4.0]), step=1.0)
    array([0. , 1.5, 4. ])
    """

    strength: float
    gamma: float
    convex: ClassVar[bool] = False
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()
        self._settle("gamma", included=False, hint="Use 3, or L1 for gamma → inf.")

    def _value(self, w: Array, xp: Any) -> Array:
        inner = xp.clip(xp.abs(w), None, self.gamma * self.strength)  # constant beyond
        return xp.sum(inner * (self.strength - inner / (2 * self.gamma)))

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        step = _spread(step, w, xp)
        short = step < self.gamma
        room = xp.where(short, 1 - step / self.gamma, 1.0)  # curvature left, in units of 1/step
        firm = soft_threshold(w, step * self.strength, xp=xp) / room
        firm = xp.where(xp.abs(w) > self.gamma * self.strength, w, firm)
        cut = self.strength * xp.sqrt(step * self.gamma)
        return xp.where(short, firm, hard_threshold(w, cut, xp=xp))

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        at_zero = excess(xp.abs(gradient), self.strength, xp)  # −g to [−λ, λ]
        elsewhere = xp.abs(gradient + self._slope(w, xp))  # −g to {slope}
        return xp.where(w == 0, at_zero, elsewhere)

    def _slope(self, w: Array, xp: Any) -> Array:
        return xp.sign(w) * excess(self.strength, xp.abs(w) / self.gamma, xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """Largest |gradient|: beyond it zero is stationary (another, lower point may exist)."""
        return float(xp.max(xp.abs(gradient_at_zero)))


@final
@dataclass(frozen=True)
class SCAD(AbstractPenalty):
    """Smoothly clipped absolute deviation: L1 to strength, flat from knot·strength on.

    Law:
        sum(where(abs(w) <= strength, strength*abs(w),
            where(abs(w) <= knot*strength,
                  (2*knot*strength*abs(w) - w**2 - strength**2) / (2*(knot - 1)),
                  strength**2*(knot + 1)/2)))

    Args:
        strength: slope λ at zero, in [0, inf).
        knot: weights beyond knot·λ are not shrunk, in (2, inf); 3.7 in the paper.

    Raises:
        DomainError: strength or knot is out of its range.

    Limits:
        For step ≥ knot − 1 the middle piece is concave and never holds the minimum: soft
        threshold up to λ·(knot + 1 + step)/2 and the weight itself beyond, or, for
        step > knot + 1, a hard threshold at λ·√(step·(knot + 1)).

    Source:
        Fan & Li 2001, J. Amer. Statist. Assoc. 96(456), eqs. (2.7) and (2.8) (step 1); other
        steps: derived by comparing the pieces' minima.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties_exact.py::test_agrees_with_skglm

    >>> SCAD(1.0, knot=3.0).prox(np.array([0.5, 1.5, 2.5, 4.0]), step=1.0)
    array([0. , 0.5, 2. , 4. ])
    """

    strength: float
    knot: float = 3.7
    convex: ClassVar[bool] = False
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()
        self._settle("knot", low=2.0, included=False, hint="Use 3.7, as the paper does.")

    def _value(self, w: Array, xp: Any) -> Array:
        first = xp.clip(xp.abs(w), None, self.strength)  # slope λ
        second = xp.clip(xp.abs(w), self.strength, self.knot * self.strength) - self.strength
        return xp.sum(self.strength * (first + second) - second**2 / (2 * (self.knot - 1)))

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        step, magnitude = _spread(step, w, xp), xp.abs(w)
        soft = soft_threshold(w, step * self.strength, xp=xp)
        short = step < self.knot - 1
        room = xp.where(short, 1 - step / (self.knot - 1), 1.0)
        pull = step * (self.knot * self.strength / (self.knot - 1))
        firm = xp.sign(w) * (magnitude - pull) / room  # middle piece
        firm = xp.where(magnitude > self.knot * self.strength, w, firm)
        near = self.strength * (self.knot + 1 + step) / 2  # soft(w) and w cost the same
        far = self.strength * xp.sqrt(step * (self.knot + 1))  # 0 and w cost the same
        cut = xp.where(step <= self.knot + 1, near, far)
        cut = xp.where(short, self.strength * (1 + step), cut)
        return xp.where(magnitude <= cut, soft, xp.where(short, firm, w))

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        at_zero = excess(xp.abs(gradient), self.strength, xp)  # −g to [−λ, λ]
        elsewhere = xp.abs(gradient + self._slope(w, xp))  # −g to {slope}
        return xp.where(w == 0, at_zero, elsewhere)

    def _slope(self, w: Array, xp: Any) -> Array:
        fall = excess(self.knot * self.strength, xp.abs(w), xp) / (self.knot - 1)
        return xp.sign(w) * xp.clip(fall, None, self.strength)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """Largest |gradient|: beyond it zero is stationary (another, lower point may exist)."""
        return float(xp.max(xp.abs(gradient_at_zero)))
