"""The dimensions of what is joined, picked, padded or rolled: those that are left alone stay known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pondera.model.axes import Dims, fresh_dim, fresh_dims, size_of
from pondera.model.trace import Value

Shape = Sequence[int]
Rule = Callable[[Sequence[Value], Sequence[Any], Shape], Dims | None]


def moved(name: str, values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims:
    """Dimensions of the result of a move.

    Args:
        name: the operation.
        values: its tensors.
        args: all its arguments, in order.
        shape: the result's shape.
    """
    rule = _RULES.get(name, _aligned)
    found = (rule(values, args, shape) if values else None) or fresh_dims(shape)
    if len(found) != len(shape):
        return fresh_dims(shape)
    return tuple(d if size_of(d) == n else fresh_dim(n) for d, n in zip(found, shape, strict=True))


def _aligned(values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims | None:
    """Dimensions of the first value that has as many, where they kept their length."""
    return next((v.dims for v in values if len(v.dims) == len(shape)), None)


def _joined(values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims | None:
    place = (args[1] if len(args) > 1 else 0) % max(1, len(shape))
    made = [v for v in values if v.live or v.parameters] or list(values)
    first = next((v.dims for v in made if len(v.dims) == len(shape)), None)
    return first and (*first[:place], fresh_dim(shape[place]), *first[place + 1 :])


def _stacked(values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims | None:
    place = (args[1] if len(args) > 1 else 0) % max(1, len(shape))
    made = [v for v in values if v.live or v.parameters] or list(values)
    return (*made[0].dims[:place], fresh_dim(shape[place]), *made[0].dims[place:])


def _picked(values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims | None:
    """Rows by an index: the other dimensions stay, as in a table's columns."""
    dims, place = values[0].dims, args[1] % max(1, len(values[0].dims))
    rows = len(shape) - len(dims) + 1
    return (*dims[:place], *fresh_dims(shape[place : place + rows]), *dims[place + 1 :])


def _indexed(values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims | None:
    """Indices first, whole dimensions behind; or whole ones before and behind."""
    dims, places = values[0].dims, list(args[1])
    given = [k for k, index in enumerate(places) if index is not None]
    if not given:
        return dims
    before, behind = given[0], len(dims) - given[-1] - 1
    if given != list(range(given[0], given[-1] + 1)):
        return None
    middle = shape[before : len(shape) - behind]
    return (*dims[:before], *fresh_dims(middle), *dims[len(dims) - behind :])


def _reordered(values: Sequence[Value], args: Sequence[Any], shape: Shape) -> Dims | None:
    """Rolled, flipped and sorted dimensions hold the same elements in another order: no longer known."""
    given = args[2] if len(args) > 2 and args[2] is not None else args[1]
    places = {k % len(shape) for k in ([given] if isinstance(given, int) else given or ())}
    return tuple(
        fresh_dim(n) if k in places else d for k, (d, n) in enumerate(_with(values, shape))
    )


def _with(values: Sequence[Value], shape: Shape) -> list[tuple[Any, int]]:
    return list(zip(values[0].dims, shape, strict=True))


_RULES: dict[str, Rule] = {
    "cat": _joined,
    "flip": _reordered,
    "index": _indexed,
    "index_select": _picked,
    "roll": _reordered,
    "stack": _stacked,
}
