"""Words and draws of a slice, also where its elements are not neighbours in the stream."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.bits import LANES, TILE, Words, name_hash, philox4x32, stream_key, words
from pondera.core.draw import draw, need_dtype, numbers
from pondera.core.places import Indices, Place, flat
from pondera.core.recipes import Recipe

_CHUNK: Final = 2**15  # elements per pass: temporaries stay in the cache


def words_at(positions: Indices, *, seed: int, name: str, tag: str = "") -> Words:
    """Words of elements that need not be neighbours.

    Law:
        word of position i = words(i, 1)[0]

    Args:
        positions: row-major positions in the tensor, any shape.
        seed: 64-bit seed.
        name: the parameter's name.
        tag: which further stream of that name.

    Returns:
        uint32 array of the positions' shape.

    Raises:
        DomainError: seed or name out of range.

    Limits:
        Four words are made for each that is kept: for neighbours `bits.words` is 4 times faster.

    Source:
        Own (stream v1).

    Checked by:
        test_laws_places.py::test_scattered_words_are_those_of_the_stream
    """
    hashed, key = name_hash(name, tag=tag), stream_key(seed)
    listed = positions.reshape(-1)
    out = np.empty(listed.size, dtype=np.uint32)
    for first in range(0, listed.size, _CHUNK):
        i = listed[first : first + _CHUNK]
        block = (i // np.uint64(TILE)) * np.uint64(LANES) + i % np.uint64(LANES)
        low, high = block.astype(np.uint32), (block >> np.uint64(32)).astype(np.uint32)
        mixed = np.stack(
            philox4x32((low, high, hashed & 0xFFFFFFFF, hashed >> 32), key)  # (word, element)
        )
        which = (i // np.uint64(LANES)) % np.uint64(4)
        out[first : first + _CHUNK] = np.take_along_axis(mixed, which[None].astype(np.intp), 0)[0]
    return out.reshape(positions.shape)


def words_of(place: Place, *, seed: int, name: str, tag: str = "") -> Words:
    """Words of a slice.

    Law:
        words(0, prod(shape)) reshaped and sliced

    Args:
        place: which elements.
        seed: 64-bit seed.
        name: the parameter's name.
        tag: which further stream of that name.

    Returns:
        uint32 array of the place's size.

    Raises:
        DomainError: seed or name out of range.

    Source:
        Own (stream v1).

    Checked by:
        test_laws_places.py::test_scattered_words_are_those_of_the_stream
    """
    start = _run(place)
    if start is None:
        return words_at(flat(place), seed=seed, name=name, tag=tag)
    return words(start, place.count, seed=seed, name=name, tag=tag).reshape(place.size)


def drawn(
    place: Place, *, recipe: Recipe, seed: int, name: str, dtype: str = "float32"
) -> npt.NDArray[Any]:
    """A slice of a named draw.

    Law:
        draw(0, prod(shape)) reshaped and sliced

    Args:
        place: which elements.
        recipe: what to draw.
        seed: 64-bit seed.
        name: the parameter's name.
        dtype: complex128, complex64, float16, float32 or float64.

    Returns:
        Array of the place's size.

    Raises:
        DomainError: as `core.draw.draw`.

    Source:
        Own (stream v1).

    Checked by:
        test_laws_places.py::test_a_slice_is_the_slice_of_the_whole
    """
    start = _run(place)
    if start is None:
        return drawn_at(flat(place), recipe=recipe, seed=seed, name=name, dtype=dtype)
    made = draw(start, place.count, recipe=recipe, seed=seed, name=name, dtype=dtype)
    return made.reshape(place.size)


def drawn_at(
    positions: Indices, *, recipe: Recipe, seed: int, name: str, dtype: str = "float32"
) -> npt.NDArray[Any]:
    """A named draw at elements that need not be neighbours.

    Law:
        element of position i = draw(i, 1)[0]

    Args:
        positions: row-major positions in the tensor, any shape.
        recipe: what to draw.
        seed: 64-bit seed.
        name: the parameter's name.
        dtype: complex128, complex64, float16, float32 or float64.

    Returns:
        Array of the positions' shape.

    Raises:
        DomainError: as `core.draw.draw`.

    Source:
        Own (stream v1).

    Checked by:
        test_laws_places.py::test_a_slice_is_the_slice_of_the_whole
    """
    need_dtype(dtype)
    draw(0, 0, recipe=recipe, seed=seed, name=name, dtype=dtype)  # its complaints
    if recipe.kind == "constant":
        return np.full(positions.shape, recipe.unit).astype(dtype)
    own = words_at(positions, seed=seed, name=name)
    if not dtype.startswith("complex"):
        return numbers(own, recipe, dtype)
    part = replace(recipe, unit=recipe.unit * math.sqrt(0.5))
    real = "float32" if dtype == "complex64" else "float64"
    out = np.empty(positions.shape, dtype=dtype)
    out.real = numbers(own, part, real)
    out.imag = numbers(words_at(positions, seed=seed, name=name, tag="imag"), part, real)
    return out


def _run(place: Place) -> int | None:
    """Where the slice starts if its elements are neighbours, else None."""
    steps = tuple(accumulate(reversed(place.shape[1:]), int.__mul__, initial=1))[::-1]
    lead = next((axis for axis, n in enumerate(place.size) if n != 1), len(place.size))
    if place.count and place.size[lead + 1 :] != place.shape[lead + 1 :]:
        return None
    return sum(o * step for o, step in zip(place.offset, steps, strict=False)) if place.count else 0
