"""Penalties that look at one weight at a time and are convex: L1, L2 and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.errors import DomainError
from pondera.core.penalties.base import AbstractPenalty, Array, Step


def soft_threshold(w: Array, threshold: Any, /, *, xp: Any = np) -> Array:
    """Weights moved towards zero by `threshold`, and stopped there.

    Law:
        sign(w) * maximum(abs(w) - threshold, 0)

    Args:
        w: weights, any shape.
        threshold: distance ≥ 0, a number or an array of the same shape.
        xp: namespace of the arrays.

    Returns:
        A new array; rounded once, exact zeros.

    Source:
        Donoho & Johnstone 1994, Biometrika 81(3), §2.1.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox

    >>> soft_threshold(np.array([3.0, -0.5]), 1.0)
    array([2., 0.])
    """
    return w - xp.clip(w, -threshold, threshold)  # one subtraction: no sign, no product


def excess(magnitude: Array, bound: Any, xp: Any) -> Array:
    """The distance of a magnitude to the interval [0, bound].

    Law:
        maximum(magnitude - bound, 0)

    Args:
        magnitude: numbers ≥ 0, any shape.
        bound: number or array ≥ 0 that broadcasts.
        xp: namespace of the arrays.

    Source:
        Parikh & Boyd 2014, Proximal Algorithms, §6.2 (projection on an interval).

    Checked by:
        test_penalties.py::test_prox_and_gap_agree
    """
    return xp.clip(magnitude - bound, 0, None)


@final
@dataclass(frozen=True)
class L1(AbstractPenalty):
    """Sum of absolute weights: sets single weights to zero.

    Law:
        strength * sum(abs(w))

    Args:
        strength: λ in `loss + λ·Σ|w|`, in [0, inf).

    Raises:
        DomainError: strength is negative or not finite.

    Limits:
        The weights that stay are too small by about strength over the loss's curvature: fit
        the survivors once more without it. In a network whose next layer can grow, the
        penalty is evaded by rescaling unless that layer is penalised too.

    Source:
        Tibshirani 1996, J. R. Stat. Soc. B 58(1), §1; prox: Parikh & Boyd 2014, §6.5.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties.py::test_moreau_identity

    >>> L1(1.0).prox(np.array([3.0, -0.5]), step=2.0)
    array([1., 0.])
    """

    strength: float
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()

    def _value(self, w: Array, xp: Any) -> Array:
        return self.strength * xp.sum(xp.abs(w))

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        return soft_threshold(w, step * self.strength, xp=xp)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        at_zero = excess(xp.abs(gradient), self.strength, xp)  # −g to [−λ, λ]
        elsewhere = xp.abs(gradient + self.strength * xp.sign(w))  # −g to {λ·sign w}
        return xp.where(w == 0, at_zero, elsewhere)

    def _slope(self, w: Array, xp: Any) -> Array:
        return self.strength * xp.sign(w)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """Largest |gradient|: beyond it no single weight pays for itself."""
        return float(xp.max(xp.abs(gradient_at_zero)))


@final
@dataclass(frozen=True)
class L2(AbstractPenalty):
    """Sum of squared weights, as a part of the objective (not decoupled decay).

    Law:
        strength * sum(w**2)

    Args:
        strength: λ in `loss + λ·Σw²`, in [0, inf): Keras's l2; half of torch's `weight_decay`.

    Raises:
        DomainError: strength is negative or not finite.

    Limits:
        No weight becomes zero. Squares overflow in float32 above 1.8e19.

    Source:
        Hoerl & Kennard 1970, Technometrics 12(1), §2; prox: Parikh & Boyd 2014, §6.1.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties.py::test_moreau_identity

    >>> L2(0.5).prox(np.array([3.0]), step=2.0)
    array([1.])
    """

    strength: float
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()

    def _value(self, w: Array, xp: Any) -> Array:
        return self.strength * xp.sum(w * w)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        return w / (1 + 2 * step * self.strength)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        return xp.abs(gradient + 2 * self.strength * w)  # smooth: one gradient, no set

    def _slope(self, w: Array, xp: Any) -> Array:
        return 2 * self.strength * w

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """There is none: the slope of a square at zero is zero."""
        raise DomainError(
            "L2: a critical strength needs a kink at zero; got slope=0.0 there, so weights "
            "shrink for ever and none is zero. Use L1, ElasticNet or GroupLasso."
        )


@final
@dataclass(frozen=True)
class ElasticNet(AbstractPenalty):
    """L1 and L2 together: zeros, and stable shares among correlated weights.

    Law:
        l1 * sum(abs(w)) + l2 * sum(w**2)

    Args:
        l1: strength of Σ|w|, in [0, inf); the leading one.
        l2: strength of Σw², in [0, inf); the naive form, not rescaled by 1 + l2.

    Raises:
        DomainError: a strength is negative or not finite.

    Limits:
        As L1 and L2. `critical_strength` speaks of `l1`; no `l2` changes it.

    Source:
        Zou & Hastie 2005, J. R. Stat. Soc. B 67(2), §2.1 (naive elastic net);
        prox: Parikh & Boyd 2014, §6.5.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties.py::test_prox_is_firmly_nonexpansive_in_its_metric

    >>> ElasticNet(1.0, 0.5).prox(np.array([3.0, -0.5]), step=1.0)
    array([1., 0.])
    """

    l1: float
    l2: float
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __post_init__(self) -> None:
        self._settle_strengths()

    def _value(self, w: Array, xp: Any) -> Array:
        return self.l1 * xp.sum(xp.abs(w)) + self.l2 * xp.sum(w * w)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        return soft_threshold(w, step * self.l1, xp=xp) / (1 + 2 * step * self.l2)

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        at_zero = excess(xp.abs(gradient), self.l1, xp)  # −g to [−l1, l1]
        elsewhere = xp.abs(gradient + self._slope(w, xp))  # −g to {l1·sign w + 2·l2·w}
        return xp.where(w == 0, at_zero, elsewhere)

    def _slope(self, w: Array, xp: Any) -> Array:
        return self.l1 * xp.sign(w) + 2 * self.l2 * w

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """Largest |gradient|, as an `l1`: the square has no slope at zero."""
        return float(xp.max(xp.abs(gradient_at_zero)))
