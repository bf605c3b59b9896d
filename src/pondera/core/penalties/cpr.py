"""Constrained parameter regularisation: a bound on a tensor's size instead of a strength.

The strength becomes a Lagrange multiplier that finds itself: it grows while the tensor is
larger than its bound and falls to zero, for good, where the bound does not bind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, final, get_args

import numpy as np

from pondera.core.errors import DomainError, unknown
from pondera.core.penalties.base import Array
from pondera.core.penalties.elementwise import soft_threshold

Measure = Literal["absolute", "square"]


def mean_size(w: Array, /, *, measure: Measure = "square", xp: Any = np) -> float:
    """Mean square, or mean absolute weight, of one tensor.

    Law:
        mean(w**2) if measure == "square" else mean(abs(w))

    Args:
        w: weights of one tensor, any shape.
        measure: square or absolute.
        xp: namespace of the array.

    Returns:
        A number ≥ 0.

    Raises:
        DomainError: the measure is unknown.

    Source:
        Franke, Hefenbrock, Koehler & Hutter 2024, NeurIPS, arXiv 2311.09058 (R, divided by n).

    Checked by:
        test_decay.py::test_cpr_ends_on_its_bound
    """
    if measure not in get_args(Measure):
        raise unknown("CPR", "measure", measure, get_args(Measure))
    return float(xp.mean(w * w if measure == "square" else xp.abs(w)))


@final
@dataclass(frozen=True)
class CPR:
    """A bound on the mean size of one tensor, held by a multiplier that finds itself.

    Law:
        argmin_w loss(w) subject to mean_size(w) <= bound

    Args:
        bound: largest mean square (or mean absolute weight), > 0.
        rate: how fast the multiplier follows, > 0; 1 in the paper.
        measure: square or absolute; the second also makes exact zeros.

    Raises:
        DomainError: bound or rate is not positive, or the measure is unknown.

    Limits:
        A bound far below what the task needs is obeyed all the same. Where rate·bound is near
        1 (large weights) it overshoots by per cents; lower `rate` then. The multiplier is per
        step, not per learning rate: lr/2 times it is a penalty's strength under plain SGD only.

    Source:
        Franke et al. 2024, NeurIPS, arXiv 2311.09058, Algorithm 1. Differs from it: a step
        never more than halves a square-bound tensor (the plain step changes signs once
        2·multiplier > 1), and "absolute" is a soft threshold, where theirs steps by the sign.

    Checked by:
        test_decay.py::test_cpr_ends_on_its_bound
        test_decay.py::test_cpr_never_turns_signs
    """

    bound: float
    rate: float = 1.0
    measure: Measure = "square"

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise unknown("CPR", "measure", self.measure, get_args(Measure))
        for name in ("bound", "rate"):
            number = getattr(self, name)
            if not (number > 0 and math.isfinite(number)):
                raise DomainError(
                    f"CPR: {name} must be positive and finite; got {name}={number!r}. "
                    "Take the bound from the weights with CPR.around."
                )

    @classmethod
    def around(
        cls, w: Array, /, *, factor: float = 1.0, measure: Measure = "square", xp: Any = np
    ) -> Self:
        """The bound that these weights have, times `factor`: at the start, or after warm-up."""
        return cls(factor * mean_size(w, measure=measure, xp=xp), measure=measure)

    def next_multiplier(self, multiplier: float, w: Array, /, *, xp: Any = np) -> float:
        """The multiplier after looking at the weights.

        Law:
            max(multiplier + rate * (mean_size(w) - bound), 0)

        Args:
            multiplier: the last one, ≥ 0; 0 to begin with.
            w: weights after the optimizer's step.
            xp: namespace of the array.

        Returns:
            A multiplier ≥ 0: dual ascent on the bound.

        Source:
            Franke et al. 2024, Algorithm 1 (update of λ; their μ is `rate`).

        Checked by:
            test_decay.py::test_cpr_ends_on_its_bound
        """
        excess = mean_size(w, measure=self.measure, xp=xp) - self.bound
        return max(multiplier + self.rate * excess, 0.0)

    def shrunk(self, w: Array, multiplier: float, /, *, xp: Any = np) -> Array:
        """The weights after the multiplier's pull.

        Law:
            w * max(1 - 2*multiplier, 1/2) if measure == "square" else soft_threshold(w, multiplier)

        Args:
            w: weights after the optimizer's step.
            multiplier: from `next_multiplier`, ≥ 0.
            xp: namespace of the array.

        Returns:
            A new array; no sign changes.

        Source:
            Franke et al. 2024, Algorithm 1 (update of θ), guarded: see the class.

        Checked by:
            test_decay.py::test_cpr_never_turns_signs
        """
        if self.measure == "absolute":
            return soft_threshold(w, multiplier, xp=xp)
        return w * max(1.0 - 2.0 * multiplier, 0.5)


def inflection(sizes: Sequence[float], /) -> int | None:
    """Where a tensor's growth first slows down: the moment to take its size as the bound.

    Law:
        first i with sizes[i] - sizes[i-1] < sizes[i-1] - sizes[i-2]

    Args:
        sizes: `mean_size` sampled at equal intervals (200 steps in the paper), smoothed.

    Returns:
        Index into `sizes`, or None while growth has not slowed.

    Limits:
        Noise makes it early: sample a running average, not single steps.

    Source:
        Franke et al. 2024, arXiv 2311.09058 (κ at the inflection point).

    Checked by:
        test_decay.py::test_inflection_is_found_at_the_steepest_point
    """
    for index in range(2, len(sizes)):
        if sizes[index] - sizes[index - 1] < sizes[index - 1] - sizes[index - 2]:
            return index
    return None
