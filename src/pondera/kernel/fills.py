"""Draws into new or given memory: compiled where there is a library, by core where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from pondera.core import draw as meaning
from pondera.core.bits import ELEMENTS, words
from pondera.core.recipes import Recipe
from pondera.kernel import blocks, library, pool, records
from pondera.kernel.blocks import Walk
from pondera.kernel.info import notice
from pondera.kernel.memory import Memory, memory_of, stored

_COMPLEX: Final = {"complex64": "float32", "complex128": "float64"}
_COVERED: Final = 4096  # elements: to draw so many costs NumPy about as much as to begin a draw


def draw(
    start: int, count: int, *, recipe: Recipe, seed: int, name: str, dtype: str = "float32"
) -> npt.NDArray[Any]:
    """`core.draw.draw` at memory's speed: the same arguments, bits and errors."""
    notice(count)
    if library.running().level == "numpy" or count <= 0 or dtype not in meaning.DTYPES:
        return meaning.draw(start, count, recipe=recipe, seed=seed, name=name, dtype=dtype)
    _need_place(start, count, seed, name)
    out = np.empty(count, dtype=dtype)
    _fill(out.ctypes.data, blocks.line(start, count, 1), recipe, seed, name, dtype)
    return out


def fill(
    out: Memory,
    start: int,
    count: int,
    *,
    recipe: Recipe,
    seed: int,
    name: str,
    dtype: str = "float32",
    stride: int = 1,
) -> None:
    """Write elements start … start + count − 1 of a named tensor into given memory.

    Args:
        out: address, or array of shape (count,) and that dtype (bfloat16: uint16), of any stride.
        start: index of the first element in the flat, unsharded tensor.
        count: how many elements.
        recipe: what to draw.
        seed: 64-bit seed.
        name: the parameter's name.
        dtype: bfloat16 or one of core.draw's.
        stride: from one element to the next, in elements; an array brings its own.

    Raises:
        DomainError: as core.draw.draw, or memory that cannot be written so. ShapeError: the array is of
            another shape.
    """
    _need_place(start, count, seed, name)
    address, strides = memory_of("fill", out, (count,), (stride,), dtype)
    notice(count)
    _fill(address, blocks.line(start, count, *strides), recipe, seed, name, dtype)


def fill_block(
    out: Memory,
    *,
    shape: Sequence[int],
    offset: Sequence[int],
    size: Sequence[int],
    recipe: Recipe,
    seed: int,
    name: str,
    dtype: str = "float32",
    strides: Sequence[int] | None = None,
) -> None:
    """Write the slice [offset, offset + size) of a named tensor: a shard, at the shard's cost.

    Args:
        out: address, or array of shape `size` and that dtype (bfloat16: uint16), of any strides.
        shape: of the whole, unsharded tensor.
        offset: first index along each axis.
        size: elements along each axis.
        recipe: what to draw.
        seed: 64-bit seed.
        name: the parameter's name.
        dtype: bfloat16 or one of core.draw's.
        strides: from one element to the next along each axis, in elements, default row-major; an array
            brings its own.

    Raises:
        ShapeError: the slice does not lie in the tensor, or the array is of another shape.
        DomainError: as core.draw.draw, or memory that cannot be written so.

    Limits:
        Words come by 64 (4 runs of 16, 64 elements apart), so rows of few elements cost up to 4
        times theirs.
    """
    _need_place(0, math.prod(shape), seed, name)
    default = blocks.row_major(size) if strides is None else tuple(strides)
    address, steps = memory_of("fill_block", out, tuple(size), default, dtype)
    walk = blocks.block(shape, offset, size, steps)
    notice(walk.elements)
    _fill(address, walk, recipe, seed, name, dtype)


def to_bfloat16(x: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of float32 numbers rounded to bfloat16, to nearest, ties to even."""
    bits = x.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)


def _fill(address: int, walk: Walk, recipe: Recipe, seed: int, name: str, dtype: str) -> None:
    uncentred = recipe.offset or recipe.kind in ("constant", "interval")
    if walk.elements == 0:
        return
    if library.running().level == "numpy" or (dtype in _COMPLEX and uncentred):
        out = blocks.memory(address, walk, stored(dtype))
        _by_meaning(out, walk, recipe, seed=seed, name=name, dtype=dtype)
    elif dtype in _COMPLEX:  # two real draws, interleaved: see core.draw.draw
        real = _COMPLEX[dtype]
        part = records.recipe(replace(recipe, unit=recipe.unit * math.sqrt(0.5)), real)
        twice = walk._replace(strides=tuple(2 * s for s in walk.strides))
        _compiled(address, twice, records.stream(seed, name) + part, real)
        beside = address + np.dtype(real).itemsize
        _compiled(beside, twice, records.stream(seed, name, "imag") + part, real)
    else:
        made = records.stream(seed, name) + records.recipe(recipe, dtype)
        _compiled(address, walk, made, dtype)


def _compiled(address: int, walk: Walk, made: bytes, dtype: str) -> None:
    function = library.running().draw
    width = np.dtype(stored(dtype)).itemsize

    def work(part: Walk) -> None:
        function(address + part.place * width, records.walk(part), made)

    pool.each(work, blocks.parts(walk, pool.chunk_size(walk.elements)))


def _by_meaning(out: npt.NDArray[Any], walk: Walk, recipe: Recipe, **stream: Any) -> None:
    """The walk by core: what it covers in one draw where that is not much more than its elements."""
    span = 1 + sum((n - 1) * hop for n, hop in zip(walk.sizes, walk.hops, strict=True))
    if len(walk.sizes) > 1 and span > max(_COVERED, 2 * walk.elements):
        for i in range(walk.sizes[0]):
            rest = Walk(
                walk.start + i * walk.hops[0], 0, walk.sizes[1:], walk.hops[1:], walk.strides[1:]
            )
            _by_meaning(out[i], rest, recipe, **stream)
        return
    rounded = stream["dtype"] == "bfloat16"
    stream = {**stream, "dtype": "float32"} if rounded else stream
    drawn = meaning.draw(walk.start, span, recipe=recipe, **stream)
    drawn = to_bfloat16(drawn) if rounded else drawn
    out[...] = as_strided(drawn, walk.sizes, [hop * drawn.itemsize for hop in walk.hops])


def _need_place(start: int, count: int, seed: int, name: str) -> None:
    """Core's own complaints, before memory is touched."""
    if 0 <= start and 0 <= count and start + count <= ELEMENTS:
        records.stream(seed, name)
    else:
        for drawn in (min(count, 0), count):  # core looks at the start first
            words(start, drawn, seed=seed, name=name)
