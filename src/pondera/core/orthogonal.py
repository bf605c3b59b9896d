"""Normals → orthogonal and mirrored orthogonal matrices.

Computed in float64 and rounded once. The numbers that enter are exact; the factorisation is floating
point, so matrices agree across machines to about 1e-15 before that rounding, not to the bit.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from pondera.core.draw import draw
from pondera.core.errors import ShapeError, unknown
from pondera.core.recipes import normal_recipe

Matrix = npt.NDArray[np.float64]
Block = Literal["first", "hidden", "last"]

BLOCKS: Final = ("first", "hidden", "last")
_PANEL: Final = 64  # reflections that are applied together


def orthogonal_matrix(rows: int, columns: int, *, seed: int, name: str) -> Matrix:
    """A matrix with orthonormal columns (rows ≥ columns) or rows, uniform among all such.

    Every singular value is 1: the matrix keeps the length of whatever it does not drop.

    Law:
        H_0 · H_1 ⋯ H_(m−1) · I(rows, columns) · D, H_j the reflection that maps column j of a lower
        trapezoid of normals onto an axis, D the signs that make the result Haar distributed

    Args:
        rows: number of rows, ≥ 1.
        columns: number of columns, ≥ 1.
        seed: 64-bit seed.
        name: the parameter's name.

    Returns:
        float64 array of shape (rows, columns).

    Raises:
        ShapeError: rows or columns below 1.

    Limits:
        max |QᵀQ − I| about 1e-15 · √rows. A wide matrix is the transpose of a tall one of the same name.

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
    normals = draw(
        0, tall * narrow, recipe=normal_recipe(1.0), seed=seed, name=name, dtype="float64"
    )
    product = _product_of_reflections(np.tril(normals.reshape(tall, narrow)))
    return product if rows >= columns else product.T


def mirrored_matrix(rows: int, columns: int, *, block: Block, seed: int, name: str) -> Matrix:
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

    Returns:
        float64 array of shape (rows, columns).

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
    q = orthogonal_matrix(high, wide, seed=seed, name=name) * math.sqrt(max(1.0, high / wide))
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


def _product_of_reflections(trapezoid: Matrix) -> Matrix:
    """H_0 ⋯ H_(m−1) I D, where H_j = I − τ v vᵀ maps column j of the trapezoid onto ∓‖x‖·e_j."""
    tall, narrow = trapezoid.shape
    norm = np.sqrt(np.square(trapezoid).sum(axis=0))
    head = np.where(norm == 0, 1.0, trapezoid.diagonal())  # a lone normal is 0 once in 3e7 draws
    norm = np.where(norm == 0, 1.0, norm)
    sign = np.where(head < 0, -1.0, 1.0)
    pivot = head + sign * norm  # same signs: no cancellation
    v = np.tril(trapezoid, -1) / pivot
    np.fill_diagonal(v, 1.0)
    tau = pivot / (sign * norm)
    product = np.eye(tall, narrow)
    for start in reversed(range(0, narrow, _PANEL)):
        block = v[start:, start : start + _PANEL]
        # compact WY: H_s ⋯ H_e = I − V T Vᵀ with T⁻¹ = strict upper part of VᵀV + diag(1/τ)
        inverse_t = np.triu(block.T @ block, 1)
        np.fill_diagonal(inverse_t, 1.0 / tau[start : start + _PANEL])
        rest = product[start:, start:]
        rest -= block @ np.linalg.solve(inverse_t, block.T @ rest)
    return product * -sign
