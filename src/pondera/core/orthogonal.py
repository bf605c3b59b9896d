"""Normals → orthogonal and mirrored orthogonal matrices.

The numbers that enter are exact; the factorisation is floating point, so matrices agree across
machines to about the rounding of their dtype, not to the bit.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pondera.core.draw import draw
from pondera.core.errors import ShapeError, unknown
from pondera.core.recipes import Recipe, normal_recipe

Matrix = npt.NDArray[Any]
Block = Literal["first", "hidden", "last"]
Precision = Literal["float32", "float64"]

BLOCKS: Final = ("first", "hidden", "last")
_EXACT: Final = 2**16  # elements; up to here float32 matrices are float64 ones rounded once
_SMALL: Final = 32  # triangles that LAPACK inverts at once
_PANELS: Final = (
    (2048, 256),
    (192, 128),
    (0, 32),
)  # from so many columns on: so many reflections at once


class Draw(Protocol):
    """`core.draw.draw`, or what draws the same bits faster."""

    def __call__(
        self,
        start: int,
        count: int,
        *,
        recipe: Recipe,
        seed: int,
        name: str,
        dtype: str = "float32",
    ) -> npt.NDArray[Any]: ...


class Subtract(Protocol):
    """Takes the product of two matrices from a third, in place."""

    def __call__(self, rest: Matrix, left: Matrix, right: Matrix, /) -> None: ...


def subtract_product(rest: Matrix, left: Matrix, right: Matrix, /) -> None:
    """Take the product of two matrices from a third, in place.

    Law:
        rest - left @ right

    Args:
        rest: (m, n), which becomes the result.
        left: (m, k).
        right: (k, n).

    Source:
        BLAS level 3 (gemm), by NumPy.

    Checked by:
        test_orthogonal.py::test_a_product_is_taken_in_place
    """
    rest -= left @ right


class Means(NamedTuple):
    """By what means a matrix is made: what draws its normals, and what applies the reflections.

    Args:
        draw: `core.draw.draw`, or its equal to the bit.
        subtract: `subtract_product`, or its equal to rounding.
    """

    draw: Draw = draw
    subtract: Subtract = subtract_product


NUMPY: Final = Means()


def orthogonal_matrix(
    rows: int,
    columns: int,
    *,
    seed: int,
    name: str,
    gain: float = 1.0,
    dtype: Precision = "float64",
    means: Means = NUMPY,
) -> Matrix:
    """A matrix with orthonormal columns (rows ≥ columns) or rows, uniform among all such.

    Every singular value is 1: the matrix keeps the length of whatever it does not drop.

    Law:
        H_0 · H_1 ⋯ H_(m−1) · I(rows, columns) · D, H_j the reflection that maps column j of a lower
        trapezoid of normals onto an axis, D the signs that make the result Haar distributed; times gain

    Args:
        rows: number of rows, ≥ 1.
        columns: number of columns, ≥ 1.
        seed: 64-bit seed.
        name: the parameter's name.
        gain: the singular value.
        dtype: float32 or float64, of the result, and of the large products where there are more than
            65,536 elements.
        means: what draws the normals and multiplies.

    Returns:
        Array of shape (rows, columns) and that dtype.

    Raises:
        ShapeError: rows or columns below 1.

    Limits:
        max |QᵀQ − I| about √rows · 1e-15 in float64, 3e-7 in float32 at 4096 rows. A wide matrix is the
        transpose of a tall one of the same name.

    Source:
        Stewart 1980, "The efficient generation of random orthogonal matrices", SIAM J. Numer. Anal. 17(3);
        blocked by the compact WY form, Schreiber & Van Loan 1989.

    Checked by:
        test_orthogonal.py::test_orthogonal_matrices_have_haar_moments
    """
    if rows < 1 or columns < 1:
        raise ShapeError(
            f"orthogonal: needs at least one row and one column; got rows={rows!r}, "
            f"columns={columns!r}. An empty weight needs no law."
        )
    tall, narrow = max(rows, columns), min(rows, columns)
    count = tall * narrow
    held = "float64" if count <= _EXACT else dtype
    normals = means.draw(0, count, recipe=normal_recipe(1.0), seed=seed, name=name, dtype=held)
    product = _product_of_reflections(normals.reshape(tall, narrow), means.subtract, gain)
    product = product.astype(dtype, copy=False)
    return product if rows >= columns else product.T


def precision_of(dtype: str) -> Precision:
    """What a weight of a dtype is computed in: the dtype's own precision, but no less than float32.

    Law:
        "float64" if dtype in ("float64", "complex128") else "float32"

    Args:
        dtype: of the weight.

    Returns:
        The name of the precision.

    Source:
        Own.

    Checked by:
        test_orthogonal.py::test_weights_are_computed_in_their_own_precision
    """
    return "float64" if dtype in ("float64", "complex128") else "float32"


def mirrored_matrix(
    rows: int,
    columns: int,
    *,
    block: Block,
    seed: int,
    name: str,
    gain: float = 1.0,
    dtype: Precision = "float64",
    means: Means = NUMPY,
) -> Matrix:
    """A mirrored orthogonal matrix: a chain of them acts as a product of orthogonal matrices.

    After an activation with f(u) − f(−u) = u the pair f(u), f(−u) of mirrored units holds all of u:
    the next block takes the difference, applies Q, and mirrors again. Neither signal nor gradient
    grows or shrinks with depth.

    Law:
        first [Q; −Q], hidden [[Q, −Q], [−Q, Q]], last [Q, −Q]; Q orthogonal, times
        sqrt(max(1, rows of Q / columns of Q)) so that widening keeps the RMS

    Assumes:
        f(u) − f(−u) = u (divide the result by c where it is c·u), biases 0, nothing between the layers.

    Args:
        rows: outputs; even for "first" and "hidden".
        columns: inputs; even for "hidden" and "last".
        block: place in the chain.
        seed: 64-bit seed.
        name: the parameter's name.
        gain: factor on the result.
        dtype: float32 or float64, as of `orthogonal_matrix`.
        means: as of `orthogonal_matrix`.

    Returns:
        Array of shape (rows, columns) and that dtype.

    Raises:
        ShapeError: a mirrored side is odd.
        DomainError: unknown block.

    Limits:
        Narrowing layers drop a part of the signal; its RMS then holds on average only.

    Source:
        Balduzzi, Frean, Leary, Lewis, Ma & McWilliams 2017, "The shattered gradients problem"
        ("looks linear" initialisation).

    Checked by:
        test_orthogonal.py::test_mirrored_chain_is_a_product_of_orthogonal_matrices
    """
    high, wide = mirrored_shape(rows, columns, block=block)
    gain = gain * math.sqrt(max(1.0, high / wide))
    q = orthogonal_matrix(high, wide, seed=seed, name=name, gain=gain, dtype=dtype, means=means)
    across = q if block == "first" else np.concatenate([q, -q], axis=1)
    return across if block == "last" else np.concatenate([across, -across], axis=0)


def mirrored_shape(rows: int, columns: int, *, block: Block) -> tuple[int, int]:
    """Shape of Q in a mirrored matrix: half the matrix's on each mirrored side.

    Law:
        {"first": (rows // 2, columns), "hidden": (rows // 2, columns // 2),
        "last": (rows, columns // 2)}[block]

    Args:
        rows: outputs; even for "first" and "hidden".
        columns: inputs; even for "hidden" and "last".
        block: place in the chain.

    Returns:
        (rows of Q, columns of Q).

    Raises:
        ShapeError: a mirrored side is odd.
        DomainError: unknown block.

    Source:
        As `mirrored_matrix`.

    Checked by:
        test_orthogonal.py::test_odd_widths_are_refused
    """
    if block not in BLOCKS:
        raise unknown("mirrored_orthogonal", "block", block, BLOCKS)
    mirror_out, mirror_in = block != "last", block != "first"
    for side, size, mirrored in (("outputs", rows, mirror_out), ("inputs", columns, mirror_in)):
        if mirrored and size % 2:
            raise ShapeError(
                f"mirrored_orthogonal: a {block} layer needs an even number of {side}; got "
                f"{size}. Use an even width, or another law for this layer."
            )
    return rows // 2 if mirror_out else rows, columns // 2 if mirror_in else columns


def _product_of_reflections(
    normals: Matrix, subtract: Subtract = subtract_product, gain: float = 1.0
) -> Matrix:
    """H_0 ⋯ H_(m−1) I D · gain; H_j = I − τ v vᵀ maps column j of the lower trapezoid onto ∓‖x‖·e_j."""
    narrow = normals.shape[1]
    signs = np.empty(narrow)
    product = np.zeros_like(normals)
    width = next(panel for least, panel in _PANELS if narrow > least)
    for start in reversed(range(0, narrow, width)):
        end = min(start + width, narrow)
        v, t, signs[start:end] = _panel(normals[start:, start:end], subtract)
        _apply(product[start:, start:], v, t, subtract)
    product *= (gain * signs).astype(normals.dtype)
    return product


def _panel(normals: Matrix, subtract: Subtract) -> tuple[Matrix, Matrix, Matrix]:
    """(V, T, signs) of H_s ⋯ H_e = I − V T Vᵀ: the compact WY form of some columns' reflections.

    T is formed from V as it is stored, so that I − V T Vᵀ is orthogonal whatever the rounding of the
    norms: T⁻¹ is the strict upper part of VᵀV, and half its diagonal, which is summed in float64 (an error
    there is an error of the same size in every length).
    """
    v = normals.copy()
    v[: v.shape[1]] = np.tril(v[: v.shape[1]])
    norm = np.sqrt(np.square(v).sum(axis=0, dtype=np.float64))
    head = np.where(norm == 0, 1.0, v.diagonal())  # a lone normal is 0 once in 3e7 draws
    sign = np.where(head < 0, -1.0, 1.0)
    v *= (1 / (head + sign * norm)).astype(v.dtype)  # same signs: no cancellation
    np.fill_diagonal(v, 1.0)
    negative = np.zeros((v.shape[1], v.shape[1]), v.dtype)
    subtract(negative, v.T, v)
    triangle = np.triu(-negative.astype(np.float64), 1)
    np.fill_diagonal(triangle, np.square(v).sum(axis=0, dtype=np.float64) / 2)
    return v, _inverse(triangle), -sign


def _inverse(triangle: Matrix) -> Matrix:
    """Inverse of an upper triangle, by halves: [[A, B], [0, C]]⁻¹ = [[A⁻¹, −A⁻¹ B C⁻¹], [0, C⁻¹]]."""
    size = len(triangle)
    if size <= _SMALL:
        return np.triu(np.linalg.inv(triangle))
    half = size // 2
    out = np.zeros_like(triangle)
    first = out[:half, :half] = _inverse(triangle[:half, :half])
    last = out[half:, half:] = _inverse(triangle[half:, half:])
    out[:half, half:] = -(first @ (triangle[:half, half:] @ last))
    return out


def _apply(product: Matrix, v: Matrix, t: Matrix, subtract: Subtract) -> None:
    """(I − V T Vᵀ) · [[I, 0], [0, rest]] in the place of [[0, 0], [0, rest]]."""
    width = v.shape[1]
    v1, v2, rest = v[:width], v[width:], product[width:, width:]
    across = np.zeros((width, product.shape[1]), v.dtype)  # T Vᵀ [[I, 0], [0, rest]]
    across[:, :width] = t @ v1.T
    if rest.shape[1]:
        negative = np.zeros((width, rest.shape[1]), v.dtype)
        subtract(negative, v2.T, rest)
        subtract(across[:, width:], t.astype(v.dtype), negative)
    subtract(product, v, across)
    product[np.arange(width), np.arange(width)] += 1
