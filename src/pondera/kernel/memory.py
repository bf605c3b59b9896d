"""Memory that is drawn into: an address that the caller answers for, or an array that is looked at."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pondera.core.draw import need_dtype
from pondera.core.errors import DomainError, ShapeError
from pondera.kernel.blocks import overlaps

Memory = int | npt.NDArray[Any]


def memory_of(
    where: str, out: Memory, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str
) -> tuple[int, tuple[int, ...]]:
    """(address, strides in elements) of memory, an array's checked.

    Args:
        where: who asks.
        out: address, or array.
        shape: that the array must have.
        strides: of an address, in elements; an array brings its own.
        dtype: bfloat16 (as uint16) or one of core.draw's.

    Raises:
        DomainError: memory that cannot be written so. ShapeError: the array is of another shape.
    """
    stored(dtype)
    if isinstance(out, int) and out > 0:
        return out, strides
    return array_memory(where, out, shape, dtype)


def array_memory(
    where: str, out: object, shape: tuple[int, ...], dtype: str
) -> tuple[int, tuple[int, ...]]:
    """(address, strides in elements) of an array that can be written, each element once.

    Args:
        where: who asks.
        out: the array.
        shape: that it must have.
        dtype: bfloat16 (as uint16) or one of core.draw's.

    Raises:
        DomainError: memory that cannot be written so. ShapeError: the array is of another shape.
    """
    kind = np.dtype(stored(dtype))
    if not isinstance(out, np.ndarray):
        raise DomainError(
            f"{where}: out must be an array or a positive address; got {type(out).__name__} {out!r}. "
            "Pass array, or tensor.data_ptr()."
        )
    array = cast("npt.NDArray[Any]", out)
    if array.shape != shape:
        raise ShapeError(
            f"{where}: out must have the shape that is drawn; got out.shape={array.shape}, "
            f"drawn={shape}. Pass such an array, or a view of one."
        )
    fits = array.dtype == kind and array.flags.writeable and array.flags.aligned
    if not fits or any(step % kind.itemsize for step in array.strides):
        raise DomainError(
            f"{where}: out must be writable, aligned and hold {dtype} (as {kind.name}); got "
            f"dtype={array.dtype}, strides={array.strides}, writeable={array.flags.writeable}. "
            "Pass such an array."
        )
    strides = tuple(step // kind.itemsize for step in array.strides)
    if overlaps(array.shape, strides):
        raise DomainError(
            f"{where}: out must not overlap itself; got shape={array.shape}, strides={array.strides}. "
            "Pass a copy of it."
        )
    return array.ctypes.data, strides


def stored(dtype: str) -> str:
    """The NumPy dtype that holds a drawn dtype.

    Args:
        dtype: bfloat16 or one of core.draw's.

    Raises:
        DomainError: any other.
    """
    if dtype == "bfloat16":
        return "uint16"
    need_dtype(dtype)
    return dtype
