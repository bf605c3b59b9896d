"""Orthogonal weights as XLA operations: core/orthogonal.py with the seed traced.

The reflections are formed in float64 whatever JAX's mode, and multiplied by LAPACK (orgqr) in the
precision of the result, at least float32. The normals are exact, the factorisation is floating point:
core's matrices and these agree to the rounding of that precision.
"""

# JAX types many of its functions in part only
# pyright: reportUnknownMemberType=false
from __future__ import annotations

from math import sqrt
from typing import Final, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from pondera.core.laws import MirroredOrthogonal, Orthogonal
from pondera.core.laws.base import AbstractMatrix, Axes, matrix_shape
from pondera.core.orthogonal import mirrored_shape
from pondera.core.recipes import normal_recipe
from pondera.jax.numbers import WIDE, constants_of, elements, rounded
from pondera.jax.stream import Stream, pair_of

TRACED: Final = (MirroredOrthogonal, Orthogonal)  # the laws that are made here


def matrix_weight(
    stream: Stream,
    *,
    law: AbstractMatrix,
    axes: Axes,
    shape: tuple[int, ...],
    dtype: str,
) -> jax.Array:
    """A weight whose matrix, outputs × everything else, is orthogonal or mirrored.

    Args:
        stream: seed and name.
        law: one of TRACED.
        axes: which axes of the weight are outputs.
        shape: of the weight.
        dtype: a floating point or complex dtype's name.

    Returns:
        Array of that shape and dtype.

    Raises:
        ShapeError: the shape is no matrix, or one that cannot be mirrored.
    """
    rows, columns = matrix_shape(shape, axes)
    outputs = {axis % len(shape) for axis in axes.out_axes or (-1,)}
    order = sorted(range(len(shape)), key=lambda axis: axis not in outputs)
    with jax.enable_x64(True):
        made = _matrix(stream, law, rows, columns, "float64" if dtype in WIDE else "float32")
        made = made.reshape([shape[axis] for axis in order])
        return rounded(made.transpose([order.index(axis) for axis in range(len(shape))]), dtype)


def _matrix(stream: Stream, law: AbstractMatrix, rows: int, columns: int, dtype: str) -> jax.Array:
    number = np.dtype(dtype).type
    if isinstance(law, Orthogonal):
        return _orthogonal(stream, rows, columns, dtype) * number(law.gain)
    if not isinstance(law, MirroredOrthogonal):
        raise AssertionError(law)
    high, wide = mirrored_shape(rows, columns, block=law.position)
    q = _orthogonal(stream, high, wide, dtype) * number(law.gain * sqrt(max(1.0, high / wide)))
    pair = jnp.array([1, -1], number)
    if law.position != "first":  # [Q, −Q]; a concatenation would be laid out by asking
        q = (q[:, None] * pair[None, :, None]).reshape(high, -1)
    if law.position != "last":
        q = (q[None] * pair[:, None, None]).reshape(-1, q.shape[1])
    return q


def _orthogonal(stream: Stream, rows: int, columns: int, dtype: str) -> jax.Array:
    """H_0 ⋯ H_(m−1) I D, as in core.

    The signs D come from a draw of the diagonal of their own: if they were read off what the reflections
    are made of, XLA would lay that out as the result is laid out, and devices would ask each other.
    """
    tall, narrow = max(rows, columns), min(rows, columns)
    product = _product_of_reflections(jnp.tril(_normals(stream, tall, narrow, narrow)), dtype)
    diagonal = _normals(stream, narrow, narrow + 1, 1)[:, 0]
    one = np.dtype(dtype).type(1)
    product = product * jnp.where(diagonal < 0, one, -one)[None]
    return product if rows >= columns else product.T


def _normals(stream: Stream, rows: int, columns: int, first: int) -> jax.Array:
    """The first columns of a matrix of normals."""
    return elements(
        pair_of(0),
        (stream,),
        constants_of(normal_recipe(1.0), "float64"),
        kind="normal",
        shape=(rows, columns),
        size=(rows, first),
        dtype="float64",
    )


def _product_of_reflections(trapezoid: jax.Array, dtype: str) -> jax.Array:
    one = np.float64(1)
    norm = jnp.sqrt(jnp.square(trapezoid).sum(axis=0))
    head = jnp.where(norm == 0, one, cast(jax.Array, jnp.diagonal(trapezoid)))
    norm = jnp.where(norm == 0, one, norm)
    sign = jnp.where(head < 0, -one, one)
    pivot = head + sign * norm
    parts = jnp.tril(trapezoid, -1) / pivot[None], pivot / (sign * norm)
    reflectors, tau = (lax.convert_element_type(part, jnp.dtype(dtype)) for part in parts)
    return lax.linalg.householder_product(reflectors, tau)
