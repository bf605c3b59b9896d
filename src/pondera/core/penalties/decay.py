"""Decoupled weight decay: a shrinkage beside the gradient, not part of any objective.

Two units are in use and differ by factors of thousands: times the learning rate (AdamW, Keras)
and per step, whatever the learning rate. `timescale.py` has a third: epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import numpy as np

from pondera.core.errors import DomainError, unknown
from pondera.core.penalties.base import Array

Course = Literal["constant", "cosine", "linear"]


@final
@dataclass(frozen=True)
class WeightDecay:
    """How much of each weight a step removes, outside the loss.

    Law:
        w_next = w - lr*update - removal(w, update)

    Args:
        rate: AdamW's and Keras's `weight_decay`; without `times_lr`, the part of a weight that
            each step removes. In [0, inf).
        cautious: decay only weights that the update moves towards zero anyway.
        times_lr: False makes the decay independent of the learning rate.

    Raises:
        DomainError: rate is negative or not finite.

    Limits:
        Has no objective: under an adaptive optimizer its fixed points are not those of an L2
        penalty. In bf16 a removal under half an ulp (lr·rate below 2e-3) does nothing.

    Source:
        Loshchilov & Hutter 2019, ICLR, arXiv 1711.05101, Algorithm 2; cautious: Chen et al.
        2025, arXiv 2510.12402.

    Checked by:
        test_decay.py::test_decay_agrees_with_adamw
        test_decay.py::test_cautious_decay_spares_growing_weights

    >>> WeightDecay(0.1).fraction(lr=0.01)
    0.001
    """

    rate: float
    cautious: bool = False
    times_lr: bool = True

    def __post_init__(self) -> None:
        if not (self.rate >= 0 and math.isfinite(self.rate)):
            raise DomainError(
                "WeightDecay: rate must be finite and at least 0; "
                f"got rate={self.rate!r}. Use 0 for no decay."
            )
        object.__setattr__(self, "rate", float(self.rate))

    def fraction(self, *, lr: float, factor: float = 1.0) -> float:
        """The part of a weight that one step removes.

        Law:
            factor * rate * (lr if times_lr else 1)

        Args:
            lr: learning rate of this step, ≥ 0.
            factor: what a schedule multiplies the decay by, ≥ 0: see `decay_factor`.

        Returns:
            A number in [0, 1).

        Raises:
            DomainError: the step would remove the whole weight or more.

        Source:
            Loshchilov & Hutter 2019, Algorithm 2, line 12 (η_t is `factor`).

        Checked by:
            test_decay.py::test_decay_units
        """
        part = factor * self.rate * (lr if self.times_lr else 1.0)
        if not 0 <= part < 1:
            raise DomainError(
                "WeightDecay: a step must remove less than the weight; "
                f"got fraction={part!r}. Lower rate, lr or factor."
            )
        return part

    def removal(
        self, w: Array, update: Array, /, *, lr: float, factor: float = 1.0, xp: Any = np
    ) -> Array:
        """What one step takes off the weights, besides lr·update.

        Law:
            fraction * where(update*w >= 0, w, 0) if cautious else fraction * w

        Args:
            w: weights before the step.
            update: direction that the optimizer subtracts, same shape; only its sign matters.
            lr: learning rate of this step, ≥ 0.
            factor: what a schedule multiplies the decay by, ≥ 0.
            xp: namespace of the arrays.

        Returns:
            An array like `w`.

        Raises:
            DomainError: the step would remove the whole weight or more.

        Source:
            Chen et al. 2025, arXiv 2510.12402 (cautious mask; ties decay).

        Checked by:
            test_decay.py::test_cautious_decay_spares_growing_weights
        """
        part = self.fraction(lr=lr, factor=factor)
        if not self.cautious:
            return part * w
        same = (update >= 0) & (w >= 0) | (update <= 0) & (w <= 0)  # a product could underflow
        return part * xp.where(same, w, 0.0)


def decay_factor(progress: float, /, *, course: Course = "constant") -> float:
    """What a schedule multiplies the decay by.

    Law:
        {"constant": 1, "linear": 1 - progress, "cosine": (1 + cos(pi*progress))/2}[course]

    Args:
        progress: share of the training that is over, in [0, 1].
        course: constant, linear or cosine, the last two down to 0.

    Returns:
        A number in [0, 1].

    Raises:
        DomainError: progress is outside [0, 1], or the course is unknown.

    Source:
        Loshchilov & Hutter 2017, ICLR, arXiv 1608.03983, eq. (5), for the cosine.

    Checked by:
        test_decay.py::test_decay_factor_is_its_law
    """
    if course not in get_args(Course):
        raise unknown("decay_factor", "course", course, get_args(Course))
    if not 0 <= progress <= 1:
        raise DomainError(
            "decay_factor: progress must lie in [0, 1]; "
            f"got progress={progress!r}. Divide the step by the number of steps."
        )
    if course == "constant":
        return 1.0
    return 1.0 - progress if course == "linear" else (1.0 + math.cos(math.pi * progress)) / 2
