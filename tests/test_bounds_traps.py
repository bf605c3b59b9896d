"""Penalties through copies, pickles, checkpoints, gradient scalers and accumulation."""

import copy
import io
import pickle

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn

from pondera.core import penalties as pn
from pondera.torch import Schedule, regularize, resume
from tests.bounds_cases import BOUNDS, MAKERS, Weights, attached, batch, equal, net, run, weights

DOUBLE = torch.float64
ADAM = torch.optim.Adam
each_maker = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)


# --- copies and checkpoints ---


@each_maker
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("order", ["load then resume", "regularize then load"])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(maker, dtype, order):
    schedule = Schedule(40, course="cosine", warmup=5)
    model, optimizer, handle = attached(maker, dtype, schedule=schedule)
    run(model, optimizer, range(10), dtype)
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
    run(model, optimizer, range(10, 20), dtype)

    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    again = net(dtype)
    again.load_state_dict(saved["model"])
    fresh = maker(again.parameters())
    if order == "regularize then load":
        other = regularize(fresh, BOUNDS, model=again, schedule=schedule)
        fresh.load_state_dict(saved["optimizer"])
    else:
        fresh.load_state_dict(saved["optimizer"])
        other = resume(fresh)
    run(again, fresh, range(10, 20), dtype)
    assert equal(weights(again), weights(model))
    assert str(other.report()) == str(handle.report())


@each_maker
@pytest.mark.parametrize("through", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_optimizer_keeps_the_penalty(maker, through):
    model, optimizer, _ = attached(maker)
    run(model, optimizer, range(5))
    twin, copied = through((model, optimizer))
    assert (
        type(copied).__name__ == type(optimizer).__name__ == type(maker([nn.Parameter()])).__name__
    )
    run(model, optimizer, range(5, 15))
    run(twin, copied, range(5, 15))
    assert equal(weights(twin), weights(model))
    assert [row.steps for row in (resume(copied).report(), resume(optimizer).report())] == [15, 15]


def test_copying_before_the_first_step_keeps_the_penalty_too():
    model, optimizer, _ = attached(MAKERS["Adam"])
    twin, copied = copy.deepcopy((model, optimizer))
    run(model, optimizer, range(5))
    run(twin, copied, range(5))
    assert equal(weights(twin), weights(model))


def test_a_checkpoint_without_bounds_leaves_those_that_are_attached():
    bare = net()
    plain = ADAM(bare.parameters(), lr=0.01)
    run(bare, plain, range(3))
    model, optimizer, handle = attached(MAKERS["Adam"])
    optimizer.load_state_dict(plain.state_dict())
    before = [row.way for row in handle.report().rows]
    assert before == ["metric", "metric"]
    run(model, optimizer, range(3, 400))
    assert handle.report().rows[0].zeros > 0


def test_a_checkpoint_with_other_bounds_wins_and_says_so():
    _, stronger, _ = attached(MAKERS["SGD"], bounds={"0.weight": pn.L1(0.5)})
    _, optimizer, handle = attached(MAKERS["SGD"], bounds={"0.weight": pn.L1(0.1)})
    with pytest.warns(UserWarning, match="the checkpoint holds other bounds than those attached"):
        optimizer.load_state_dict(stronger.state_dict())
    assert handle.report().rows[0].strength == 0.5


def test_a_plain_optimizer_can_load_a_regularised_one():
    model, optimizer, _ = attached(MAKERS["Adam"])
    run(model, optimizer, range(3))
    plain = ADAM(net().parameters(), lr=0.5)
    plain.load_state_dict(optimizer.state_dict())
    assert plain.param_groups[0]["lr"] == 0.01


# --- gradient scalers, accumulation, clipping ---


@pytest.mark.parametrize("maker", ["Adam", "Adam fused", "Lion"])
def test_a_gradient_scaler_changes_nothing(maker):
    plain, optimizer, _ = attached(MAKERS[maker])
    run(plain, optimizer, range(20))
    model, scaled, _ = attached(MAKERS[maker])
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(20):
        inputs, target = batch(step)
        scaled.zero_grad()
        scaler.scale((model(inputs) - target).square().mean()).backward()
        scaler.step(scaled)
        scaler.update()
    for ours, theirs in zip(weights(model), weights(plain), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5


@pytest.mark.parametrize("maker", ["Adam", "Adam fused", "SGD", "Lion"])
@pytest.mark.parametrize("first", [True, False])
def test_a_skipped_step_moves_no_weight(maker, first):
    model, optimizer, handle = attached(MAKERS[maker])
    run(model, optimizer, range(0 if first else 5))
    scaler = torch.amp.GradScaler("cpu")
    before, counted = weights(model), handle.report().steps
    inputs, _ = batch(9)
    optimizer.zero_grad()
    scaler.scale(model(inputs * torch.inf).square().mean()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert equal(weights(model), before)
    assert handle.report().steps == counted
    run(model, optimizer, range(10, 13))
    assert all(torch.isfinite(p).all() for p in weights(model))


class Scaling(torch.optim.Optimizer):
    """Divides by the scale itself, as fused optimizers do, and has no metric."""

    _step_supports_amp_scaling = True

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        factor = getattr(self, "grad_scale", None) or torch.tensor(1.0)
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * p.grad / factor)


def test_hooks_see_through_a_scaled_gradient():
    model = Weights(w=torch.tensor([1.0, 0.0, 0.0], dtype=DOUBLE))
    optimizer = Scaling(model.parameters(), lr=0.1)
    regularize(optimizer, {"w": pn.L1(1.0)}, model=model)
    optimizer.grad_scale, optimizer.found_inf = torch.tensor(1024.0), torch.tensor(0.0)
    model.w.grad = 1024 * torch.tensor([0.5, 0.9, -3.0], dtype=DOUBLE)
    optimizer.step()
    assert torch.allclose(model.w, torch.tensor([0.85, 0.0, 0.2], dtype=DOUBLE))
    assert model.w.grad.tolist() == [512.0, 1024 * 0.9, -3072.0]


def test_micro_steps_of_accumulated_gradients_are_one_step():
    model, optimizer, handle = attached(MAKERS["SGD"], DOUBLE)
    twin, other, _ = attached(MAKERS["SGD"], DOUBLE)
    inputs, target = batch(0, DOUBLE)
    for _ in range(3):
        other.zero_grad()
        (twin(inputs) - target).square().mean().backward()
        other.step()
        optimizer.zero_grad()
        for part in range(4):
            rows = slice(4 * part, 4 * part + 4)
            ((model(inputs[rows]) - target[rows]).square().mean() / 4).backward()
        optimizer.step()
    assert handle.report().steps == 3
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        assert (ours - theirs).abs().max() <= 1e-12


@pytest.mark.parametrize("maker", ["SGD", "Lion"])
def test_the_callers_gradients_stay_as_they_are(maker):
    model, optimizer, _ = attached(MAKERS[maker])
    inputs, target = batch(0)
    (model(inputs) - target).square().mean().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    grads = [p.grad for p in model.parameters()]
    before = [grad.clone() for grad in grads]
    optimizer.step()
    assert all(p.grad is g for p, g in zip(model.parameters(), grads, strict=True))
    assert equal(grads, before)


@pytest.mark.parametrize("maker", ["SGD", "Adam", "Lion"])
def test_weights_without_a_gradient_are_not_shrunk(maker):
    model, optimizer, _ = attached(MAKERS[maker], bounds={"*": pn.L1(0.5)})
    before = weights(model)
    optimizer.step()
    assert equal(weights(model), before)
    model[0].weight.requires_grad_(False)
    run(model, optimizer, range(3))
    assert torch.equal(model[0].weight, before[0])
    assert not torch.equal(model[2].weight, before[2])


# --- what a training run may do to its own optimizer ---


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


def trained(model, optimizer, steps):
    inputs, targets = torch.randn(16, 6), torch.randn(16, 4)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()


def test_the_state_of_one_parameter_may_be_dropped():
    """As where weights are drawn anew: joined pieces do not go on with a state that is gone."""
    ends = []
    for forgetting in (False, True):
        model = two_layers()
        optimizer = torch.optim.NAdam(model.parameters(), lr=0.01)
        handle = regularize(optimizer, {"*.weight": pn.L1(0.01)}, model=model)
        trained(model, optimizer, 5)
        del optimizer.state[model[2].weight]
        if forgetting:
            handle._engine.forget()
        trained(model, optimizer, 20)
        ends.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_a_parameter_that_replaces_another_takes_over_its_bound():
    model = two_layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle = regularize(optimizer, {"2.weight": pn.L1(1.0)}, model=model)
    trained(model, optimizer, 2)
    model[2].weight = nn.Parameter(torch.randn(4, 5))
    optimizer.param_groups[0]["params"][2] = model[2].weight
    trained(model, optimizer, 60)
    assert not model[2].weight.any()
    assert handle.report().rows[0].zeros == 20


def test_a_later_bound_begins_its_own_schedule():
    model = two_layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    regularize(optimizer, {"0.weight": pn.L1(0.01)}, model=model)
    trained(model, optimizer, 50)
    rising = Schedule(100, warmup=40)
    later = regularize(optimizer, {"2.weight": pn.L1(0.4)}, model=model, schedule=rising)
    trained(model, optimizer, 1)
    report = later.report()
    assert report.steps == 1
    assert report.rows[0].strength == pytest.approx(0.4 * 2 / 40)  # of the step to come


def test_gradients_are_given_back_after_a_step_that_fails():
    """Fused steps hide what they took: an error in what is left to the optimizer does not lose it."""
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "e": nn.Embedding(4, 4, sparse=True)})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    regularize(optimizer, {"a.weight": pn.L1(0.01)}, model=model)
    model["a"](torch.ones(2, 4)).sum().backward()
    optimizer.step()
    model["e"](torch.tensor([1])).sum().backward()
    gradient = model["a"].weight.grad
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    model["e"].weight.grad = None
    optimizer.step()
    assert model["a"].weight.grad is gradient


def test_a_report_of_an_optimizer_that_chooses_its_own_rate():
    class Own(torch.optim.Optimizer):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.data -= 0.1 * p.grad

    model = two_layers()
    optimizer = Own(model.parameters(), {})
    handle = regularize(optimizer, {"*.weight": pn.L1(0.01)}, model=model)
    trained(model, optimizer, 3)
    assert [row.timescale_steps for row in handle.report().rows] == [None, None]
