"""Sparse weights: a fixed number of connections for each unit, drawn so that any slice can be made."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pondera.core.bits import words
from pondera.core.errors import DomainError, unknown
from pondera.core.laws.base import (
    STORED,
    AbstractPlaced,
    Axes,
    Shape,
    need_count,
    real,
    roles,
    sizes_of,
)
from pondera.core.places import Place, along
from pondera.core.recipes import normal_recipe
from pondera.core.scattered import drawn

Unit = Literal["input", "output"]

UNITS: Final = ("input", "output")
TAG: Final = "sparse"  # the stream of the keys
_MOST: Final = 2**20  # keys ranked at a time


@dataclass(frozen=True)
class Sparse(AbstractPlaced):
    """Normals, of which each unit keeps a fixed number."""

    connections: int
    sparsity: float | None
    nonzero_std: float
    per: Unit

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        _, members = self._roles(shape, axes)
        count = sizes_of(shape, members)
        return self.nonzero_std * sqrt(self.kept(count) / count)

    def kept(self, count: int) -> int:
        """How many of a unit's weights are not 0."""
        if self.sparsity is None:
            return min(self.connections, count)
        return count - ceil(self.sparsity * count)

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        unit, members = self._roles(place.shape, axes)
        recipe = normal_recipe(self.nonzero_std)
        made = drawn(place, recipe=recipe, seed=seed, name=name, dtype=dtype)
        if not place.count:
            return made
        units, which = np.unique(along(place, unit), return_inverse=True)
        count = sizes_of(place.shape, members)
        table = _kept(units, count, self.kept(count), seed=seed, name=name)
        row = which.reshape(along(place, unit).shape)
        made[~table[row, along(place, members)]] = 0
        return made

    def _roles(self, shape: Shape, axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(axes of the units, all others)."""
        role = roles(self.name, shape, axes)
        unit = role.outputs if self.per == "output" else role.inputs
        return unit, tuple(axis for axis in range(len(shape)) if axis not in unit)


def sparse(
    *,
    connections: int = 15,
    sparsity: float | None = None,
    nonzero_std: float = 1.0,
    per: Unit = "output",
) -> Sparse:
    """Martens's sparse law: each unit listens to a fixed number of inputs, the rest is exactly 0.

    What reaches a unit then does not grow with the width of the layer, and units differ much.

    Law:
        nonzero_std * sqrt((min(connections, fan) if sparsity is None else
        fan - ceil(sparsity * fan)) / fan)

    Args:
        connections: how many weights each unit keeps, at least 1; all where there are fewer.
        sparsity: replaces connections: the share of zeros in [0, 1], rounded up for each unit.
        nonzero_std: std of those that are not 0, 0 ≤ nonzero_std < ∞.
        per: "output": the incoming weights are counted, fan is fan_in (Martens); "input": the outgoing
            ones, fan is fan_out (PyTorch).

    Returns:
        The law.

    Raises:
        DomainError: a number out of range, per unknown.

    Limits:
        A slice costs the keys of every unit that it touches. Which are kept: those of the smallest keys,
        uniform among all choices but for ties of 32-bit keys.

    Source:
        Martens 2010, "Deep learning via Hessian-free optimization" (sparse initialization, 15 connections);
        torch.nn.init.sparse_, which counts the columns of (out, in).

    Checked by:
        test_laws_more.py::test_sparse_weights_have_their_exact_number_of_zeros
    """
    if sparsity is not None and not 0 <= real(sparsity) <= 1:
        raise DomainError(
            f"laws: sparse needs 0 <= sparsity <= 1; got sparsity={sparsity!r}. "
            "Pass the share of zeros."
        )
    if per not in UNITS:
        raise unknown("laws", "per", per, UNITS)
    normal_recipe(nonzero_std)
    count = need_count("sparse", "connections", connections)
    share = None if sparsity is None else float(sparsity)
    return Sparse(
        "sparse", connections=count, sparsity=share, nonzero_std=float(nonzero_std), per=per
    )


def _kept(
    units: npt.NDArray[np.int64], count: int, kept: int, *, seed: int, name: str
) -> npt.NDArray[np.bool_]:
    """(unit, member) → whether the weight is kept: its key is among the smallest of the unit."""
    table = np.full((units.size, count), kept == count)
    if 0 < kept < count:
        step = max(1, _MOST // count)
        for first in range(0, units.size, step):
            keys = _keys(units[first : first + step], count, seed=seed, name=name)
            last = np.partition(keys, kept - 1, axis=1)[:, kept - 1 : kept]
            table[first : first + step] = keys <= last
    return table


def _keys(
    units: npt.NDArray[np.int64], count: int, *, seed: int, name: str
) -> npt.NDArray[np.uint64]:
    """One key for each weight of the units; the place in the unit breaks ties."""
    low, high = int(units[0]), int(units[-1]) + 1
    if high - low > 2 * units.size:  # far apart: one at a time
        parts = [words(int(u) * count, count, seed=seed, name=name, tag=TAG) for u in units]
        made = np.stack(parts)
    else:
        span = words(low * count, (high - low) * count, seed=seed, name=name, tag=TAG)
        made = span.reshape(-1, count)[units - low]
    return (made.astype(np.uint64) << np.uint64(32)) | np.arange(count, dtype=np.uint64)
