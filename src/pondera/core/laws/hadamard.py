"""The orthogonal law that is exact: randomised Walsh–Hadamard products, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError
from pondera.core.hadamard import PRODUCTS, hadamard_rows, hadamard_unit, need_order
from pondera.core.laws.base import (
    STORED,
    AbstractPlaced,
    Axes,
    Shape,
    need_positive,
    roles,
    sizes_of,
)
from pondera.core.places import Place, along

_MOST = 2**21  # elements of the square matrix made at a time


@dataclass(frozen=True)
class HadamardOrthogonal(AbstractPlaced):
    """Rows or columns of a randomised Hadamard product, times a gain."""

    gain: float
    products: int

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        _, long = self._sides(shape, axes)
        return self.gain / sqrt(sizes_of(shape, long))

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        short, long = self._sides(place.shape, axes)
        order = sizes_of(place.shape, long)
        rows, which = np.unique(along(place, short), return_inverse=True)
        row, column = which.reshape(along(place, short).shape), along(place, long)
        made = np.empty((rows.size, order), dtype=_stored(dtype))
        wide = np.float64 if dtype in ("float64", "complex128") else np.float32
        unit = wide(hadamard_unit(order, self.products, self.gain))
        for first in range(0, rows.size, max(1, _MOST // order)):
            some = slice(first, first + max(1, _MOST // order))
            exact = hadamard_rows(rows[some], order, products=self.products, seed=seed, name=name)
            made[some] = exact.astype(wide) * unit  # one conversion, one multiplication
        return made[row, column].astype(dtype, copy=False)

    def _sides(self, shape: Shape, axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(axes of the shorter side, of the longer) of outputs × everything else."""
        outputs = roles(self.name, shape, axes).outputs
        rest = tuple(axis for axis in range(len(shape)) if axis not in outputs)
        wide = sizes_of(shape, outputs) < sizes_of(shape, rest)
        short, long = (outputs, rest) if wide else (rest, outputs)
        need_order(sizes_of(shape, long))
        return short, long


def hadamard_orthogonal(*, gain: float = 1.0, products: int = 3) -> HadamardOrthogonal:
    """An orthogonal law without a factorisation: exact in integers, the same bits on every machine.

    Where `orthogonal` is equal across machines to 1e-6 only and is made whole, each row is made
    here alone. The price: the longer side must be a power of two, and the law is almost Haar, not Haar.

    Law:
        gain / sqrt(max(rows, columns))

    Assumes:
        the outputs are the rows; all other axes, the receptive field included, are the columns.

    Args:
        gain: the singular value, positive.
        products: how many H·D are multiplied: 3 for weights, 1 for entries all of one size.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite, products not 1, 2 or 3. A ShapeError comes when
            drawing, if the longer side is no power of two.

    Limits:
        Law is exact as RMS. float32 rounds entries once where the longer side passes 4096, and by its
        factor where that is no even power of two. A slice costs the whole of each row it touches.

    Source:
        Ailon & Chazelle 2006; Yu, Suresh, Choromanski, Holtmann-Rice & Kumar 2016, "Orthogonal random
        features".

    Checked by:
        test_laws_hadamard.py::test_hadamard_weights_are_orthogonal_in_every_dtype
    """
    if products not in PRODUCTS:
        raise DomainError(
            f"laws: hadamard_orthogonal needs products of 1, 2 or 3; got products={products!r}. "
            "Use products=3."
        )
    factor = need_positive("hadamard_orthogonal", "gain", gain)
    return HadamardOrthogonal("hadamard_orthogonal", gain=factor, products=int(products))


def _stored(dtype: str) -> str:
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
