"""What a weight is made of, where it is made of more than one parameter: factors, directions and lengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from pondera.model.axes import Dims, extents, rooted, size_of
from pondera.model.roles.walks import Walks
from pondera.model.sites import Role
from pondera.model.trace import Operation

_NORMED = frozenset("linalg_vector_norm norm _weight_norm_interface".split())
_SPREAD = frozenset("var var_mean std std_mean".split())


@dataclass(frozen=True)
class Factor:
    """A factor of a weight that is a product of parameters.

    Args:
        role: "adapter down" and "adapter up" beside a whole weight, "dense" otherwise.
        fan_in: inputs summed over per output.
        fan_out: outputs fed per input.
        in_axis: axis summed over.
        out_axis: axis produced.
        why: how it is known.
    """

    role: Role
    fan_in: int
    fan_out: int
    in_axis: int
    out_axis: int
    why: str


@dataclass
class Making:
    """How weights are made of parameters.

    Args:
        fixed: name → what it is combined with before its use.
        factors: name → which factor of a product it is.
        lengths: name of a multiplier → the weight that it multiplies.
        entering: name of a factor → the operation in which the weight it makes is used.
    """

    fixed: dict[str, str] = field(default_factory=dict[str, str])
    factors: dict[str, Factor] = field(default_factory=dict[str, Factor])
    lengths: dict[str, str] = field(default_factory=dict[str, str])
    entering: dict[str, Operation] = field(default_factory=dict[str, Operation])


def making_of(walks: Walks) -> Making:
    """How every weight that meets a live value is made."""
    found = Making()
    for operation in walks.graph.operations:
        product = operation.product
        if product is None or not walks.value(operation.outputs[0]).live:
            continue
        number = operation.inputs[product.weight]
        value = walks.value(number)
        if value.parameters and not value.parameter:
            _made(walks, operation, number, found)
    return found


def _made(walks: Walks, operation: Operation, number: int, found: Making) -> None:
    makers = list(_makers(walks, number))
    names = sorted(walks.value(number).parameters)
    inner = [made for made in makers if made.product is not None and _factored(walks, made)]
    for made in inner:
        _factors(walks, operation, made, len(names), found)
    whole = whole_weights(walks, number, [n for n in names if n not in found.factors])
    label = _label(walks, makers)
    for name in names:
        if name in found.factors:
            continue
        if name in whole:
            if label or len(names) > 1:
                found.fixed.setdefault(name, label or makers[0].label)
        elif whole:
            found.lengths.setdefault(name, whole[0])
            found.fixed.setdefault(name, label or makers[0].label)


def whole_weights(walks: Walks, number: int, names: list[str]) -> list[str]:
    """Those of a value's parameters that are weights themselves: whose axes it has, and as many numbers."""
    value = walks.value(number)
    owned = {rooted(extent).axis.owner for extent in extents(value.dims)}
    owners = [name for name in names if name in owned] or _joined(walks, number, names)
    largest = max((prod(walks.graph.shapes[n]) for n in owners), default=0)
    kept = [n for n in owners if prod(walks.graph.shapes[n]) == largest]
    if not kept and names:
        kept = [max(names, key=lambda name: prod(walks.graph.shapes[name]))]
    return kept + [n for n in _joined(walks, number, names) if n not in kept]


def _joined(walks: Walks, number: int, names: list[str]) -> list[str]:
    """Parameters that were joined to one weight, such as queries', keys' and values'."""
    found = list[str]()
    for maker in _makers(walks, number):
        if maker.label in ("cat", "stack"):
            parts = [walks.value(n).parameters for n in maker.inputs]
            found += [n for part in parts if len(part) == 1 for n in part if n in names]
    return [n for n in dict.fromkeys(found) if len(walks.graph.shapes[n]) > 1]


def _makers(walks: Walks, number: int) -> Iterator[Operation]:
    """The operations that made a value of parameters, the last first."""
    left, seen = [number], {number}
    while left:
        maker = walks.graph.maker(left.pop(0))
        if maker is not None:
            if maker.kind != "view":
                yield maker
            fresh = [n for n in maker.inputs if n not in seen]
            seen.update(fresh)
            left += fresh


def _label(walks: Walks, makers: list[Operation]) -> str:
    """A name for how a weight is normed; "" if it is not."""
    labels = {maker.label for maker in makers}
    if labels & _NORMED:
        return "weight norm"
    if labels & _SPREAD:
        return "weight standardisation"
    if any(m.product is not None and not _factored(walks, m) for m in makers):
        divided = any(m.label == "div" for m in makers)
        return "spectral norm" if divided else "parametrization"
    return "parametrization" if any(m.kind == "opaque" for m in makers) else ""


def _factored(walks: Walks, made: Operation) -> bool:
    """Whether a product is of two different parameters."""
    product = made.product
    if product is None:
        return False
    one = walks.value(made.inputs[product.entering]).parameters
    other = walks.value(made.inputs[product.weight]).parameters
    return bool(one) and bool(other) and not one & other


def _factors(
    walks: Walks, operation: Operation, made: Operation, parts: int, found: Making
) -> None:
    """Which factor reads the input, and which makes the output."""
    outer, inner = operation.product, made.product
    if outer is None or inner is None:
        return
    names = [_name(walks, made.inputs[k]) for k in (inner.entering, inner.weight)]
    summed = _axes(walks, operation, outer.summed)
    kept = _axes(walks, operation, outer.kept)
    down = next((n for n in names if n in summed), "")
    up = next((n for n in names if n in kept and n != down), "")
    weight = walks.value(made.inputs[inner.weight])
    rank = prod(size_of(weight.dims[k]) for k in inner.summed)
    if not down or not up or any(len(walks.graph.shapes[n]) != 2 for n in (down, up)):
        return
    beside = parts > 2  # a whole weight that the product is added to
    wide = {down: summed[down], up: kept[up]}
    size = {n: walks.graph.shapes[n][axis] for n, axis in wide.items()}
    roles: tuple[Role, Role] = ("adapter down", "adapter up") if beside else ("dense", "dense")
    text = "of a product added to a weight" if beside else "of a weight that is a product"
    way_in = Factor(roles[0], size[down], rank, wide[down], 1 - wide[down], f"way in {text}")
    way_out = Factor(roles[1], rank, size[up], 1 - wide[up], wide[up], f"way out {text}")
    found.factors |= {down: way_in, up: way_out}
    found.entering |= {down: operation, up: operation}


def _name(walks: Walks, number: int) -> str:
    return next(iter(sorted(walks.value(number).parameters)), "")


def _axes(walks: Walks, operation: Operation, places: tuple[int, ...]) -> dict[str, int]:
    """Parameter → its axis among these dimensions of a weight, wherever the weight was added up."""
    product, found = operation.product, dict[str, int]()
    left = [(operation.inputs[product.weight], places)] if product else []
    for number, here in left:
        dims = walks.value(number).dims
        for extent in map(rooted, extents([dims[k] for k in here])):
            if extent.axis.owner:
                found.setdefault(extent.axis.owner, extent.axis.place)
        maker = walks.graph.maker(number)
        if maker is None or len(left) > 64 or maker.kind not in ("combine", "pointwise", "view"):
            continue
        for before in maker.inputs:
            left.append((before, _places(dims, walks.value(before).dims, here, maker)))
    return found


def _places(dims: Dims, before: Dims, here: tuple[int, ...], maker: Operation) -> tuple[int, ...]:
    """The same dimensions of an operand: by their axes in a view, by their places otherwise."""
    if maker.kind != "view":
        return here if len(before) == len(dims) else ()
    axes = {id(factor.axis) for k in here for factor in dims[k]}
    return tuple(k for k, dim in enumerate(before) if any(id(f.axis) in axes for f in dim))
