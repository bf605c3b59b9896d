"""Large float32 products on all threads: what `core.orthogonal` applies its reflections with.

No bit of a result depends on the number of threads, nor on whether AVX2 or AVX-512 computed it. Where
neither runs, and in float64, NumPy multiplies; it then agrees to rounding.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.orthogonal import Means, subtract_product
from pondera.kernel import library, pool
from pondera.kernel.fills import draw

Matrix = npt.NDArray[Any]

_PRODUCT: Final = struct.Struct("3P3Q4q")  # `pondera_product` of csrc/pondera.h
_STRIP: Final = 64  # columns that one thread takes at least: whole tiles at every level
_WORTH: Final = 2**18  # multiplications below which NumPy's call is as fast …
_SPLIT: Final = 2**23  # … and below which waking a thread costs more than it saves


def subtract(rest: Matrix, left: Matrix, right: Matrix, /) -> None:
    """`core.orthogonal.subtract_product` at the processor's speed: rest −= left · right, in place.

    Args:
        rest: (m, n), changed; shares no memory with the others.
        left: (m, k).
        right: (k, n).

    Raises:
        MemoryError: no room for the 0.8 MB that a thread works in.
    """
    if not _compiled(rest, left, right):
        subtract_product(rest, left, right)
        return
    function = library.running().function("subtract")
    places = rest.ctypes.data, left.ctypes.data, right.ctypes.data
    down, along = (step // 4 for step in left.strides)
    strides = rest.strides[0] // 4, down, along, right.strides[0] // 4
    rows, columns = rest.shape

    def work(strip: tuple[int, int]) -> None:
        begin, end = strip
        at = places[0] + 4 * begin, places[1], places[2] + 4 * begin
        if not function(_PRODUCT.pack(*at, rows, left.shape[1], end - begin, *strides)):
            raise MemoryError("orthogonal: no memory for a product")

    few = rest.size * left.shape[1] < _SPLIT
    pool.each(work, [(0, columns)] if few else _strips(columns))


def _compiled(rest: Matrix, left: Matrix, right: Matrix) -> bool:
    """Whether the compiled product does it, and is worth it."""
    fits = all(x.dtype == np.float32 for x in (rest, left, right))
    along = rest.strides[-1] == right.strides[-1] == 4
    large = rest.size * left.shape[1] >= _WORTH
    return fits and along and large and library.running().level in ("avx2", "avx512")


def _strips(columns: int) -> list[tuple[int, int]]:
    """The columns in strips, two for each thread: each copies all of the left matrix."""
    wide = -(-columns // (2 * pool.threads() * _STRIP)) * _STRIP
    return [(begin, min(begin + wide, columns)) for begin in range(0, columns, wide)]


MEANS: Final = Means(draw, subtract)
