"""Parameters that are no weights: biases, norms' scales and shifts, positions, tokens, state-space rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from pondera.model.axes import extents, rooted
from pondera.model.roles.kinds import is_norm, origin_of
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.sites import Role
from pondera.model.trace import Operation


@dataclass(frozen=True)
class Small:
    """What a parameter that is no weight is.

    Args:
        role: its role.
        why: how it is known.
        neutral: the value at which it does nothing, None where there is none.
        beside: the value that it meets; -1 where there is none.
        operation: number of the operation that reads it.
    """

    role: Role
    why: str
    neutral: float | None = None
    beside: int = -1
    operation: int = -1


def smalls_of(
    walks: Walks, owners: dict[int, Use], logits: set[int], branches: set[str]
) -> dict[str, Small]:
    """Every parameter that meets a live value otherwise than as a weight.

    Args:
        walks: the graph.
        owners: value → the use that made it.
        logits: values that hold attention's logits.
        branches: names of the parameters that multiply a branch of a residual stream.
    """
    found = dict[str, Small]()
    for operation in walks.graph.operations:
        product = operation.product
        skipped = {operation.inputs[product.weight]} if product else set[int]()
        for number in walks.tuned(operation):
            met = walks.live(operation) or operation.kind == "normalise"
            flows = any(walks.value(n).live for n in operation.outputs)
            if number in skipped or not (met or flows):
                continue
            small = _small(walks, owners, operation, number, logits)
            for name in sorted(walks.value(number).parameters):
                if small.role == "scale" and name in branches:
                    small = Small("layer scale", "multiplies a branch of the stream", small.neutral)
                if name not in found or found[name].role in ("other", "scale"):
                    found[name] = replace(small, operation=operation.number)
    return found


def steps_of(walks: Walks, owners: dict[int, Use], states: set[str]) -> dict[str, str]:
    """Weights and biases that make the step of a state-space layer: softplus, then times its rates.

    Args:
        walks: the graph.
        owners: value → the use that made it.
        states: names of the rates.
    """
    found = dict[str, str]()
    for operation in walks.graph.operations:
        tuned = [n for n in walks.tuned(operation) if walks.value(n).parameters & states]
        for number in walks.live(operation) if tuned else []:
            whole = _whole(walks, number)
            expression = walks.expression(whole)
            if "softplus" not in expression.label:
                continue
            use = owners.get(origin_of(walks, expression.base))
            if use is not None and walks.expression(expression.base).base == use.output:
                found[use.name] = "time step weight"
            found |= dict.fromkeys(_added_between(walks, whole, expression.base), "time step")
    return found


def _whole(walks: Walks, number: int) -> int:
    """A value of which this one is a part, such as one step of a sequence."""
    maker = walks.graph.maker(walks.expression(number).base)
    while maker is not None and maker.kind == "view":
        number = maker.inputs[0]
        maker = walks.graph.maker(walks.expression(number).base)
    return number


def _added_between(walks: Walks, number: int, base: int) -> list[str]:
    """Names of the parameters added on the way from a base, or with the weight that made it."""
    found = list[str]()
    for each in walks.back(number, stop=lambda made: base in made.outputs):
        maker = walks.graph.maker(each)
        if maker is None or (maker.label != "add" and maker.product is None):
            continue
        weight = maker.inputs[maker.product.weight] if maker.product else -1
        found += [
            name for n in walks.tuned(maker) if n != weight for name in walks.value(n).parameters
        ]
    return found


def _small(
    walks: Walks,
    owners: dict[int, Use],
    operation: Operation,
    number: int,
    logits: set[int],
) -> Small:
    if operation.slots and operation.kind == "normalise":
        return _of_norm(walks, operation, number)
    if operation.product is not None and number == operation.inputs[operation.product.entering]:
        return Small("token", "goes in like an input")
    if operation.product is not None:
        return Small("bias", "added to a weight's output", 0.0)
    if operation.kind == "recurrent":
        return Small("other", "of a recurrent layer")
    live = walks.live(operation)
    if operation.kind in ("combine", "pointwise") and live:
        return _met(walks, owners, operation, number, live[0], logits)
    if operation.kind == "move":
        return Small("token", "put among the inputs")
    if operation.kind == "softmax":
        slot = dict(zip(operation.inputs, operation.slots, strict=False)).get(number, "")
        if slot == "mask":
            return Small("position bias", "added to attention's logits", 0.0)
        return Small("token", "attended to like an input")
    return Small("other", f"used by {operation.label}")


def _of_norm(walks: Walks, operation: Operation, number: int) -> Small:
    at = operation.inputs.index(number)
    slot = operation.slots[at] if at < len(operation.slots) else ""
    if slot == "shift":
        return Small("norm shift", "added behind a normalisation", _neutral(walks, number, 0.0))
    if slot == "scale":
        neutral = _neutral(walks, number, 1.0)
        return Small("norm scale", f"multiplies what is normalised{_offset(neutral)}", neutral)
    return Small("token", "goes in like an input") if slot == "entering" else Small("other", slot)


def _offset(neutral: float | None) -> str:
    return ", as 1 + w" if neutral == 0.0 else ""


def _met(
    walks: Walks,
    owners: dict[int, Use],
    operation: Operation,
    number: int,
    live: int,
    logits: set[int],
) -> Small:
    """A parameter added to or multiplied with a live value."""
    if operation.label in ("add", "sub", "rsub"):
        return _added(walks, owners, number, live, logits)
    if "prelu" in operation.label:
        return Small("scale", "the slope of an activation", None, live)
    if operation.label in ("where", "masked_fill", "copy"):
        return Small("token", "stands in for some of the inputs", None, live)
    if operation.label in ("mul", "div", "pow"):
        return _multiplied(walks, operation, number, live)
    if operation.label in (
        "maximum",
        "minimum",
        "clamp",
        "threshold",
        "sigmoid",
        "gt",
        "lt",
        "ge",
        "le",
    ):
        return Small("scale", f"a threshold ({operation.label})", None, live)
    return Small("other", f"used by {operation.label}", None, live)


def _added(walks: Walks, owners: dict[int, Use], number: int, live: int, logits: set[int]) -> Small:
    base = origin_of(walks, live)
    maker = walks.graph.maker(base)
    if base in logits:
        return Small("position bias", "added to attention's logits", 0.0, live)
    if maker is not None and (maker.kind == "normalise" or is_norm(walks, maker)):
        return Small(
            "norm shift", "added behind a normalisation", _neutral(walks, number, 0.0), live
        )
    if _spreads(walks, number, live):
        return Small("position", "added by place", 0.0, live)
    if walks.expression(live).base in owners or base in owners:
        return Small("bias", "added to a weight's output", 0.0, live)
    return Small("bias", "added", 0.0, live)


def _spreads(walks: Walks, number: int, live: int) -> bool:
    """Whether a value differs by place, as a table of positions does, not by a weight's outputs alone."""
    if any(walks.graph.operations[m].kind == "lookup" for m in _makers(walks, number)):
        return True
    value, other = walks.value(number), walks.value(live)
    missing = len(other.shape) - len(value.shape)
    wide = [k for k, n in enumerate(value.shape) if n > 1]
    if len(wide) < 2 or missing < 0:
        return len(wide) > 1
    rows = [map(rooted, extents([other.dims[k + missing]])) for k in wide]
    return not all(any(e.axis.owner for e in row) for row in rows)


def _makers(walks: Walks, number: int) -> list[int]:
    found, left = list[int](), [number]
    while left and len(found) < 64:
        maker = walks.graph.maker(left.pop())
        if maker is not None:
            found.append(maker.number)
            left += walks.tuned(maker)
    return found


def _multiplied(walks: Walks, operation: Operation, number: int, live: int) -> Small:
    maker = walks.graph.maker(origin_of(walks, live))
    neutral = _neutral(walks, number, 1.0)
    normed = maker is not None and (maker.kind == "normalise" or is_norm(walks, maker))
    single = prod(walks.value(number).shape) == 1 and walks.graph.maker(number) is not None
    if (normed and not (single and neutral == 0.0)) or _normed_next(walks, operation):
        return Small(
            "norm scale", f"multiplies what is normalised{_offset(neutral)}", neutral, live
        )
    return Small("scale", "multiplies", neutral, live)


def _normed_next(walks: Walks, operation: Operation) -> bool:
    """Whether a product is divided next by a statistic of what was multiplied."""
    readers = walks.readers.get(operation.outputs[0], [])
    return bool(readers) and all(is_norm(walks, reader) for reader in readers)


def _neutral(walks: Walks, number: int, wanted: float) -> float | None:
    """Where a value made of one parameter becomes what leaves the other side as it is."""
    for candidate in (wanted, 1.0 - wanted):
        made = _evaluated(walks, number, candidate)
        if made is not None and abs(made - wanted) < 1e-12:
            return candidate
    return None


def _evaluated(walks: Walks, number: int, at: float) -> float | None:
    """A value made of one parameter by pointwise operations, were the parameter this number."""
    value = walks.value(number)
    if value.parameter:
        return at
    if value.constant is not None:
        return value.constant
    maker = walks.graph.maker(number)
    if maker is None or not value.parameters:
        return None
    if maker.kind in ("view", "move"):
        return _evaluated(walks, maker.inputs[0], at)
    if maker.call is None:
        return None
    entering: list[Any] = [_evaluated(walks, n, at) for n in maker.inputs]
    if any(entry is None for entry in entering):
        return None
    return float(np.asarray(maker.call(*(np.array([e]) for e in entering))).reshape(-1)[0])
