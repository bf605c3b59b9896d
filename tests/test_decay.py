"""Decoupled decay, the bound that replaces a strength, and the units of other libraries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pondera.core import penalties as pn
from pondera.core.errors import DomainError
from pondera.core.penalties.convert import UNITS

EPS = np.finfo(np.float64).eps
positive = st.floats(1e-6, 1e3)
quick = settings(max_examples=50, deadline=None, derandomize=True)


def test_decay_units():
    assert pn.WeightDecay(0.1).fraction(lr=0.01) == 0.1 * 0.01
    assert pn.WeightDecay(0.1).fraction(lr=0.01, factor=0.5) == 0.5 * 0.1 * 0.01
    assert pn.WeightDecay(0.1, times_lr=False).fraction(lr=0.01) == 0.1


def test_decay_agrees_with_adamw():
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    w.grad = torch.tensor([0.3, -0.1, 2.0], dtype=torch.float64)
    before = w.detach().clone()
    torch.optim.AdamW([w], lr=0.1, weight_decay=0.5, eps=0.0).step()
    update = torch.sign(w.grad)  # Adam's first
    ours = before - 0.1 * update - pn.WeightDecay(0.5).removal(before, update, lr=0.1, xp=torch)
    assert torch.max(torch.abs(ours - w.detach())) <= 4 * EPS


def test_cautious_decay_spares_growing_weights():
    w = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1e-200])
    update = np.array([0.3, -0.3, 0.3, -0.3, 0.0, 1e-200])
    removed = pn.WeightDecay(0.5, cautious=True).removal(w, update, lr=0.1)
    np.testing.assert_array_equal(removed, 0.05 * w * np.array([1, 0, 0, 1, 1, 1]))


@pytest.mark.parametrize("course", ["constant", "linear", "cosine"])
def test_decay_factor_is_its_law(course):
    for progress in np.linspace(0, 1, 9):
        words = {"progress": progress, "cos": math.cos, "pi": math.pi, "course": course}
        law = pn.decay_factor.__doc__.split("Law:\n")[1].split("\n\n")[0].strip()
        assert pn.decay_factor(progress, course=course) == pytest.approx(eval(law, words))


@given(epochs=positive, lr=positive, batch_size=st.integers(1, 4096), n=st.integers(1, 10**7))
@quick
def test_timescale_and_rate_are_inverse(epochs, lr, batch_size, n):
    rate = pn.decay_for_timescale(epochs, lr=lr, batch_size=batch_size, n_samples=n)
    back = pn.decay_timescale(rate, lr=lr, batch_size=batch_size, n_samples=n)
    assert abs(back - epochs) <= 8 * EPS * epochs


def test_timescale_is_the_memory_of_the_weights():
    """An update's share in the weights falls by e over the timescale."""
    rate, lr, batch_size, n = 0.1, 0.01, 10, 1000
    epochs = pn.decay_timescale(rate, lr=lr, batch_size=batch_size, n_samples=n)
    left = (1 - pn.WeightDecay(rate).fraction(lr=lr)) ** (epochs * n / batch_size)
    assert abs(left * math.e - 1) <= lr * rate


@pytest.mark.parametrize(("lr", "rate"), [(0.01, 0.1), (0.1, 0.5), (0.1, 2.0)])
def test_equilibrium_of_noise(lr, rate):
    """The variance of w ← (1 − lr·rate)·w − lr·u, u of variance 1, summed term by term."""
    kept = (1 - pn.WeightDecay(rate).fraction(lr=lr)) ** 2
    exact = lr * math.sqrt(sum(kept**age for age in range(math.ceil(40 / (1 - kept)))))
    assert exact / pn.equilibrium_rms(rate, lr=lr) == pytest.approx(
        1 + lr * rate / 4, abs=lr * rate / 20
    )


@pytest.mark.parametrize("measure", ["square", "absolute"])
@pytest.mark.parametrize("share", [0.5, 2.0])
def test_cpr_ends_on_its_bound(measure, share):
    target = np.array([3.0, -1.0, 0.5, 0.01])
    bound = pn.CPR.around(target, factor=share, measure=measure).bound
    cpr = pn.CPR(bound, rate=0.1, measure=measure)
    w, multiplier = np.zeros(4), 0.0
    for _ in range(4000):
        w = w - 0.05 * (w - target)
        multiplier = cpr.next_multiplier(multiplier, w)
        w = cpr.shrunk(w, multiplier)
    if share > 1:  # the bound does not bind
        assert multiplier == 0
        np.testing.assert_allclose(w, target)
        return
    before = w - 0.05 * (w - target)  # the bound is looked at before the pull
    assert pn.mean_size(before, measure=measure) == pytest.approx(cpr.bound)
    assert multiplier > 0
    assert (w[3] == 0) == (measure == "absolute")


@given(size=st.floats(0, 1e6), measure=st.sampled_from(["square", "absolute"]))
@quick
def test_cpr_never_turns_signs(size, measure):
    w = np.array([1.0, -1.0, 1e-3])
    assert np.all(pn.CPR(1.0, measure=measure).shrunk(w, size) * w >= 0)


def test_inflection_is_found_at_the_steepest_point():
    sizes = 1 / (1 + np.exp(-np.linspace(-5, 5, 41)))
    assert pn.inflection(sizes.tolist()) in (21, 22)
    assert pn.inflection(np.exp(np.linspace(0, 1, 20)).tolist()) is None


FACTS = {"lr": 0.01, "n_samples": 442, "batch_size": 32}


@pytest.mark.parametrize("source", UNITS)
@pytest.mark.parametrize("target", UNITS)
@given(strength=positive)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_convert_there_and_back(source, target, strength):
    one, other = UNITS[source], UNITS[target]
    if one.family != other.family or (one.loss and other.loss and one.loss != other.loss):
        with pytest.raises(DomainError, match=r"convert_strength: both must .*; got source="):
            pn.convert_strength(strength, source=source, target=target, **FACTS)
        return
    there = pn.convert_strength(strength, source=source, target=target, **FACTS)
    back = pn.convert_strength(there, source=target, target=source, **FACTS)
    assert abs(back - strength) <= 8 * EPS * strength


def test_convert_agrees_with_the_libraries():
    def to(target, strength=1.0, **facts):
        return pn.convert_strength(strength, source="pondera_l2", target=target, **facts)

    assert to("torch_coupled") == 2
    assert to("half_l2") == 2
    assert to("keras_l2") == 1
    assert to("glmnet_ridge") == 1
    assert to("sklearn_ridge", n_samples=442) == pytest.approx(442)
    assert to("sklearn_logistic_l2", n_samples=10) == 0.05
    for lasso in ("sklearn_lasso", "glmnet_lasso"):
        assert pn.convert_strength(2.0, source="pondera_l1", target=lasso) == 1
    assert pn.convert_strength(2.0, source="pondera_l1", target="keras_l1") == 2
    for name in ("independent", "tfa_sgdw"):
        assert pn.convert_strength(0.5, source="adamw", target=name, lr=0.5) == 0.25
    assert pn.convert_strength(
        0.1, source="adamw", target="timescale", lr=1e-3, batch_size=100, n_samples=50_000
    ) == pytest.approx(20)


def test_convert_gives_scikit_learn_the_same_minimum():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    X, n = rng.standard_normal((60, 4)), 60
    y = X @ np.array([1.0, 0, -2, 0]) + rng.standard_normal(n)
    facts = {"n_samples": n}
    lasso = pn.convert_strength(0.3, source="pondera_l1", target="sklearn_lasso")
    w = linear.Lasso(lasso, fit_intercept=False, tol=1e-14, max_iter=10**5).fit(X, y).coef_
    assert np.max(pn.L1(0.3).gap(w, 2 * X.T @ (X @ w - y) / n)) <= 1e-6
    ridge = pn.convert_strength(0.3, source="pondera_l2", target="sklearn_ridge", **facts)
    w = linear.Ridge(ridge, fit_intercept=False, solver="cholesky").fit(X, y).coef_
    assert np.max(pn.L2(0.3).gap(w, 2 * X.T @ (X @ w - y) / n)) <= 1e-12
    sign = np.sign(y)
    C = pn.convert_strength(0.03, source="pondera_l2", target="sklearn_logistic_l2", **facts)
    model = linear.LogisticRegression(C=C, fit_intercept=False, tol=1e-12, max_iter=1000)
    w = model.fit(X, sign).coef_[0]
    gradient = -X.T @ (sign / (1 + np.exp(sign * (X @ w)))) / n
    assert np.max(pn.L2(0.03).gap(w, gradient)) <= 1e-6


ERRORS = [
    (lambda: pn.convert_strength(1.0, source="pondera_l2", target="sklearn_ridge"),
     "convert_strength: 'sklearn_ridge' needs n_samples > 0; got n_samples=None. "
     "Pass n_samples=, the number of training samples."),
    (lambda: pn.convert_strength(1.0, source="adamw", target="timescale", lr=0.1),
     "convert_strength: 'timescale' needs batch_size > 0; got batch_size=None. "
     "Pass batch_size=, the samples per step."),
    (lambda: pn.convert_strength(1.0, source="adamw", target="independent"),
     "convert_strength: 'adamw' needs lr > 0; got lr=None. Pass lr=, the (peak) learning rate."),
    (lambda: pn.convert_strength(1.0, source="adamw", target="keras_l2", lr=0.1),
     "convert_strength: both must be of one kind; got source='adamw', target='keras_l2', which "
     "are decay and l2. Under plain SGD alone a decay equals 'torch_coupled' with the same "
     "number; else choose the strength anew."),
    (lambda: pn.convert_strength(0.0, source="timescale", target="tfa_sgdw", **FACTS),
     "convert_strength: 'timescale' must be finite and above 0; got strength=0.0. "
     "Use 'independent' or a penalty's λ for no strength."),
    (lambda: pn.WeightDecay(-0.1),
     "WeightDecay: rate must be finite and at least 0; got rate=-0.1. Use 0 for no decay."),
    (lambda: pn.WeightDecay(2.0).fraction(lr=0.5),
     "WeightDecay: a step must remove less than the weight; got fraction=1.0. "
     "Lower rate, lr or factor."),
    (lambda: pn.decay_factor(1.5),
     "decay_factor: progress must lie in [0, 1]; got progress=1.5. "
     "Divide the step by the number of steps."),
    (lambda: pn.decay_factor(0.5, course="cosin"),
     "decay_factor: unknown course 'cosin'; did you mean 'cosine'? "
     "Known: constant, cosine, linear."),
    (lambda: pn.equilibrium_rms(0.0, lr=0.1),
     "equilibrium_rms: rate must be positive; got rate=0.0. "
     "Without decay weights grow for ever."),
    (lambda: pn.CPR(0.0),
     "CPR: bound must be positive and finite; got bound=0.0. "
     "Take the bound from the weights with CPR.around."),
    (lambda: pn.CPR(1.0, measure="squares"),
     "CPR: unknown measure 'squares'; did you mean 'square'? Known: absolute, square."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_messages_say_what_to_do(call, message):
    with pytest.raises(DomainError) as caught:
        call()
    assert str(caught.value) == message


def test_no_decay_is_an_endless_timescale():
    endless = pn.convert_strength(0.0, source="independent", target="timescale", **FACTS)
    assert endless == math.inf
