"""What the compiled steps are told: addresses, strengths, and an optimizer's numbers as float32.

The structures repeat csrc/pondera.h field by field.
"""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Final, NamedTuple

from pondera.core.errors import DomainError


class Tensors(NamedTuple):
    """Addresses of one parameter and of what its optimizer keeps for it.

    Args:
        weight: the parameter, rows × columns float32 numbers.
        grad: its gradient.
        first: Adam's mean gradient (`exp_avg`), or SGD's momentum buffer; 0 for none.
        second: Adam's mean squared gradient (`exp_avg_sq`).
        peak: its largest so far (`max_exp_avg_sq`); 0 without amsgrad.
        rows: how many groups the group lasso sees; 1 without one.
        columns: weights of each row.
    """

    weight: int
    grad: int = 0
    first: int = 0
    second: int = 0
    peak: int = 0
    rows: int = 1
    columns: int = 0


class Prox(NamedTuple):
    """Strengths of `l1·Σ|w| + l2·Σw² + group·Σ_rows √columns·‖row‖`; 0 each for none.

    Args:
        l1: in [0, inf).
        l2: in [0, inf); not together with `group`.
        group: in [0, inf).
        size_weighted: False drops the root.
    """

    l1: float = 0.0
    l2: float = 0.0
    group: float = 0.0
    size_weighted: bool = True


NONE: Final = Prox()


# `pondera_piece` of csrc/pondera.h: five addresses, rows, columns, norm. Packed, a step has hundreds of them.
PIECE: Final = struct.Struct("5P2Qd")


class AdamRule(ctypes.Structure):
    """`pondera_adam` of csrc/pondera.h."""

    _fields_ = (
        *(
            (name, ctypes.c_float)
            for name in (
                *("rest1", "beta2", "rest2", "lr", "step_size", "root", "eps"),
                *("sign", "decay", "keep", "grad_scale", "l1", "twice_l2"),
            )
        ),
        ("young", ctypes.c_int32),
    )


class SgdRule(ctypes.Structure):
    """`pondera_sgd` of csrc/pondera.h."""

    _fields_ = (
        *(
            (name, ctypes.c_float)
            for name in (
                *("lr", "momentum", "rest", "decay", "sign", "grad_scale"),
                *("threshold", "shrink"),
            )
        ),
        ("nesterov", ctypes.c_int32),
        ("starts", ctypes.c_int32),
    )


def adam_rule(
    count: int, lr: float, betas: tuple[float, float], eps: float, prox: Prox
) -> AdamRule:
    """Adam's numbers for step `count`, formed in float64; the direction and the decay are not set."""
    if count < 1:
        raise DomainError(
            f"adam_step: needs count >= 1; got count={count!r}. Raise torch's step first."
        )
    if prox.l2 and prox.group:
        raise DomainError(
            f"adam_step: l2 and group do not combine; got l2={prox.l2!r}, group={prox.group!r}. "
            "Use weight_decay with the group lasso."
        )
    beta1, beta2 = betas
    rule = AdamRule(1 - beta1, beta2, 1 - beta2, lr)
    rule.step_size = lr / (1 - beta1**count)
    rule.root = math.sqrt(1 - beta2**count)
    rule.eps, rule.l1, rule.twice_l2 = eps, prox.l1, 2 * prox.l2
    return rule


def sgd_rule(step: float, prox: Prox) -> SgdRule:
    """The prox's numbers; the step's own are not set."""
    if prox.group:
        raise DomainError(
            f"sgd_step: has no group lasso; got group={prox.group!r}. Step without it and take "
            "GroupLasso's prox."
        )
    return SgdRule(threshold=step * prox.l1, shrink=1 + 2 * step * prox.l2)
