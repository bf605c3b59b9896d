"""Fused steps among closures, hooks, scalers, schedulers and compilers; what they leave to PyTorch."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn

from pondera.core import penalties as pn
from pondera.kernel import steps
from pondera.torch import regularize
from tests.bounds_cases import Weights, batch, equal, net, run, weights
from tests.oracle import ulp
from tests.test_bounds_fused import ADAM, ADAMW, L1, SGD, how, made, near

pytestmark = pytest.mark.skipif(not steps.available(), reason="no compiled kernel")

# --- scalers, closures, hooks, schedulers, groups ---


@pytest.mark.parametrize("kind", [SGD, ADAM, ADAMW])
@pytest.mark.parametrize("torch_fused", [True, False])
def test_a_gradient_scaler_is_heeded(kind, torch_fused):
    options = {"fused": torch_fused} | ({"momentum": 0.9} if kind is SGD else {"weight_decay": 0.0})
    plain, optimizer, _ = made(kind, **options)
    run(plain, optimizer, range(12))
    model, scaled, handle = made(kind, **options)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(12):
        for spoiled in [True, False] if step in (3, 7) else [False]:
            inputs, target = batch(step)
            scaled.zero_grad()
            before, state = weights(model), copy.deepcopy(scaled.state_dict()["state"])
            loss = (model(inputs) - target).square().mean() * (torch.inf if spoiled else 1.0)
            scaler.scale(loss).backward()
            scaler.step(scaled)
            scaler.update()
            if spoiled:
                assert equal(weights(model), before)
                assert repr(scaled.state_dict()["state"]) == repr(state)
            assert all(p.grad is not None for p in model.parameters())
    assert handle.report().steps == 12
    assert how(handle) == ["fused"] * 2
    for ours, theirs in zip(weights(model), weights(plain), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", [SGD, ADAM])
def test_a_closure_gives_the_same_steps_and_its_loss(kind):
    model, optimizer, handle = made(kind)
    twin, other, _ = made(kind)
    run(twin, other, range(10))
    for step in range(10):
        inputs, target = batch(step)

        def closure(inputs=inputs, target=target):
            optimizer.zero_grad()
            loss = (model(inputs) - target).square().mean()
            loss.backward()
            return loss

        with torch.no_grad():
            loss = (model(inputs) - target).square().mean()
        assert torch.equal(optimizer.step(closure), loss)
    assert equal(weights(model), weights(twin))
    assert how(handle) == ["fused"] * 2
    assert optimizer.step() is None


@pytest.mark.parametrize("early", [True, False])
def test_hooks_of_others_see_gradients_before_and_weights_after(early):
    """Also a pre-hook that clips behind ours, and a post-hook that was there first."""
    seen = []

    def clip(optimizer, args, kwargs):
        nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 0.01)

    def look(optimizer, args, kwargs):
        seen.append(
            [(p.detach().clone(), p.grad.clone()) for p in optimizer.param_groups[0]["params"]]
        )

    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    if early:
        optimizer.register_step_pre_hook(clip)
        optimizer.register_step_post_hook(look)
    handle = regularize(optimizer, {"*.weight": L1}, model=model, fused=True)
    if not early:
        optimizer.register_step_pre_hook(clip)
        optimizer.register_step_post_hook(look)
    before = weights(model)
    run(model, optimizer, [0])
    for (after, grad), old, w in zip(seen[0], before, model.parameters(), strict=True):
        assert torch.equal(after, w)
        assert grad is not w.grad
        assert torch.equal(grad, w.grad)
        if w.ndim == 2:
            expected = L1.prox(old - 0.1 * grad, step=0.1, xp=torch)
            assert near(w, expected, 2, old)
    assert torch.stack([g.norm() for _, g in seen[0]]).norm() <= 0.01 * 1.001
    assert how(handle) == ["fused"] * 2


def test_a_pre_hook_that_brings_its_own_closure_gets_the_plain_step():
    model, optimizer, _ = made(SGD, momentum=0.9)
    twin, other, _ = made(SGD, one_pass=False, momentum=0.9)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: None), {}))
    run(model, optimizer, range(20))
    run(twin, other, range(20))
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        assert (ours - theirs).abs().max() <= 10 * ulp(np.float32)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("early", [True, False])
def test_learning_rate_schedulers_act(early):
    model = Weights(w=torch.ones(3))
    optimizer = SGD(model.parameters(), lr=0.1)
    step_lr = torch.optim.lr_scheduler.StepLR
    course = step_lr(optimizer, 1, 0.5) if early else None
    regularize(optimizer, {"w": pn.L1(1.0)}, model=model, fused=True)
    course = course or step_lr(optimizer, 1, 0.5)
    for _ in range(3):
        model.w.grad = torch.zeros(3)
        optimizer.step()
        course.step()
    assert near(model.w, torch.full((3,), 1 - 0.1 * 1.75), 2)


def test_groups_keep_their_own_numbers():
    """Other rates, decays, betas and counts; a group that is added later; weights without a gradient."""
    torch.manual_seed(0)
    start = {f"w{k}": torch.randn(4, 5) for k in range(4)}
    found = []
    for fused in (None, False):
        model = Weights(**copy.deepcopy(start))
        named = dict(model.named_parameters())
        optimizer = ADAM([
            {"params": [named["w0"], named["w1"]], "lr": 0.02},
            {"params": [named["w2"]], "lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1},
        ])  # fmt: skip
        handle = regularize(optimizer, {"w*[012]": L1}, model=model, fused=fused)
        for step in range(20):
            if step == 5:
                optimizer.add_param_group({"params": [named["w3"]], "lr": 0.05, "amsgrad": True})
                regularize(optimizer, {"w3": pn.L2(0.1)}, model=model, fused=fused)
            for index, w in enumerate(named.values()):
                w.grad = (w.detach() - 0.3) * (1 + index) if step % (index + 2) else None
            optimizer.step()
        found.append(weights(model))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() <= 20 * ulp(np.float32)
    assert set(how(handle)) == {"separate"}


def test_what_the_kernel_cannot_take_goes_as_before():
    """Another penalty, dtype, layout, an unbounded weight: one optimizer, each in its way."""
    torch.manual_seed(0)

    def model():
        return Weights(
            plain=torch.randn(4, 5),
            turned=torch.randn(5, 4).t(),
            coarse=torch.randn(4, 5).bfloat16(),
            wide=torch.randn(4, 5).double(),
            other=torch.randn(4, 5),
            columns=torch.randn(4, 5),
            free=torch.randn(3),
        )

    bounds = {
        "plain": L1, "turned": L1, "coarse": L1, "wide": L1,
        "other": pn.MCP(0.02, 5.0), "columns": pn.GroupLasso(0.02, pn.Groups.columns()),
    }  # fmt: skip
    ours, theirs = model(), None
    theirs = copy.deepcopy(ours)
    found = []
    for source, fused in ((ours, None), (theirs, False)):
        optimizer = ADAM(source.parameters(), lr=0.01)
        found.append(regularize(optimizer, bounds, model=source, fused=fused))
        for _ in range(10):
            for w in source.parameters():
                w.grad = w.detach() - 0.1
            optimizer.step()
    rows = {row.name: row for row in found[0].report().rows}
    assert {name for name, row in rows.items() if row.taken == "fused"} == {"plain"}
    assert rows["turned"].taken_why == "the weights are not contiguous"
    assert rows["coarse"].taken_why == "the weights are torch.bfloat16"
    assert rows["wide"].taken_why == "the weights are torch.float64"
    assert rows["other"].taken_why == "the kernel has no MCP under Adam"
    assert rows["columns"].taken_why == "the kernel has no GroupLasso under Adam but on rows"
    assert {row.taken for row in found[1].report().rows} == {"separate", "framework"}
    for mine, peer in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (mine - peer).abs().max() <= 10 * ulp(np.float32)


def test_gradients_and_state_that_cannot_be_read_wait_a_step():
    found = []
    for fused in (None, False):
        torch.manual_seed(0)
        model = Weights(w=torch.randn(4, 5))
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        handle = regularize(optimizer, {"w": L1}, model=model, fused=fused)
        for step in range(12):
            grad = torch.randn(5, 4).t() if step % 3 else torch.randn(4, 5)
            model.w.grad = torch._neg_view(grad.contiguous()) if step == 9 else grad
            optimizer.step()
            if fused is None and step == 10:
                assert handle.report().rows[0].taken_why == "the gradient is not contiguous"
        found.append(weights(model))
    assert equal(*found)


def test_a_converted_module_is_never_misread():
    """The memory behind a parameter changes under the optimizer's feet: float64, then turned."""
    model, optimizer, handle = made(SGD)
    run(model, optimizer, range(3))
    model.double()
    run(model, optimizer, range(3, 6), torch.float64)
    assert how(handle) == ["framework"] * 2
    model.float()
    model[0].weight.data = model[0].weight.data.t().contiguous().t()
    run(model, optimizer, range(6, 9))
    assert how(handle) == ["framework", "fused"]
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_autograd_notices_the_step():
    w = nn.Parameter(torch.ones(3))
    model = Weights(w=w)
    optimizer = SGD(model.parameters(), lr=0.1)
    regularize(optimizer, {"w": L1}, model=model, fused=True)
    loss = (model.w**3).sum()
    model.w.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_subclass_with_a_step_of_its_own_is_not_bypassed():
    class Twice(ADAM):
        def step(self, closure=None):
            super().step(closure)
            return super().step()

    model, optimizer, handle = made(Twice)
    run(model, optimizer, range(3))
    assert float(optimizer.state[model[0].weight]["step"]) == 6
    assert how(handle) == ["framework"] * 2


def test_a_subclass_without_one_is_fused():
    class Named(ADAM):
        pass

    model, optimizer, handle = made(Named)
    run(model, optimizer, range(3))
    assert how(handle) == ["fused"] * 2


@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", [SGD, ADAM])
def test_a_compiled_step_still_regularises(kind, whole):
    twin, other, _ = made(kind)
    run(twin, other, range(6))
    model, optimizer, handle = made(kind)

    def train(inputs, target):
        optimizer.zero_grad()
        (model(inputs) - target).square().mean().backward()
        optimizer.step() if whole else step()

    step = torch.compile(optimizer.step, backend="eager")
    train = torch.compile(train, backend="eager") if whole else train
    for index in range(6):
        train(*batch(index))
    torch.compiler.reset()
    assert handle.report().steps == 6
    assert how(handle) == ["fused"] * 2
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5
