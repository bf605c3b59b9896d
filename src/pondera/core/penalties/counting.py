"""Penalties with an infinite slope at zero: a price per weight, and sums of square roots.

Not convex. Every prox is the global minimiser; on a tie zero wins. `gap` uses the limiting
subdifferential, which at zero is the whole line: any zero is stationary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.errors import DomainError
from pondera.core.penalties.base import AbstractPenalty, Array, Step


def hard_threshold(w: Array, threshold: Any, /, *, xp: Any = np) -> Array:
    """Weights beyond `threshold` untouched, the others zero.

    Law:
        w * (abs(w) > threshold)

    Args:
        w: weights, any shape.
        threshold: distance ≥ 0, a number or an array of the same shape.
        xp: namespace of the arrays.

    Returns:
        A new array; exact, NaN stays NaN.

    Source:
        Donoho & Johnstone 1994, Biometrika 81(3), §2.1.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox

    >>> hard_threshold(np.array([3.0, -0.5]), 1.0)
    array([3., 0.])
    """
    return xp.where(xp.abs(w) <= threshold, 0.0, w)


def _no_kink(name: str) -> DomainError:
    return DomainError(
        f"{name}: a critical strength needs a finite slope at zero; got slope=inf, so zero is "
        "stationary at every strength. Use MCP or SCAD, or compare the losses."
    )


@final
@dataclass(frozen=True)
class L0(AbstractPenalty):
    """A fixed price for every weight that is not zero.

    Law:
        strength * sum(w != 0)

    Args:
        strength: price λ of one weight, in the unit of the loss, in [0, inf).

    Raises:
        DomainError: strength is negative or not finite.

    Limits:
        Once zero a weight returns only if a single step carries it past √(2·step·λ); zero is
        stationary whatever the loss, so the answer depends on the start.

    Source:
        Blumensath & Davies 2008, J. Fourier Anal. Appl. 14, §2 (iterative hard thresholding).

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
    """

    strength: float
    convex: ClassVar[bool] = False
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()

    def _value(self, w: Array, xp: Any) -> Array:
        return self.strength * xp.sum(w != 0)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        return hard_threshold(w, (2 * self.strength * step) ** 0.5, xp=xp)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        distance = xp.abs(gradient)  # −g to {0}
        return distance if self.strength == 0 else xp.where(w == 0, 0.0, distance)  # to ℝ at zero

    def _slope(self, w: Array, xp: Any) -> Array:
        return xp.zeros_like(w)  # a price per weight, whatever its size

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """There is none: the slope at zero is infinite."""
        raise _no_kink("L0")


@final
@dataclass(frozen=True)
class LHalf(AbstractPenalty):
    """Sum of the square roots of absolute weights, between L0 and L1.

    Law:
        strength * sum(sqrt(abs(w)))

    Args:
        strength: λ in `loss + λ·Σ√|w|`, in [0, inf).

    Raises:
        DomainError: strength is negative or not finite.

    Limits:
        As L0: zero is stationary whatever the loss.

    Source:
        Xu, Chang, Xu & Zhang 2012, IEEE Trans. Neural Netw. Learn. Syst. 23(7), half
        thresholding (there the fit is Σ(x − w)², without 1/(2·step)).

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties_exact.py::test_agrees_with_skglm
    """

    strength: float
    convex: ClassVar[bool] = False
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()

    def _value(self, w: Array, xp: Any) -> Array:
        return self.strength * xp.sum(xp.sqrt(xp.abs(w)))

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        threshold = 1.5 * (self.strength * step) ** (2 / 3)  # there 0 and 2w/3 cost the same
        zeroed = xp.abs(w) <= threshold
        ratio = threshold / xp.where(zeroed, 1.0, xp.abs(w))  # in (0, 1) where a root is taken
        angle = xp.arccos(xp.where(zeroed, 0.0, ratio**1.5) * math.sqrt(0.5))
        root = w * (2 / 3) * (1 + xp.cos((2 / 3) * (math.pi - angle)))  # largest of the cubic's
        return xp.where(zeroed, 0.0, xp.where(ratio == 0, w, root))

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        if self.strength == 0:
            return xp.abs(gradient)
        return xp.where(w == 0, 0.0, xp.abs(gradient + self._slope(w, xp)))  # to ℝ, else {slope}

    def _slope(self, w: Array, xp: Any) -> Array:
        away = xp.where(w == 0, 1.0, xp.abs(w))
        return self.strength * xp.sign(w) / (2 * xp.sqrt(away))

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """There is none: the slope at zero is infinite."""
        raise _no_kink("LHalf")
