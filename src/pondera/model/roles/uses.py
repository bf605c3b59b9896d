"""Every use of a weight: which of its axes are summed over, its true fans, and what reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from pondera.model.axes import Dim, Extent, extents, rooted, size_of
from pondera.model.roles.making import Factor, Making, whole_weights
from pondera.model.roles.walks import Expression, Walks
from pondera.model.sites import Feed
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


def feed_of(walks: Walks, number: int, owners: dict[int, Use], residual: set[int]) -> Feed:
    """What reaches a weight that this value enters.

    Args:
        walks: the graph.
        number: the entering value.
        owners: value → the use that made it.
        residual: numbers of the operations that add to a residual stream.
    """
    expression = walks.expression(number)
    origin = _origin(walks, expression.base)
    maker = walks.graph.maker(origin)
    label, function = expression.label, expression.function
    if origin in owners and maker is not None:
        if maker.kind == "lookup":
            return _plain("lookup", expression)
        return Feed("weight", owners[origin].name, function, label, expression.exact)
    if maker is None:
        return _plain("input" if walks.value(origin).given else "mixed", expression)
    if maker.kind == "normalise" or is_norm(walks, maker):
        return Feed("norm", "", function, label, expression.exact)
    if is_attention(walks, maker):
        return _plain("attention", expression)
    if maker.number in residual:
        return _plain("stream", expression)
    live = walks.live(maker)
    if not live:
        return _plain("mixed", expression)
    if maker.kind == "move" and label == "" and not walks.value(live[0]).integer:
        return _gathered(walks, live, owners, residual)
    if maker.kind == "combine" and is_modulated(walks, maker, live):
        return Feed("norm", "", function, label, False)
    if maker.kind == "combine" and maker.label == "mul" and len(live) == 2:
        if any(mixes(walks, n) for n in live):
            return replace(_gated(walks, expression, live), source="attention", exact=False)
        return _gated(walks, expression, live)
    if maker.kind == "combine" and maker.label == "add":
        made = [walks.graph.maker(_origin(walks, walks.expression(n).base)) for n in live]
        if made and all(m is not None and m.kind == "lookup" for m in made):
            return _plain("lookup", expression)
    return _plain("mixed", expression)


def mixes(walks: Walks, number: int) -> bool:
    """Whether a value is what attention mixed."""
    maker = walks.graph.maker(origin_of(walks, number))
    return maker is not None and is_attention(walks, maker)


def beneath(walks: Walks, number: int, owners: dict[int, Use], residual: set[int]) -> Feed:
    """What reaches the normalisation that a value comes from; what reaches the value if there is none."""
    maker = walks.graph.maker(origin_of(walks, number))
    if maker is None or not (maker.kind == "normalise" or is_norm(walks, maker)):
        return feed_of(walks, number, owners, residual)
    entering = (walks.live(maker) or [number])[0]
    return feed_of(walks, entering, owners, residual)


def _gathered(walks: Walks, live: list[int], owners: dict[int, Use], residual: set[int]) -> Feed:
    """The feed of what is joined, where all parts come from the same kind of source."""
    floats = [n for n in live if not walks.value(n).integer][:8]
    feeds = [feed_of(walks, number, owners, residual) for number in floats]
    first = replace(feeds[0], exact=False)
    if any((f.source, f.label) != (first.source, first.label) for f in feeds):
        return Feed(exact=False)
    return first


def is_modulated(walks: Walks, maker: Operation, live: list[int]) -> bool:
    """Whether a normalised value is stretched or shifted by one that is the same at many places."""
    if maker.label not in ("add", "mul") or len(live) != 2:
        return False
    first, second = sorted(live, key=lambda n: -prod(walks.value(n).shape))
    if prod(walks.value(first).shape) <= prod(walks.value(second).shape):
        return False
    source = walks.graph.maker(origin_of(walks, first))
    if source is None:
        return False
    if source.kind == "normalise" or is_norm(walks, source):
        return True
    return source.kind == "combine" and is_modulated(walks, source, walks.live(source))


def _plain(source: str, expression: Expression) -> Feed:
    """A feed of unknown spread: shifting and stretching it is on purpose and not to be undone."""
    function = None if expression.affine else expression.function
    label = expression.label if function else ""
    return Feed(source, "", function, label, expression.exact)  # type: ignore[arg-type]


def _gated(walks: Walks, expression: Expression, live: list[int]) -> Feed:
    gate = next((e for e in map(walks.expression, live) if e.function and not e.affine), None)
    if gate is None:
        return Feed("gated", "", None, "", expression.exact)
    return Feed("gated", "", None, gate.label, expression.exact, gate.function)


def _origin(walks: Walks, number: int) -> int:
    """The value of which this one is a part."""
    while True:
        maker = walks.graph.maker(number)
        if maker is None or maker.kind != "view":
            return number
        number = walks.expression(maker.inputs[0]).base
        if walks.graph.maker(number) is None:
            return number


def origin_of(walks: Walks, number: int) -> int:
    """The value that this one begins with, parts taken as the whole."""
    return _origin(walks, walks.expression(number).base)


def is_norm(walks: Walks, maker: Operation) -> bool:
    """Whether an operation divides a value by a statistic of itself."""
    live = walks.live(maker)
    if maker.kind != "combine" or maker.label not in ("mul", "div") or len(live) != 2:
        return False
    for entering, by in (live, live[::-1]):
        of = walks.statistic_of(by)
        if of is not None and _same_stuff(walks, entering, of):
            return True
    return False


def _same_stuff(walks: Walks, entering: int, of: int) -> bool:
    one, other = (uncentred(walks, walks.expression(n).base) for n in (entering, of))
    return one == other or (walks.reaches(other, entering) and _near(walks, other, entering))


def uncentred(walks: Walks, number: int) -> int:
    """What a value was before its mean was taken off."""
    maker = walks.graph.maker(number)
    live = walks.live(maker) if maker is not None and maker.label == "sub" else []
    if len(live) == 2 and walks.statistic_of(live[1]) is not None:
        return walks.expression(live[0]).base
    return number


def _near(walks: Walks, early: int, late: int) -> bool:
    """Whether only pointwise operations and statistics lie between two values."""
    plain = ("combine", "pointwise", "reduce", "view")
    for number in walks.back(late, stop=lambda made: early in made.outputs):
        maker = walks.graph.maker(number)
        if maker is not None and maker.kind not in plain and early not in maker.outputs:
            return False
    return True


def is_attention(walks: Walks, maker: Operation) -> bool:
    """Whether an operation mixes values by weights that add to one, made of two values' products."""
    if maker.label.startswith("_scaled_dot_product"):
        return True
    if maker.kind != "contract" or maker.product is None or len(walks.live(maker)) < 2:
        return False
    first = walks.graph.maker(origin_of(walks, maker.inputs[0]))
    return first is not None and first.kind == "softmax" and logits_of(walks, first) is not None


def logits_of(walks: Walks, softmax: Operation) -> Operation | None:
    """The product of queries and keys behind masks, biases and factors."""
    number = softmax.inputs[0]
    for _ in range(16):
        maker = walks.graph.maker(origin_of(walks, number))
        if maker is None:
            return None
        live = walks.live(maker)
        if maker.kind == "contract" and len(live) == 2:
            return maker
        if maker.kind not in ("combine", "move", "view") or not live:
            return None
        number = _most_made(walks, live)
    return None


def _most_made(walks: Walks, live: list[int]) -> int:
    """Of several summands the one that is not a mask: that a product of two live values made."""
    for number in live:
        maker = walks.graph.maker(origin_of(walks, number))
        if maker is not None and maker.kind == "contract":
            return number
    return live[0]
