"""What one pass through a network did: values, operations, and which parameter each value is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pondera.model.axes import Dim, Dims

Kind = Literal[
    "combine",  # pointwise, of several values
    "contract",  # sums over axes that two values share
    "convolve",
    "lookup",  # rows of a table
    "move",  # elements taken elsewhere, joined, padded
    "normalise",
    "opaque",  # no rule
    "pointwise",  # of one value
    "recurrent",
    "reduce",  # sums, means and maxima over axes of one value
    "softmax",
    "view",  # the same elements
]


@dataclass(frozen=True)
class Value:
    """A tensor of the pass.

    Args:
        number: its place in the graph's values.
        shape: its shape.
        dims: which part of which axis each dimension runs over.
        maker: number of the operation that made it; None of an input, parameter or constant.
        parameter: name of the parameter that it is, "" if it is none.
        given: whether it is one of the model's inputs.
        live: whether an input of the model has a part in it.
        parameters: names of all parameters that it is made of, if no input has a part in it.
        constant: its number, if it is a known constant of one element.
        integer: whether it holds integers or truth values.
    """

    number: int
    shape: tuple[int, ...]
    dims: Dims
    maker: int | None = None
    parameter: str = ""
    given: bool = False
    live: bool = False
    parameters: frozenset[str] = frozenset()
    constant: float | None = None
    integer: bool = False


@dataclass(frozen=True)
class Product:
    """A contraction or convolution of a value with a weight, by the weight's dimensions.

    Args:
        entering: place of the entering value among the operation's inputs.
        weight: place of the weight among them.
        summed: dimensions of the weight that are summed over.
        kept: its dimensions that the result has.
        shared: its dimensions that entering value and result both have, as experts have.
        field: its dimensions that a convolution slides.
        groups: groups of a convolution.
        stride: of a convolution, per dimension of the field.
        transposed: whether the convolution is transposed.
    """

    entering: int
    weight: int
    summed: tuple[int, ...]
    kept: tuple[int, ...]
    shared: tuple[int, ...] = ()
    field: tuple[int, ...] = ()
    groups: int = 1
    stride: tuple[int, ...] = ()
    transposed: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation of the pass.

    Args:
        number: its place in the graph's operations.
        kind: what it is.
        label: the framework's name for it.
        inputs: numbers of the values it reads.
        outputs: numbers of the values it makes.
        path: the module it ran in, as in "blocks.3.mlp".
        product: of a contraction or convolution, how the two operands meet; each way in which a
            value made of parameters takes part.
        slots: of a normalisation, lookup or recurrent layer: what each input is, such as "scale".
        call: of a pointwise operation: a function of float64 arrays, one per input.
        over: of a reduction, softmax or normalisation: the dimensions of its first input it runs over.
    """

    number: int
    kind: Kind
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    path: str = ""
    product: Product | None = None
    slots: tuple[str, ...] = ()
    call: Callable[..., Any] | None = None
    over: tuple[int, ...] = ()


@dataclass(frozen=True)
class Owner:
    """The module that holds a parameter.

    Args:
        path: the module's path, "" for the model itself.
        kind: name of its class.
        leaf: the parameter's name there.
    """

    path: str
    kind: str
    leaf: str


@dataclass(frozen=True)
class Graph:
    """What one pass did.

    Args:
        values: all tensors, by number.
        operations: all operations, in order.
        shapes: name → shape of every parameter, in the model's order.
        owners: name → the module that holds it.
        outputs: numbers of the values that the model returned.
        frozen: names of the parameters that will not be trained.
        ties: a parameter's further names → the name it goes by.
        integers: names of parameters that hold no floating-point numbers.
        answered: where the pass depended on the numbers themselves and was given answers.
        further: passes that went another way, where parameters were seen that this one did not use.
    """

    values: tuple[Value, ...]
    operations: tuple[Operation, ...]
    shapes: Mapping[str, tuple[int, ...]]
    owners: Mapping[str, Owner]
    outputs: tuple[int, ...] = ()
    frozen: frozenset[str] = frozenset()
    ties: Mapping[str, str] = field(default_factory=dict[str, str])
    integers: frozenset[str] = frozenset()
    answered: tuple[str, ...] = ()
    further: tuple[Graph, ...] = ()

    @property
    def used(self) -> set[str]:
        """Names of the parameters that some operation reads."""
        reads = {number for operation in self.operations for number in operation.inputs}
        return {name for number in reads for name in self.values[number].parameters}

    def maker(self, number: int) -> Operation | None:
        """The operation that made a value."""
        made = self.values[number].maker
        return None if made is None else self.operations[made]

    def readers(self) -> dict[int, list[Operation]]:
        """Value → the operations that read it, in order."""
        found = dict[int, list[Operation]]()
        for operation in self.operations:
            for value in dict.fromkeys(operation.inputs):
                found.setdefault(value, []).append(operation)
        return found

    def weight_dims(self, operation: Operation) -> tuple[Dim, ...]:
        """Dimensions of the weight of a contraction or convolution."""
        product = operation.product
        return () if product is None else self.values[operation.inputs[product.weight]].dims
