"""Fused steps against PyTorch's own, and their prox against core.penalties in float64 (tier "ulp").

A step is compared from equal state: both move once from the same numbers, several hundred times.
"""

import itertools

import numpy as np
import pytest

from pondera.core.errors import DomainError, MissingFramework
from pondera.core.penalties import L1, ElasticNet, GroupLasso, Groups, SparseGroupLasso
from pondera.kernel import pool, steps, team
from pondera.kernel.library import LEVELS
from pondera.kernel.rules import Prox, Tensors
from tests.kernel_levels import force, running_at
from tests.oracle import ulp

torch = pytest.importorskip("torch")

from pondera.torch.bounds.team import lend_threads

compiled = running_at(LEVELS[1:])
STEPS = 200
SIZES = (48, 1003)  # whole vectors; and more than a block, with a tail
BUFFERS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


def addresses(weight, state, rows=1):
    """What the kernel is told of a parameter and of PyTorch's state for it."""
    buffers = [state[key].data_ptr() if key in state else 0 for key in BUFFERS]
    grad = weight.grad.data_ptr()
    return Tensors(weight.data_ptr(), grad, *buffers, rows, weight.numel() // rows)


def gradient(size, generator):
    """Many magnitudes, zeros among them."""
    spread = torch.randn(size, generator=generator) * torch.rand(size, generator=generator) ** 8
    return torch.where(torch.rand(size, generator=generator) < 0.05, 0.0, spread)


def off(found, expected, *operands):
    """Largest difference, in units of the last place of the largest number that went in."""
    pieces = [x.detach().double().abs() for x in (expected, *operands)]
    unit = torch.stack(pieces).amax(0) * ulp(np.float32)
    error = (found.detach().double() - expected.detach().double()).abs()
    return float(torch.where(error == 0, 0.0, error / unit).max())


# --- without a penalty: PyTorch's step ---


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("decoupled", "amsgrad", "maximize", "betas"),
    [
        *itertools.product([True, False], [True, False], [True, False], [(0.9, 0.999)]),
        (True, False, False, (0.3, 0.7)),
    ],
)
def test_adam_takes_pytorch_s_step(compiled, size, decoupled, amsgrad, maximize, betas):
    generator = torch.Generator().manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(size, generator=generator))
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    options = {"lr": 3e-3, "weight_decay": 0.1, "maximize": maximize, "betas": betas}
    optimizer = kind([theirs], fused=True, amsgrad=amsgrad, **options)
    state = {key: torch.zeros(size) for key in BUFFERS[: 3 if amsgrad else 2]}
    for count in range(1, STEPS + 1):
        theirs.grad = gradient(size, generator)
        ours = theirs.detach().clone()
        ours.grad, before = theirs.grad.clone(), ours.clone()
        optimizer.step()
        made = addresses(ours, state)
        steps.adam_step([made], count=count, decoupled=decoupled, **options)
        pushed = theirs.grad + 0.1 * before.abs()
        assert off(ours, theirs, before) <= 2
        assert off(state["exp_avg"], optimizer.state[theirs]["exp_avg"], pushed, before) <= 2
        for key in state:
            if key != "exp_avg":
                assert (
                    off(state[key], optimizer.state[theirs][key]) <= 4
                )  # a square: twice the error
            state[key].copy_(optimizer.state[theirs][key])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov"),
    [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.1, False), (0.9, 0.0, True)],
)
@pytest.mark.parametrize("maximize", [False, True])
def test_sgd_takes_pytorch_s_step(compiled, size, momentum, dampening, nesterov, maximize):
    generator = torch.Generator().manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(size, generator=generator))
    options = {"lr": 0.1, "momentum": momentum, "dampening": dampening, "nesterov": nesterov}
    options |= {"weight_decay": 0.01, "maximize": maximize}
    optimizer = torch.optim.SGD([theirs], fused=True, **options)
    buffer = torch.full((size,), torch.nan)  # what it holds at the start is not read
    for count in range(STEPS):
        theirs.grad = gradient(size, generator)
        ours, before, held = theirs.detach().clone(), theirs.detach().clone(), buffer.nan_to_num(0)
        ours.grad = theirs.grad.clone()
        optimizer.step()
        made = Tensors(
            ours.data_ptr(),
            ours.grad.data_ptr(),
            first=buffer.data_ptr() if momentum else 0,
            columns=size,
        )
        steps.sgd_step([made], step=1.0, starts=count == 0, **options)
        assert off(ours, theirs, before, held, theirs.grad) <= 2
        if momentum:
            kept = optimizer.state[theirs]["momentum_buffer"]
            assert off(buffer, kept, before, held, theirs.grad) <= 2
            buffer.copy_(kept)


def test_whole_vectors_get_pytorch_s_bits(compiled):
    """Where PyTorch has a fused multiply-add nothing is left of the 2 ulp, but for its scalar tails."""
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("PyTorch runs other instructions here")
    generator = torch.Generator().manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(4096, generator=generator))
    ours = theirs.detach().clone()
    optimizer = torch.optim.AdamW([theirs], lr=3e-3, fused=True)
    state = {key: torch.zeros(4096) for key in BUFFERS[:2]}
    for count in range(1, STEPS + 1):
        theirs.grad = gradient(4096, generator)
        ours.grad = theirs.grad.clone()
        optimizer.step()
        steps.adam_step([addresses(ours, state)], count=count, lr=3e-3, weight_decay=0.01)
    assert torch.equal(ours, theirs)
    assert all(torch.equal(state[key], optimizer.state[theirs][key]) for key in state)


@pytest.mark.parametrize("found_inf", [False, True])
def test_scaled_gradients_are_treated_as_pytorch_treats_them(compiled, found_inf):
    generator = torch.Generator().manual_seed(0)
    weight, grad = (torch.randn(64, generator=generator) for _ in range(2))
    state = {key: torch.rand(64, generator=generator) for key in BUFFERS[:2]}
    theirs, their_grad = weight.clone(), grad.clone()
    their_state = [state[key].clone() for key in BUFFERS[:2]]
    weight.grad, options = grad, {"lr": 0.1, "weight_decay": 0.1}
    torch._fused_adamw_(
        [theirs],
        [their_grad],
        [their_state[0]],
        [their_state[1]],
        [],
        [torch.tensor(7.0)],
        **options,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
        grad_scale=torch.tensor(3.0),
        found_inf=torch.tensor(float(found_inf)),
    )
    made = [addresses(weight, state)]
    steps.adam_step(made, count=7, grad_scale=3.0, found_inf=found_inf, **options)
    assert torch.equal(grad, their_grad)
    assert off(weight, theirs) <= 2
    assert off(state["exp_avg"], their_state[0], grad) <= 2


# --- the prox: core.penalties in the optimizer's metric ---

PENALTIES = {
    "l1": (Prox(l1=0.02), L1(0.02)),
    "elastic net": (Prox(l1=0.01, l2=0.4), ElasticNet(0.01, 0.4)),
    "rows": (Prox(group=0.05), GroupLasso(0.05, Groups.rows())),
    "rows, unweighted": (
        Prox(group=0.3, size_weighted=False),
        GroupLasso(0.3, Groups.rows(), size_weighted=False),
    ),
    "sparse rows": (Prox(l1=0.01, group=0.03), SparseGroupLasso(0.01, 0.03, Groups.rows())),
}
SHAPES = ((1, 1), (60, 1), (50, 3), (9, 16), (20, 37), (7, 1100), (3, 5000))


def sample(shape, seed=0):
    """Weights, gradients, both means; steps spread over many magnitudes, some rows die."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(shape) * rng.random((shape[0], 1)) ** 4
    weight[::5] = 0
    second = rng.random(shape) ** 6 * np.exp(3 * rng.standard_normal(shape))
    made = (weight, 0.1 * rng.standard_normal(shape), 0.1 * rng.standard_normal(shape), second)
    return [np.asarray(x, np.float32) for x in made]


def told(weight, grad, first, second, peak=None):
    places = [0 if x is None else x.ctypes.data for x in (weight, grad, first, second, peak)]
    return Tensors(*places, *weight.shape)


def metric(second, lr=0.01, count=50, beta2=0.999):
    return lr / (np.sqrt(second.astype(np.float64) / (1 - beta2**count)) + 1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_prox_in_adam_s_metric_is_core_s(compiled, penalty, shape):
    prox, meant = PENALTIES[penalty]
    weight, grad, first, second = sample(shape)
    expected = meant.prox(weight.astype(np.float64), step=metric(second))
    before = weight.copy()
    steps.adam_prox([told(weight, grad, first, second)], count=50, lr=0.01, prox=prox)
    # a threshold is rounded some six times, and then taken off: errors are of the weight's size
    near = 8 * ulp(np.float32) * np.abs(before)
    assert np.all(np.abs(weight - expected) <= near)
    sure = np.abs(expected) > near
    assert np.array_equal(weight[sure] == 0, expected[sure] == 0)
    if prox.group:
        assert np.array_equal(weight.any(1), expected.any(1))


def test_a_row_dies_exactly_where_its_zero_test_says(compiled):
    """Rows scaled to either side of Σ(z/c)² = 1, by more than float32's rounding of the sum."""
    weight, *_, second = sample((40, 37), seed=3)
    weight[::5] = weight[1]
    c = metric(second) * 0.05 * np.sqrt(37)
    total = np.sum((weight / c) ** 2, axis=1, keepdims=True)
    lives = np.arange(40) % 2 == 0
    weight *= np.sqrt((1 + np.where(lives, 1e-4, -1e-4)[:, None]) / total)
    steps.adam_prox([told(weight, None, None, second)], count=50, lr=0.01, prox=Prox(group=0.05))
    assert np.array_equal(weight.any(1), lives)


def test_rows_of_extreme_metrics_are_core_s(compiled):
    """Weights and steps over up to 60 magnitudes, steps of weights that never had a gradient."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        shape, spread = (4, int(rng.choice([1, 2, 17, 600]))), rng.choice([0, 1, 5, 15, 30])
        wide = np.exp(rng.choice([0, 4, 10]) * rng.standard_normal(shape))
        weight = (rng.standard_normal(shape) * wide).astype(np.float32)
        second = np.exp(np.clip(spread * rng.standard_normal(shape), -80, 80)).astype(np.float32)
        second[rng.random(shape) < 0.1] = 0
        strength, before = float(np.exp(rng.uniform(-12, 3))), weight.copy()
        meant = GroupLasso(strength, Groups.rows())
        expected = meant.prox(weight.astype(np.float64), step=metric(second))
        steps.adam_prox(
            [told(weight, None, None, second)], count=50, lr=0.01, prox=Prox(group=strength)
        )
        assert np.all(np.abs(weight - expected) <= 4 * ulp(np.float32) * np.abs(before))
        assert np.array_equal(weight.any(1), expected.any(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_fused_step_is_the_step_and_then_the_prox(compiled, penalty, shape, amsgrad):
    """To the bit for one weight; rows start Newton elsewhere."""
    prox, _ = PENALTIES[penalty]
    peak = [np.full(shape, 0.5, np.float32)] if amsgrad else []
    fused = [*sample(shape), *(x.copy() for x in peak)]
    apart = [*sample(shape), *(x.copy() for x in peak)]
    steps.adam_step([told(*fused)], count=50, lr=0.01, weight_decay=0.1, prox=prox)
    steps.adam_step([told(*apart)], count=50, lr=0.01, weight_decay=0.1)
    size = np.abs(apart[0])
    steps.adam_prox([told(*apart)], count=50, lr=0.01, prox=prox)
    for ours, theirs in zip(fused[1:], apart[1:], strict=True):
        assert np.array_equal(ours, theirs)
    assert np.all(np.abs(fused[0] - apart[0]) <= (4 * ulp(np.float32) * size if prox.group else 0))
    assert np.array_equal(fused[0] == 0, apart[0] == 0)


@pytest.mark.parametrize("penalty", ["l1", "elastic net"])
def test_sgd_s_prox_is_core_s(compiled, penalty):
    prox, meant = PENALTIES[penalty]
    (weight, grad, *_), lr, step = sample((20, 37)), 0.1, 3.0
    stepped = weight.astype(np.float64) - np.float32(lr) * grad.astype(np.float64)
    expected = meant.prox(stepped, step=step)
    tensors = Tensors(weight.ctypes.data, grad.ctypes.data, columns=weight.size)
    steps.sgd_step([tensors], lr=lr, step=step, prox=prox)
    near = 4 * ulp(np.float32) * (np.abs(stepped) + step * prox.l1)
    assert np.all(np.abs(weight - expected) <= near)
    alone = stepped.astype(np.float32)
    steps.sgd_prox([Tensors(alone.ctypes.data, columns=alone.size)], step=step, prox=prox)
    assert np.all(np.abs(alone - expected) <= near)
    assert np.count_nonzero(weight == 0) > 0


def test_a_weight_that_is_not_a_number_stays_one(compiled):
    for penalty in ("l1", "rows"):
        weight, grad, first, second = sample((2, 37))
        weight[1, 3] = np.nan
        steps.adam_prox(
            [told(weight, grad, first, second)], count=1, lr=0.01, prox=PENALTIES[penalty][0]
        )
        assert np.isnan(weight[1, 3])
        assert np.isnan(weight).sum() == 1  # the rest of a row that holds one is left alone


@pytest.mark.parametrize("penalty", ["l1", "rows"])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("lent", [False, True])
def test_many_tensors_are_each_stepped_once(compiled, monkeypatch, penalty, threads, lent):
    """On the pool's threads, or on those that PyTorch keeps."""
    monkeypatch.setattr(team._state, "team", None)
    if lent:
        lend_threads()
        if not team.size():
            pytest.skip("PyTorch comes without libgomp here")
        team.lend(team._state.team._replace(threads=lambda: threads))
    pool.use_threads(threads)
    assert team.size() == (threads if lent else 0)
    shapes = [(3, 7), (700, 300), (1, 1), (0, 4), (40, 1), (5, 50_000)]
    together, alone = [sample(s) for s in shapes], [sample(s) for s in shapes]
    options = {"count": 3, "lr": 0.01, "prox": PENALTIES[penalty][0]}
    steps.adam_step([told(*tensors) for tensors in together], **options)
    for tensors in alone:
        steps.adam_step([told(*tensors)], **options)
    for ours, theirs in zip(together, alone, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True))


# --- what is refused ---

REFUSED = [
    (
        lambda: steps.adam_step([], count=0, lr=0.1),
        DomainError,
        "adam_step: needs count >= 1; got count=0. Raise torch's step first.",
    ),
    (
        lambda: steps.adam_step([], count=1, lr=0.1, prox=Prox(l2=1.0, group=2.0)),
        DomainError,
        "adam_step: l2 and group do not combine; got l2=1.0, group=2.0. "
        "Use weight_decay with the group lasso.",
    ),
    (
        lambda: steps.sgd_prox([], step=1.0, prox=Prox(group=2.0)),
        DomainError,
        "sgd_step: has no group lasso; got group=2.0. Step without it and take GroupLasso's prox.",
    ),
    (
        lambda: steps.sgd_prox([], step=1.0, prox=Prox(l1=2.0)),
        MissingFramework,
        "kernel: fused steps need the compiled library; got PONDERA_KERNEL=numpy. "
        "Step by the framework and take the penalty's prox.",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED)
def test_messages_are_as_written(monkeypatch, call, error, text):
    force(monkeypatch, "numpy")
    assert not steps.available()
    with pytest.raises(error) as found:
        call()
    assert str(found.value) == text
