"""Bounds or std → the constants of a draw; computed here and nowhere else, for every back end.

An offset (a mean, or an interval off zero) becomes an integer that is added before the one
conversion to floating point: `a + b·x` would round differently from device to device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from pondera.core.errors import DomainError

Kind = Literal["constant", "interval", "normal", "symmetric", "truncated"]

Q: Final = 27  # fraction bits of the fixed-point normal quantile
LARGEST: Final = 6.2304  # |z| of the rarest word, 2⁻³² in each tail
_THINNEST: Final = 2**20  # a truncation must keep this many of the 2³² words


@dataclass(frozen=True)
class Recipe:
    """How a word becomes a number: integer = transform(word), number = integer · unit.

    Args:
        kind: which transform.
        unit: the one multiplier, in float64; float32 draws round it once to float32.
        floor: smallest integer of an interval, or of the truncated words.
        span: how many integers (or words) there are from `floor` on; in [1, 2³²).
        lower: clip of the truncated quantile below, in 2⁻²⁷.
        upper: the same above.
        shift: right shift that makes room for a large mean, in bits.
        offset: the mean, in units.
    """

    kind: Kind
    unit: float
    floor: int = 0
    span: int = 0
    lower: int = 0
    upper: int = 0
    shift: int = 0
    offset: int = 0


def uniform_recipe(low: float, high: float) -> Recipe:
    """Recipe of U(low, high).

    Law:
        symmetric: int32((w ^ 2**31) | 1) · high·2⁻³¹, never 0; else int32(floor + (w·span >> 32)) · 2^(e−31)
        with e the larger binary exponent of the bounds; low = high gives that constant

    Args:
        low: lower bound.
        high: upper bound, low ≤ high.

    Returns:
        The recipe; draws rise with the word.

    Raises:
        DomainError: bounds not finite or reversed.

    Limits:
        2³¹ (symmetric) or at least 2³⁰·(high − low)/max(|low|, |high|) distinct numbers. The bounds
        themselves can be returned.

    Source:
        Own (stream v1).

    Checked by:
        test_draw.py::test_draws_follow_their_distribution
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise DomainError(
            f"uniform: needs finite low <= high; got low={low!r}, high={high!r}. Swap the bounds?"
        )
    if low == high:
        return Recipe("constant", unit=float(low) + 0.0)  # never −0.0
    if low == -high:
        return Recipe("symmetric", unit=high * 2.0**-31)
    exponent = max(math.frexp(low)[1], math.frexp(high)[1])
    floor = round(math.ldexp(low, 31 - exponent))
    ceiling = min(round(math.ldexp(high, 31 - exponent)), 2**31 - 1)
    span = min(ceiling - floor + 1, 2**32 - 1)
    return Recipe("interval", unit=2.0 ** (exponent - 31), floor=floor, span=span)


def normal_recipe(std: float, *, mean: float = 0.0) -> Recipe:
    """Recipe of N(mean, std²).

    Law:
        (q27(w) >> shift) + offset, times std·2^(shift − 27); shift = 0 while |mean| < 9.7·std

    Args:
        std: standard deviation, 0 ≤ std < ∞; 0 gives the mean.
        mean: mean, |mean| < 2²⁴·std unless std = 0.

    Returns:
        The recipe; draws rise with the word.

    Raises:
        DomainError: std negative or not finite, mean not finite or out of float32's reach of std.

    Limits:
        |z| ≤ 6.2304, which costs 3e-9 of the variance; Kolmogorov distance to the normal 2.4e-8.

    Source:
        Own (stream v1).

    Checked by:
        test_draw.py::test_draws_follow_their_distribution
    """
    _need_std("normal", std, mean)
    if std == 0:
        return Recipe("constant", unit=float(mean) + 0.0)  # never −0.0
    shift, offset = _room(mean / std, LARGEST)
    return Recipe("normal", unit=std * 2.0 ** (shift - Q), shift=shift, offset=offset)


def truncated_recipe(
    parent_std: float, *, mean: float = 0.0, lower: float = -2.0, upper: float = 2.0
) -> Recipe:
    """Recipe of N(mean, parent_std²) with the tails outside [lower, upper]·parent_std redrawn.

    One word per number and no rejection: the word is first mapped onto those that fall inside.

    Law:
        clip(q27(floor + (w·span >> 32)), lower·2²⁷, upper·2²⁷) · parent_std·2⁻²⁷, floor = Φ(lower)·2³²,
        span = (Φ(upper) − Φ(lower))·2³²

    Args:
        parent_std: standard deviation before truncation, 0 ≤ parent_std < ∞.
        mean: mean before truncation.
        lower: lower cut, in parent standard deviations from the mean.
        upper: upper cut, likewise.

    Returns:
        The recipe; draws rise with the word.

    Raises:
        DomainError: std or mean as in normal_recipe; cuts reversed, or keeping less than 2⁻¹² of the mass.

    Limits:
        Kolmogorov distance at most 1/span + 2.4e-8. The std of the result is smaller than parent_std:
        see `laws.truncated_std`.

    Source:
        Own (stream v1).

    Checked by:
        test_draw.py::test_draws_follow_their_distribution
    """
    _need_std("truncated_normal", parent_std, mean)
    if not lower < upper:
        raise DomainError(
            f"truncated_normal: needs lower < upper; got lower={lower!r}, upper={upper!r}. "
            "Swap the cuts?"
        )
    floor = _normal_words(lower)
    span = min(_normal_words(upper) - floor, 2**32 - 1)
    if span < _THINNEST:
        raise DomainError(
            f"truncated_normal: the cuts must keep at least 2**-12 of the mass; got lower={lower!r}, "
            f"upper={upper!r}, which keep {span / 2**32:.3g}. Widen them."
        )
    if parent_std == 0:
        return Recipe("constant", unit=float(mean) + 0.0)  # never −0.0
    shift, offset = _room(mean / parent_std, LARGEST)
    return Recipe(
        "truncated",
        unit=parent_std * 2.0 ** (shift - Q),
        floor=floor,
        span=span,
        lower=math.floor(max(lower, -8.0) * 2**Q),
        upper=math.ceil(min(upper, 7.99) * 2**Q),
        shift=shift,
        offset=offset,
    )


def _need_std(where: str, std: float, mean: float) -> None:
    if not (math.isfinite(std) and std >= 0):
        raise DomainError(f"{where}: needs 0 <= std < inf; got std={std!r}. Pass such a number.")
    if not math.isfinite(mean) or (std > 0 and abs(mean) >= 2**24 * std):
        raise DomainError(
            f"{where}: needs a finite mean with abs(mean) < 2**24 * std; got mean={mean!r}, "
            f"std={std!r}. Use a constant: float32 cannot tell the draws apart."
        )


def _room(mean: float, reach: float) -> tuple[int, int]:
    """(shift, offset): the fewest bits dropped so that |mean| + reach fits in 31 bits of fixed point."""
    shift = 0
    while (abs(mean) + reach) * 2.0 ** (Q - shift) >= 2**31:
        shift += 1
    return shift, round(mean * 2.0 ** (Q - shift))


def _normal_words(cut: float) -> int:
    """round(Φ(cut)·2³²) in decimal arithmetic: the same integer on every machine."""
    from decimal import Decimal, localcontext

    if not abs(cut) < 8:  # beyond ±6.3 there is no word
        return 2**32 if cut > 0 else 0
    with localcontext() as context:
        context.prec = 60
        x, pi = (
            Decimal(cut),
            Decimal("3.14159265358979323846264338327950288419716939937510582097494"),
        )
        term = total = x
        odd = 1
        while abs(term) > Decimal("1e-50"):  # Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …)
            odd += 2
            term = term * x * x / odd
            total += term
        mass = Decimal("0.5") + total * (-x * x / 2).exp() / (2 * pi).sqrt()
        return int((mass * 2**32).to_integral_value())
