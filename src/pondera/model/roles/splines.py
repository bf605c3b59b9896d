"""Spline coefficients: weights whose inputs are basis functions, told by comparisons with knots."""

from __future__ import annotations

from math import prod
from typing import Final

from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.trace import Operation

_COMPARISONS: Final = frozenset("ge gt le lt".split())


def is_spline(walks: Walks, use: Use) -> bool:
    """Whether what reaches a weight was compared, element by element, with several knots each."""
    if use.operation.kind != "contract" or not use.in_axes:
        return False
    for number in walks.back(use.entering, stop=_at_a_weight):
        maker = walks.graph.maker(number)
        if maker is not None and maker.label in _COMPARISONS and _spreads(walks, maker):
            return True
    return False


def _at_a_weight(made: Operation) -> bool:
    return made.product is not None or made.kind in ("normalise", "softmax", "recurrent", "lookup")


def _spreads(walks: Walks, comparison: Operation) -> bool:
    """Whether every input element meets several constants."""
    live = walks.live(comparison)
    fixed = [n for n in comparison.inputs if not walks.value(n).live]
    if len(live) != 1 or len(fixed) != 1:
        return False
    made = prod(walks.value(comparison.outputs[0]).shape)
    return prod(walks.value(fixed[0]).shape) > 1 and made > prod(walks.value(live[0]).shape) > 0
