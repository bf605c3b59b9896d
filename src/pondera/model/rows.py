"""One row per parameter: how it begins, and why."""

from __future__ import annotations

from dataclasses import dataclass

from pondera.core.laws import AbstractLaw
from pondera.model.graph import Role


@dataclass(frozen=True)
class Row:
    """How one parameter begins.

    Args:
        name: the parameter's name, and the name of its stream.
        shape: the stored shape.
        role: what the parameter is in the network.
        law: the law it is drawn by; None if it is left as the framework made it.
        in_axes: axes summed over, None where the law needs no fans.
        out_axes: axes produced.
        fan_in: inputs summed over, None where there are none.
        fan_out: outputs fed.
        gain: factor on the std for what feeds the weight, None where there is none.
        std: standard deviation of the drawn values, None if left.
        why: the reason, in words.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    law: AbstractLaw | None
    why: str
    in_axes: tuple[int, ...] | None = None
    out_axes: tuple[int, ...] | None = None
    fan_in: int | None = None
    fan_out: int | None = None
    gain: float | None = None
    std: float | None = None
