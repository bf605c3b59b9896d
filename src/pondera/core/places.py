"""Slices of a logical tensor and the coordinates of their elements.

What cannot be written as one recipe for all elements (a diagonal, a normalised row, a time step) is
written here as a function of where an element stands, so that a slice is made without the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pondera.core.errors import ShapeError

Indices = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Place:
    """The slice [offset, offset + size) of a tensor, along every axis.

    Args:
        shape: of the logical, unsharded tensor.
        offset: first index along each axis.
        size: elements along each axis.
    """

    shape: tuple[int, ...]
    offset: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many elements."""
        return math.prod(self.size)


def whole(shape: Sequence[int]) -> Place:
    """The place that is all of a tensor.

    Law:
        offset 0 and size = shape along every axis

    Args:
        shape: of the tensor, each size ≥ 0.

    Returns:
        The place.

    Source:
        Own.

    Checked by:
        test_laws_places.py::test_a_slice_is_the_slice_of_the_whole
    """
    return Place(tuple(shape), (0,) * len(shape), tuple(shape))


def slice_of(shape: Sequence[int], offset: Sequence[int], size: Sequence[int]) -> Place:
    """The place [offset, offset + size), checked.

    Law:
        0 ≤ offset and offset + size ≤ shape along every axis

    Args:
        shape: of the logical, unsharded tensor.
        offset: first index along each axis.
        size: elements along each axis, ≥ 0.

    Returns:
        The place.

    Raises:
        ShapeError: the slice does not lie in the tensor.

    Source:
        Own.

    Checked by:
        test_laws_places.py::test_a_slice_is_the_slice_of_the_whole
    """
    first, count = _integers(offset), _integers(size)
    if not len(shape) == len(first) == len(count) or any(
        o < 0 or n < 0 or o + n > most for o, n, most in zip(first, count, shape, strict=True)
    ):
        raise ShapeError(
            "block: needs 0 <= offset and offset + size <= shape along every axis; got "
            f"shape={tuple(shape)}, offset={offset!r}, size={size!r}. "
            "Pass one integer per axis of the whole tensor to each."
        )
    return Place(tuple(shape), first, count)


def along(place: Place, axes: Sequence[int]) -> npt.NDArray[np.int64]:
    """Each element's index over some axes, taken together row-major in the order given.

    Law:
        sum of index[axis] · (product of the shape over the axes that follow in the list)

    Args:
        place: which elements.
        axes: axes counted from the front; none gives 0 everywhere.

    Returns:
        int64 array that broadcasts to the place's size.

    Source:
        Own.

    Checked by:
        test_laws_places.py::test_coordinates_are_those_of_numpy
    """
    total = np.zeros((1,) * len(place.shape), dtype=np.int64)
    weight = 1
    for axis in reversed(axes):
        first, length = place.offset[axis], place.size[axis]
        index = np.arange(first, first + length, dtype=np.int64) * weight
        total = total + index.reshape([-1 if a == axis else 1 for a in range(len(place.shape))])
        weight *= place.shape[axis]
    return total


def flat(place: Place) -> Indices:
    """Each element's row-major position in the whole tensor.

    Law:
        along(place, all axes), as 64-bit words

    Args:
        place: which elements.

    Returns:
        uint64 array of the place's size.

    Source:
        Own (stream v1).

    Checked by:
        test_laws_places.py::test_coordinates_are_those_of_numpy
    """
    index = along(place, range(len(place.shape)))
    return np.broadcast_to(index, place.size).astype(np.uint64)


def _integers(given: Sequence[int]) -> tuple[int, ...]:
    """The integers as a tuple; one that fits nowhere for what are none."""
    try:
        return tuple(n.__index__() for n in given)
    except (AttributeError, TypeError):
        return (-1,)
