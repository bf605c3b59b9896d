"""Every use of a weight: which of its axes are summed over, its true fans, and what reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from pondera.model.axes import Dim, Extent, extents, rooted, size_of
from pondera.model.roles.making import Factor, Making, whole_weights
from pondera.model.roles.walks import Walks
from pondera.model.trace import Operation, Product


@dataclass(frozen=True)
class Use:
    """One use of a parameter as a weight.

    Args:
        name: the parameter.
        operation: the contraction, convolution or lookup.
        product: how the operands meet.
        in_axes: axes of the stored parameter that are summed over.
        out_axes: axes that the result has.
        batch_axes: axes along which whole weights are stacked.
        spatial_axes: axes that a convolution slides.
        fan_in: inputs summed over per output.
        fan_out: outputs fed per input.
        output: the value that it makes.
        block: the part of the out axis that is used; None for the whole.
    """

    name: str
    operation: Operation
    product: Product
    in_axes: tuple[int, ...]
    out_axes: tuple[int, ...]
    batch_axes: tuple[int, ...]
    spatial_axes: tuple[int, ...]
    fan_in: int
    fan_out: int
    output: int
    block: Extent | None = None

    @property
    def entering(self) -> int:
        """The value that meets the weight."""
        return self.operation.inputs[self.product.entering]


def uses_of(walks: Walks, making: Making) -> list[Use]:
    """Every use of a weight by a live value, in order; packed parameters once per block."""
    found = list[Use]()
    for operation in walks.graph.operations:
        product = operation.product
        if product is None:
            continue
        weight = walks.value(operation.inputs[product.weight])
        if weight.parameters and (
            operation.kind == "lookup" or walks.value(operation.outputs[0]).live
        ):
            names = sorted(weight.parameters - set(making.factors))
            whole = whole_weights(walks, weight.number, names) if names else []
            found += [_use(walks, operation, product, weight.dims, name) for name in whole]
            found += [
                _factor_use(operation, product, name, making.factors[name])
                for name in sorted(weight.parameters & set(making.factors))
            ]
    return found


def _factor_use(operation: Operation, product: Product, name: str, factor: Factor) -> Use:
    axes = (factor.in_axis,), (factor.out_axis,)
    return Use(name, operation, product, *axes, (), (), factor.fan_in, factor.fan_out, -1)


def _owned(dims: Sequence[Dim]) -> list[Extent]:
    return [rooted(extent) for extent in extents(dims) if rooted(extent).axis.owner]


def _use(
    walks: Walks, operation: Operation, product: Product, dims: Sequence[Dim], name: str
) -> Use:
    def axes(places: Sequence[int]) -> tuple[int, ...]:
        mine = [e for e in _owned([dims[k] for k in places]) if e.axis.owner == name]
        mine = [e for e in mine if e.size > 1 or e.axis.size == 1]
        return tuple(sorted({e.axis.place for e in mine}))

    shape = walks.graph.shapes[name]
    field = axes(product.field) or product.field
    fan_in, fan_out = _fans(product, dims, walks.value(operation.outputs[0]).shape)
    kept, summed = axes(product.kept), axes(product.summed)
    for places in (product.summed, product.kept) if not (summed and kept) else ():
        length = prod(size_of(dims[k]) for k in places)
        free = _left_over(shape, {*summed, *kept, *field}, length) if places else ()
        summed, kept = (
            (summed or free, kept) if places == product.summed else (summed, kept or free)
        )
    blocks = [e for e in _owned([dims[k] for k in product.kept]) if e.axis.owner == name]
    parts = [e for e in blocks if e.size > 1 and e.size < e.axis.size]
    return Use(
        name,
        operation,
        product,
        summed,
        kept,
        _stacked(shape, axes(product.shared), {*summed, *kept, *field}),
        field,
        fan_in,
        fan_out,
        operation.outputs[0],
        parts[0] if len(parts) == 1 else None,
    )


def _stacked(shape: Sequence[int], shared: tuple[int, ...], known: set[int]) -> tuple[int, ...]:
    """Axes along which whole weights lie; also those of which an index picks one, as an expert's."""
    picked = [k for k, n in enumerate(shape) if n > 1 and k not in known] if len(shape) > 2 else []
    return tuple(sorted({*shared, *picked}))


def _left_over(shape: Sequence[int], known: set[int], length: int) -> tuple[int, ...]:
    """The axis that nothing else explains and that is as long as what was summed over or kept."""
    return tuple([k for k, n in enumerate(shape) if k not in known and n == length][:1])


def _fans(product: Product, dims: Sequence[Dim], shape: Sequence[int]) -> tuple[int, int]:
    """True fans: of a group, over the window, per position of a transposed convolution."""

    def size(places: Sequence[int]) -> int:
        return prod(factor.size for k in places for factor in dims[k])

    window, inward, outward = size(product.field), size(product.summed), size(product.kept)
    if product.transposed:
        steps = prod(product.stride)
        return max(1, inward // product.groups * window // steps), outward * window
    return inward * window, outward // product.groups * window
