"""Weights whose rows are points of a sphere: normals, divided by their length."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pondera.core.draw import integers
from pondera.core.errors import ShapeError, unknown
from pondera.core.laws.base import (
    STORED,
    AbstractPlaced,
    Axes,
    Shape,
    cast,
    need_positive,
    roles,
    sizes_of,
)
from pondera.core.places import Place
from pondera.core.recipes import normal_recipe
from pondera.core.scattered import words_of

Row = Literal["input", "output", "row"]

ROWS: Final = ("input", "output", "row")
_NORMAL: Final = normal_recipe(1.0)
_MOST: Final = 2**20  # elements at a time
_HALF: Final = 15  # bits of a normal's lower half: squares of halves sum exactly in 64 bits


@dataclass(frozen=True)
class UnitRows(AbstractPlaced):
    """Uniform on a sphere, row by row."""

    gain: float
    per: Row

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        length = sizes_of(shape, self._members(shape, axes))
        return self.gain / sqrt(length) if length else 0.0

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        members = self._members(place.shape, axes)
        out = np.empty(place.size, dtype=dtype)
        others = [axis for axis in range(len(place.shape)) if axis not in members]
        for inner in _strips(place, others, members):
            rows = _stretched(inner, members)
            tags = ("", "imag") if dtype.startswith("complex") else ("",)
            normals = [_integers(rows, seed, name, tag) for tag in tags]
            factor = self.gain / np.sqrt(sum(_square_sum(q, members) for q in normals))
            made = normals[0] * factor
            made = made + 1j * (normals[1] * factor) if len(normals) == 2 else made
            out[_within(inner, place)] = cast(made[_within(inner, rows)], dtype)
        return out

    def _members(self, shape: Shape, axes: Axes) -> tuple[int, ...]:
        """The axes along which a row runs."""
        if self.per == "row":
            if not shape:
                raise ShapeError(
                    "laws: unit_rows needs at least 1 axis; got shape=(). "
                    "A single number is no row: use ones."
                )
            return (len(shape) - 1,)
        role = roles(self.name, shape, axes)
        unit = role.outputs if self.per == "output" else role.inputs
        return tuple(axis for axis in range(len(shape)) if axis not in unit)


def unit_rows(*, gain: float = 1.0, per: Row = "row") -> UnitRows:
    """Rows of one length, uniform on the sphere: normal rows, normalised.

    For embeddings (gain √width gives each token an RMS of 1) and for networks that keep their rows
    normalised. The same bits on every machine: the squares are summed in integers.

    Law:
        gain / sqrt(length)

    Args:
        gain: the length of each row, positive.
        per: what a row is: "row" runs along the last stored axis (a table of embeddings); "output": all
            weights into one output; "input": all weights out of one input.

    Returns:
        The law; length is the number of weights in a row.

    Raises:
        DomainError: gain not positive and finite, per unknown. A ShapeError comes when drawing.

    Limits:
        Law is exact as RMS. A slice costs every row that it touches. Rows of length 1 are ±gain. A row
        of zeros, once in 3e7 rows of length 1, becomes gain/√length everywhere.

    Source:
        Muller 1959, "A note on a method for generating points uniformly on n-dimensional spheres";
        Loshchilov et al. 2024, "nGPT"; Large et al. 2024, "Scalable optimization in the modular norm".

    Checked by:
        test_laws_more.py::test_rows_lie_on_the_sphere
    """
    if per not in ROWS:
        raise unknown("laws", "per", per, ROWS)
    return UnitRows("unit_rows", gain=need_positive("unit_rows", "gain", gain), per=per)


def _integers(place: Place, seed: int, name: str, tag: str) -> npt.NDArray[np.int32]:
    return integers(words_of(place, seed=seed, name=name, tag=tag), _NORMAL)


def _square_sum(q: npt.NDArray[np.int32], members: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Σ q² over the members, exact until it is rounded; 0 is replaced, with q, by a row of ones."""
    zero = ~q.any(axis=members, keepdims=True)
    np.copyto(q, 1, where=zero)
    high, low = (q >> _HALF).astype(np.int64), (q & (2**_HALF - 1)).astype(np.int64)
    squares, crossed, rest = (
        product.sum(axis=members, keepdims=True).astype(np.float64)
        for product in (high * high, high * low, low * low)
    )
    return (squares * 2.0 ** (2 * _HALF) + crossed * 2.0 ** (_HALF + 1)) + rest


def _stretched(place: Place, members: tuple[int, ...]) -> Place:
    """The whole rows that a place touches."""
    offset, size = list(place.offset), list(place.size)
    for axis in members:
        offset[axis], size[axis] = 0, place.shape[axis]
    return Place(place.shape, tuple(offset), tuple(size))


def _within(inner: Place, outer: Place) -> tuple[slice, ...]:
    """Where a place lies in another of the same tensor."""
    starts = zip(inner.offset, outer.offset, inner.size, strict=True)
    return tuple(slice(a - b, a - b + n) for a, b, n in starts)


def _strips(place: Place, others: list[int], members: tuple[int, ...]) -> list[Place]:
    """The place cut across an axis that is no row's, so that few elements are made at a time."""
    if not place.count:
        return []
    made = _stretched(place, members).count
    axis = max(others, key=lambda axis: place.size[axis], default=None)
    if axis is None or made <= _MOST or place.size[axis] == 1:
        return [place]
    step = max(1, place.size[axis] * _MOST // made)
    cuts = range(0, place.size[axis], step)
    strips = [_cut(place, axis, first, min(step, place.size[axis] - first)) for first in cuts]
    return [part for strip in strips for part in _strips(strip, others, members)]


def _cut(place: Place, axis: int, first: int, count: int) -> Place:
    offset, size = list(place.offset), list(place.size)
    offset[axis], size[axis] = offset[axis] + first, count
    return Place(place.shape, tuple(offset), tuple(size))
