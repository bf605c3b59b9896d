"""Signs and Walsh–Hadamard transforms → rows of orthogonal matrices, exact in integers.

No factorisation: each row is made alone, and its numbers are the same on every machine.
"""

from __future__ import annotations

from math import ldexp, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from pondera.core.bits import words
from pondera.core.errors import ShapeError

Rows = npt.NDArray[np.float64]

PRODUCTS: Final = (1, 2, 3)
LONGEST: Final = 2**26  # integers then stay below 2⁵³
_FACTOR: Final = 64  # transforms of at most this size are one matrix product


def walsh_transform(rows: Rows, /) -> Rows:
    """Rows times the Walsh–Hadamard matrix H of their length, unnormalised.

    Law:
        (rows @ H)[j] = sum over i of rows[i] · (−1)^(number of ones in i & j)

    Args:
        rows: integers as float64, shape (count, n), n a power of two.

    Returns:
        float64 array of that shape.

    Limits:
        Exact while the sums stay below 2⁵³, in whatever order they are taken.

    Source:
        Sylvester 1867; Fino & Algazi 1976, "Unified matrix treatment of the fast Walsh-Hadamard
        transform". H of a product of lengths is the Kronecker product.

    Checked by:
        test_laws_hadamard.py::test_the_transform_is_that_of_scipys_matrix
    """
    count, length = rows.shape
    before, made = length, rows
    while before > 1:
        factor = min(before, _FACTOR)
        before //= factor
        after = length // (before * factor)
        if after == 1:
            made = made.reshape(-1, factor) @ _sylvester(factor)
        else:
            made = _sylvester(factor) @ made.reshape(count * before, factor, after)
    return made.reshape(count, length)


def hadamard_rows(
    indices: npt.NDArray[np.int64], order: int, *, products: int = 3, seed: int, name: str
) -> Rows:
    """Some rows of H·D₁·H·D₂ ⋯ H·D_p, H of Walsh and Hadamard, D diagonals of random signs.

    Law:
        rows of the product, times order**(p/2) once normalised; signs of D_p: lowest bit of word
        order·(p − 1) + j, 1 where it is 0

    Args:
        indices: which rows, each in [0, order).
        order: n, a power of two, at most 2²⁶.
        products: p, 1 to 3.
        seed: 64-bit seed.
        name: the parameter's name.

    Returns:
        float64 array of shape (len(indices), order): integers, whose rows are orthogonal and of
        squared length order**p.

    Raises:
        ShapeError: order is no power of two, or too large.

    Limits:
        Not Haar distributed: fourth moments that cross rows are off at p = 3, more is at 1 and 2.

    Source:
        Ailon & Chazelle 2006 (p = 1); Yu, Suresh, Choromanski, Holtmann-Rice & Kumar 2016, "Orthogonal
        random features" (p = 3).

    Checked by:
        test_laws_hadamard.py::test_hadamard_rows_are_exactly_orthogonal
    """
    need_order(order)
    made = np.zeros((indices.size, order))
    made[np.arange(indices.size), indices] = 1.0
    for p in range(products):
        bits = words(order * p, order, seed=seed, name=name) & np.uint32(1)
        made = walsh_transform(made) * (1.0 - 2.0 * bits)
    return made


def need_order(order: int) -> None:
    """Refuse an order that no row is made for.

    Law:
        order in [2**k for k in range(27)]

    Args:
        order: length of the rows.

    Raises:
        ShapeError: order is no power of two, or above 2²⁶.

    Source:
        Sylvester's matrices; integers stay below 2⁵³.

    Checked by:
        test_laws_hadamard.py::test_only_powers_of_two_are_drawn
    """
    if order < 1 or order & (order - 1) or order > LONGEST:
        raise ShapeError(
            "hadamard_orthogonal: the longer side must be a power of two, at most 2**26; got "
            f"{order}. Use orthogonal, or such a width."
        )


def hadamard_unit(order: int, products: int, gain: float) -> float:
    """The factor that makes rows of `hadamard_rows` as long as the gain.

    Law:
        gain / sqrt(order)**products

    Args:
        order: n, a power of two.
        products: p.
        gain: length of the rows.

    Returns:
        The factor; a power of two times √½ or 1, times the gain, alike on every machine.

    Source:
        H·Hᵀ = order·I.

    Checked by:
        test_laws_hadamard.py::test_hadamard_rows_are_exactly_orthogonal
    """
    halves = (order.bit_length() - 1) * products
    return gain * ldexp(sqrt(0.5) if halves % 2 else 1.0, -(halves // 2))


def _sylvester(order: int) -> Rows:
    """H, by doubling."""
    made = np.ones((1, 1))
    while made.shape[0] < order:
        made = np.block([[made, made], [made, -made]])
    return made
