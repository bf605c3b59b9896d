"""Walks through a graph: which weight's output a value is a pointwise function of, and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Final

from pondera.model.trace import Graph, Operation, Value

Function = Callable[[Any], Any]

AFFINE: Final = frozenset("add sub mul div neg rsub true_divide".split())
_POOLS: Final = "pool"
_STATISTICS: Final = frozenset(
    "linalg_vector_norm mean norm std std_mean sum var var_mean logsumexp amax".split()
)
_ENDS: Final = frozenset(
    "contract convolve lookup normalise opaque recurrent softmax".split()
)  # of every expression
_CONDITIONS: Final = frozenset(
    "bitwise_and bitwise_or eq ge gt isinf isnan le logical_and logical_not logical_or lt ne".split()
)

_SLOPE: Final = 0.25  # He et al. 2015, §2.1


@dataclass(frozen=True)
class Expression:
    """A value as a pointwise function of another one.

    Args:
        base: number of the value that the function begins with.
        function: of float64 arrays; None if the value is the base itself, perhaps rearranged.
        label: what to call the function in print.
        exact: nothing lies between that mixes or moves features.
        affine: the function only shifts and stretches.
        scales: names of the parameters that multiply on the way.
    """

    base: int
    function: Function | None = None
    label: str = ""
    exact: bool = True
    affine: bool = True
    scales: tuple[str, ...] = ()


class Walks:
    """A graph with what its walks need.

    Args:
        graph: what one pass did.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._expressions = dict[int, Expression]()

    @cached_property
    def readers(self) -> dict[int, list[Operation]]:
        """Value → the operations that read it."""
        return self.graph.readers()

    @cached_property
    def ancestors(self) -> list[int]:
        """Per value a bit set of the values that it is made of, itself among them."""
        found = [1 << value.number for value in self.graph.values]
        for operation in self.graph.operations:
            reach = 0
            for number in operation.inputs:
                reach |= found[number]
            for number in operation.outputs:
                found[number] |= reach
        return found

    def reaches(self, early: int, late: int) -> bool:
        """Whether a value has a part in a later one."""
        return bool(self.ancestors[late] >> early & 1)

    def value(self, number: int) -> Value:
        """A value by its number."""
        return self.graph.values[number]

    def live(self, operation: Operation) -> list[int]:
        """The different inputs in which the model's own inputs have a part."""
        return [n for n in dict.fromkeys(operation.inputs) if self.value(n).live]

    def tuned(self, operation: Operation) -> list[int]:
        """The different inputs that are made of parameters alone."""
        return [n for n in dict.fromkeys(operation.inputs) if self.value(n).parameters]

    def expression(self, number: int) -> Expression:
        """The value as a pointwise function of the value that it begins with."""
        left = [number]  # a stack: chains are longer than Python's own
        while left:
            if left[-1] in self._expressions:
                left.pop()
                continue
            before = self._pending(left[-1])
            if before is None:
                at = left.pop()
                self._expressions[at] = self._found(at)
            else:
                left.append(before)
        return self._expressions[number]

    def _pending(self, number: int) -> int | None:
        """An input whose expression must be known first; None if there is none."""
        maker = self.graph.maker(number)
        if maker is None or maker.kind in _ENDS:
            return None
        return next((n for n in self.live(maker) if n not in self._expressions), None)

    def _found(self, number: int) -> Expression:
        maker, here = self.graph.maker(number), Expression(number)
        live = self.live(maker) if maker else []
        if maker is None or not live or maker.kind in _ENDS:
            return here
        first = self._expressions[live[0]]
        if maker.kind == "view":
            return self._viewed(number, maker, first)
        if maker.kind == "reduce":
            return _moved(first) if _POOLS in maker.label or maker.label == "mean" else here
        if maker.kind == "move":
            return _moved(first) if len(live) == 1 and self._keeps(maker, live[0], number) else here
        if maker.kind in ("combine", "pointwise"):
            return self._pointwise(number, maker, live)
        return here

    def _keeps(self, maker: Operation, entering: int, number: int) -> bool:
        """Whether a move keeps every element it may (pads, rolls, resamples)."""
        return maker.label not in (
            "gather",
            "index",
            "index_select",
            "topk",
            "sort",
            "masked_select",
        )

    def _viewed(self, number: int, maker: Operation, first: Expression) -> Expression:
        before, after = self.value(maker.inputs[0]), self.value(number)
        if prod(after.shape) < prod(before.shape):
            return Expression(number)  # a part: other elements than its sibling's
        same = not before.dims or not after.dims or before.dims[-1] == after.dims[-1]
        return first if same or maker.label == "detach" else _moved(first)

    def _pointwise(self, number: int, maker: Operation, live: list[int]) -> Expression:
        parts = [self._expressions[n] for n in live]
        if maker.label in _CONDITIONS and any(self.value(n).integer for n in live):
            return Expression(number)
        if len({part.base for part in parts}) > 1:
            return Expression(number)
        tuned = self.tuned(maker)
        constants = [self.value(n) for n in maker.inputs if n not in live and n not in tuned]
        if tuned:
            return self._with_parameter(number, maker, parts, tuned)
        if any(value.constant is None for value in constants):
            return _moved(parts[0]) if len(parts) == 1 else Expression(number)
        if self._is_odd_shape(maker, live, number):
            return Expression(number)
        return self._composed(maker, live, parts)

    def _is_odd_shape(self, maker: Operation, live: list[int], number: int) -> bool:
        """Whether elements of different places meet: not pointwise in the base."""
        shapes = {self.value(n).shape for n in live}
        return len(shapes) > 1 or (self.value(number).shape not in shapes)

    def _with_parameter(
        self, number: int, maker: Operation, parts: list[Expression], tuned: list[int]
    ) -> Expression:
        """A bias or a scale leaves a value what it is."""
        if len(parts) != 1:
            return Expression(number)
        if maker.label in ("add", "sub", "rsub"):
            return parts[0]
        if maker.label in ("prelu", "_prelu_kernel"):
            return self._rectified(maker, parts[0])
        if maker.label in ("mul", "div"):
            names = tuple(name for n in tuned for name in sorted(self.value(n).parameters))
            first = parts[0]
            return Expression(
                first.base,
                first.function,
                first.label,
                first.exact,
                first.affine,
                first.scales + names,
            )
        return Expression(number)

    def _rectified(self, maker: Operation, first: Expression) -> Expression:
        """A slope that is learned counts with what it begins with."""
        call, function = maker.call, first.function

        def rectified(z: Any) -> Any:
            entering = z if function is None else function(z)
            return entering if call is None else call(entering, _SLOPE)

        label = joined(first.label, "prelu")
        return replace(first, function=rectified, label=label, affine=False)

    def _composed(self, maker: Operation, live: list[int], parts: list[Expression]) -> Expression:
        first, call = parts[0], maker.call
        if call is None or maker.label in ("copy", "fill"):
            return first
        functions = {n: part.function for n, part in zip(live, parts, strict=True)}
        values = [self.value(n) for n in maker.inputs]

        def function(z: Any) -> Any:
            return call(*(_at(functions, entry, z) for entry in values))

        labels = [part.label for part in parts if part.label]
        return Expression(
            first.base,
            function,
            joined(max(labels, key=len, default=""), maker.label),
            all(part.exact for part in parts),
            all(part.affine for part in parts) and maker.label in AFFINE and len(parts) == 1,
            tuple(dict.fromkeys(name for part in parts for name in part.scales)),
        )

    def statistic_of(self, number: int) -> int | None:
        """The value that this one is a mean, norm or variance of; None if it is none."""
        for _ in range(24):
            maker = self.graph.maker(number)
            if maker is None:
                return None
            live = self.live(maker)
            if maker.kind == "reduce" and maker.label in _STATISTICS:
                return maker.inputs[0]
            if maker.kind not in ("combine", "pointwise", "view") or len(live) != 1:
                return None
            number = live[0]
        return None

    def back(self, number: int, *, stop: Callable[[Operation], bool]) -> Iterator[int]:
        """All live values that a value is made of, itself first, not going past the operations at `stop`."""
        seen, left = {number}, [number]
        while left:
            at = left.pop(0)
            yield at
            maker = self.graph.maker(at)
            if maker is None or stop(maker):
                continue
            fresh = [n for n in self.live(maker) if n not in seen]
            seen.update(fresh)
            left += fresh


def joined(inner: str, name: str) -> str:
    """What to call a function of a function; long chains by their ends.

    >>> joined("sigmoid", "mul"), joined("exp, add, log", "tanh")
    ('sigmoid, mul', 'exp, …, tanh')
    """
    if not inner:
        return name
    return f"{inner.split(', ')[0]}, …, {name}" if inner.count(", ") > 1 else f"{inner}, {name}"


def _moved(expression: Expression) -> Expression:
    e = expression
    return Expression(e.base, e.function, e.label, False, e.affine, e.scales)


def _at(functions: dict[int, Function | None], entry: Value, z: Any) -> Any:
    if entry.number not in functions:
        return entry.constant
    function = functions[entry.number]
    return z if function is None else function(z)
