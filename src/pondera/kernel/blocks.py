"""Slices of a logical tensor, as walks that a compiled loop can follow.

A walk has axes; along each, `sizes` elements follow one another, `hops` apart in the logical tensor and
`strides` apart in memory (in elements, of any sign). Logical indices rise along a walk, so
that a tile of the stream is made once for all the rows that share it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pondera.core.bits import TILE
from pondera.core.errors import ShapeError

MOST_AXES: Final = 32  # of csrc/pondera.h


class Walk(NamedTuple):
    """A slice: where it starts in the logical tensor, and in memory (`place`, in elements)."""

    start: int
    place: int
    sizes: tuple[int, ...]
    hops: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many."""
        return prod(self.sizes)


def line(start: int, count: int, stride: int) -> Walk:
    """`count` neighbouring elements."""
    return Walk(start, 0, (count,), (1,), (stride,))


def block(
    shape: Sequence[int], offset: Sequence[int], size: Sequence[int], strides: Sequence[int]
) -> Walk:
    """The slice [offset, offset + size) of a logical tensor, along every axis.

    Args:
        shape: of the logical, unsharded tensor.
        offset: first index along each axis.
        size: elements along each axis.
        strides: from one to the next in memory, in elements.

    Returns:
        The walk, with as few axes as describe it; the last has hop 1.

    Raises:
        ShapeError: the slice does not lie in the tensor, or needs more than 32 axes.
    """
    axes = len(shape)
    if any(len(given) != axes for given in (offset, size, strides)) or not all(
        0 <= offset[i] <= offset[i] + size[i] <= shape[i] for i in range(axes)
    ):
        raise ShapeError(
            "fill_block: needs 0 <= offset and offset + size <= shape along every axis; got "
            f"shape={tuple(shape)}, offset={tuple(offset)}, size={tuple(size)}, "
            f"strides={tuple(strides)}. Pass one number per axis of the whole tensor to each."
        )
    hops = row_major(shape)
    start = sum(o * hop for o, hop in zip(offset, hops, strict=True))
    merged = _merged(zip(size, hops, strides, strict=True))
    if len(merged) > MOST_AXES:
        raise ShapeError(
            f"fill_block: a slice may have {MOST_AXES} axes that do not merge; got {len(merged)}. "
            "Fill it in parts."
        )
    sizes, hops, steps = zip(*merged, strict=True)
    return Walk(start, 0, sizes, hops, steps)


def overlaps(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two elements of a view share memory, so that a fill would write one of them twice.

    Args:
        sizes: elements along each axis.
        strides: from one to the next in memory, in any unit.
    """
    if 0 in sizes:
        return False
    reach = 0  # how far apart the elements of the axes so far lie at most
    for stride, size in sorted((abs(step), n) for step, n in zip(strides, sizes, strict=True)):
        if size > 1 and stride <= reach:
            break
        reach += stride * (size - 1)
    else:
        return False
    if sum(abs(step) * (n - 1) for step, n in zip(strides, sizes, strict=True)) + 1 < prod(sizes):
        return True  # fewer places than elements
    places = np.zeros((1,), dtype=np.int64)  # rare: interleaved axes, so look at each element
    for step, size in zip(strides, sizes, strict=True):
        places = (places[:, None] + step * np.arange(size)).reshape(-1)
    return np.unique(places).size < places.size


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """From one element to the next along each axis, the last running fastest."""
    return tuple(accumulate(reversed(shape[1:]), int.__mul__, initial=1))[::-1] if shape else ()


def _merged(axes: Iterator[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(size, hop, stride) without axes of one element, neighbours joined where they run on."""
    out: list[tuple[int, int, int]] = []
    for size, hop, stride in axes:
        if size == 1:
            continue
        if out and out[-1][1:] == (size * hop, size * stride):
            out[-1] = (out[-1][0] * size, hop, stride)
        else:
            out.append((size, hop, stride))
    if not out or out[-1][1] != 1:
        out.append((1, 1, 1))  # a column: runs of one element
    return out


def parts(walk: Walk, most: int) -> list[Walk]:
    """The walk cut into walks of about `most` elements, at borders of tiles where it can be."""
    size, hop, stride = walk.sizes[0], walk.hops[0], walk.strides[0]
    inner = walk.elements // size
    if walk.elements <= most:
        return [walk]
    if inner > most:
        return [part for i in range(size) for part in parts(_index(walk, i), most)]
    step = max(1, most // inner)
    if len(walk.sizes) == 1:
        step = -(-step // TILE) * TILE
    first = -walk.start % TILE % step if len(walk.sizes) == 1 else 0
    cuts = [0, *range(first or step, size, step), size]
    return [
        Walk(
            walk.start + a * hop,
            walk.place + a * stride,
            (b - a, *walk.sizes[1:]),
            walk.hops,
            walk.strides,
        )
        for a, b in pairwise(cuts)
    ]


def _index(walk: Walk, i: int) -> Walk:
    """The walk at index i of its first axis."""
    start, place = walk.start + i * walk.hops[0], walk.place + i * walk.strides[0]
    return Walk(start, place, walk.sizes[1:], walk.hops[1:], walk.strides[1:])


def memory(address: int, walk: Walk, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The walk's place in memory as an array of its sizes; nothing is copied."""
    kind = np.dtype(dtype)
    ends = [(n - 1) * s for n, s in zip(walk.sizes, walk.strides, strict=True)]
    low, high = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
    room = ctypes.c_char * ((high - low + 1) * kind.itemsize)
    return np.ndarray(
        walk.sizes,
        kind,
        memoryview(room.from_address(address + (walk.place + low) * kind.itemsize)),
        offset=-low * kind.itemsize,
        strides=[s * kind.itemsize for s in walk.strides],
    )
