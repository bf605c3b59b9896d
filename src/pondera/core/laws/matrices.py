"""Laws for the weight as one matrix: orthogonal and mirrored orthogonal."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy.typing as npt

from pondera.core.errors import DomainError
from pondera.core.laws.base import STORED, AbstractMatrix, Axes, Shape, matrix_shape
from pondera.core.orthogonal import (
    NUMPY,
    Block,
    Means,
    Precision,
    mirrored_matrix,
    mirrored_shape,
    orthogonal_matrix,
)


@dataclass(frozen=True)
class Orthogonal(AbstractMatrix):
    """Orthonormal rows or columns, times a gain."""

    gain: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return self.gain / sqrt(max(matrix_shape(shape, axes)))

    def matrix(
        self,
        rows: int,
        columns: int,
        *,
        seed: int,
        name: str,
        dtype: Precision = "float64",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        return orthogonal_matrix(
            rows, columns, seed=seed, name=name, gain=self.gain, dtype=dtype, means=means
        )


@dataclass(frozen=True)
class MirroredOrthogonal(AbstractMatrix):
    """Mirrored blocks of an orthogonal matrix, times a gain."""

    position: Block
    gain: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        high, wide = mirrored_shape(*matrix_shape(shape, axes), block=self.position)
        return self.gain * sqrt(max(1.0, high / wide) / max(high, wide))

    def matrix(
        self,
        rows: int,
        columns: int,
        *,
        seed: int,
        name: str,
        dtype: Precision = "float64",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        return mirrored_matrix(
            rows,
            columns,
            block=self.position,
            seed=seed,
            name=name,
            gain=self.gain,
            dtype=dtype,
            means=means,
        )


def orthogonal(*, gain: float = 1.0) -> Orthogonal:
    """The orthogonal law: all singular values equal the gain.

    Semi-orthogonal where the matrix is not square: its rows, or its columns, are orthonormal.
    A product of such matrices neither stretches nor squashes any direction, which normal weights do
    exponentially in depth.

    Law:
        gain / sqrt(max(rows, columns))

    Assumes:
        the outputs are the rows; all other axes, the receptive field included, are the columns.

    Args:
        gain: the singular value, positive; the gain of the activation that feeds the weight.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite.

    Limits:
        Law is exact on average: single entries vary. With more rows than columns the RMS of the
        output is gain·√(columns/rows) times that of the input.

    Source:
        Saxe, McClelland & Ganguli 2013, "Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks".

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return Orthogonal("orthogonal", gain=_positive("orthogonal", gain))


def mirrored_orthogonal(*, block: Block = "hidden", gain: float = 1.0) -> MirroredOrthogonal:
    """The mirrored orthogonal ("looks linear") law, for one place in a chain of layers.

    The only law here that keeps signal and gradient level at once, at any depth, for every activation
    with f(u) − f(−u) = u.

    Law:
        gain * sqrt(max(1, high/wide) / max(high, wide))

    Assumes:
        biases 0, the chain unbroken: nothing but the activation between the layers.

    Args:
        block: "first" (input to mirrored), "hidden" or "last" (mirrored to output).
        gain: factor, positive; 1/c where f(u) − f(−u) = c·u (but 1 for the first).

    Returns:
        The law; high × wide is the shape of Q, half the weight's on each mirrored side.

    Raises:
        DomainError: gain not positive and finite, unknown block. A ShapeError comes when drawing.

    Limits:
        Law is exact on average. A width must be even where it is mirrored.

    Source:
        Balduzzi et al. 2017, "The shattered gradients problem".

    Checked by:
        test_orthogonal.py::test_mirrored_chain_is_a_product_of_orthogonal_matrices
    """
    mirrored_shape(2, 2, block=block)
    return MirroredOrthogonal(
        "mirrored_orthogonal", position=block, gain=_positive("mirrored_orthogonal", gain)
    )


def _positive(law: str, gain: float) -> float:
    if not (isfinite(gain) and gain > 0):
        raise DomainError(f"laws: {law} needs 0 < gain < inf; got gain={gain!r}. Use gain=1.0.")
    return float(gain)
