"""The metric: under steady gradients a penalty's share of a step is λ/g of the gradient's, weight by weight.

L1 of strength λ is a gradient of λ on positive weights. Where the optimizer steps by its factor times g, the
proximal step must be that factor times λ: a missing root, ε, bias correction or momentum shows at once.
"""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import pondera
from pondera.core import penalties as pn
from pondera.torch.bounds.metric import METRICS
from tests.bounds_cases import CASES, Weights

o, DOUBLE = torch.optim, torch.float64
GRADIENTS = torch.tensor([1e-9, 1e-6, 1e-3, 0.1, 1.0, 30.0, -0.1, -30.0], dtype=DOUBLE)
STRENGTH, START = 1e-3, 1e6  # far from zero: no weight stops there
OPTIONS = {  # beyond those of the cases
    "SGD Nesterov dampened late": lambda p, lr: o.SGD(p, lr=lr, momentum=0.7),
    "SGD momentum and dampening": lambda p, lr: o.SGD(p, lr=lr, momentum=0.6, dampening=0.3),
    "Adam coarse eps": lambda p, lr: o.Adam(p, lr=lr, eps=0.01, betas=(0.8, 0.95)),
    "NAdam fast": lambda p, lr: o.NAdam(p, lr=lr, momentum_decay=0.1),
    "RAdam short memory": lambda p, lr: o.RAdam(p, lr=lr, betas=(0.9, 0.99), eps=1e-4),
    "RMSprop all": lambda p, lr: o.RMSprop(p, lr=lr, momentum=0.5, eps=1e-3),
    "Adagrad with a falling rate": lambda p, lr: o.Adagrad(p, lr=lr, lr_decay=0.1, eps=1e-4),
    "Adagrad with a head start": lambda p, lr: o.Adagrad(p, lr=lr, initial_accumulator_value=0.5),
    "ASGD without decay": lambda p, lr: o.ASGD(p, lr=lr, lambd=0.0),
}
KNOWN = {name: case.make for name, case in CASES.items() if case.way == "metric"} | OPTIONS
LATE = {  # what the step sums has older metrics in it, or no variance where gradients are steady
    *("Adadelta", "RMSprop centered", "RMSprop momentum", "RMSprop all"),
}


def stepped(make, strength, count, gradients):
    """Displacements after each of some steps, with the penalty or without."""
    model = Weights(w=torch.full_like(gradients, START))
    optimizer = make(model.parameters(), lr=0.01)
    pondera.torch.regularize(optimizer, {"w": pn.L1(strength)}, model=model)
    moved = []
    for _ in range(count):
        model.w.grad = gradients.clone()
        optimizer.step()
        moved.append(START - model.w.detach())
    return torch.stack(moved)


@pytest.mark.parametrize("name", sorted(set(KNOWN) - LATE - {"ASGD"}))
def test_the_penalty_steps_as_the_gradient_does(name):
    bare = stepped(KNOWN[name], 0.0, 40, GRADIENTS)
    both = stepped(KNOWN[name], STRENGTH, 40, GRADIENTS)
    ours, theirs = both - bare, bare * (STRENGTH / GRADIENTS)
    rounding = 40 * START * torch.finfo(DOUBLE).eps * (1 + STRENGTH / GRADIENTS.abs())
    assert ((ours - theirs).abs() <= 1e-6 * theirs.abs() + rounding).all()


@pytest.mark.parametrize("name", sorted(LATE))
def test_a_metric_that_lags_is_right_in_the_end(name):
    turning = torch.tensor([1e-3, 0.1, 1.0, 30.0], dtype=DOUBLE)
    model, twin = (Weights(w=torch.full_like(turning, START)) for _ in range(2))
    optimizers = [KNOWN[name](m.parameters(), lr=0.01) for m in (model, twin)]
    pondera.torch.regularize(optimizers[0], {"w": pn.L1(STRENGTH)}, model=model)
    for step in range(2000):
        for m, optimizer in zip((model, twin), optimizers, strict=True):
            m.w.grad = turning * (1 if step % 2 else 0.5)  # 0.75 on average
            optimizer.step()
    shrunk = twin.w.detach() - model.w.detach()
    moved = START - twin.w.detach()
    assert ((shrunk / STRENGTH) / (moved / (0.75 * turning)) - 1).abs().max() <= 0.05


def test_every_metric_is_looked_at():
    seen = {
        type(make([torch.nn.Parameter(torch.ones(1))], lr=0.1)).__name__ for make in KNOWN.values()
    }
    assert {name.removesuffix(".step") for name in METRICS} == seen


FRESH = {  # nothing is remembered of earlier gradients but their squares
    "SGD": lambda p: o.SGD(p, lr=0.01),
    "Adam": lambda p: o.Adam(p, lr=0.01, betas=(0.0, 0.7)),
    "Adam amsgrad": lambda p: o.Adam(p, lr=0.01, betas=(0.0, 0.7), amsgrad=True),
    "AdamW amsgrad": lambda p: o.AdamW(
        p, lr=0.01, betas=(0.0, 0.7), amsgrad=True, weight_decay=0.0
    ),
    "RMSprop": lambda p: o.RMSprop(p, lr=0.01, alpha=0.7),
    "RMSprop centered": lambda p: o.RMSprop(p, lr=0.01, alpha=0.7, centered=True),
    "Adagrad": lambda p: o.Adagrad(p, lr=0.01),
    "Adamax": lambda p: o.Adamax(p, lr=0.01, betas=(0.0, 0.7)),
}


@pytest.mark.parametrize("name", FRESH)
def test_the_penalty_steps_as_the_gradient_does_when_it_fades(name):
    fading = GRADIENTS[2:] * 0.6 ** torch.arange(12, dtype=DOUBLE)[:, None]
    moved = []
    for strength in (0.0, STRENGTH):
        model = Weights(w=torch.full_like(fading[0], START))
        optimizer = FRESH[name](model.parameters())
        pondera.torch.regularize(optimizer, {"w": pn.L1(strength)}, model=model)
        places = [model.w.detach().clone()]
        for gradient in fading:
            model.w.grad = gradient.clone()
            optimizer.step()
            places.append(model.w.detach().clone())
        moved.append(-torch.stack(places).diff(dim=0))
    ours, theirs = moved[1] - moved[0], moved[0] * (STRENGTH / fading)
    rounding = 4 * START * torch.finfo(DOUBLE).eps * (1 + STRENGTH / fading.abs())
    assert ((ours - theirs).abs() <= 1e-6 * theirs.abs() + rounding).all()
