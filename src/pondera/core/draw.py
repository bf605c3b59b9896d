"""Words and std → uniform, normal, truncated normal: the meaning of every drawn number.

All arithmetic up to the last step is on integers modulo 2³²; the last step is one conversion of a
32-bit integer and one multiplication, the two operations that round alike on every device. An
offset (mean, or an interval off zero) is therefore added to the integer, never as `a + b·x`.
A `Recipe` holds every constant that a back end needs; it is computed here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pondera.core.bits import TILE, Words, words
from pondera.core.errors import DomainError

Kind = Literal["constant", "interval", "normal", "symmetric", "truncated"]
Integers = npt.NDArray[np.int32]

DTYPES: Final = ("complex128", "complex64", "float16", "float32", "float64")
Q: Final = 27  # fraction bits of the fixed-point normal quantile
LARGEST: Final = 6.2304  # |z| of the rarest word, 2⁻³² in each tail
_CHUNK: Final = 128 * TILE  # elements per pass: temporaries stay in the cache
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
        return Recipe("constant", unit=float(low))
    if low == -high:
        return Recipe("symmetric", unit=high * 2.0**-31)
    exponent = max(math.frexp(low)[1], math.frexp(high)[1])
    floor = round(low * 2.0 ** (31 - exponent))
    ceiling = min(round(high * 2.0 ** (31 - exponent)), 2**31 - 1)
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
        return Recipe("constant", unit=float(mean))
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
        return Recipe("constant", unit=float(mean))
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


def draw(
    start: int, count: int, *, recipe: Recipe, seed: int, name: str, dtype: str = "float32"
) -> npt.NDArray[Any]:
    """Elements start … start + count − 1 of a named tensor, by a recipe.

    Law:
        float32(integer)·float32(unit); float64(integer)·unit; float16 = float32 rounded once;
        complex: real part from `name`, imaginary from `name` tagged "imag", each with unit/√2

    Args:
        start: index of the first element in the flat, unsharded tensor.
        count: how many elements.
        recipe: what to draw.
        seed: 64-bit seed.
        name: the parameter's name.
        dtype: complex128, complex64, float16, float32 or float64.

    Returns:
        Array of shape (count,).

    Raises:
        DomainError: dtype unknown, a complex draw with a mean, or start, count, seed, name out of range.

    Limits:
        float64 has the 31 random bits of float32, not more: both are the same network to 1e-7.

    Source:
        Own (stream v1).

    Checked by:
        test_draw.py::test_draws_give_the_known_answers
    """
    if dtype not in DTYPES:
        raise DomainError(
            f"draw: dtype must be one of {', '.join(DTYPES)}; got dtype={dtype!r}. Cast afterwards."
        )
    if dtype.startswith("complex"):
        return _complex(start, count, recipe, seed, name, dtype)
    return _real(start, count, recipe, seed, name, "", dtype)


def numbers(w: Words, recipe: Recipe, dtype: str) -> npt.NDArray[Any]:
    """Real numbers of the given words: conversion, one multiplication, one rounding to float16.

    Law:
        integers(w, recipe) · unit

    Args:
        w: words, any shape.
        recipe: what to make of them.
        dtype: float16, float32 or float64.

    Returns:
        Array of the words' shape.

    Source:
        Own (stream v1).

    Checked by:
        test_draw.py::test_draws_give_the_known_answers
    """
    wide = np.float64 if dtype == "float64" else np.float32
    if recipe.kind == "constant":
        return np.full(w.shape, recipe.unit, dtype=wide).astype(dtype, copy=False)
    product = integers(w, recipe).astype(wide) * wide(recipe.unit)
    with np.errstate(over="ignore"):  # float16 beyond 65504 is inf, as any cast gives
        return product.astype(dtype, copy=False)


def integers(w: Words, recipe: Recipe) -> Integers:
    """The 32-bit integers that a recipe makes of words; everything before the one multiplication.

    Law:
        see uniform_recipe, normal_recipe, truncated_recipe

    Args:
        w: words, any shape.
        recipe: what to make of them; not a constant.

    Returns:
        int32 array of the words' shape.

    Source:
        Own (stream v1).

    Checked by:
        test_draw.py::test_draws_give_the_known_answers
    """
    if recipe.kind == "symmetric":
        return ((w ^ np.uint32(2**31)) | np.uint32(1)).view(np.int32)
    if recipe.kind == "interval":
        return (np.uint32(recipe.floor % 2**32) + _high(w, recipe.span)).view(np.int32)
    if recipe.kind == "normal":
        quantile = normal_quantile(w)
    else:
        kept = np.uint32(recipe.floor) + _high(w, recipe.span)
        quantile = np.clip(normal_quantile(kept), np.int32(recipe.lower), np.int32(recipe.upper))
    return (quantile >> np.int32(recipe.shift)) + np.int32(recipe.offset)


def normal_quantile(w: Words) -> Integers:
    """Normal quantile of each word, in fixed point with 27 fraction bits.

    Law:
        round(2**27 · Φ⁻¹((w + ½)·2⁻³²)), by a frozen table of 31 octaves × 64 quadratic pieces

    Args:
        w: words, any shape.

    Returns:
        int32 array of the words' shape, odd about the middle of the range, rising with w.

    Limits:
        |error| ≤ 7.5e-8 in z over all words, monotone; the lowest bit of w is not used.

    Source:
        Own (stream v1); the table is frozen by its SHA-256.

    Checked by:
        test_draw.py::test_normal_quantile_matches_scipy
    """
    constant, slope, curve = _table()
    sign = w.view(np.int32) >> np.int32(31)
    magnitude = (w.view(np.int32) ^ sign) | np.int32(1)  # distance to the nearer tail, 31 bits
    pattern = magnitude.astype(np.float32).view(
        np.int32
    )  # its exponent is the octave: no clz needed
    piece = (pattern >> np.int32(17)) - np.int32(127 << 6)
    within = pattern.view(np.uint32) << np.uint32(15)
    folded = constant[piece] - _high(within, slope[piece] - _high(within, curve[piece]))
    return (folded.view(np.int32) ^ ~sign) - ~sign


def _real(
    start: int, count: int, recipe: Recipe, seed: int, name: str, tag: str, dtype: str
) -> npt.NDArray[Any]:
    out = np.empty(count, dtype=dtype)
    done = 0
    while done < count:
        size = min(_CHUNK - (start + done) % TILE, count - done)
        made = words(start + done, size, seed=seed, name=name, tag=tag)
        out[done : done + size] = numbers(made, recipe, dtype)
        done += size
    if count == 0:
        words(start, 0, seed=seed, name=name, tag=tag)  # an empty draw checks its input too
    return out


def _complex(
    start: int, count: int, recipe: Recipe, seed: int, name: str, dtype: str
) -> npt.NDArray[Any]:
    if recipe.offset or recipe.kind in ("constant", "interval"):
        if recipe.kind == "constant":
            return np.full(count, recipe.unit, dtype=dtype)
        raise DomainError(
            "draw: a complex draw is centred at 0; got a mean or an interval off zero. "
            "Add the mean to the result."
        )
    part = Recipe(**{**recipe.__dict__, "unit": recipe.unit * math.sqrt(0.5)})
    kind = "float32" if dtype == "complex64" else "float64"
    out = np.empty(count, dtype=dtype)
    out.real = _real(start, count, part, seed, name, "", kind)
    out.imag = _real(start, count, part, seed, name, "imag", kind)
    return out


def _high(w: Words, factor: int | Words) -> Words:
    """Upper 32 bits of the 64-bit product."""
    wide = np.asarray(factor, dtype=np.uint64)
    return ((w.astype(np.uint64) * wide) >> np.uint64(32)).astype(np.uint32)


@cache
def _table() -> tuple[Words, Words, Words]:
    """Constant, slope and curvature of each piece, unpacked from 30 + 21 + 13 bits."""
    with resources.files("pondera.core").joinpath("quantile.npy").open("rb") as file:
        packed: npt.NDArray[np.uint64] = np.load(file, allow_pickle=False)
    constant = (packed >> np.uint64(34)).astype(np.uint32)
    slope = ((packed >> np.uint64(13)) & np.uint64(2**21 - 1)).astype(np.uint32)
    curve = (packed & np.uint64(2**13 - 1)).astype(np.uint32)
    return constant, slope, curve


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
