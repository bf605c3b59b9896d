"""Orthogonal convolutions: an orthogonal matrix at the middle tap, zeros beside it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.draw import need_dtype
from pondera.core.errors import ShapeError
from pondera.core.laws.base import (
    STORED,
    AbstractWhole,
    Axes,
    Roles,
    Shape,
    cast,
    checked_shape,
    need_positive,
    roles,
    sizes_of,
)
from pondera.core.orthogonal import (
    NUMPY,
    Block,
    Means,
    mirrored_matrix,
    mirrored_shape,
    orthogonal_matrix,
    precision_of,
)

_FIELDS: Final = (1, 2, 3)


@dataclass(frozen=True)
class DeltaOrthogonal(AbstractWhole):
    """Orthonormal rows or columns at the middle tap, times a gain."""

    gain: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        outputs, inputs, taps = _sizes(self.name, shape, axes)
        return self.gain / sqrt(max(outputs, inputs) * taps)

    def draw(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        seed: int,
        name: str,
        dtype: str = "float32",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        sizes = checked_shape(shape)
        need_dtype(dtype)
        outputs, inputs, _ = _sizes(self.name, sizes, axes)
        matrix = orthogonal_matrix(
            outputs,
            inputs,
            seed=seed,
            name=name,
            gain=self.gain,
            dtype=precision_of(dtype),
            means=means,
        )
        return _at_the_middle(self.name, matrix, sizes, axes, dtype)


@dataclass(frozen=True)
class MirroredDeltaOrthogonal(AbstractWhole):
    """Mirrored blocks of an orthogonal matrix at the middle tap, times a gain."""

    position: Block
    gain: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        outputs, inputs, taps = _sizes(self.name, shape, axes)
        high, wide = mirrored_shape(outputs, inputs, block=self.position)
        return self.gain * sqrt(max(1.0, high / wide) / max(high, wide) / taps)

    def draw(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        seed: int,
        name: str,
        dtype: str = "float32",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        sizes = checked_shape(shape)
        need_dtype(dtype)
        outputs, inputs, _ = _sizes(self.name, sizes, axes)
        matrix = mirrored_matrix(
            outputs,
            inputs,
            block=self.position,
            seed=seed,
            name=name,
            gain=self.gain,
            dtype=precision_of(dtype),
            means=means,
        )
        return _at_the_middle(self.name, matrix, sizes, axes, dtype)


def delta_orthogonal(*, gain: float = 1.0) -> DeltaOrthogonal:
    """The delta-orthogonal law for convolutions of 1 to 3 dimensions: an orthogonal map at each place.

    With stride 1 and circular padding the convolution keeps every norm; vanilla networks of thousands of
    layers learn so. `orthogonal`, which flattens the kernel, does not have that property.

    Law:
        gain / sqrt(max(outputs, inputs) * taps)

    Assumes:
        stride 1, no groups, at least as many outputs as inputs.

    Args:
        gain: the singular value, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite. A ShapeError comes when drawing.

    Limits:
        Law is exact on average: single entries vary, all taps but the middle one are 0. With fewer
        outputs than inputs directions are dropped (the paper refuses). The middle of an even size is the
        tap (size − 1) // 2, as in JAX.

    Source:
        Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington 2018, "Dynamical isometry and a mean field
        theory of CNNs" (delta-orthogonal kernels).

    Checked by:
        test_laws_deltas.py::test_delta_orthogonal_convolutions_keep_every_norm
    """
    factor = need_positive("delta_orthogonal", "gain", gain)
    return DeltaOrthogonal("delta_orthogonal", gain=factor)


def mirrored_delta_orthogonal(
    *, block: Block = "hidden", gain: float = 1.0
) -> MirroredDeltaOrthogonal:
    """The mirrored ("looks linear") form of delta_orthogonal, for one place in a chain of convolutions.

    Law:
        gain * sqrt(max(1, high/wide) / max(high, wide) / taps)

    Assumes:
        as mirrored_orthogonal: f(u) − f(−u) = u, biases 0, the chain unbroken; stride 1, no groups.

    Args:
        block: "first" (input to mirrored), "hidden" or "last" (mirrored to output).
        gain: factor, positive; 1/c where f(u) − f(−u) = c·u (but 1 for the first).

    Returns:
        The law; high × wide is the shape of Q over channels, half the weight's on each mirrored side.

    Raises:
        DomainError: gain not positive and finite, unknown block. A ShapeError comes when drawing.

    Limits:
        Law is exact on average. Channels must be even where they are mirrored.

    Source:
        Balduzzi et al. 2017, "The shattered gradients problem", joined with Xiao et al. 2018.

    Checked by:
        test_laws_deltas.py::test_a_mirrored_chain_of_convolutions_keeps_every_norm
    """
    mirrored_shape(2, 2, block=block)
    factor = need_positive("mirrored_delta_orthogonal", "gain", gain)
    return MirroredDeltaOrthogonal("mirrored_delta_orthogonal", position=block, gain=factor)


def _kernel_roles(law: str, shape: Shape, axes: Axes) -> Roles:
    role = roles(law, shape, axes)
    if len(role.field) not in _FIELDS:
        raise ShapeError(
            f"laws: {law} needs a convolution's weight, with 1 to 3 axes beside in and out; got "
            f"shape={tuple(shape)}. Use orthogonal for a matrix."
        )
    return role


def _sizes(law: str, shape: Shape, axes: Axes) -> tuple[int, int, int]:
    """(outputs, inputs, taps)."""
    role = _kernel_roles(law, shape, axes)
    outputs, inputs, taps = (sizes_of(shape, some) for some in role)
    return outputs, inputs, taps


def _at_the_middle(
    law: str, matrix: npt.NDArray[np.float64], shape: Shape, axes: Axes, dtype: str
) -> npt.NDArray[Any]:
    role = _kernel_roles(law, shape, axes)
    order = (*role.outputs, *role.inputs)
    split = matrix.reshape([shape[axis] for axis in order])
    tap = tuple((n - 1) // 2 if axis in role.field else slice(None) for axis, n in enumerate(shape))
    out = np.zeros(shape, dtype=dtype)
    out[tap] = cast(split.transpose(np.argsort(order)), dtype)  # ranks among the axes that are left
    return out
