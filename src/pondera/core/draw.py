"""Words and recipe → uniform, normal, truncated normal: the meaning of every drawn number.

All arithmetic up to the last step is on integers modulo 2³²; the last step is one conversion of a
32-bit integer and one multiplication, the two operations that round alike on every device.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.bits import TILE, Words, words
from pondera.core.errors import DomainError
from pondera.core.recipes import Recipe

Integers = npt.NDArray[np.int32]

DTYPES: Final = ("complex128", "complex64", "float16", "float32", "float64")
_CHUNK: Final = 128 * TILE  # elements per pass: temporaries stay in the cache


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
    need_dtype(dtype)
    words(start, min(count, 0), seed=seed, name=name)  # an empty draw checks its input too
    if dtype.startswith("complex"):
        return _complex(start, count, recipe, seed, name, dtype)
    return _real(start, count, recipe, seed, name, "", dtype)


def need_dtype(dtype: str) -> None:
    """Refuse a dtype that no draw is specified for.

    Law:
        dtype in ("complex128", "complex64", "float16", "float32", "float64")

    Args:
        dtype: a NumPy dtype's name.

    Raises:
        DomainError: the dtype is none of these.

    Source:
        Own (stream v1).

    Checked by:
        test_tools.py::test_messages_are_as_written
    """
    if dtype not in DTYPES:
        raise DomainError(
            f"draw: dtype must be one of {', '.join(DTYPES)}; got dtype={dtype!r}. Cast afterwards."
        )


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
    with np.errstate(over="ignore"):  # float16 beyond 65504 is inf, as any cast gives
        if recipe.kind == "constant":
            return np.full(w.shape, recipe.unit, dtype=wide).astype(dtype, copy=False)
        product = integers(w, recipe).astype(wide) * wide(recipe.unit)
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
        round(2**27 · Φ⁻¹((w | 1)·2⁻³²)), by a frozen table of 31 octaves × 64 quadratic pieces

    Args:
        w: words, any shape.

    Returns:
        int32 array of the words' shape, odd about the middle of the range, rising with w.

    Limits:
        |error| ≤ 7.5e-8 in z over all words, monotone; the lowest bit of w is not used, so the two
        words of a pair share the quantile between them.

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
    part = replace(recipe, unit=recipe.unit * math.sqrt(0.5))
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
    path = Path(__file__).with_name("quantile.npy")
    packed: npt.NDArray[np.uint64] = np.load(path, allow_pickle=False)
    constant = (packed >> np.uint64(34)).astype(np.uint32)
    slope = ((packed >> np.uint64(13)) & np.uint64(2**21 - 1)).astype(np.uint32)
    curve = (packed & np.uint64(2**13 - 1)).astype(np.uint32)
    return constant, slope, curve
