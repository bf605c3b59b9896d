"""Weights stacked along their first axis, as experts are: the axis is no output of one weight."""

from __future__ import annotations

from dataclasses import replace

from pondera.model.axes import extents, rooted
from pondera.model.roles.kinds import origin_of
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks


def stacked(walks: Walks, uses: list[Use]) -> list[Use]:
    """The uses, those of experts that all read the same input with the experts' axis as a batch axis.

    Where every expert reads every input, the axis looks like one of outputs; that the weight which comes
    next has its own matrix for each element of it tells that it is not.
    """
    names = {name for use in uses if use.batch_axes for name in _before(walks, use)}
    beside = {_place(walks, use) for use in uses if use.name in names}
    return [
        _restacked(walks, use) if _may_stack(walks, use) and _place(walks, use) in beside else use
        for use in uses
    ]


def _place(walks: Walks, use: Use) -> tuple[int, int]:
    """What a weight reads, and how long its first axis is: experts' weights have both in common."""
    return origin_of(walks, use.entering), walks.graph.shapes[use.name][0]


def _may_stack(walks: Walks, use: Use) -> bool:
    return len(walks.graph.shapes[use.name]) >= 3 and 0 in use.out_axes and len(use.out_axes) > 1


def _before(walks: Walks, use: Use) -> list[str]:
    """Weights whose first axis is the one along which this use's weight is stacked."""
    if use.operation.kind != "contract":
        return []
    weight = walks.value(use.operation.inputs[use.product.weight])
    sizes = {f.size for k in use.product.shared for f in weight.dims[k]}
    found = [rooted(extent) for extent in extents(walks.value(use.entering).dims)]
    return [
        e.axis.owner
        for e in found
        if e.axis.owner
        and e.axis.place == 0
        and e.axis.size in sizes
        and len(walks.graph.shapes[e.axis.owner]) >= 3
    ]


def _restacked(walks: Walks, use: Use) -> Use:
    count = walks.graph.shapes[use.name][0]
    axes = tuple(k for k in use.out_axes if k != 0)
    return replace(use, out_axes=axes, batch_axes=(0,), fan_out=max(1, use.fan_out // count))
