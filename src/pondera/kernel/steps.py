"""Optimizer steps of PyTorch's form with a penalty's prox in the same pass over memory.

For float32 tensors that lie contiguous in the host's memory, given by address. Without a penalty a
step is that of torch's fused kernels; with one it is `core.penalties`' prox, in the optimizer's own metric,
of the weights that the step proposes: each weight's own lr / (√v̂ + eps) under Adam, one number under SGD.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from pondera.core.errors import DomainError, MissingFramework
from pondera.kernel import library, pool


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


class _Piece(ctypes.Structure):
    """`pondera_piece` of csrc/pondera.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weight", "grad", "first", "second", "peak")),
        ("rows", ctypes.c_uint64),
        ("columns", ctypes.c_uint64),
        ("norm", ctypes.c_double),
    )


class _Adam(ctypes.Structure):
    """`pondera_adam` of csrc/pondera.h."""

    _fields_ = tuple(
        (name, ctypes.c_float)
        for name in (
            *("rest1", "beta2", "rest2", "lr", "step_size", "root", "eps"),
            *("sign", "decay", "keep", "grad_scale", "l1", "twice_l2"),
        )
    )


class _Sgd(ctypes.Structure):
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


def available() -> bool:
    """Whether the compiled steps are there; without them, step and prox by the framework."""
    return library.running().level != "numpy"


def adam_step(
    tensors: Sequence[Tensors],
    *,
    count: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = True,
    maximize: bool = False,
    prox: Prox = NONE,
    grad_scale: float | None = None,
    found_inf: bool = False,
) -> None:
    """One step of AdamW (decoupled) or Adam, and the prox, on every tensor.

    Args:
        tensors: what to step; those with `peak` use amsgrad.
        count: number of this step, from 1; torch's `step` once it is raised.
        lr: learning rate, 0 ≤ lr < inf.
        betas: decay of the two means, each in [0, 1).
        eps: added to the root.
        weight_decay: torch's `weight_decay`.
        decoupled: AdamW's decay; False adds it to the gradient.
        maximize: step up the gradient.
        prox: penalties; their metric is lr / (√(v / (1 − beta2^count)) + eps).
        grad_scale: gradients are divided by it first, in place, as GradScaler expects.
        found_inf: touch nothing; the caller then takes its step counter back.

    Raises:
        DomainError: count below 1, or l2 and group together. MissingFramework: no compiled library.
        MemoryError: no room for one row of numbers per thread; some rows have then been stepped.
    """
    if found_inf:
        return
    rule = _adam_rule(count, lr, betas, eps, prox)
    rule.sign = -1.0 if maximize else 1.0
    rule.decay = 0.0 if decoupled else weight_decay
    rule.keep = 1 - lr * weight_decay if decoupled else 1.0
    rule.grad_scale = 1.0 if grad_scale is None else grad_scale
    _run("adam_step", tensors, rule, prox)


def adam_prox(
    tensors: Sequence[Tensors],
    *,
    count: int,
    lr: float,
    beta2: float = 0.999,
    eps: float = 1e-8,
    prox: Prox,
) -> None:
    """The prox alone, in Adam's metric, after a step that some other code took.

    Args:
        tensors: weight, second and (amsgrad) peak are read.
        count, lr, beta2, eps: of that step.
        prox: penalties.

    Raises:
        As `adam_step`.
    """
    _run("adam_prox", tensors, _adam_rule(count, lr, (0.0, beta2), eps, prox), prox)


def sgd_step(
    tensors: Sequence[Tensors],
    *,
    lr: float,
    step: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    maximize: bool = False,
    starts: bool = False,
    prox: Prox = NONE,
    grad_scale: float | None = None,
    found_inf: bool = False,
) -> None:
    """One step of SGD, and the prox, on every tensor.

    Args:
        tensors: what to step; `first` is the momentum buffer, 0 where momentum is 0.
        lr: learning rate, 0 ≤ lr < inf.
        step: what SGD multiplies an average gradient by: the prox's step.
        momentum, dampening, nesterov, weight_decay, maximize: as in torch.
        starts: the buffers hold nothing yet.
        prox: penalties; not `group`.
        grad_scale, found_inf: as in `adam_step`.

    Raises:
        DomainError: a group strength. MissingFramework: no compiled library.
    """
    if found_inf:
        return
    rule = _sgd_rule(step, prox)
    rule.lr, rule.momentum, rule.rest = lr, momentum, 1 - dampening
    rule.decay, rule.sign = weight_decay, -1.0 if maximize else 1.0
    rule.grad_scale = 1.0 if grad_scale is None else grad_scale
    rule.nesterov, rule.starts = nesterov, starts
    _run("sgd_step", tensors, rule, prox)


def sgd_prox(tensors: Sequence[Tensors], *, step: float, prox: Prox) -> None:
    """The prox alone, with one step for all weights.

    Args:
        tensors: weight is read.
        step: what the optimizer multiplied an average gradient by.
        prox: penalties; not `group`.

    Raises:
        As `sgd_step`.
    """
    _run("sgd_prox", tensors, _sgd_rule(step, prox), prox)


def _adam_rule(
    count: int, lr: float, betas: tuple[float, float], eps: float, prox: Prox
) -> _Adam:
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
    rule = _Adam(1 - beta1, beta2, 1 - beta2, lr)
    rule.step_size = lr / (1 - beta1**count)
    rule.root = math.sqrt(1 - beta2**count)
    rule.eps, rule.l1, rule.twice_l2 = eps, prox.l1, 2 * prox.l2
    return rule


def _sgd_rule(step: float, prox: Prox) -> _Sgd:
    if prox.group:
        raise DomainError(
            f"sgd_step: has no group lasso; got group={prox.group!r}. Step without it and take "
            "GroupLasso's prox."
        )
    return _Sgd(threshold=step * prox.l1, shrink=1 + 2 * step * prox.l2)


def _run(name: str, tensors: Sequence[Tensors], rule: ctypes.Structure, prox: Prox) -> None:
    if not available():
        raise MissingFramework(
            f"kernel: fused steps need the compiled library; got {library.running().why}. "
            "Step by the framework and take the penalty's prox."
        )
    function: Callable[..., int] = library.running().function(name)
    pieces = _cut(tensors, prox)
    table = (_Piece * len(pieces))(*pieces)
    size, address = ctypes.sizeof(_Piece), ctypes.addressof(table)
    made = ctypes.byref(rule)

    def work(bounds: tuple[int, int]) -> None:
        first, end = bounds
        if not function(address + first * size, end - first, made):
            raise MemoryError(f"kernel: {name} found no memory for one row")

    pool.each(work, _bundles([piece.rows * piece.columns for piece in pieces]))


def _cut(tensors: Sequence[Tensors], prox: Prox) -> list[Any]:
    """Pieces of at most one chunk, each of whole rows where rows are groups."""
    most = pool.chunk_size(sum(t.rows * t.columns for t in tensors))
    pieces: list[Any] = []
    for t in tensors:
        rows, columns, norm = t.rows * t.columns, 1, 0.0
        if prox.group:
            rows, columns = t.rows, t.columns
            norm = prox.group * (math.sqrt(columns) if prox.size_weighted else 1.0)
        step = max(1, most // max(1, columns))
        for row in range(0, rows, step):
            at = 4 * row * columns
            places = [address and address + at for address in t[:5]]
            pieces.append(_Piece(*places, min(step, rows - row), columns, norm))
    return pieces


def _bundles(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(first, end) of neighbouring pieces that are worth a thread together."""
    cuts, room = [0], 0
    for number, size in enumerate(sizes, start=1):
        room += size
        if room >= pool.SMALLEST:
            cuts.append(number)
            room = 0
    return list(pairwise(dict.fromkeys([*cuts, len(sizes)])))
