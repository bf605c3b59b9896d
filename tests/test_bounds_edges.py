"""Penalties at the edges of arithmetic: low precision, denormals, NaN, zeros, long steps."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn

import pondera
from pondera.core import penalties as pn
from pondera.core.penalties.cpr import CPR
from pondera.torch import regularize
from pondera.torch.bounds import metric
from tests import bounds_cases as cases
from tests.bounds_cases import CASES, MAKERS, Lion, Weights, attached, equal, run, train, weights

DOUBLE, LOW = torch.float64, torch.bfloat16
SGD, ADAM = torch.optim.SGD, torch.optim.Adam
TINY = torch.finfo(torch.float32).tiny


def pulled(optimizer, model, gradients, steps):
    """Steps along gradients that are functions of the weights."""
    for _ in range(steps):
        for name, gradient in gradients.items():
            w = getattr(model, name)
            w.grad = gradient(w.detach()).to(w.dtype)
        optimizer.step()


# --- low precision ---


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["L1", "WeightDecay", "L2"])
def test_shrinkage_below_half_an_ulp_is_carried(kind, dtype):
    model = Weights(w=torch.full((4,), 0.5, dtype=dtype))
    optimizer = SGD(model.parameters(), lr=0.1)
    bound = {"L1": pn.L1(1e-4), "WeightDecay": pn.WeightDecay(2e-4), "L2": pn.L2(1e-4)}[kind]
    regularize(optimizer, {"w": bound}, model=model)
    pulled(optimizer, model, {"w": torch.zeros_like}, 1000)  # 1e-5 each
    expected = 0.5 - 0.01 if kind == "L1" else 0.5 * (1 - 2e-5) ** 1000
    assert (model.w.detach().float() - expected).abs().max() <= torch.finfo(dtype).eps / 4


@pytest.mark.parametrize("name", ["SGD", "SGD momentum .9", "Adam", "Lion", "RMSprop"])
def test_the_strength_is_right_in_bfloat16(name):
    """On average over steps: a single gradient is as coarse as the weights that it is taken at."""
    case = dataclasses.replace(
        CASES[name], lr={"SGD": 0.1, "SGD momentum .9": 0.01}.get(name, 0.003)
    )
    centre = torch.tensor([0.9, -0.7, 0.4, 0.05, -0.02])
    model = Weights(w=torch.zeros(5, dtype=LOW))
    optimizer = case.optimizer(list(model.parameters()))
    handle = regularize(optimizer, {"w": pn.L1(0.1)}, model=model)
    pulled(optimizer, model, {"w": lambda w: w.float() - centre}, 2000)
    mean = torch.zeros(5)
    for _ in range(400):
        pulled(optimizer, model, {"w": lambda w: w.float() - centre}, 1)
        mean += (model.w.detach().float() - centre) / 400
    kept = centre.abs() > 0.1
    assert ((-mean * centre.sign())[kept] / 0.1 - 1).abs().max() <= 0.01
    assert torch.equal(model.w.detach() == 0, ~kept)
    row = handle.report().rows[0]
    assert row.zeros == 2
    assert abs(row.realised - 0.1) <= 0.005


def test_low_precision_lasso_agrees_with_full():
    inputs, target = (tensor.float() for tensor in cases.diabetes())
    target = target / target.std()
    found = []
    for dtype in (torch.float32, LOW):
        model = Weights(w=torch.zeros(10, dtype=dtype))
        case = dataclasses.replace(CASES["Adam"], lr=0.01, steps=1500)

        def loss(model=model):
            return (inputs @ model.w.float() - target).square().mean()

        train(model, case, loss, {"w": pn.L1(0.1)})
        found.append(model.w.detach().float())
    assert torch.equal(found[0] == 0, found[1] == 0)
    assert (found[0] - found[1]).abs().max() <= torch.finfo(LOW).eps


def test_detaching_gives_a_low_precision_optimizer_back_its_dtypes():
    model, optimizer, handle = attached(MAKERS["Adam"], LOW)
    run(model, optimizer, range(3), LOW)
    handle.detach()
    for state in optimizer.state.values():
        assert {k for k in state if k.startswith("pondera")} == set()
        assert state["exp_avg"].dtype == LOW
    run(model, optimizer, range(3, 6), LOW)
    assert all("pondera" not in key for group in optimizer.param_groups for key in group)


def test_a_step_that_fails_leaves_the_caller_what_was_his():
    class Failing(Lion):
        fails = False

        def step(self, closure=None):
            if self.fails:
                raise RuntimeError("no luck")
            return super().step(closure)

    for dtype in (torch.float32, LOW):
        model, optimizer, _ = attached(lambda p: Failing(p, lr=0.01), dtype)
        run(model, optimizer, range(2), dtype)
        before = weights(model)
        optimizer.fails = True
        with pytest.raises(RuntimeError, match="no luck"):
            run(model, optimizer, range(2, 3), dtype)
        optimizer.fails = False
        grads = [p.grad for p in model.parameters()]
        optimizer.zero_grad()
        for p in model.parameters():
            p.grad = None
        optimizer.step()
        assert equal(weights(model), before)
        assert optimizer.param_groups[0]["params"][0] is model[0].weight
        assert len(grads) == 4


# --- numbers at their ends ---


@pytest.mark.parametrize("maker", ["Adam", "AdamW foreach"])
def test_l2_under_adam_leaves_no_denormals(maker):
    model, optimizer, _ = attached(MAKERS[maker], bounds={"*": pn.L2(10.0)})
    run(model, optimizer, range(5))
    zero = {f"{k}": torch.zeros_like(p) for k, p in enumerate(model.parameters())}
    for _ in range(2560):
        for p, gradient in zip(model.parameters(), zero.values(), strict=True):
            p.grad = gradient
        optimizer.step()
    kept = [*weights(model), *(t for s in optimizer.state.values() for t in s.values())]
    for tensor in kept:
        if isinstance(tensor, torch.Tensor) and tensor.ndim:
            assert not ((tensor != 0) & (tensor.abs() < TINY)).any()


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    "bound",
    [pn.L1(0.0), pn.GroupLasso(0.0, pn.Groups.rows()), pn.ElasticNet(0.0, 0.0), pn.MCP(0.0, 3.0)],
    ids=lambda bound: type(bound).__name__,
)
def test_no_strength_is_no_penalty(maker, bound):
    model, optimizer, handle = attached(MAKERS[maker], DOUBLE, bounds={"*.weight": bound})
    twin, other, _ = attached(MAKERS[maker], DOUBLE, bounds={"*.bias": pn.L1(0.0)})
    for source, stepped in ((model, optimizer), (twin, other)):
        with torch.no_grad():
            source[0].weight[0] = 0
        run(source, stepped, range(8), DOUBLE)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        assert (ours - theirs).abs().max() <= 1e-12
    assert all(torch.isfinite(gap).all() for gap in handle.gap().values())


class _Unknown(SGD):
    """A step of its own, as far as can be told."""

    def step(self, closure=None):
        return super().step(closure)


@pytest.mark.parametrize("make", [MAKERS["SGD"], MAKERS["Adam"], lambda p: _Unknown(p, lr=0.1)])
def test_a_nan_gradient_is_not_hidden(make):
    for name, bound in (("rows", pn.GroupLasso(0.1, pn.Groups.rows())), ("single", pn.L1(0.1))):
        model = Weights(w=torch.ones(3, 2), v=torch.zeros(3, 2))
        optimizer = make(model.parameters())
        regularize(optimizer, {"*": bound}, model=model)
        for p in model.parameters():
            p.grad = torch.ones(3, 2)
            p.grad[1] = torch.nan
        optimizer.step()
        assert torch.isnan(model.w[1]).all(), name
        assert torch.isnan(model.v[1]).all(), name
        assert torch.isfinite(model.w[[0, 2]]).all()


def test_steps_longer_than_gamma_are_hard_thresholds():
    model = Weights(w=torch.tensor([1.0, 3.0], dtype=DOUBLE))
    optimizer = SGD(model.parameters(), lr=4.0)
    regularize(optimizer, {"w": pn.MCP(1.0, gamma=1.5)}, model=model)
    pulled(optimizer, model, {"w": torch.zeros_like}, 1)
    assert model.w.tolist() == [0.0, 3.0]  # the limit lies at √6


@pytest.mark.parametrize("maker", MAKERS)
def test_empty_parameters_are_passed_over(maker):
    model = Weights(w=torch.ones(2, 2), empty=torch.ones(0, 3), more=torch.ones(3, 0))
    optimizer = MAKERS[maker](model.parameters())
    if maker == "Adafactor":
        pytest.skip("Adafactor divides by the number of weights, with or without a penalty")
    handle = regularize(optimizer, {"*": pn.L1(0.1)}, model=model)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert [row.size for row in handle.report().rows] == [4, 0, 0]
    assert len(handle.gap()) == 3


@pytest.mark.parametrize("maker", ["SGD", "Adam", "Lion"])
def test_maximising_is_minimising_the_negative(maker):
    make = {
        "SGD": lambda p, m: SGD(p, lr=0.1, momentum=0.9, maximize=m),
        "Adam": lambda p, m: ADAM(p, lr=0.05, maximize=m),
        "Lion": lambda p, m: _Climbing(p, m),
    }[maker]
    found = []
    for maximize in (False, True):
        model = Weights(w=torch.tensor([0.5, 0.02, 0.0], dtype=DOUBLE))
        optimizer = make(model.parameters(), maximize)
        handle = regularize(optimizer, {"w": pn.L1(0.1)}, model=model)
        sign = -1 if maximize else 1
        centre = torch.tensor([1.0, 0.05, -0.6], dtype=DOUBLE)
        pulled(optimizer, model, {"w": lambda w, s=sign, c=centre: s * (w - c)}, 300)
        found.append(model.w.detach().clone())
        assert abs(handle.report().rows[0].realised - 0.1) <= 0.01
        assert handle.gap()["w"].max() <= 0.02
    assert torch.equal(*found)


class _Climbing(torch.optim.Rprop):
    def __init__(self, params, maximize):
        super().__init__(params, lr=0.01, maximize=maximize)


def _on_a_device(entry):
    return torch.as_tensor(entry, dtype=DOUBLE)


def test_numbers_on_a_device_give_the_same_metrics(monkeypatch):
    """There they stay tensors: reading one would stop the device."""
    for name in ("SGD momentum .9", "Adam", "Adam amsgrad", "NAdam", "RAdam", "RMSprop momentum",
                 "RMSprop centered", "Adagrad", "Adamax", "Adadelta", "ASGD"):  # fmt: skip
        found = []
        for as_number in (metric.number, _on_a_device):
            monkeypatch.setattr(metric, "number", as_number)
            monkeypatch.setattr("pondera.torch.bounds.lots.number", as_number)
            model = Weights(**{f"w{k}": torch.ones(3, dtype=DOUBLE) * k for k in range(3)})
            optimizer = CASES[name].optimizer(list(model.parameters()))
            regularize(optimizer, {"*": pn.L1(0.1)}, model=model)
            rule = {f"w{k}": lambda w: w - 0.5 for k in range(3)}
            pulled(optimizer, model, rule, 12)
            found.append(torch.cat(weights(model)))
        monkeypatch.undo()
        assert (found[0] - found[1]).abs().max() <= 1e-12, name


# --- the other bounds ---


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "Lion"])
def test_decoupled_decay_is_adamws(optimizer):
    model, ours, handle = attached(MAKERS[optimizer], bounds={"0.weight": pn.WeightDecay(0.5)})
    before = model[0].weight.detach().clone()
    lr = ours.param_groups[0]["lr"]
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    ours.step()
    assert torch.allclose(model[0].weight, before * (1 - lr * 0.5))
    row = handle.report(steps_per_epoch=10).rows[0]
    assert row.timescale_steps == pytest.approx(2 / lr)
    assert row.timescale_epochs == pytest.approx(0.2 / lr)
    assert row.equilibrium == pytest.approx(lr**0.5)


def test_decay_under_adam_equals_adamw():
    twin = cases.net()
    theirs = torch.optim.AdamW(twin.parameters(), lr=0.01, weight_decay=0.3)
    run(twin, theirs, range(20))
    model, ours, _ = attached(MAKERS["Adam"], bounds={"*": pn.WeightDecay(0.3)})
    run(model, ours, range(20))
    for mine, yours in zip(weights(model), weights(twin), strict=True):
        assert (mine - yours).abs().max() <= 1e-6


def test_cautious_decay_spares_what_grows():
    model = Weights(w=torch.tensor([1.0, 1.0], dtype=DOUBLE))
    optimizer = SGD(model.parameters(), lr=0.1)
    regularize(optimizer, {"w": pn.WeightDecay(1.0, cautious=True)}, model=model)
    pulled(optimizer, model, {"w": lambda w: torch.tensor([1.0, -1.0])}, 1)
    assert torch.allclose(model.w, torch.tensor([0.8, 1.1], dtype=DOUBLE))


@pytest.mark.parametrize("measure", ["square", "absolute"])
def test_a_bound_on_the_size_is_held(measure):
    model = Weights(w=torch.full((20,), 0.1, dtype=DOUBLE))
    optimizer = ADAM(model.parameters(), lr=0.01)
    bound = CPR(0.05, measure=measure)
    handle = regularize(optimizer, {"w": bound}, model=model)
    pulled(optimizer, model, {"w": lambda w: w - 1}, 3000)
    assert pn.mean_size(model.w.detach(), measure=measure, xp=torch) <= 0.05 * (1 + 0.02)
    assert handle.report().rows[0].strength > 0


def test_another_strength_goes_on_from_the_same_weights():
    inputs, target = cases.diabetes()
    model = Weights(w=torch.zeros(10, dtype=DOUBLE))
    optimizer = SGD(model.parameters(), lr=0.03, momentum=0.9)
    handle = regularize(optimizer, {"w": pn.L1(40.0)}, model=model)
    gram, moment = 2 * inputs.T @ inputs / len(target), 2 * inputs.T @ target / len(target)
    for strength, zeros in ((40.0, 7), (10.0, 5), (2.0, 3)):
        handle.replace({"w": pn.L1(strength)})
        pulled(optimizer, model, {"w": lambda w: gram @ w - moment}, 1000)
        row = handle.report().rows[0]
        assert (row.zeros, row.strength) == (zeros, strength)
        assert abs(row.realised - strength) <= 1e-6 * strength
    before = optimizer.state_dict()["param_groups"]
    with pytest.raises(pondera.DomainError, match="unknown pattern 'v'"):
        handle.replace({"v": pn.L1(1.0)})
    assert optimizer.state_dict()["param_groups"] == before


def test_a_reference_stays_where_it_was():
    model = Weights(w=torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE))
    optimizer = ADAM(model.parameters(), lr=0.05)
    regularize(optimizer, {"w": pn.Distance(pn.L1(1.0), model.w.detach())}, model=model)
    centre = torch.tensor([1.5, 2.0, 0.5], dtype=DOUBLE)
    pulled(optimizer, model, {"w": lambda w: w - centre}, 2000)
    assert torch.allclose(model.w, torch.tensor([1.0, 1.0, 0.5], dtype=DOUBLE))
    assert model.w[0] == 1
    assert model.w[2] == 0.5


def test_adam_with_a_nuclear_penalty_never_raises():
    torch.manual_seed(0)
    model = nn.Linear(6, 5)
    optimizer = ADAM(model.parameters(), lr=0.01)
    regularize(optimizer, {"weight": pn.Nuclear(0.01)}, model=model)
    for step in range(20):
        model.weight.grad = torch.randn(5, 6) * torch.logspace(-8, 2, 6)
        model.bias.grad = torch.zeros(5)
        if step == 3:
            model.weight.grad[0] = 0
        optimizer.step()
    assert torch.isfinite(model.weight).all()
    assert np.isfinite(float(model.weight.detach().norm()))
