"""Optimizers with a learning rate, a course and a number of steps that reach the lasso's optimum; and problems
with known answers. A new optimizer is added here and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes

import pondera
from pondera.core import penalties as pn


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv 2302.06675: an optimizer that PyTorch does not know."""

    def __init__(self, params, lr, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            near, far = group["betas"]
            for p in group["params"]:
                if p.grad is not None:
                    mean = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                    p.add_((mean * near + p.grad * (1 - near)).sign(), alpha=-group["lr"])
                    mean.mul_(far).add_(p.grad, alpha=1 - far)


@dataclass(frozen=True)
class Case:
    """How an optimizer is run.

    Args:
        make: (parameters, lr) → optimizer.
        lr: learning rate for the diabetes lasso.
        course: "constant" or "cosine".
        steps: optimizer steps.
        shape: of the weights.
        way: how the penalty is kept.
    """

    make: Callable[..., torch.optim.Optimizer]
    lr: float
    course: str = "constant"
    steps: int = 1000
    shape: tuple[int, ...] = (1, 10)
    way: str = "metric"

    def optimizer(self, parameters):
        return self.make(parameters, lr=self.lr)

    def schedule(self, optimizer, steps=None):
        steps = self.steps if steps is None else steps
        if self.course == "cosine":
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


def _with(kind, **options):
    return lambda parameters, lr: kind(parameters, lr=lr, **options)


o = torch.optim
CASES = {
    "SGD": Case(_with(o.SGD), 0.1),
    "SGD momentum .5": Case(_with(o.SGD, momentum=0.5), 0.05),
    "SGD momentum .9": Case(_with(o.SGD, momentum=0.9), 0.03),
    "SGD momentum .99": Case(_with(o.SGD, momentum=0.99), 0.03, steps=3000),
    "SGD Nesterov": Case(_with(o.SGD, momentum=0.9, nesterov=True), 0.03),
    "SGD dampening": Case(_with(o.SGD, momentum=0.9, dampening=0.5), 0.05),
    "SGD foreach": Case(_with(o.SGD, momentum=0.9, foreach=True), 0.03),
    "SGD fused": Case(_with(o.SGD, momentum=0.9, fused=True), 0.03),
    "Adam": Case(_with(o.Adam), 3.0),
    "Adam amsgrad": Case(_with(o.Adam, amsgrad=True), 3.0),
    "Adam foreach": Case(_with(o.Adam, foreach=True), 3.0),
    "Adam fused": Case(_with(o.Adam, fused=True), 3.0),
    "AdamW": Case(_with(o.AdamW, weight_decay=0.0), 3.0),
    "NAdam": Case(_with(o.NAdam), 3.0, "cosine"),
    "RAdam": Case(_with(o.RAdam), 0.3, steps=3000),
    "RMSprop": Case(_with(o.RMSprop), 3.0, "cosine"),
    "RMSprop centered": Case(_with(o.RMSprop, centered=True), 1.0, "cosine"),
    "RMSprop centered momentum": Case(
        _with(o.RMSprop, centered=True, momentum=0.5), 0.3, "cosine", 3000, way="orthant"
    ),
    "RMSprop momentum": Case(_with(o.RMSprop, momentum=0.9), 0.1, "cosine", 3000),
    "Adagrad": Case(_with(o.Adagrad), 30.0),
    "Adamax": Case(_with(o.Adamax), 3.0),
    "Adadelta": Case(_with(o.Adadelta), 10.0, steps=4000),
    "ASGD": Case(_with(o.ASGD), 0.1),
    "Lion": Case(Lion, 0.1, "cosine", way="orthant"),
    "Muon 1x10": Case(_with(o.Muon, weight_decay=0.0), 1.0, "cosine", way="orthant"),
    "Muon 10x1": Case(_with(o.Muon, weight_decay=0.0), 0.3, "cosine", 1000, (10, 1), "orthant"),
    "Adafactor": Case(_with(o.Adafactor), 0.3, "cosine", way="orthant"),
    "Rprop": Case(_with(o.Rprop), 0.1, way="orthant"),
    "LBFGS": Case(_with(o.LBFGS), 1.0, steps=20, way="newton"),
    "LBFGS strong Wolfe": Case(
        _with(o.LBFGS, line_search_fn="strong_wolfe"), 1.0, steps=20, way="newton"
    ),
    "LBFGS one iteration": Case(
        _with(o.LBFGS, max_iter=1, line_search_fn="strong_wolfe"), 1.0, steps=200, way="newton"
    ),
}


class Weights(torch.nn.Module):
    """Nothing but named parameters."""

    def __init__(self, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            setattr(self, name, torch.nn.Parameter(tensor))


def train(model, case, loss, bounds, *, steps=None, schedule=None):
    """Full-batch training to the end; the handle."""
    optimizer = case.optimizer(list(model.parameters()))
    handle = pondera.torch.regularize(optimizer, bounds, model=model, schedule=schedule)
    course = case.schedule(optimizer, steps)

    def closure():
        optimizer.zero_grad()
        found = loss()
        found.backward()
        return found

    for _ in range(case.steps if steps is None else steps):
        optimizer.step(closure)
        course.step()
    closure()
    return handle


@cache
def diabetes():
    """Standardised inputs, centred target, as float64 tensors."""
    inputs, target = load_diabetes(return_X_y=True)
    return _tensors((inputs - inputs.mean(0)) / inputs.std(0), target - target.mean())


@cache
def breast_cancer():
    """Standardised inputs, classes -1 and 1."""
    inputs, target = load_breast_cancer(return_X_y=True)
    return _tensors((inputs - inputs.mean(0)) / inputs.std(0), 2.0 * target - 1)


@cache
def grouped():
    """300 × 60, 12 groups of five, four of them true: columns of unlike sizes."""
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((300, 60)) * np.exp(rng.uniform(-1, 1, 60))
    true = np.zeros((12, 5))
    true[:4] = rng.standard_normal((4, 5))
    return _tensors(inputs, inputs @ true.ravel() + rng.standard_normal(300))


@cache
def responses():
    """80 × 6 inputs, four responses: a weight of shape (4, 6)."""
    rng = np.random.default_rng(2)
    inputs = rng.standard_normal((80, 6)) * np.exp(rng.uniform(-0.5, 0.5, 6))
    true = rng.standard_normal((4, 6)) * (rng.random((4, 6)) < 0.6)
    return _tensors(inputs, inputs @ true.T + 0.3 * rng.standard_normal((80, 4)))


def _tensors(*arrays):
    return tuple(torch.tensor(array) for array in arrays)


# --- a network for what does not depend on the problem ---


def net(dtype=torch.float32):
    """A small network, the same each time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).to(
        dtype
    )


def batch(step, dtype=torch.float32):
    """Inputs and targets of one step."""
    rng = np.random.default_rng(step)
    inputs = torch.tensor(rng.standard_normal((16, 6)), dtype=dtype)
    return inputs, (inputs[:, :1] - inputs[:, 1:2]).detach()


def run(model, optimizer, steps, dtype=torch.float32):
    """Train the network."""
    for step in steps:
        inputs, target = batch(step, dtype)
        optimizer.zero_grad()
        (model(inputs) - target).square().mean().backward()
        optimizer.step()


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def equal(ours, theirs):
    return all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


MAKERS = {
    "SGD": lambda p: o.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: o.Adam(p, lr=0.01),
    "Adam fused": lambda p: o.Adam(p, lr=0.01, fused=True),
    "AdamW foreach": lambda p: o.AdamW(p, lr=0.01, weight_decay=0, foreach=True),
    "NAdam": lambda p: o.NAdam(p, lr=0.01),
    "RMSprop": lambda p: o.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "ASGD": lambda p: o.ASGD(p, lr=0.05),
    "Lion": lambda p: Lion(p, lr=0.003),
    "Adafactor": lambda p: o.Adafactor(p, lr=0.05),
}
BOUNDS = {
    "0.weight": pn.L1(0.02),
    "2.weight": pn.GroupLasso(0.02, pn.Groups.columns()),
}


def attached(make, dtype=torch.float32, bounds=BOUNDS, **options):
    model = net(dtype)
    optimizer = make(model.parameters())
    return model, optimizer, pondera.torch.regularize(optimizer, bounds, model=model, **options)
