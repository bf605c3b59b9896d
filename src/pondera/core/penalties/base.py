"""What every penalty is: its size at the weights, its step, and how far from optimal they are.

The step (`prox`) and the test (`gap`) are two derivations of one law, made apart, so that
each checks the other. The classes of this package are abstract (this one) or final; all
formulas live in `_value`, `_prox` and `_gap`, all checks here.

Everything is written over `xp`, a namespace with NumPy's names (numpy, torch, jax.numpy):
an adapter passes its own and keeps no formula.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self, TypeAlias, final

import numpy as np

from pondera.core.errors import DomainError, ShapeError

Array: TypeAlias = Any  # an array of the namespace `xp`
Step: TypeAlias = Any  # a number, or an Array of the weights' shape


class AbstractPenalty(ABC):
    """A penalty p(w) in `loss + p(w)`, strength included.

    The strength that is asked for is then the one that the fixed points have, whatever
    the optimizer: the adapters take `prox` in the optimizer's own metric.

    Law:
        prox: argmin_x sum((x - w)**2 / (2*step)) + value(x)

    Assumes:
        weights of one tensor, real, in float32 or float64.

    Source:
        Parikh & Boyd 2014, Proximal Algorithms, §1.1 and §2.3 (fixed points);
        Yun, Lozano & Yang 2021, NeurIPS, arXiv 2007.07484 (in a diagonal metric).

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties.py::test_prox_and_gap_agree
    """

    convex: ClassVar[bool]
    strengths: ClassVar[tuple[str, ...]]  # the fields that are strengths, the leading one first

    @final
    def value(self, w: Array, /, *, xp: Any = np) -> float:
        """The penalty at `w`, strength included; inf where a constraint is broken.

        Args:
            w: weights, any shape the penalty's groups accept.
            xp: namespace of the array.

        Returns:
            A number ≥ 0, in the unit of the loss.

        Raises:
            ShapeError: the groups do not divide the shape.
        """
        return float(self._value(self._weights(w, xp), xp))

    @final
    def prox(self, w: Array, /, *, step: Step, xp: Any = np) -> Array:
        """The weights after the penalty's share of a step: a new array, zeros exact.

        Args:
            w: weights that the optimizer proposes.
            step: what the optimizer multiplied an average gradient by: a number in
                [0, inf), or an array of the weights' shape (an inverse diagonal metric).
            xp: namespace of the arrays.

        Returns:
            argmin over x, in the dtype of `w`. Step 0 gives `w` (a constraint: its
            projection, which is the limit of short steps); NaN stays NaN.

        Raises:
            ShapeError: an array `step` is not shaped like the weights.
            DomainError: `step` is negative or not finite (arrays are looked at in NumPy only:
                elsewhere it would stop the device).
        """
        w = self._weights(w, xp)
        step = self._checked_step(step, w, xp)
        return xp.asarray(w) if 0 in w.shape else self._prox(w, step, xp)

    @final
    def gap(self, w: Array, gradient: Array, /, *, xp: Any = np) -> Array:
        """Distance of the loss's negative gradient to the penalty's subdifferential at `w`.

        Zero everywhere exactly at the stationary points of loss + penalty.

        Args:
            w: weights.
            gradient: gradient of the loss alone at `w`, same shape.
            xp: namespace of the arrays.

        Returns:
            Distances ≥ 0, one per weight, or one per group; inf where a constraint is broken.

        Raises:
            ShapeError: `gradient` is not shaped like the weights.
        """
        w = self._weights(w, xp)
        gradient = xp.asarray(gradient)
        if tuple(gradient.shape) != tuple(w.shape):
            raise ShapeError(
                f"{self._name}: gradient must have the weights' shape; "
                f"got gradient.shape={tuple(gradient.shape)}, shape={tuple(w.shape)}. "
                "Pass the gradient of the loss at these weights."
            )
        return self._gap(w, gradient, xp)

    @final
    def slope(self, w: Array, /, *, xp: Any = np) -> Array:
        """The penalty's derivative where it has one, and 0 at its kinks.

        What a smooth method needs that keeps zeros by other means (LBFGS between two proximal
        steps), and what a report divides a gradient by. Added to a loss's gradient it never
        makes a zero: for that there is `prox`.

        Law:
            derivative of value at w off its kinks, else 0

        Args:
            w: weights, any shape the penalty's groups accept.
            xp: namespace of the array.

        Returns:
            A new array of the weights' shape.

        Raises:
            DomainError: a constraint or a spectral penalty, which have none.

        Source:
            Nesterov 2004, Introductory Lectures on Convex Optimization, §3.1.5 (an element of the
            subdifferential; unique off the kinks).

        Checked by:
            test_penalties.py::test_slope_is_the_derivative_of_the_value
        """
        w = self._weights(w, xp)
        return xp.zeros_like(w) if 0 in w.shape else self._slope(w, xp)

    @abstractmethod
    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """The smallest (leading) strength at which all-zero weights are stationary.

        Args:
            gradient_at_zero: gradient of the loss alone at zero weights (a `Distance`:
                at its reference).
            xp: namespace of the array.

        Returns:
            A strength ≥ 0: where a path from sparse to dense begins.

        Raises:
            DomainError: there is none; the message says why.
        """

    @final
    def at(self, strength: float) -> Self:
        """The same penalty with another leading strength, the others in proportion.

        Args:
            strength: new leading strength, in [0, inf).

        Raises:
            DomainError: a constraint has no strength; or there are several and the leading
                one is 0, which leaves the proportion open.
        """
        if not self.strengths:
            raise DomainError(
                f"{self._name}: a path needs a strength; got a constraint. Vary its bounds instead."
            )
        lead, *others = (getattr(self, name) for name in self.strengths)
        if isinstance(lead, AbstractPenalty):
            return replace(self, **{self.strengths[0]: lead.at(strength)})  # type: ignore[type-var]
        if others and lead == 0:
            raise DomainError(
                f"{self._name}: proportions need {self.strengths[0]} > 0; "
                f"got {self.strengths[0]}={lead!r}. Make the penalty anew instead."
            )
        changed = [strength, *(other / lead * strength for other in others)]
        return replace(self, **dict(zip(self.strengths, changed, strict=True)))  # type: ignore[type-var]

    @abstractmethod
    def _value(self, w: Array, xp: Any) -> Array: ...

    @abstractmethod
    def _prox(self, w: Array, step: Step, xp: Any) -> Array: ...

    @abstractmethod
    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array: ...

    def _slope(self, w: Array, xp: Any) -> Array:
        raise DomainError(
            f"{self._name}: a slope needs a derivative per weight; got a penalty without one. "
            "Use prox."
        )

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _settle(self, name: str, *, low: float = 0.0, included: bool = True, hint: str) -> None:
        """Make the field a plain float (NumPy scalars would widen float32) and check it."""
        number = getattr(self, name)
        try:
            held = math.nan if isinstance(number, (bool, str)) else float(number)
        except (OverflowError, TypeError, ValueError):
            held = math.nan
        inside = held >= low if included else held > low
        if not (inside and math.isfinite(held)):
            span = f"finite and {'at least' if included else 'above'} {low:g}"
            raise DomainError(f"{self._name}: {name} must be {span}; got {name}={number!r}. {hint}")
        object.__setattr__(self, name, held)

    def _settle_strengths(self) -> None:
        for name in self.strengths:
            self._settle(name, hint="Use 0 for no penalty.")

    def _weights(self, w: Array, xp: Any) -> Array:
        w = w if hasattr(w, "shape") else xp.asarray(w)
        dtype: Any = w.dtype
        if getattr(dtype, "kind", "f") in "biuc":  # NumPy or JAX; bfloat16 is of kind V there
            raise DomainError(
                f"{self._name}: weights must be real floating-point numbers; "
                f"got dtype={dtype.name!r}. Convert them first."
            )
        return w

    def _checked_step(self, step: Step, w: Array, xp: Any) -> Step:
        shape = tuple(getattr(step, "shape", ()))
        if shape and shape != tuple(w.shape):
            raise ShapeError(
                f"{self._name}: an array step must have the weights' shape; "
                f"got step.shape={shape}, shape={tuple(w.shape)}. "
                "Pass a number, or broadcast it first."
            )
        if not hasattr(step, "shape") or (xp is np and not shape):
            step = float(step)
        if (xp is np or isinstance(step, float)) and not np.all(
            (np.asarray(step) >= 0) & np.isfinite(step)
        ):
            worst = step if not shape else float(np.min(step))
            raise DomainError(
                f"{self._name}: step must be finite and at least 0; got step={worst!r}. "
                "Pass what the optimizer multiplied its gradient by."
            )
        return step if isinstance(step, float) else xp.asarray(step, dtype=w.dtype)
