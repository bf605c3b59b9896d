"""Optimizer steps with penalties against `AdamW(fused=True)` alone, in milliseconds per step.

Protocol: the steps are compared with those of PyTorch and of core.penalties, then timed: 24 interleaved
repeats after one untimed turn; median, quartiles and least. Linear layers 768 × 768 without biases, 13 (7.7
million float32 weights) and 170 (100 million), with penalties attached as a user attaches them. Every case has
an optimizer of its own on the same weights, gradients and averages. Work per step: AdamW moves 28 bytes per
weight (reads 4 tensors, writes 3), a separate prox 12 more: 1.43 times as much. Ours runs on PyTorch's own
threads where these are libgomp's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.record import write_result
from benchmarks.timing import interleaved, load, ratio, spread
from pondera.core.penalties import L1, AbstractPenalty, ElasticNet, GroupLasso, Groups
from pondera.kernel import kernel_info
from pondera.torch import regularize
from pondera.torch.bounds import Handle

WIDTH, LAYERS, REPEATS = 768, (13, 170), 24
LR, STRENGTH = 1e-5, 1e-5
PEER = "torch AdamW(fused=True)"
BOUNDS: dict[str, AbstractPenalty] = {
    "L1": L1(STRENGTH),
    "elastic net": ElasticNet(STRENGTH, STRENGTH),
    "group lasso on rows": GroupLasso(STRENGTH, Groups.rows()),
}
BUDGETS = {
    "regularize, L1, separate": 1.7,
    "regularize, elastic net, separate": 1.7,
    "regularize, L1, fused": 1.1,
    "regularize, group lasso on rows, fused": 1.6,
}
Case = Callable[[], Any]


@dataclass
class Layers:
    """Weights, and the averages that all optimizers on them share.

    Args:
        count: of layers.
    """

    count: int
    model: nn.ModuleList = field(init=False)
    averages: list[dict[str, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        made = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(self.count)]
        self.model = nn.ModuleList(made)
        for w in self.weights:
            w.grad = 1e-3 * torch.randn_like(w)
        first = torch.optim.AdamW(self.weights, lr=LR, weight_decay=0, fused=True)
        first.step()
        self.averages = [dict(first.state[w]) for w in self.weights]

    @property
    def weights(self) -> list[nn.Parameter]:
        return list(self.model.parameters())

    def optimizer(self, **options: Any) -> torch.optim.AdamW:
        """An AdamW that has taken one step."""
        made = torch.optim.AdamW(self.weights, lr=LR, weight_decay=0, **options)
        for w, kept in zip(self.weights, self.averages, strict=True):
            made.state[w] = {**kept, "step": kept["step"].clone()}
        return made

    def regularized(
        self, bound: AbstractPenalty, wanted: str, **options: Any
    ) -> tuple[torch.optim.AdamW, Handle]:
        """An optimizer with a penalty, computed as is wanted: "fused", which is the default, or "separate"."""
        made = self.optimizer(**options)
        one_pass = None if wanted == "fused" else False
        return made, regularize(made, {"*": bound}, model=self.model, fused=one_pass)


# --- what others do ---


def loss_term(layers: Layers) -> Case:
    """`loss + λ·sum(abs(w))`: the term's own forward and backward pass, then the step."""
    optimizer = layers.optimizer(fused=True)

    def run() -> None:
        term = STRENGTH * sum(w.abs().sum() for w in layers.weights)
        torch.as_tensor(term).backward()
        optimizer.step()

    return run


def scalar_prox(layers: Layers) -> Case:
    """The soft threshold lr·λ for all weights, which under Adam is some hundredth of λ."""
    optimizer = layers.optimizer(fused=True)

    @torch.no_grad()
    def run() -> None:
        optimizer.step()
        for w in layers.weights:
            w.copy_(nn.functional.softshrink(w, LR * STRENGTH))

    return run


def plain_prox(layers: Layers) -> Case:
    """The right threshold, written with tensor operations."""
    optimizer = layers.optimizer(fused=True)

    @torch.no_grad()
    def run() -> None:
        optimizer.step()
        for w in layers.weights:
            state = optimizer.state[w]
            root = (state["exp_avg_sq"] / (1 - 0.999 ** float(state["step"]))).sqrt()
            threshold = STRENGTH * LR / (root + 1e-8)
            w.copy_(w.sign() * (w.abs() - threshold).clamp(min=0))

    return run


def latent_prox(layers: Layers) -> Case:
    """torchao's form: unshrunk copies are stepped; the weights are those beyond a growing threshold."""
    optimizer, gamma = layers.optimizer(fused=True), 0.0
    latent = [w.detach().clone() for w in layers.weights]

    @torch.no_grad()
    def run() -> None:
        nonlocal gamma
        gamma += LR * STRENGTH
        torch._foreach_copy_(layers.weights, latent)
        optimizer.step()
        torch._foreach_copy_(latent, layers.weights)
        for w in layers.weights:
            w.copy_(w.sign() * (w.abs() - gamma).clamp(min=0))
            (w == 0).sum().item()  # it counts zeros at every step

    return run


# --- the comparison ---


def check() -> None:
    """At strength 0 PyTorch's step; otherwise core's prox of it, in float64."""
    for bound in (L1(0.0), *BOUNDS.values()):
        for wanted in ("fused", "separate"):
            ours, peer = Layers(1), Layers(1)
            optimizer, handle = ours.regularized(bound, wanted, fused=True)
            optimizer.step()
            row = handle.report().rows[0]
            if row.taken != wanted:
                raise AssertionError(f"not {wanted}: {row.taken_why}")
            theirs = peer.optimizer(fused=True)
            theirs.step()
            expected = peer.weights[0].detach().double().numpy()
            second = theirs.state[peer.weights[0]]["exp_avg_sq"].double()
            step = LR / ((second / (1 - 0.999**2)).sqrt() + 1e-8)
            expected = bound.prox(expected, step=step.numpy())
            error = abs(ours.weights[0].detach().numpy() - expected).max()
            if not error <= 2 * torch.finfo(torch.float32).eps * abs(expected).max():
                raise AssertionError(f"a {wanted} step with {bound} is off by {error}")


def cases_of(layers: Layers) -> dict[str, Case]:
    cases: dict[str, Case] = {PEER: layers.optimizer(fused=True).step}
    for_nothing, _ = layers.regularized(L1(0.0), "fused", fused=True)
    cases["regularize, strength 0, fused"] = for_nothing.step
    for name, bound in BOUNDS.items():
        for wanted in ("fused", "separate"):
            made, _ = layers.regularized(bound, wanted, fused=True)
            cases[f"regularize, {name}, {wanted}"] = made.step
    cases["loss + λ·sum(abs(w))"] = loss_term(layers)
    cases["soft threshold lr·λ"] = scalar_prox(layers)
    cases["soft threshold in Adam's metric, by tensor operations"] = plain_prox(layers)
    cases["latent copies and a growing threshold (torchao's form)"] = latent_prox(layers)
    cases["torch AdamW()"] = layers.optimizer().step
    cases["regularize on AdamW(), L1"] = layers.regularized(BOUNDS["L1"], "fused")[0].step
    return cases


def measure(count: int) -> dict[str, Any]:
    layers = Layers(count)
    seconds = interleaved(cases_of(layers), REPEATS)
    costs = {name: ratio(seconds[PEER], s) for name, s in seconds.items() if name != PEER}
    return {
        "parameters": sum(w.numel() for w in layers.weights),
        "ms_per_step": {name: spread(s, 1e3) for name, s in seconds.items()},
        "times_the_cost_of_fused_adamw": costs,
        "budgets": {name: {"at_most": most, **costs[name]} for name, most in BUDGETS.items()},
    }


def main() -> None:
    before, info = load(), kernel_info()
    check()
    measured = {
        "kernel": {"level": info.level, "threads": info.threads},
        "torch_threads": torch.get_num_threads(),
        **{f"{count}_layers": measure(count) for count in LAYERS},
        "load_before": before,
        "load_after": load(),
        "note": "Loads above the benchmark's own threads mean that others shared the machine: "
        "trust ratios of the least times more than medians.",
    }
    write_result("steps", measured)


if __name__ == "__main__":
    main()
