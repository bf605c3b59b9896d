"""Recurrent layers: gates of packed kernels, and the roles of state-space parameters by their names."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from pondera.model.sites import Part, Role
from pondera.model.trace import Owner

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


def state_space_role(leaf: str, role: Role) -> tuple[Role, str] | None:
    """The role of a state-space parameter, which its name tells where its use alone does not."""
    if leaf in ("A_log", "A", "A_real", "log_A_real") and role in ("scale", "other"):
        return "state", "the rates of a state-space layer, by name and use"
    if leaf == "D" and role in ("scale", "other", "bias"):
        return "skip", "multiplies the input past a state-space layer, by name and use"
    if leaf in ("dt_bias", "log_dt", "inv_dt") and role in ("bias", "scale", "other", "position"):
        return "time step", "the time step of a state-space layer, by name and use"
    return None
