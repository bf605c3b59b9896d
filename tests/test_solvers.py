"""The certified solver against scikit-learn, closed forms and its own certificate."""

import numpy as np
import pytest

from pondera.core import penalties as pn
from pondera.core.errors import DomainError, ShapeError
from pondera.core.solvers import mean_loss, minimise

EPS = np.finfo(np.float64).eps
datasets = pytest.importorskip("sklearn.datasets")
linear = pytest.importorskip("sklearn.linear_model")


def standardised(bunch) -> np.ndarray:
    return (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0)


DIABETES = datasets.load_diabetes()
X, Y = standardised(DIABETES), DIABETES.target - DIABETES.target.mean()
CANCER = datasets.load_breast_cancer()
XC, YC = standardised(CANCER), 2.0 * CANCER.target - 1


def toy(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((40, 6)) * np.exp(rng.uniform(-1, 1, 6)) + 0.5
    return features, features @ [1.0, 0, -2, 0, 0, 0.5] + rng.standard_normal(40)


@pytest.mark.parametrize(
    ("strength", "count", "half_objective"),
    [(20, 3, 2552.88792868), (5, 5, 1839.14371632), (1, 7, 1533.76871696)],
)
def test_lasso_of_the_diabetes_data(strength, count, half_objective):
    """scikit-learn's Lasso minimises half our objective: its strength is half of λ."""
    ours = minimise(X, Y, penalty=pn.L1(2.0 * strength), tolerance=1e-13)
    theirs = linear.Lasso(strength, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(X, Y)
    assert ours.certified
    assert np.sum(ours.weights != 0) == count
    np.testing.assert_array_equal(ours.weights != 0, theirs.coef_ != 0)
    assert abs(ours.objective / 2 - half_objective) <= 1e-8  # as printed
    assert np.max(pn.L1(2.0 * strength).gap(ours.weights, gradient(ours.weights))) <= 1e-2


def gradient(w: np.ndarray) -> np.ndarray:
    return 2 * X.T @ (X @ w - Y) / Y.size


def test_critical_strength_of_the_diabetes_data():
    critical = pn.L1(1.0).critical_strength(gradient(np.zeros(10)))
    assert round(critical / 2, 6) == 45.160030  # as printed
    assert not minimise(X, Y, penalty=pn.L1(critical * (1 + 8 * EPS))).weights.any()
    assert np.sum(minimise(X, Y, penalty=pn.L1(critical * 0.999)).weights != 0) == 1


@pytest.mark.parametrize(
    ("share", "count", "objective"),
    [(0.1, 5, 0.29258409), (0.03, 9, 0.16935978), (0.01, 13, 0.10748301)],
)
def test_logistic_lasso_of_the_breast_cancer_data(share, count, objective):
    ours = minimise(XC, YC, penalty=pn.L1(share * 0.383683), loss="logistic", intercept=True)
    assert ours.certified
    assert np.sum(ours.weights != 0) == count
    assert 0 <= objective - ours.objective <= 1e-7  # theirs stopped a little above the minimum


def test_ridge_has_its_closed_form():
    ours = minimise(X, Y, penalty=pn.L2(10 / 442), tolerance=1e-14)
    exact = np.linalg.solve(X.T @ X + 10 * np.eye(10), X.T @ Y)
    assert np.max(np.abs(ours.weights - exact)) <= 1e-3
    assert ours.objective - minimum_of(exact, pn.L2(10 / 442)) <= ours.gap + 1e-9


def minimum_of(w: np.ndarray, penalty) -> float:
    return mean_loss(X @ w, Y, loss="squared") + penalty.value(w)


def test_elastic_net_agrees_with_scikit_learn():
    """Theirs, strength a and share r: ½·mean square + a·r·Σ|w| + ½·a·(1 − r)·Σw²."""
    ours = minimise(X, Y, penalty=pn.ElasticNet(1.0, 0.5), intercept=True, tolerance=1e-13)
    theirs = linear.ElasticNet(1.0, l1_ratio=0.5, tol=1e-14, max_iter=10**6).fit(X, Y)
    np.testing.assert_array_equal(ours.weights != 0, theirs.coef_ != 0)
    assert np.max(np.abs(ours.weights - theirs.coef_)) <= 1e-3
    assert abs(ours.intercept - theirs.intercept_) <= 1e-8


def test_group_lasso_drops_whole_groups():
    rng = np.random.default_rng(1)
    features = rng.standard_normal((300, 60)) * np.exp(rng.uniform(-1, 1, 60))
    truth = np.zeros((12, 5))
    truth[:4] = rng.standard_normal((4, 5))
    y = features @ truth.ravel() + rng.standard_normal(300)
    groups = pn.Groups.heads(axis=0, size=5)
    critical = pn.GroupLasso(1.0, groups, size_weighted=False).critical_strength(
        -2 * features.T @ y / 300
    )
    penalty = pn.GroupLasso(0.1 * critical, groups, size_weighted=False)
    ours = minimise(features, y, penalty=penalty, tolerance=1e-13)
    dead = np.all(ours.weights.reshape(12, 5) == 0, axis=1)
    assert ours.certified
    assert dead.sum() == 7
    assert abs(ours.objective / 2 - 2.7739135045) <= 1e-9


PENALTIES = [
    pn.L1(0.3),
    pn.L2(0.1),
    pn.ElasticNet(0.3, 0.1),
    pn.ElasticNet(0.3, 0.0),
    pn.GroupLasso(0.2, pn.Groups.heads(axis=0, size=2)),
]


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: repr(p)[:20])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("intercept", [False, True])
def test_gap_bounds_the_distance_to_the_minimum(penalty, loss, intercept):
    features, y = toy(0)
    y = np.sign(y) if loss == "logistic" else y + 3
    options = {"penalty": penalty, "loss": loss, "intercept": intercept}
    best = minimise(features, y, tolerance=1e-12, **options)
    assert best.certified
    for turns in (10, 20, 40):
        early = minimise(features, y, turns=turns, tolerance=1e-15, **options)
        assert early.objective - best.objective <= early.gap + 64 * EPS
        assert early.gap > 0
    prediction = features @ best.weights + best.intercept
    assert mean_loss(prediction, y, loss=loss) + penalty.value(best.weights) == pytest.approx(
        best.objective
    )


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_nothing_near_the_solution_is_better(loss):
    features, y = toy(1)
    y = np.sign(y) if loss == "logistic" else y
    penalty = pn.ElasticNet(0.1, 0.05)
    best = minimise(features, y, penalty=penalty, loss=loss, intercept=True, tolerance=1e-13)
    rng = np.random.default_rng(2)
    for size in 10.0 ** np.arange(-6, 1):
        w = best.weights + size * rng.standard_normal(6)
        z = features @ w + best.intercept + size * rng.standard_normal()
        assert mean_loss(z, y, loss=loss) + penalty.value(w) >= best.objective - best.gap


def test_running_out_of_turns_is_said():
    assert not minimise(X, Y, penalty=pn.L1(0.01), turns=10).certified


ERRORS = [
    (lambda: minimise(X, Y[:3], penalty=pn.L1(1.0)), ShapeError,
     "minimise: X must be (n, p) and y (n,); got X.shape=(442, 10), y.shape=(3,). "
     "Pass one target per row."),
    (lambda: minimise(X, Y, penalty=pn.L1(0.0)), DomainError,
     "minimise: a certificate needs ElasticNet, GroupLasso, L1 or L2 of strength > 0; "
     "got penalty=L1(strength=0.0). Train with the penalty's prox instead."),
    (lambda: minimise(X, Y, penalty=pn.L0(1.0)), DomainError,
     "minimise: a certificate needs ElasticNet, GroupLasso, L1 or L2 of strength > 0; "
     "got penalty=L0(strength=1.0). Train with the penalty's prox instead."),
    (lambda: minimise(X, np.arange(442) % 3, penalty=pn.L1(1.0), loss="logistic"), DomainError,
     "minimise: logistic targets must be -1 and 1; got y with [-1.0, 1.0, 2.0]. "
     "Code the classes as -1 and 1."),
    (lambda: minimise(X, Y, penalty=pn.L1(1.0), loss="square"), DomainError,
     "minimise: unknown loss 'square'; did you mean 'squared'? Known: logistic, squared."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=range(len(ERRORS)))
def test_messages_say_what_to_do(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
