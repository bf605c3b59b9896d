"""Medians of few runs, and intervals that assume nothing of their distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

_WANTED: Final = 0.95


class Summary(NamedTuple):
    """A median with its interval; −inf stands for a run that diverged.

    Args:
        median: of the runs.
        low: lower end of the interval for the median.
        high: upper end.
        coverage: probability that such an interval holds the true median.
    """

    median: float
    low: float
    high: float
    coverage: float


def summary(numbers: Sequence[float]) -> Summary:
    """Median and its interval between two order statistics.

    The k-th smallest and k-th largest of n runs enclose the true median with probability
    1 − 2·P(Binomial(n, ½) < k), whatever the distribution. The largest k that keeps 95 % is taken, and
    k = 1 (the whole range) where n is too small for that.

    Args:
        numbers: at least one; −inf for a diverged run, ∞ for a difference to one, never NaN.

    Returns:
        The summary.

    Source:
        Conover 1999, Practical Nonparametric Statistics, 3rd ed., ch. 3 (confidence interval for a quantile).
    """
    ordered, n = sorted(numbers), len(numbers)
    k = 1
    while 2 * (k + 1) <= n and _coverage(n, k + 1) >= _WANTED:
        k += 1
    below, above = ordered[(n - 1) // 2], ordered[n // 2]
    bounded = math.isfinite(below) and math.isfinite(above)
    median = (below + above) / 2 if bounded else below  # of diverged and finished: the worse
    return Summary(median, ordered[k - 1], ordered[n - k], _coverage(n, k))


def _coverage(n: int, k: int) -> float:
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n
