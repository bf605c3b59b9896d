"""A penalty on singular values: the nuclear norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.errors import DomainError, ShapeError
from pondera.core.penalties.base import AbstractPenalty, Array, Step
from pondera.core.penalties.elementwise import excess

INNER_TURNS = 2000  # singular value decompositions that one metric step may cost


def singular_threshold(w: Array, threshold: Any, /, *, xp: Any = np) -> Array:
    """The matrix with its singular values lowered by `threshold`, at least to 0.

    Law:
        argmin_x sum((x - w)**2) / 2 + threshold * sum(singular_values(x))

    Args:
        w: matrix.
        threshold: distance ≥ 0.
        xp: namespace of the array.

    Returns:
        A new matrix; exactly zero if no singular value is above the threshold.

    Source:
        Cai, Candès & Shen 2010, SIAM J. Optim. 20(4), Theorem 2.1.

    Checked by:
        test_penalties_exact.py::test_nuclear_prox_lowers_the_singular_values
    """
    left, singular, right = xp.linalg.svd(w, full_matrices=False)
    return (left * excess(singular, threshold, xp)) @ right


@final
@dataclass(frozen=True)
class Nuclear(AbstractPenalty):
    """Sum of singular values: lowers the rank of a matrix.

    Law:
        strength * sum(singular_values(w))

    Args:
        strength: λ in `loss + λ·‖w‖_*`, in [0, inf).

    Raises:
        DomainError: strength is negative or not finite. From `prox`: steps that differ and
            are zero somewhere, or so far apart that 2000 decompositions do not suffice.
        ShapeError: the weight is no matrix.

    Limits:
        Zeros are singular values, so they are exact in rank only to rounding. With one step
        per coordinate there is no closed form: the sub-problem is solved by accelerated
        proximal gradient steps in the largest metric until its own `gap` is at rounding,
        about √(max step / min step) decompositions times 20; it cannot be traced. Use one step
        where you can.

    Source:
        Fazel, Hindi & Boyd 2001, Proc. ACC (nuclear norm for rank); subdifferential: Watson
        1992, Linear Algebra Appl. 170, §2; inner solver: Nesterov 2004, Introductory Lectures
        on Convex Optimization, §2.2.1 (constant momentum).

    Checked by:
        test_penalties_exact.py::test_nuclear_prox_lowers_the_singular_values
        test_penalties.py::test_prox_and_gap_agree
    """

    strength: float
    convex: ClassVar[bool] = True
    strengths: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        self._settle_strengths()

    def _value(self, w: Array, xp: Any) -> Array:
        return self.strength * xp.sum(xp.linalg.svd(self._matrix(w), full_matrices=False)[1])

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        w = self._matrix(w)
        if getattr(step, "shape", ()):
            short, long = float(xp.min(step)), float(xp.max(step))
            if short < long and self.strength > 0:
                return self._metric_prox(w, step, short, long, xp)
            step = long
        threshold = step * self.strength
        if isinstance(threshold, float) and threshold <= 0:
            return w + 0
        return singular_threshold(w, threshold, xp=xp)

    def _metric_prox(self, w: Array, step: Array, short: float, long: float, xp: Any) -> Array:
        if short == 0:
            raise DomainError(
                "Nuclear: steps that differ must all be positive; got step=0.0. "
                "Pass one step for the matrix."
            )
        share = short / step  # metric over the largest one, in (0, 1]
        momentum = (long**0.5 - short**0.5) / (long**0.5 + short**0.5)
        # Rounding of one decomposition; `left` is the distance of −gradient to the subdifferential.
        enough = 16 * float(xp.finfo(w.dtype).eps) * float(xp.sum(w * w)) ** 0.5
        old, ahead = w, w
        for _ in range(INNER_TURNS):
            moved = ahead - share * (ahead - w)
            new = singular_threshold(moved, short * self.strength, xp=xp)
            left = (1 - share) * (ahead - new)
            if float(xp.sum(left * left)) ** 0.5 <= enough:
                return new
            old, ahead = new, new + momentum * (new - old)
        raise DomainError(
            "Nuclear: steps must be closer together for a metric step; "
            f"got max/min={long / short:.3g}. Pass one step for the matrix, such as the smallest."
        )

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        left, singular, right = xp.linalg.svd(self._matrix(w), full_matrices=False)
        noise = max(w.shape) * float(xp.finfo(w.dtype).eps) * xp.max(singular)
        kept = xp.where(singular > noise, xp.ones_like(singular), 0.0)  # 1 within the rank
        left, right = left * kept, right * kept[:, None]
        across = gradient - left @ (left.T @ gradient)
        across = across - (across @ right.T) @ right  # off both spaces: any ‖·‖₂ ≤ λ will do
        along = gradient - across + self.strength * (left @ right)  # −g to {λ·u·v}
        over = excess(xp.linalg.svd(across, full_matrices=False)[1], self.strength, xp)
        return xp.sqrt(xp.sum(along * along) + xp.sum(over * over))

    def _matrix(self, w: Array) -> Array:
        if len(w.shape) != 2:
            raise ShapeError(
                f"Nuclear: singular values need two axes; got shape={tuple(w.shape)}. "
                "Reshape to (out, -1) first."
            )
        return w

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """Largest singular value of the gradient."""
        matrix = self._matrix(gradient_at_zero)
        return float(xp.max(xp.linalg.svd(matrix, full_matrices=False)[1]))
