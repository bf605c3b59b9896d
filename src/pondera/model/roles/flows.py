"""A graph made ready for the walks: sums of products as contractions, flows from parameters as live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pondera.model.axes import size_of
from pondera.model.trace import Graph, Operation, Product


def prepared(graph: Graph) -> Graph:
    """The same pass, as the walks read it.

    A parameter multiplied and summed over is a contraction. What weights make of constants and tokens
    counts as live, if it meets the inputs otherwise than as a weight.

    Args:
        graph: what one pass did.
    """
    graph = _contracted(graph)
    live = _flows(graph)
    return _enlivened(graph, live) if live else graph


def _contracted(graph: Graph) -> Graph:
    """Each sum of a product with a raw parameter, over its axes, as the contraction that it is."""
    readers, operations = graph.readers(), list(graph.operations)
    for operation in graph.operations:
        reader = _summed_by(graph, operation, readers)
        if reader is not None:
            product, inputs = _product(graph, operation, reader)
            if product.summed:
                operations[reader.number] = replace(
                    reader, kind="contract", label="mul, sum", inputs=inputs, product=product
                )
    return replace(graph, operations=tuple(operations))


def _summed_by(
    graph: Graph, operation: Operation, readers: dict[int, list[Operation]]
) -> Operation | None:
    """The sum that alone reads a product of a live value with a raw parameter."""
    if operation.kind != "combine" or operation.label != "mul" or len(operation.inputs) != 2:
        return None
    found = readers.get(operation.outputs[0], [])
    if len(found) != 1 or found[0].kind != "reduce" or found[0].label != "sum":
        return None
    live = any(graph.values[n].live for n in operation.inputs)
    return found[0] if live and any(_raw(graph, n) for n in operation.inputs) else None


def _raw(graph: Graph, number: int) -> bool:
    """Whether a value is one parameter, perhaps viewed."""
    maker = graph.maker(number)
    while maker is not None and maker.kind == "view":
        number = maker.inputs[0]
        maker = graph.maker(number)
    return bool(graph.values[number].parameter)


def _product(
    graph: Graph, operation: Operation, reader: Operation
) -> tuple[Product, tuple[int, ...]]:
    """How the two operands meet: over which of the parameter's dimensions the sum runs."""
    numbers = operation.inputs
    weight = next(n for n in numbers if _raw(graph, n))
    entering = next(n for n in numbers if n != weight)
    shape = graph.values[operation.outputs[0]].shape
    dims = graph.values[weight].dims
    missing = len(shape) - len(dims)
    wide = [k for k, dim in enumerate(dims) if size_of(dim) > 1]
    summed = tuple(k for k in wide if k + missing in reader.over)
    met = graph.values[entering].shape
    spread = len(shape) - len(met)
    kept = tuple(k for k in wide if k not in summed and _single(met, k + missing - spread))
    shared = tuple(k for k in wide if k not in summed and k not in kept)
    return Product(0, 1, summed, kept, shared), (entering, weight)


def _single(shape: tuple[int, ...], place: int) -> bool:
    return place < 0 or shape[place] == 1


def _flows(graph: Graph) -> set[int]:
    """Values that weights make of parameters or constants, and that are used as inputs are."""
    readers, found = graph.readers(), set[int]()
    for operation in graph.operations:
        product = operation.product
        if product is None or operation.kind == "lookup" or operation.number in found:
            continue
        entering = graph.values[operation.inputs[product.entering]]
        weight = graph.values[operation.inputs[product.weight]]
        if entering.live or not weight.parameters:
            continue
        behind = list(_behind(graph, operation, readers))
        if any(_meets_inputs(graph, number, readers) for number in behind):
            found.update(n for n in behind)
    return found


def _behind(
    graph: Graph, operation: Operation, readers: dict[int, list[Operation]]
) -> Iterator[int]:
    """All values without a part of the inputs that are made of an operation's."""
    left, seen = list(operation.outputs), set(operation.outputs)
    while left:
        number = left.pop()
        yield number
        for reader in readers.get(number, []):
            fresh = [n for n in reader.outputs if n not in seen and not graph.values[n].live]
            seen.update(fresh)
            left += fresh


def _meets_inputs(graph: Graph, number: int, readers: dict[int, list[Operation]]) -> bool:
    """Whether a value is read beside a live one, or attends to one, and is not its weight."""
    for reader in readers.get(number, []):
        if not any(graph.values[n].live for n in reader.inputs):
            continue
        if reader.product is None:
            return reader.kind != "normalise"
        if reader.inputs[reader.product.weight] != number or _attends(graph, reader, readers):
            return reader.inputs[reader.product.weight] == number or _is_entering(reader, number)
    return False


def _is_entering(reader: Operation, number: int) -> bool:
    return reader.product is not None and reader.inputs[reader.product.entering] == number


def _attends(graph: Graph, product: Operation, readers: dict[int, list[Operation]]) -> bool:
    """Whether a contraction's result is the logits of weights that then mix values."""
    left, steps, softmax = list(product.outputs), 0, False
    while left and steps < 64:
        number, steps = left.pop(0), steps + 1
        for reader in readers.get(number, []):
            if reader.kind == "softmax":
                left, softmax = list(reader.outputs), True
            elif reader.kind == "contract":
                if softmax:
                    return True
            elif reader.kind in ("combine", "pointwise", "view", "move"):
                left += reader.outputs
    return False


def _enlivened(graph: Graph, live: set[int]) -> Graph:
    """The graph with these values, and all that are made of them, counted as live."""
    values = list(graph.values)
    for number in live:
        values[number] = replace(values[number], live=True, parameters=frozenset[str]())
    return replace(graph, values=tuple(values))
