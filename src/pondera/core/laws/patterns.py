"""Weights that pass on what comes: identity, Dirac's delta for convolutions, tiled identity with noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import (
    STORED,
    AbstractPlaced,
    Axes,
    Roles,
    Shape,
    cast,
    need_count,
    need_positive,
    real,
    roles,
    sizes_of,
)
from pondera.core.places import Place, along, flat
from pondera.core.recipes import normal_recipe
from pondera.core.scattered import drawn, drawn_at

_REAL: Final = {"complex64": "float32", "complex128": "float64"}
_FIELDS: Final = (1, 2, 3)  # axes of a kernel that convolutions have


@dataclass(frozen=True)
class Identity(AbstractPlaced):
    """A gain where output and input have one number, 0 elsewhere."""

    gain: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        role = _matrix_roles(self.name, shape, axes)
        share = 1 / max(sizes_of(shape, role.outputs), sizes_of(shape, role.inputs))
        return self.gain * sqrt(share - share**2)

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        role = _matrix_roles(self.name, place.shape, axes)
        return _marked(place, along(place, role.outputs) == along(place, role.inputs), self, dtype)


@dataclass(frozen=True)
class Dirac(AbstractPlaced):
    """A gain at the middle tap where output and input have one number, group by group."""

    gain: float
    groups: int

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        role, outputs = self._roles(shape, axes)
        inputs = sizes_of(shape, role.inputs)
        share = min(outputs, inputs) / (outputs * inputs * sizes_of(shape, role.field))
        return self.gain * sqrt(share - share**2)

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        role, outputs = self._roles(place.shape, axes)
        passed = along(place, role.outputs) % outputs == along(place, role.inputs)
        for axis in role.field:
            passed = passed & (along(place, (axis,)) == place.shape[axis] // 2)
        return _marked(place, passed, self, dtype)

    def _roles(self, shape: Shape, axes: Axes) -> tuple[Roles, int]:
        """(roles, outputs of each group)."""
        role = roles(self.name, shape, axes)
        if len(role.field) not in _FIELDS:
            raise ShapeError(
                "laws: dirac needs a convolution's weight, with 1 to 3 axes beside in and out; got "
                f"shape={tuple(shape)}. Use identity for a matrix."
            )
        outputs = sizes_of(shape, role.outputs)
        if outputs % self.groups:
            raise ShapeError(
                f"laws: dirac needs outputs that the groups divide; got outputs={outputs}, "
                f"groups={self.groups}. Pass the groups of the convolution."
            )
        return role, outputs // self.groups


@dataclass(frozen=True)
class TiledIdentity(AbstractPlaced):
    """Identity, repeated where there are more outputs than inputs, plus normal noise."""

    gain: float
    noise: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        columns = sizes_of(shape, _matrix_roles(self.name, shape, axes).inputs)
        return sqrt(self.noise**2 / columns + self.gain**2 * (columns - 1) / columns**2)

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        role = _matrix_roles(self.name, place.shape, axes)
        columns = sizes_of(place.shape, role.inputs)
        sigma = self.noise / sqrt(columns)
        made = drawn(place, recipe=normal_recipe(sigma), seed=seed, name=name, dtype=dtype)
        one = along(place, role.outputs) % columns == along(place, role.inputs)
        where = np.nonzero(np.broadcast_to(one, place.size))
        positions = flat(place)[where]
        # the mean enters in integers, as in every draw: see core.recipes
        complex_ = dtype.startswith("complex")
        recipe = normal_recipe(sigma * sqrt(0.5) if complex_ else sigma, mean=self.gain)
        ones = drawn_at(
            positions, recipe=recipe, seed=seed, name=name, dtype=_REAL.get(dtype, dtype)
        )
        kept = made[where]
        kept.real = ones
        made[where] = kept
        return made


def identity(*, gain: float = 1.0) -> Identity:
    """The identity, for square and for oblong matrices: as many inputs as fit are passed on.

    Law:
        entry: gain if row == column else 0

    Assumes:
        one matrix: every axis is in or out. For a convolution there is `dirac`.

    Args:
        gain: what stands on the diagonal, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite. A ShapeError comes when drawing.

    Limits:
        All else is 0: a ReLU behind it cuts what is negative. std is that of the entries.

    Source:
        Le, Jaitly & Hinton 2015, "A simple way to initialize recurrent networks of rectified linear
        units" (IRNN); torch.nn.init.eye_.

    Checked by:
        test_laws_more.py::test_identity_is_that_of_torch
    """
    return Identity("identity", gain=need_positive("identity", "gain", gain))


def dirac(*, groups: int = 1, gain: float = 1.0) -> Dirac:
    """Dirac's delta for convolutions of 1 to 3 dimensions: each input channel is passed on unchanged.

    Law:
        entry: gain if row % (rows // groups) == column and tap == size // 2 else 0

    Assumes:
        stride 1 and padding size // 2 on the left.

    Args:
        groups: of the convolution, at least 1; they divide the outputs.
        gain: what stands at the middle tap, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain or groups out of range. A ShapeError comes when drawing.

    Limits:
        Inputs beyond the number of outputs are dropped, outputs beyond that of inputs are 0. A kernel of
        even size has no middle: the tap is size // 2. std is that of the entries.

    Source:
        Zagoruyko & Komodakis 2017, "DiracNets"; torch.nn.init.dirac_.

    Checked by:
        test_laws_more.py::test_dirac_is_that_of_torch
    """
    return Dirac(
        "dirac",
        gain=need_positive("dirac", "gain", gain),
        groups=need_count("dirac", "groups", groups),
    )


def tiled_identity(*, noise: float = 0.085, gain: float = 1.0) -> TiledIdentity:
    """The law for deep tanh networks: identity, tiled where there are more outputs, plus small noise.

    Law:
        sqrt(noise**2 / columns + gain**2 * (columns - 1) / columns**2)

    Assumes:
        tanh behind each layer; one matrix: every axis is in or out.

    Args:
        noise: noise·N(0, 1)/√columns is added, 0 ≤ noise < ∞.
        gain: what stands where row % columns = column, positive.

    Returns:
        The law; columns are the inputs.

    Raises:
        DomainError: noise or gain out of range. A ShapeError comes when drawing.

    Limits:
        Law is the std of the entries, its noise exact on average. Inputs beyond the number of outputs
        are passed on by the noise alone.

    Source:
        Lee, Choi & Kim 2025, "Robust weight initialization for tanh neural networks with fixed point
        analysis", ICLR, §3.2.

    Checked by:
        test_laws_more.py::test_tiled_identity_is_a_tiled_identity_plus_noise
    """
    if not 0 <= real(noise) < inf:
        raise DomainError(
            f"laws: tiled_identity needs 0 <= noise < inf; got noise={noise!r}. Use noise=0.085."
        )
    factor = need_positive("tiled_identity", "gain", gain)
    return TiledIdentity("tiled_identity", gain=factor, noise=float(noise))


def _matrix_roles(law: str, shape: Shape, axes: Axes) -> Roles:
    role = roles(law, shape, axes)
    if role.field:
        raise ShapeError(
            f"laws: {law} needs a matrix, every axis in or out; got shape={tuple(shape)}. "
            "Use dirac for a convolution, or pass in_axes= and out_axes=."
        )
    return role


def _marked(
    place: Place, passed: npt.NDArray[np.bool_], law: Identity | Dirac, dtype: str
) -> npt.NDArray[Any]:
    return cast(np.broadcast_to(np.where(passed, law.gain, 0.0), place.size), dtype)
