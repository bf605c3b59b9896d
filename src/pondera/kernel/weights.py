"""A law, a shape and a stream → a weight, or any slice of one, in given memory.

A law with one recipe for all elements is drawn straight into its place. Any other law makes its array,
which is then copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy.typing as npt

from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import (
    AbstractElementwise,
    AbstractLaw,
    AbstractWhole,
    Axes,
    checked_shape,
)
from pondera.core.recipes import Recipe
from pondera.kernel import blocks, fills, library, pool, records
from pondera.kernel.products import MEANS

Sizes = tuple[int, ...]


class Weight(NamedTuple):
    """A named weight, or the slice [offset, offset + size) of it: all that decides its numbers.

    Args:
        law: from `pondera.laws`.
        axes: which axes the law's fans sum over.
        shape: of the logical, unsharded tensor; the law's fans are this shape's.
        offset: first index along each axis; None for the whole.
        size: elements along each axis; the shape where offset is None.
        seed: 64-bit seed.
        name: the parameter's name.
    """

    law: AbstractLaw
    axes: Axes
    shape: Sizes
    offset: Sizes | None
    size: Sizes
    seed: int
    name: str

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of all elements; None where the law has no such thing.

        Raises:
            ShapeError: the shape has no fans for this law.
        """
        return _recipe(self.law, self.shape, self.axes)


def weight_of(
    law: AbstractLaw,
    axes: Axes,
    *,
    shape: Sequence[int],
    offset: Sequence[int] | None,
    size: Sequence[int] | None,
    seed: int,
    name: str,
) -> Weight:
    """A weight or slice as callers describe it, checked.

    Args:
        law: from `pondera.laws`.
        axes: which axes the law's fans sum over.
        shape: of the logical, unsharded tensor.
        offset: first index along each axis, default 0.
        size: elements along each axis, default all from the offset on.
        seed: 64-bit seed.
        name: the parameter's name.

    Returns:
        The weight; whole where the slice is all of it.

    Raises:
        ShapeError: shape, offset and size are no integers ≥ 0, or the slice does not lie in the tensor.
    """
    sizes = checked_shape(shape)
    if offset is None and size is None:
        return Weight(law, axes, sizes, None, sizes, seed, name)
    first = (0,) * len(sizes) if offset is None else _counted("offset", offset, sizes)
    if size is None:
        wide = tuple(n - o for n, o in zip(sizes, first, strict=True))
    else:
        wide = _counted("size", size, sizes)
    if any(o + n > most or n < 0 for o, n, most in zip(first, wide, sizes, strict=True)):
        raise ShapeError(
            "draw: a slice needs offset + size <= shape along every axis; got "
            f"shape={sizes}, offset={first}, size={wide}. Draw inside the tensor."
        )
    return Weight(law, axes, sizes, None if wide == sizes else first, wide, seed, name)


def write(address: int, strides: Sizes | None, weight: Weight, dtype: str) -> None:
    """Draw a weight into memory that holds its size.

    Args:
        address: of the element with index 0 along every axis; 0 only where there is none.
        strides: from one element to the next along each axis, in elements; None for row-major.
        weight: what to draw.
        dtype: bfloat16 or one of core.draw's.

    Raises:
        DomainError, ShapeError: as the law's draw, or no memory. Nothing is then written.
    """
    law, axes, shape, offset, size, seed, name = weight
    if not address and prod(size):
        raise DomainError(f"draw: {name!r} has no memory; got address=0. Allocate it first.")
    whole = strides is None and offset is None
    if whole and write_small(address, law, axes, shape, seed, name, dtype):
        return
    recipe = weight.recipe
    if recipe is None:
        _place(address, strides, drawn(weight, dtype))
        return
    fills.fill_block(
        address or 1,  # no element, no address
        shape=weight.shape,
        offset=weight.offset or (0,) * len(weight.shape),
        size=weight.size,
        strides=strides,
        recipe=recipe,
        seed=weight.seed,
        name=weight.name,
        dtype=dtype,
    )


def write_small(
    address: int, law: AbstractLaw, axes: Axes, shape: Sizes, seed: int, name: str, dtype: str
) -> bool:
    """Draw a small whole weight into row-major memory, with as little as that takes.

    Args:
        address: of the first element.
        law: from `pondera.laws`.
        axes: which axes the law's fans sum over.
        shape: of the weight.
        seed: 64-bit seed.
        name: the parameter's name.
        dtype: bfloat16 or one of core.draw's.

    Returns:
        Whether it is drawn; if not, `write` does it.

    Raises:
        DomainError, ShapeError: as the law's draw. Nothing is then written.
    """
    try:
        made, stream = _kept_made(law, axes, shape, dtype), records.kept_stream(seed, name, "")
    except TypeError:  # a law, or a seed, that cannot be kept
        made, stream = _made(law, axes, shape, dtype), records.stream(seed, name)
    running = library.running()
    if made is None or running.library is None:
        return False
    running.draw(address, made[0], stream + made[1])
    return True


def drawn(weight: Weight, dtype: str) -> npt.NDArray[Any]:
    """The weight by its law's own draw; bfloat16 as the bits of the rounded float32, uint16.

    Args:
        weight: what to draw.
        dtype: bfloat16 or one of core.draw's.
    """
    law, axes, shape, offset, size, seed, name = weight
    held = "float32" if dtype == "bfloat16" else dtype
    if isinstance(law, AbstractWhole):
        made = law.draw(shape, axes, seed=seed, name=name, dtype=held, means=MEANS)
        if offset is not None:
            made = made[tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))]
    elif offset is None:
        made = law.draw(shape, axes, seed=seed, name=name, dtype=held)
    else:
        made = law.block(shape, axes, offset=offset, size=size, seed=seed, name=name, dtype=held)
    return fills.to_bfloat16(made) if dtype == "bfloat16" else made


def checked(weight: Weight, dtype: str) -> Weight:
    """The same weight, if it can be drawn: to know before memory is touched, or is there.

    Args:
        weight: what is to be drawn.
        dtype: bfloat16 or one of core.draw's.

    Raises:
        DomainError, ShapeError: as the law's draw; only what a law that ties all elements together says
            of its shape comes later.
    """
    records.stream(weight.seed, weight.name)
    recipe = weight.recipe
    held = "float32" if dtype == "bfloat16" else dtype
    if recipe is not None:
        fills.draw(0, 1, recipe=recipe, seed=weight.seed, name=weight.name, dtype=held)
    return weight


def _place(address: int, strides: Sizes | None, made: npt.NDArray[Any]) -> None:
    if made.size:
        steps = blocks.row_major(made.shape) if strides is None else strides
        walk = blocks.Walk(0, 0, made.shape, steps, steps)
        blocks.memory(address, walk, made.dtype)[...] = made


def _recipe(law: AbstractLaw, shape: Sizes, axes: Axes) -> Recipe | None:
    return law.recipe(shape, axes) if isinstance(law, AbstractElementwise) else None


def _made(law: AbstractLaw, axes: Axes, shape: Sizes, dtype: str) -> tuple[bytes, bytes] | None:
    """What the compiled function reads of a small weight beside its stream; None for all others."""
    count = prod(shape)
    if dtype not in records.FORMATS or not 0 < count <= pool.SMALLEST:
        return None
    recipe = _recipe(law, tuple(shape), axes)
    return recipe and (records.whole(count), records.recipe(recipe, dtype))


_kept_made = lru_cache(maxsize=1024, typed=True)(_made)


def _counted(what: str, given: Sequence[int], shape: Sizes) -> Sizes:
    """One integer ≥ 0 for each axis."""
    try:
        counts = tuple(n.__index__() for n in given)
    except (AttributeError, TypeError):
        counts = (-1,)
    if len(counts) != len(shape) or any(n < 0 for n in counts):
        raise ShapeError(
            f"draw: {what} must be an integer of at least 0 for each axis of the whole tensor; got "
            f"{what}={given!r} for shape={shape}. Pass one number per axis."
        )
    return counts
