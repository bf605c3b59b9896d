"""Contractions and convolutions: which dimensions of which operand are summed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pondera.model.axes import Dims, fresh_dim, fresh_dims, size_of
from pondera.model.trace import Kind, Product, Value
from pondera.torch.trace.views import made_by

Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Found:
    """A product as the graph holds it.

    Args:
        kind: "contract", "convolve" or "lookup".
        product: how the operands meet.
        dims: dimensions of the result.
    """

    kind: Kind
    product: Product
    dims: Dims


def product_of(
    name: str,
    args: Sequence[Any],
    values: Sequence[Value],
    shapes: Shapes,
    parts: Sequence[torch.Tensor],
) -> Found | None:
    """The product that a call is; None if it is none."""
    order = {id(part): place for place, part in enumerate(parts)}

    def place(k: int) -> int:
        return order[id(args[k])]

    if name in ("mm", "bmm", "mv", "dot"):
        return _matrices(values, place(0), place(1))
    if name in ("addmm", "baddbmm", "addmv"):
        return _matrices(values, place(1), place(2))
    if name == "linear":
        return _linear(values, place(0), place(1))
    if name in ("convolution", "_convolution", "mkldnn_convolution", "convolution_overrideable"):
        return _convolution(name, args, values, place(0), place(1), shapes[0])
    if name == "_grouped_mm":
        return _grouped(values, place(0), place(1), shapes[0])
    if name == "_trilinear":
        rows = fresh_dims(shapes[0][:-1])
        kept = made_by(values[place(1)].dims[0])
        return Found("contract", Product(place(0), place(1), (1, 2), (0,)), (*rows, kept))
    if name in ("embedding", "_embedding_bag", "_embedding_bag_forward_only"):
        return _lookup(values, place(0), place(1), shapes[0])
    if picks_rows(name, args, values) and len(values[0].shape) == 2:
        return _lookup(values, 0, 1, shapes[0])
    return None


def weight_first(values: Sequence[Value], one: int, other: int) -> bool:
    """Whether the first of two operands is the weight."""
    return bool(values[one].parameters) and not values[other].parameters


def _matrices(values: Sequence[Value], left: int, right: int) -> Found:
    """Products of matrices, batches of them, vectors."""
    a, b = values[left], values[right]
    batches = 1 if len(a.shape) == 3 else 0
    shared = tuple(range(batches))
    rows, columns = len(a.shape) - batches == 2, len(b.shape) - batches == 2
    if weight_first(values, left, right):
        product = Product(right, left, (len(a.shape) - 1,), (batches,) if rows else (), shared)
        kept_a = tuple(made_by(a.dims[k]) for k in product.kept)
        kept_b = (b.dims[-1],) if columns else ()
        dims = (*_shared(a, b, batches), *kept_a, *kept_b)
    else:
        kept = (len(b.shape) - 1,) if columns else ()
        product = Product(left, right, (batches,), kept, shared)
        kept_b = tuple(made_by(b.dims[k]) if b.parameters else b.dims[k] for k in kept)
        dims = (*_shared(b, a, batches), *((a.dims[batches],) if rows else ()), *kept_b)
    return Found("contract", product, dims)


def _grouped(values: Sequence[Value], left: int, right: int, shape: tuple[int, ...]) -> Found:
    """Rows sorted by expert, each expert's with its own matrix: weight (experts, in, out)."""
    x, w = values[left], values[right]
    product = Product(left, right, (1,), (2,), (0,))
    dims = (*x.dims[:-1], made_by(w.dims[-1])) if len(shape) == len(x.dims) else fresh_dims(shape)
    return Found("contract", product, dims)


def _shared(weight: Value, entering: Value, batches: int) -> Dims:
    owned = any(f.axis.owner for dim in weight.dims[:batches] for f in dim)
    return (weight if owned else entering).dims[:batches]


def _linear(values: Sequence[Value], entering: int, weight: int) -> Found:
    x, w = values[entering], values[weight]
    kept = (0,) if len(w.shape) == 2 else ()
    dims = (*x.dims[:-1], *(made_by(w.dims[0]) for _ in kept))
    return Found("contract", Product(entering, weight, (len(w.shape) - 1,), kept), dims)


def _convolution(
    name: str,
    args: Sequence[Any],
    values: Sequence[Value],
    entering: int,
    weight: int,
    shape: tuple[int, ...],
) -> Found:
    w = values[weight]
    plain = name in ("convolution", "_convolution", "convolution_overrideable")
    transposed = bool(args[6]) if plain else False
    groups, stride = int(args[8 if plain else 6]), tuple(args[3 if plain else 4])
    out, summed = (1, 0) if transposed else (0, 1)
    field = tuple(range(2, len(w.shape)))
    stride = stride if len(stride) == len(field) else stride[:1] * len(field)
    product = Product(
        entering,
        weight,
        (summed,),
        (out,),
        field=field,
        groups=groups,
        stride=stride,
        transposed=transposed,
    )
    channels = made_by(w.dims[out])
    whole = size_of(channels) == shape[-len(field) - 1]
    batch = values[entering].dims[: len(shape) - len(field) - 1]
    dims = (*batch, channels if whole else fresh_dim(shape[-len(field) - 1]))
    return Found("convolve", product, (*dims, *fresh_dims(shape[-len(field) :])))


def picks_rows(name: str, args: Sequence[Any], values: Sequence[Value]) -> bool:
    """Whether rows of a table that is made of parameters are picked by an index that inputs decide."""
    if name not in ("index", "index_select") or len(values) != 2 or not values[0].parameters:
        return False
    first = args[1] == 0 if name == "index_select" else args[1][0] is not None
    return first and values[1].live and values[1].integer


def _lookup(values: Sequence[Value], table: int, rows: int, shape: tuple[int, ...]) -> Found | None:
    w = values[table]
    if len(w.shape) != 2:
        return None
    product = Product(rows, table, (), (1,), (0,))
    return Found("lookup", product, (*fresh_dims(shape[:-1]), made_by(w.dims[1])))
