"""A penalty on the way from a reference instead of from zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from pondera.core.errors import DomainError, ShapeError
from pondera.core.penalties.base import AbstractPenalty, Array, Step


@final
@dataclass(frozen=True, eq=False)
class Distance(AbstractPenalty):
    """Another penalty, of the difference to a reference: for fine-tuning.

    With L1 the weights that need no change keep their old bits; with L2 all stay near.

    Law:
        penalty.value(w - reference)

    Args:
        penalty: what the difference costs.
        reference: weights to stay near. A NumPy array or a list is copied, so training in
            place cannot move it; an array of another framework is kept as given: pass a copy.

    Raises:
        ShapeError: the weights are not shaped like the reference (when used).

    Limits:
        `critical_strength` takes the gradient at the reference. The difference is rounded:
        an error of an ulp of the larger of both.

    Source:
        Li, Grandvalet & Davoine 2018, ICML, arXiv 1802.01483, §3 (L2-SP); prox of a shifted
        function: Parikh & Boyd 2014, §2.1.1.

    Checked by:
        test_penalties.py::test_no_point_of_a_grid_is_better_than_the_prox
        test_penalties_exact.py::test_distance_does_not_follow_its_reference_array
    """

    penalty: AbstractPenalty
    reference: Array
    strengths: ClassVar[tuple[str, ...]] = ("penalty",)

    def __post_init__(self) -> None:
        given: Any = self.reference
        if type(given) is np.ndarray or not hasattr(given, "shape"):
            object.__setattr__(self, "reference", np.array(given))
        kind = getattr(self.reference, "dtype", None)
        if getattr(kind, "kind", "f") not in "fiu" or not bool(
            (self.reference == self.reference).all()
        ):
            raise DomainError(
                "Distance: reference must hold numbers and no NaN; "
                f"got dtype={kind}. Pass the weights to stay near to."
            )

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Whether the penalty of the difference is."""
        return self.penalty.convex

    def _offset(self, w: Array, xp: Any) -> Array:
        if tuple(w.shape) != tuple(self.reference.shape):
            raise ShapeError(
                "Distance: weights must have the reference's shape; "
                f"got shape={tuple(w.shape)}, reference.shape={tuple(self.reference.shape)}. "
                "Pass the reference of this weight."
            )
        return xp.asarray(self.reference, dtype=w.dtype)

    def _value(self, w: Array, xp: Any) -> Array:
        return self.penalty._value(w - self._offset(w, xp), xp)

    def _prox(self, w: Array, step: Step, xp: Any) -> Array:
        offset = self._offset(w, xp)
        moved = self.penalty._prox(w - offset, step, xp)
        return xp.where(moved == w - offset, w, offset + moved)  # untouched: keep the bits

    def _gap(self, w: Array, gradient: Array, xp: Any) -> Array:
        return self.penalty._gap(w - self._offset(w, xp), gradient, xp)

    def _slope(self, w: Array, xp: Any) -> Array:
        return self.penalty._slope(w - self._offset(w, xp), xp)

    def critical_strength(self, gradient_at_zero: Array, /, *, xp: Any = np) -> float:
        """That of the penalty, for the gradient at the reference."""
        return self.penalty.critical_strength(gradient_at_zero, xp=xp)
