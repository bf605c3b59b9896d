"""The bounds that race, each with its path of strengths."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

NONE: Final = "none"


@dataclass(frozen=True)
class BoundArm:
    """One way to keep weights in bounds.

    Args:
        name: its short name.
        title: in words.
        law: what is added to the loss, or done beside the step.
        source: where it comes from.
        strengths: the path, rising; a 0 for the unbounded beginning comes before it.
        sparse: whether it makes exact zeros, which a refit then keeps.
        code: the bound in Python, with {strength}.
    """

    name: str
    title: str
    law: str
    source: str
    strengths: tuple[float, ...]
    sparse: bool
    code: str


def _path(first: float) -> tuple[float, ...]:
    return tuple(float(f"{first * 3**k:.3g}") for k in range(6))


BOUND_ARMS: Final = MappingProxyType(
    {
        arm.name: arm
        for arm in (
            BoundArm(NONE, "no bound", "loss alone", "", (0.0,) * 6, False, ""),
            BoundArm(
                "l2",
                "L2, in the loss",
                "loss + λ·Σw²",
                "Hoerl & Kennard 1970",
                _path(1e-4),
                False,
                "pondera.L2({strength:g})",
            ),
            BoundArm(
                "decay",
                "decoupled decay",
                "w ← w − lr·λ·w beside the step",
                "Loshchilov & Hutter 2019",
                _path(1e-3),
                False,
                "pondera.WeightDecay({strength:g})",
            ),
            BoundArm(
                "l1",
                "L1",
                "loss + λ·Σ|w|",
                "Tibshirani 1996",
                _path(3e-5),
                True,
                "pondera.L1({strength:g})",
            ),
            BoundArm(
                "elastic",
                "elastic net",
                "loss + λ·Σ|w| + λ·Σw²",
                "Zou & Hastie 2005",
                _path(3e-5),
                True,
                "pondera.ElasticNet({strength:g}, {strength:g})",
            ),
            BoundArm(
                "group",
                "group lasso on units",
                "loss + λ·Σ_units √fan_in·‖w_unit‖",
                "Yuan & Lin 2006",
                _path(3e-5),
                True,
                "pondera.GroupLasso({strength:g}, pondera.Groups.rows())",
            ),
        )
    }
)
