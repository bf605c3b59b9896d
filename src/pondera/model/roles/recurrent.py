"""Recurrent layers: gates of packed kernels, and the roles of state-space parameters by their names."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from pondera.model.sites import Part, Role
from pondera.model.trace import Graph, Operation, Owner

_RATES: Final = frozenset("A A_imag A_log A_logs A_real inv_A_real log_A_imag log_A_real".split())
_SKIPS: Final = frozenset(("D", "Ds"))
_STEPS: Final = frozenset("dt_bias dt_projs_bias inv_dt log_dt log_step".split())
_WHY: Final = MappingProxyType[Role, str](
    {
        "state": "the rates of a state-space layer, by name and use",
        "skip": "multiplies the input past a state-space layer, by name and use",
        "time step": "the time step of a state-space layer, by name and use",
    }
)
GATES: Final = MappingProxyType(
    {
        "lstm": ("input", "forget", "cell", "output"),
        "gru": ("reset", "update", "new"),
        "rnn_tanh": ("",),
        "rnn_relu": ("",),
    }
)


def recurrent_parts(owner: Owner, shape: Sequence[int], label: str) -> tuple[Part, ...]:
    """Parts of a parameter of a recurrent layer, one per gate.

    Args:
        owner: the module that holds it.
        shape: its stored shape, gates first.
        label: the operation, such as "lstm" or "gru_cell".
    """
    gates = GATES.get(label.removesuffix("_cell"), ("",))
    if len(shape) == 1 or owner.leaf.startswith("bias"):
        role: Role = "recurrent bias"
    elif "_hr" in owner.leaf:
        role, gates = "dense", ("",)
    else:
        role = "recurrent hidden" if "_hh" in owner.leaf else "recurrent input"
    if shape[0] % len(gates):
        gates = ("",)
    size = shape[0] // len(gates)
    fan_in = shape[1] if len(shape) > 1 else None
    return tuple(
        Part(
            role,
            (k * size, *(0 for _ in shape[1:])),
            (size, *shape[1:]),
            fan_in,
            size if fan_in is not None else None,
            gate,
        )
        for k, gate in enumerate(gates)
    )


def recurrent_layers(graph: Graph) -> dict[str, Operation]:
    """Parameters of recurrent layers → the layer's operation."""
    return {
        name: operation
        for operation in reversed(graph.operations)
        if operation.kind == "recurrent"
        for number in operation.inputs
        for name in graph.values[number].parameters
    }


def state_space_role(leaf: str) -> Role | None:
    """The role that a parameter's name tells, if it is of a state-space layer; None if it tells none."""
    if leaf in _RATES:
        return "state"
    if leaf in _SKIPS:
        return "skip"
    return "time step" if leaf in _STEPS else None


def state_space_kind(leaf: str, role: Role) -> tuple[Role, str] | None:
    """The role of a state-space parameter, which its name tells where its use alone does not.

    Args:
        leaf: the parameter's name in its module.
        role: what its use alone tells.
    """
    told = state_space_role(leaf)
    allowed: dict[Role, tuple[str, ...]] = {
        "state": ("scale", "layer scale", "other", "dense", "norm scale"),
        "skip": ("scale", "layer scale", "other", "bias"),
        "time step": ("bias", "scale", "layer scale", "other", "position"),
    }
    return (told, _WHY[told]) if told is not None and role in allowed[told] else None
