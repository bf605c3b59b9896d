"""Optimizer steps of PyTorch's form with a penalty's prox in the same pass over memory.

For float32 tensors that lie contiguous in the host's memory, given by address. Without a penalty a
step is that of torch's fused kernels; with one it is `core.penalties`' prox, in the optimizer's own metric,
of the weights that the step proposes: each weight's own lr / (√v̂ + eps) under Adam, one number under SGD.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from itertools import pairwise

from pondera.core.errors import MissingFramework
from pondera.kernel import library, pool, team
from pondera.kernel.rules import NONE, PIECE, Prox, Tensors, adam_rule, sgd_rule


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
    young: bool = False,
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
        young: whether a weight that never had a gradient, its `second` (`peak`) being 0, has the step lr there.
        grad_scale: gradients are divided by it first, in place, as GradScaler expects.
        found_inf: touch nothing; the caller then takes its step counter back.

    Raises:
        DomainError: count below 1, or l2 and group together. MissingFramework: no compiled library.
        MemoryError: no room for one row of numbers per thread; some rows have then been stepped.
    """
    if found_inf:
        return
    rule = adam_rule(count, lr, betas, eps, prox)
    rule.sign = -1.0 if maximize else 1.0
    rule.decay = 0.0 if decoupled else weight_decay
    rule.keep = 1 - lr * weight_decay if decoupled else 1.0
    rule.grad_scale = 1.0 if grad_scale is None else grad_scale
    rule.young = young
    _run("adam_step", tensors, rule, prox)


def adam_prox(
    tensors: Sequence[Tensors],
    *,
    count: int,
    lr: float,
    beta2: float = 0.999,
    eps: float = 1e-8,
    prox: Prox,
    young: bool = False,
) -> None:
    """The prox alone, in Adam's metric, after a step that some other code took.

    Args:
        tensors: weight, second and (amsgrad) peak are read.
        count: number of that step, from 1.
        lr: its learning rate.
        beta2: decay of its mean squared gradient.
        eps: added to its root.
        prox: penalties.
        young: as in `adam_step`.

    Raises:
        As `adam_step`.
    """
    rule = adam_rule(count, lr, (0.0, beta2), eps, prox)
    rule.young = young
    _run("adam_prox", tensors, rule, prox)


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
        momentum: decay of the buffer.
        dampening: what a gradient lacks when it enters the buffer.
        nesterov: look ahead; dampening is then 0.
        weight_decay: torch's: added to the gradient.
        maximize: step up the gradient.
        starts: the buffers hold nothing yet.
        prox: penalties; not `group`.
        grad_scale: as in `adam_step`.
        found_inf: as in `adam_step`.

    Raises:
        DomainError: a group strength. MissingFramework: no compiled library.
    """
    if found_inf:
        return
    rule = sgd_rule(step, prox)
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
    _run("sgd_prox", tensors, sgd_rule(step, prox), prox)


def _run(name: str, tensors: Sequence[Tensors], rule: ctypes.Structure, prox: Prox) -> None:
    if not available():
        raise MissingFramework(
            f"kernel: fused steps need the compiled library; got {library.running().why}. "
            "Step by the framework and take the penalty's prox."
        )
    function = library.running().function(name)
    pieces, sizes = _cut(tensors, prox)
    table = ctypes.create_string_buffer(b"".join(pieces))
    address, made, size = ctypes.addressof(table), ctypes.byref(rule), sum(sizes)
    threads = team.size() if size > pool.SMALLEST else min(1, team.size())
    if threads > 1:
        _need_memory(name, team.step(function, address, len(pieces), made))
        return
    if threads == 1:  # the framework's threads are set to one, or would cost more than they save
        _need_memory(name, function(address, len(pieces), made))
        return

    def work(bounds: tuple[int, int]) -> None:
        first, end = bounds
        _need_memory(name, function(address + first * PIECE.size, end - first, made))

    pool.each(work, _bundles(sizes))


def _need_memory(name: str, found: bool) -> None:
    if not found:
        raise MemoryError(f"kernel: {name} found no memory for one row")


def _cut(tensors: Sequence[Tensors], prox: Prox) -> tuple[list[bytes], list[int]]:
    """Pieces of at most one chunk, each of whole rows where rows are groups; and how many weights each has."""
    most = pool.chunk_size(sum(t.rows * t.columns for t in tensors))
    pieces, sizes = list[bytes](), list[int]()
    for t in tensors:
        rows, columns, norm = t.rows * t.columns, 1, 0.0
        if prox.group:
            rows, columns = t.rows, t.columns
            norm = prox.group * (math.sqrt(columns) if prox.size_weighted else 1.0)
        step = max(1, most // max(1, columns))
        for row in range(0, rows, step):
            at, taken = 4 * row * columns, min(step, rows - row)
            places = [address and address + at for address in t[:5]]
            pieces.append(PIECE.pack(*places, taken, columns, norm))
            sizes.append(taken * columns)
    return pieces, sizes


def _bundles(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(first, end) of neighbouring pieces that are worth a thread together."""
    cuts, room = [0], 0
    for number, size in enumerate(sizes, start=1):
        room += size
        if room >= pool.SMALLEST:
            cuts.append(number)
            room = 0
    return list(pairwise(dict.fromkeys([*cuts, len(sizes)])))
