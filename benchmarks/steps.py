"""Optimizer steps with penalties against `AdamW(fused=True)` alone, in milliseconds per step.

Protocol: steps are compared with those of PyTorch and of core.penalties, then timed. 40 interleaved repeats
after one untimed turn; median, quartiles and least. 13 Linear layers 768 × 768 with their biases (7.7
million float32 parameters, state warm). Work per step: AdamW moves 28 bytes per parameter (reads 4 tensors,
writes 3), a separate prox 12 more. Each case has its own tensors. PyTorch's threads keep a processor busy for a
while after its own step, which the case behind it pays for, as in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.record import write_result
from benchmarks.timing import interleaved, load, ratio, spread
from pondera.core.penalties import L1, GroupLasso, Groups
from pondera.kernel import kernel_info, steps
from pondera.kernel.rules import NONE, Prox, Tensors

WIDTH, LAYERS, REPEATS = 768, 13, 40
LR, DECAY, STRENGTH, COUNT = 1e-5, 0.01, 1e-5, 10
Case = Callable[[], Any]


def parameters() -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    shapes = [(WIDTH, WIDTH), (WIDTH,)] * LAYERS
    made = [torch.nn.Parameter(0.03 * torch.randn(shape)) for shape in shapes]
    for weight in made:
        weight.grad = 1e-3 * torch.randn_like(weight)
    return made


def optimizer_of(kind: type[torch.optim.Optimizer], **options: Any) -> torch.optim.Optimizer:
    made = kind(parameters(), lr=LR, **options)
    made.step()
    return made


def told(optimizer: torch.optim.Optimizer) -> list[Tensors]:
    """What the kernel is told: gathered anew for every step, as a training loop has to."""
    found = []
    for weight in optimizer.param_groups[0]["params"]:
        state = optimizer.state[weight]
        kept = [state[key].data_ptr() if key in state else 0 for key in ("exp_avg", "exp_avg_sq")]
        rows = len(weight) if weight.ndim > 1 else 1
        places = (weight.data_ptr(), weight.grad.data_ptr(), *kept)
        found.append(Tensors(*places, rows=rows, columns=weight.numel() // rows))
    return found


def fused(optimizer: torch.optim.Optimizer, prox: Prox = NONE) -> Case:
    options = {"count": COUNT, "lr": LR, "weight_decay": DECAY, "prox": prox}
    return lambda: steps.adam_step(told(optimizer), **options)


def separate(optimizer: torch.optim.Optimizer, prox: Prox) -> Case:
    def run() -> None:
        optimizer.step()
        steps.adam_prox(told(optimizer), count=COUNT, lr=LR, prox=prox)

    return run


def check() -> None:
    """Without a penalty PyTorch's step, with one core's prox of it."""
    theirs = optimizer_of(torch.optim.AdamW, fused=True, weight_decay=DECAY)
    for prox, penalty in (
        (NONE, None),
        (Prox(l1=STRENGTH), L1(STRENGTH)),
        (Prox(group=STRENGTH), GroupLasso(STRENGTH, Groups.rows())),
    ):
        ours = optimizer_of(torch.optim.AdamW, fused=True, weight_decay=DECAY)
        steps.adam_step(told(ours), count=2, lr=LR, weight_decay=DECAY, prox=prox)
        mine, peer = (next(iter(o.param_groups[0]["params"])) for o in (ours, theirs))
        theirs.step() if penalty is None else None
        expected = peer.detach().numpy().astype(np.float64)
        if penalty is not None:
            second = ours.state[mine]["exp_avg_sq"].numpy().astype(np.float64)
            step = LR / (np.sqrt(second / (1 - 0.999**2)) + 1e-8)
            expected = penalty.prox(expected, step=step)
        error = np.abs(mine.detach().numpy() - expected).max()
        if not error <= 8 * np.finfo(np.float32).eps * np.abs(expected).max():
            raise AssertionError(f"a step with {prox} is off by {error}")


def measure() -> dict[str, Any]:
    kind = torch.optim.AdamW
    peer = "torch AdamW(fused=True)"
    l1, rows = Prox(l1=STRENGTH), Prox(group=STRENGTH)
    made = [optimizer_of(kind, fused=True, weight_decay=DECAY) for _ in range(7)]
    cases = {
        peer: made[0].step,
        "pondera AdamW": fused(made[1]),
        "pondera AdamW with L1": fused(made[2], l1),
        "pondera AdamW with elastic net": fused(made[3], Prox(l1=STRENGTH, l2=STRENGTH)),
        "pondera AdamW with group lasso on rows": fused(made[4], rows),
        f"{peer}, then L1 in a separate pass": separate(made[5], l1),
        f"{peer}, then group lasso in a separate pass": separate(made[6], rows),
        "torch AdamW(foreach=True)": optimizer_of(kind, foreach=True).step,
    }
    seconds = interleaved(cases, REPEATS)
    return {
        "ms_per_step": {name: spread(s, 1e3) for name, s in seconds.items()},
        "times_the_cost_of_fused_adamw": {
            name: ratio(seconds[peer], s) for name, s in seconds.items() if name != peer
        },
    }


def main() -> None:
    before, info = load(), kernel_info()
    check()
    measured = {
        "kernel": {"level": info.level, "threads": info.threads},
        "torch_threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in parameters()),
        **measure(),
        "load_before": before,
        "load_after": load(),
        "note": "Loads above the benchmark's own threads mean that others shared the machine: "
        "trust ratios of the least times more than medians.",
    }
    write_result("steps", measured)


if __name__ == "__main__":
    main()
