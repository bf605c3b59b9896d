"""The optimizer's step and the prox by the compiled kernel in one pass: PyTorch's step, its state, its ways.

Tier "ulp" against PyTorch's own step from equal state, "exact" where both paths are ours.
"""

import copy
import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")


from pondera.core import penalties as pn
from pondera.kernel import steps
from pondera.torch import Schedule, regularize, resume
from tests.bounds_cases import Weights, equal, net, run, weights
from tests.oracle import ulp

pytestmark = pytest.mark.skipif(not steps.available(), reason="no compiled kernel")
SGD, ADAM, ADAMW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
L1 = pn.L1(0.02)

STEPPING = {
    "SGD": (SGD, {}),
    "SGD decay, maximize": (SGD, {"weight_decay": 0.1, "maximize": True}),
    "SGD momentum": (SGD, {"momentum": 0.9}),
    "SGD dampening": (SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    "SGD Nesterov": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "SGD fused": (SGD, {"momentum": 0.9, "fused": True}),
    "SGD foreach": (SGD, {"momentum": 0.9, "foreach": True, "maximize": True}),
    "Adam": (ADAM, {}),
    "Adam coupled decay": (ADAM, {"weight_decay": 0.1}),
    "Adam decoupled decay": (ADAM, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "Adam amsgrad, maximize": (ADAM, {"amsgrad": True, "maximize": True, "weight_decay": 0.1}),
    "Adam foreach": (ADAM, {"foreach": True, "betas": (0.5, 0.9), "eps": 1e-3}),
    "AdamW": (ADAMW, {"weight_decay": 0.1}),
    "AdamW amsgrad": (ADAMW, {"weight_decay": 0.1, "amsgrad": True}),
    "AdamW maximize": (ADAMW, {"weight_decay": 0.1, "maximize": True}),
    "AdamW fused": (ADAMW, {"weight_decay": 0.1, "fused": True}),
}  # fmt: skip
each_stepping = pytest.mark.parametrize(("kind", "options"), STEPPING.values(), ids=STEPPING)
quiet = pytest.mark.filterwarnings("ignore:regularize")  # decay beside a penalty is meant here


def made(kind, bounds=None, *, one_pass=None, model=None, schedule=None, **options):
    """A small network under a penalty."""
    model = net() if model is None else model
    optimizer = kind(model.parameters(), lr=0.01, **options)
    bounds = {"*.weight": L1} if bounds is None else bounds
    handle = regularize(optimizer, bounds, model=model, fused=one_pass, schedule=schedule)
    return model, optimizer, handle


def how(handle):
    return [row.taken for row in handle.report().rows]


def near(ours, theirs, units, *operands):
    """Whether tensors agree within units in the last place of the largest number that went in."""
    sizes = torch.stack([x.detach().double().abs() for x in (theirs, *operands)]).amax(0)
    return bool(((ours.double() - theirs.double()).abs() <= units * ulp(np.float32) * sizes).all())


# --- PyTorch's step, its state ---


@quiet
@each_stepping
def test_at_strength_0_a_step_is_pytorch_s(kind, options):
    """From equal state each time; the state then has equal keys, dtypes and counts."""
    model, optimizer, handle = made(kind, {"*": pn.L1(0.0)}, **options)
    twin, plain = net(), kind(net().parameters(), lr=0.01)
    for step in range(30):
        twin = copy.deepcopy(model)
        plain = kind(twin.parameters(), lr=0.01, **options)
        plain.load_state_dict(bare(optimizer))
        before, held = weights(model), copy.deepcopy(plain.state_dict()["state"])
        run(model, optimizer, [step])
        run(twin, plain, [step])
        ours, theirs = optimizer.state_dict()["state"], plain.state_dict()["state"]
        assert how(handle) == ["fused"] * 4
        for place, (mine, peer) in enumerate(
            zip(model.parameters(), twin.parameters(), strict=True)
        ):
            assert near(mine, peer, 2, before[place])
            for key, kept in theirs.get(place, {}).items():
                assert ours[place][key].dtype == kept.dtype
                old = held.get(place, {}).get(key, kept)
                old = old if kept.shape else kept  # the step's count
                pushed = mine.grad.abs() + before[place].abs() if kept.shape else kept
                assert near(ours[place][key], kept, 4, old, pushed)


def bare(optimizer):
    """What a plain optimizer would save."""

    def theirs(entries):
        return {k: v for k, v in entries.items() if not str(k).startswith("pondera")}

    saved = copy.deepcopy(optimizer.state_dict())
    groups = [theirs(group) for group in saved["param_groups"]]
    return {"state": {k: theirs(v) for k, v in saved["state"].items()}, "param_groups": groups}


@quiet
@each_stepping
@pytest.mark.parametrize(
    "bound", [L1, pn.ElasticNet(0.01, 0.1), pn.GroupLasso(0.01, pn.Groups.rows())]
)
def test_one_pass_does_what_two_do(kind, options, bound):
    model, optimizer, handle = made(kind, {"*.weight": bound}, **options)
    twin, other, apart = made(kind, {"*.weight": bound}, one_pass=False, **options)
    run(model, optimizer, range(40))
    run(twin, other, range(40))
    grouped = kind is SGD and isinstance(bound, pn.GroupLasso)
    assert how(handle) == (["framework"] if grouped else ["fused"]) * 2
    assert set(how(apart)) <= {"separate", "framework"}
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert (ours - theirs).abs().max() <= 100 * ulp(np.float32)
        assert torch.equal(ours == 0, theirs == 0)


@quiet
@each_stepping
@pytest.mark.parametrize("fused_first", [True, False])
def test_a_checkpoint_goes_from_one_to_the_other(kind, options, fused_first):
    model, optimizer, _ = made(kind, one_pass=None if fused_first else False, **options)
    run(model, optimizer, range(10))
    saved = copy.deepcopy(optimizer.state_dict())
    twin = copy.deepcopy(model)
    plain = kind(twin.parameters(), lr=0.5, **options)
    plain.load_state_dict(saved)  # PyTorch's own step goes on with it
    run(twin, plain, range(10, 12))

    fresh, other, handle = made(kind, one_pass=False if fused_first else None, **options)
    fresh.load_state_dict(twin.state_dict())
    other.load_state_dict(bare(plain))
    run(fresh, other, range(12, 30))
    assert (how(handle) == ["fused"] * 2) is not fused_first
    assert all(torch.isfinite(p).all() for p in weights(fresh))
    counts = [float(state["step"]) for state in other.state.values() if "step" in state]
    assert counts == [30.0] * len(counts)


@pytest.mark.parametrize("kind", [SGD, ADAM, ADAMW])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(kind):
    options = {"momentum": 0.9} if kind is SGD else {"weight_decay": 0.0}
    schedule = Schedule(40, course="cosine", warmup=5)
    model, optimizer, handle = made(kind, schedule=schedule, one_pass=True, **options)
    run(model, optimizer, range(10))
    buffer = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], buffer)
    run(model, optimizer, range(10, 20))
    buffer.seek(0)
    again, fresh = net(), None
    saved = torch.load(buffer, weights_only=True)
    again.load_state_dict(saved[0])
    fresh = kind(again.parameters(), lr=0.5, **options)
    fresh.load_state_dict(saved[1])
    other = resume(fresh)
    run(again, fresh, range(10, 20))
    assert equal(weights(again), weights(model))
    assert other.report() == handle.report()
    assert how(other) == ["fused"] * 2


def test_copies_go_on_fused():
    model, optimizer, _ = made(ADAM)
    run(model, optimizer, range(5))
    twin, copied = copy.deepcopy((model, optimizer))
    run(model, optimizer, range(5, 15))
    run(twin, copied, range(5, 15))
    assert equal(weights(twin), weights(model))
    assert how(resume(copied)) == ["fused"] * 2


def test_detach_gives_pytorch_s_own_step_back():
    model, optimizer, handle = made(ADAMW, weight_decay=0.0)
    run(model, optimizer, range(10))
    handle.detach()
    twin = copy.deepcopy(model)
    plain = ADAMW(twin.parameters(), lr=0.01, weight_decay=0.0)
    plain.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(model, optimizer, range(10, 20))
    run(twin, plain, range(10, 20))
    assert equal(weights(model), weights(twin))
    assert optimizer.state_dict()["param_groups"] == plain.state_dict()["param_groups"]


# --- the optimum, weights that never had a gradient ---


@pytest.mark.parametrize(
    ("kind", "rate", "options"),
    [(SGD, 0.05, {"momentum": 0.9}), (ADAM, 0.3, {}), (ADAM, 0.3, {"amsgrad": True})],
)
def test_the_lasso_s_optimum_is_reached(kind, rate, options):
    """A diagonal problem: every coordinate's optimum is a soft threshold."""
    torch.manual_seed(0)
    curvature, centre = torch.rand(6, 7) + 0.5, torch.randn(6, 7)
    model = Weights(w=torch.randn(6, 7))
    optimizer = kind(model.parameters(), lr=rate, **options)
    handle = regularize(optimizer, {"w": pn.L1(0.5)}, model=model, fused=True)
    for _ in range(2000):
        optimizer.zero_grad()
        (0.5 * curvature * (model.w - centre) ** 2).sum().backward()
        optimizer.step()
    expected = centre.sign() * (centre.abs() - 0.5 / curvature).clamp(min=0)
    assert (model.w - expected).abs().max() <= 1e-5
    assert torch.equal(model.w == 0, expected == 0)
    assert abs(handle.report().rows[0].realised - 0.5) <= 1e-3
    assert how(handle) == ["fused"]


@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize("amsgrad", [True, False])
def test_a_silent_unit_is_not_lost_in_its_first_steps(fused, amsgrad):
    """It shrinks by lr·λ a step; by lr/eps it would be gone at once. After 1000 steps it counts as dead."""
    model = Weights(w=torch.ones(2, 3))
    optimizer = ADAM(model.parameters(), lr=0.01, amsgrad=amsgrad)
    handle = regularize(optimizer, {"w": pn.L1(0.001)}, model=model, fused=fused)
    for step in range(1001):
        model.w.grad = torch.tensor([[0.0] * 3, [1.0, -1.0, 1.0]]) * (-1) ** step
        optimizer.step()
        if step in (1, 500, 999):
            expected = torch.full((3,), 1 - 1e-5 * (step + 1))
            assert near(model.w[0], expected, step + 1)
    assert how(handle) == ["fused" if fused is None else "separate"]
    assert model.w[0].tolist() == [0.0] * 3
    assert (model.w[1] != 0).all()
