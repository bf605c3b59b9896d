"""Axes followed through views: which part of which axis a dimension runs over.

A dimension is a row-major product of factors. Splitting, merging, permuting and slicing dimensions then
tells of any later tensor which heads, gates or blocks of a weight's output it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod


@dataclass(frozen=True, eq=False)
class Axis:
    """One logical axis: of an input, of a parameter, or made by an operation.

    Args:
        size: its length.
        owner: name of the parameter that it belongs to, "" if it is none's.
        place: which of the parameter's axes it is.
        parent: the part of a weight's axis that it was made of, if a contraction made it.
    """

    size: int
    owner: str = ""
    place: int = 0
    parent: Factor | None = None


@dataclass(frozen=True)
class Factor:
    """The elements offset + stride·i of an axis, i < size.

    Args:
        axis: whose elements.
        size: how many.
        stride: distance between two.
        offset: the first.
    """

    axis: Axis
    size: int
    stride: int = 1
    offset: int = 0

    def divided(self, inner: int) -> tuple[Factor, Factor]:
        """As a product of an outer factor and an inner one of this size."""
        outer = replace(self, size=self.size // inner, stride=self.stride * inner)
        return outer, replace(self, size=inner, offset=0)


Dim = tuple[Factor, ...]
Dims = tuple[Dim, ...]


def fresh_dim(size: int) -> Dim:
    """A dimension of an axis that nothing is known of."""
    return (Factor(Axis(size), size),)


def fresh_dims(shape: Iterable[int]) -> Dims:
    """Dimensions that nothing is known of."""
    return tuple(fresh_dim(size) for size in shape)


def parameter_dims(name: str, shape: Sequence[int]) -> Dims:
    """Dimensions of a parameter as it is stored."""
    return tuple((Factor(Axis(n, name, k), n),) for k, n in enumerate(shape))


def size_of(dim: Dim) -> int:
    """Length of a dimension."""
    return prod(factor.size for factor in dim)


def reshaped(dims: Dims, shape: Sequence[int]) -> Dims:
    """Dimensions behind a row-major reshape; fresh ones where a factor would have to break."""
    left = [factor for dim in dims for factor in dim]
    found = list[Dim]()
    for size in shape:
        dim, left = _taken(left, size)
        if dim is None:
            return (*found, *fresh_dims(shape[len(found) :]))
        found.append(dim)
    if left and found:
        found[-1] = (*found[-1], *left)  # single elements: what was selected stays known
    return tuple(found)


def _taken(factors: list[Factor], size: int) -> tuple[Dim | None, list[Factor]]:
    """The leading factors whose product is `size`, and the rest; None if they cannot be cut so."""
    taken, left = list[Factor](), list(factors)
    missing = size
    while left and (missing > 1 or (left[0].size == 1 and not taken)):
        factor = left.pop(0)
        if missing % factor.size == 0:
            taken.append(factor)
            missing //= factor.size
        elif factor.size % missing == 0 and missing > 1:
            outer, inner = factor.divided(factor.size // missing)
            taken.append(outer)
            left.insert(0, inner)
            missing = 1
        else:
            return None, factors
    return (tuple(taken) or fresh_dim(1), left) if missing == 1 else (None, factors)


def sliced(dim: Dim, start: int, size: int, step: int = 1) -> Dim:
    """A dimension of which a range is kept."""
    if size == size_of(dim):
        return dim
    inner = size_of(dim[1:])
    if len(dim) == 1 or inner == 1:
        first = dim[0]
        cut = replace(
            first, size=size, stride=first.stride * step, offset=first.offset + first.stride * start
        )
        return (cut, *dim[1:])
    if step == 1 and start % inner == 0 and size % inner == 0:
        return (*sliced(dim[:1], start // inner, size // inner), *dim[1:])
    if step == 1 and start // inner == (start + size - 1) // inner:
        return (*sliced(dim[:1], start // inner, 1), *sliced(dim[1:], start % inner, size))
    return fresh_dim(size)


def selected(dims: Dims, place: int, index: int) -> Dims:
    """Dimensions behind the choice of one index: what was chosen is kept with the rest of its axis."""
    chosen = sliced(dims[place], index, 1)
    rest = [*dims[:place], *dims[place + 1 :]]
    if not rest:
        return ()
    axes = {id(factor.axis) for factor in chosen}
    near = min(place, len(rest) - 1)
    order = sorted(range(len(rest)), key=lambda k: abs(k - near))
    own = (k for k in order if any(id(factor.axis) in axes for factor in rest[k]))
    at = next(own, near)
    rest[at] = (*chosen, *rest[at]) if place <= at else (*rest[at], *chosen)
    return tuple(rest)


@dataclass(frozen=True)
class Extent:
    """The part of one axis that factors run over.

    Args:
        axis: which.
        start: first element.
        size: how many elements.
        whole: whether they lie side by side.
    """

    axis: Axis
    start: int
    size: int
    whole: bool

    @property
    def stop(self) -> int:
        """One behind the last element, if they lie side by side."""
        return self.start + self.size


def extents(dims: Iterable[Dim]) -> list[Extent]:
    """Which part of which axis the factors of all these dimensions run over."""
    by_axis = dict[int, list[Factor]]()
    for dim in dims:
        for factor in dim:
            by_axis.setdefault(id(factor.axis), []).append(factor)
    return [_extent(factors) for factors in by_axis.values()]


def _extent(factors: list[Factor]) -> Extent:
    reach, whole = 1, True
    for factor in sorted(factors, key=lambda f: f.stride):
        if factor.size > 1:
            whole = whole and factor.stride == reach
            reach = factor.stride * factor.size
    start = sum(factor.offset for factor in factors)
    return Extent(factors[0].axis, start, prod(f.size for f in factors), whole)


def rooted(extent: Extent) -> Extent:
    """The same part, of the weight's own axis that the axis was made of."""
    parent = extent.axis.parent
    if parent is None:
        return extent
    whole = extent.whole and parent.stride == 1
    start = parent.offset + parent.stride * extent.start
    return rooted(Extent(parent.axis, start, extent.size, whole))
