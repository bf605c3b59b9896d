"""The one equation behind group penalties and norm balls in a diagonal metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from pondera.core.penalties.base import Array
from pondera.core.penalties.groups import Layout

TURNS = 15
HALVINGS = frozenset((1, 2, 4, 5, 7))  # turns that halve the bracket's logarithm: shifts of many
# magnitudes would cost Newton a turn each
EARLY = 4  # turns of Newton alone before those in NumPy, which can look, and mostly need no more


def secular_root(z: Array, c: Array, layout: Layout, /, *, xp: Any) -> Array:
    """The s ≥ 0 that solves the secular equation of every group, 0 where there is none.

    Law:
        sum((z / (s + c))**2) == 1

    Args:
        z: numerators, folded by `layout`.
        c: shifts ≥ 0, same shape (zero shifts allowed: their numerators count in full).
        layout: the groups.
        xp: namespace of the arrays.

    Returns:
        One s per group, broadcasting; 0 where Σ(z/c)² ≤ 1, where the sum stays below 1
        for every s > 0; NaN for groups that hold one.

    Limits:
        A fixed number of turns (so it can be traced): a few ulp for shifts spread by 1e20.

    Source:
        Deleu & Bengio 2021, arXiv 2102.03869, §3 (zero test and equation). Differs from it in
        Newton's function: Σ(…)² to the power −1/2 is concave in s and nearly a line, so steps
        from the left of the root never pass it. Moré & Sorensen 1983,
        SIAM J. Sci. Stat. Comput. 4(3), §3, use it for trust regions.

    Checked by:
        test_penalties_exact.py::test_secular_root_solves_its_equation
        test_penalties_exact.py::test_secular_root_survives_extreme_groups
    """
    peak = layout.peak(xp.abs(z), xp)
    unit = xp.where(peak == 0, 1.0, peak)
    z = xp.abs(z) / unit  # in [0, 1]: no overflow, no underflow below
    huge = c * 1e-10 > unit  # such a term is under 1e-20 of the sum
    c = xp.where(huge, 1e10, c / xp.where(huge, c, unit))
    inside = layout.sum(_ratio(z, c, xp) ** 2, xp) <= 1
    high = layout.norm(z, xp)  # right of the root; the next two are left of it
    low = xp.maximum(high - layout.peak(c, xp), xp.clip(layout.peak(z - c, xp), 0, None))
    for turn in range(-EARLY if xp is np else 0, TURNS):
        trial = xp.sqrt(low * high) if turn in HALVINGS else low
        newton, right = _newton(z, c, trial, layout, xp)
        high = xp.where(right, trial, high)
        before, low = low, xp.where(right, low, xp.maximum(low, newton))
        if xp is np and turn not in HALVINGS and np.all((low - before <= 1e-7 * before) | inside):
            break  # the error left is the square of that
    return xp.where(inside, 0.0, low * unit)


def _ratio(z: Array, c: Array, xp: Any) -> Array:
    """z/c for the test Σ(z/c)² ≤ 1, cut at 2 so that c = 0 needs no infinity; 0/0 is 0."""
    beyond = z > 2 * c
    return xp.where(beyond, 2.0, z / xp.where(beyond | (c == 0), 1.0, c))


def _newton(z: Array, c: Array, s: Array, layout: Layout, xp: Any) -> tuple[Array, Array]:
    """Newton's next point, between `s` and the root; and whether `s` is right of the root.

    From the right it would be left of the root too, but by a difference that cancels.
    """
    shifted = s + c
    shifted = xp.where(shifted > 1e-30, shifted, 1.0)  # only where z is as small: negligible
    squares = (z / shifted) ** 2
    total = layout.sum(squares, xp)
    slope = layout.sum(squares / shifted, xp)
    change = total * (xp.sqrt(total) - 1) / xp.where(slope == 0, 1.0, slope)
    return s + change, total < 1
