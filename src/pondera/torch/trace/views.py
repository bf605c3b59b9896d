"""The dimensions of a result by those of what it was made of, per operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pondera.model.axes import (
    Axis,
    Dim,
    Dims,
    Factor,
    fresh_dim,
    fresh_dims,
    reshaped,
    selected,
    size_of,
    sliced,
)

Shape = Sequence[int]


def viewed(name: str, dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    """Dimensions of each result of a view.

    Args:
        name: the operation.
        dims: dimensions of what is viewed.
        args: the call's positional arguments, defaults filled in.
        shapes: shape of each result.
    """
    rule = _RULES.get(name)
    found = rule(dims, args, shapes) if rule else [dims] * len(shapes)
    return [
        each if tuple(map(size_of, each)) == tuple(shape) else fresh_dims(shape)
        for each, shape in zip(found, shapes, strict=True)
    ]


def _reshape(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    return [reshaped(dims, shapes[0])]


def _permute(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    return [tuple(dims[k] for k in args[1])]


def _transpose(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    order = list(range(len(dims)))
    first, second = (args[1], args[2]) if len(args) > 2 else (0, len(dims) - 1)
    if order:
        order[first], order[second] = order[second], order[first]
    return [tuple(dims[k] for k in order)]


def _select(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    place = args[1] % len(dims)
    return [selected(dims, place, args[2] % size_of(dims[place]))]


def _slice(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    place = (args[1] if len(args) > 1 else 0) % len(dims)
    size, start = size_of(dims[place]), (args[2] if len(args) > 2 else None) or 0
    start = min(max(start + size if start < 0 else start, 0), size)
    return [_cut(dims, place, start, shapes[0][place], args[4] if len(args) > 4 else 1)]


def _narrow(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    place = args[1] % len(dims)
    return [_cut(dims, place, args[2] % max(1, size_of(dims[place])), args[3])]


def _split(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    place = (args[2] if len(args) > 2 else 0) % len(dims)
    start, found = 0, list[Dims]()
    for shape in shapes:
        found.append(_cut(dims, place, start, shape[place]))
        start += shape[place]
    return found


def _unbind(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    place = (args[1] if len(args) > 1 else 0) % len(dims)
    return [selected(dims, place, index) for index in range(len(shapes))]


def _expand(dims: Dims, args: Sequence[Any], shapes: Sequence[Shape]) -> list[Dims]:
    shape = shapes[0]
    padded = [fresh_dim(1)] * (len(shape) - len(dims)) + list(dims)
    return [
        tuple(
            dim if size_of(dim) == n else fresh_dim(n) for dim, n in zip(padded, shape, strict=True)
        )
    ]


def _cut(dims: Dims, place: int, start: int, size: int, step: int = 1) -> Dims:
    if size == 0:
        return (*dims[:place], fresh_dim(0), *dims[place + 1 :])
    return (*dims[:place], sliced(dims[place], start, size, step), *dims[place + 1 :])


_RULES = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "_reshape_alias", "reshape", "squeeze", "unsqueeze"), _reshape
    ),
    "expand": _expand,
    "narrow": _narrow,
    "permute": _permute,
    "select": _select,
    "slice": _slice,
    **dict.fromkeys(
        ("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), _split
    ),
    "t": _transpose,
    "transpose": _transpose,
    "unbind": _unbind,
}


def broadcast(parts: Sequence[Dims], shape: Shape) -> Dims:
    """Dimensions of a pointwise result: of the first part that has it in full, a weight's before others."""
    found = list[Dim]()
    for place, size in enumerate(shape):
        back = len(shape) - place
        full = [dims[-back] for dims in parts if len(dims) >= back and size_of(dims[-back]) == size]
        known = [dim for dim in full if any(f.axis.owner or f.axis.parent for f in dim)]
        found.append((known or full or [fresh_dim(size)])[0])
    return tuple(found)


def made_by(dim: Dim) -> Dim:
    """A dimension of a product's result, made of this dimension of its weight."""
    return tuple(Factor(Axis(f.size, parent=f), f.size) for f in dim)
