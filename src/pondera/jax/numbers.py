"""Words and recipe → numbers, as XLA operations: core/draw.py with its constants as arguments.

A recipe's constants are arguments of the compiled function, not part of it: XLA compiles once for a
kind, a shape and a dtype, whatever the std, the name or the seed.
"""

# JAX types many of its functions in part only
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from pondera.core.draw import _table  # pyright: ignore[reportPrivateUsage]
from pondera.core.recipes import Kind, Recipe
from pondera.jax.stream import Pair, Stream, high_product, words

DTYPES: Final = ("bfloat16", "complex128", "complex64", "float16", "float32", "float64")
PARTS: Final = {"complex64": "float32", "complex128": "float64"}
WIDE: Final = ("complex128", "float64")  # need JAX's 64-bit mode


class Constants(NamedTuple):
    """A recipe's numbers, in the types that a draw computes with."""

    unit: np.floating[Any]
    floor: np.uint32
    span: np.uint32
    lower: np.int32
    upper: np.int32
    shift: np.int32
    offset: np.int32


def constants_of(recipe: Recipe, dtype: str) -> Constants:
    """The numbers of a recipe for a dtype.

    Args:
        recipe: what to draw.
        dtype: one of DTYPES.

    Returns:
        The constants; a complex number's parts have 1/√2 of the std.
    """
    halved = dtype in PARTS and recipe.kind != "constant"
    unit = recipe.unit * sqrt(0.5) if halved else recipe.unit
    with np.errstate(over="ignore"):  # beyond float32's range is inf, as in core
        return Constants(
            np.float64(unit) if dtype in WIDE else np.float32(unit),
            np.uint32(recipe.floor % 2**32),
            np.uint32(recipe.span),
            *(np.int32(n) for n in (recipe.lower, recipe.upper, recipe.shift, recipe.offset)),
        )


def elements(
    start: Pair,
    streams: tuple[Stream, ...],
    constants: Constants,
    *,
    kind: Kind,
    shape: tuple[int, ...],
    size: tuple[int, ...],
    dtype: str,
) -> jax.Array:
    """A slice of a tensor, drawn by a recipe.

    Args:
        start: row-major position of the slice's first element in the whole tensor.
        streams: the name's own; for a complex dtype also that of the imaginary part.
        constants: of the recipe, for this dtype.
        kind: of the recipe.
        shape: of the whole tensor.
        size: elements of the slice along each axis.
        dtype: one of DTYPES.

    Returns:
        Array of shape `size`.
    """
    if kind == "constant":
        return rounded(jnp.full(size, constants.unit), dtype)
    parts = [
        _product(words(start, shape, size, stream), kind, constants)
        for stream in (streams if dtype in PARTS else streams[:1])
    ]
    drawn = lax.complex(*parts) if dtype in PARTS else rounded(parts[0], dtype)
    return lax.optimization_barrier(drawn)  # else XLA turns (x·unit)·c into x·(unit·c)


def _product(w: jax.Array, kind: Kind, c: Constants) -> jax.Array:
    """The one conversion and the one multiplication."""
    return lax.convert_element_type(_integers(w, kind, c), c.unit.dtype) * c.unit


def rounded(x: jax.Array, dtype: str) -> jax.Array:
    """The array rounded once to a dtype; a complex one has imaginary part 0.

    Args:
        x: float32 or float64.
        dtype: one of DTYPES.

    Returns:
        Array of that dtype.
    """
    if dtype == "bfloat16":  # XLA may drop a cast that is cast back, but never this
        x = lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
    return lax.convert_element_type(x, jnp.dtype(dtype))


def _integers(w: jax.Array, kind: Kind, c: Constants) -> jax.Array:
    if kind == "symmetric":
        return _signed((w ^ np.uint32(2**31)) | np.uint32(1))
    if kind == "interval":
        return _signed(c.floor + high_product(w, c.span))
    if kind == "normal":
        quantile = _normal_quantile(w)
    else:
        quantile = _normal_quantile(c.floor + high_product(w, c.span))
        quantile = lax.clamp(c.lower, quantile, c.upper)
    return (quantile >> c.shift) + c.offset


def _normal_quantile(w: jax.Array) -> jax.Array:
    """Core's quantile: fold, octave and piece from float32's own bits, two products."""
    sign = _signed(w) >> np.int32(31)
    magnitude = (_signed(w) ^ sign) | np.int32(1)
    pattern = lax.bitcast_convert_type(lax.convert_element_type(magnitude, jnp.float32), jnp.uint32)
    piece = (pattern >> np.uint32(17)) - np.uint32(127 << 6)  # unsigned: no index to wrap
    within = pattern << np.uint32(15)
    constant, slope, curve = (
        jnp.asarray(column).at[piece].get(mode="promise_in_bounds") for column in _columns()
    )
    folded = constant - high_product(within, slope - high_product(within, curve))
    return (_signed(folded) ^ ~sign) - ~sign


def _signed(w: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(w, jnp.int32)


@cache
def _columns() -> tuple[Any, Any, Any]:
    return _table()
