"""Named experiments on penalties and decay: measured, against what each says of itself."""

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from pondera.evidence.bounds import FORMS, realised_strengths
from pondera.evidence.decay import GROKKING, double_descent, equilibrium, grokking
from pondera.evidence.support import friedman, noisy_lasso


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def strengths():
    return realised_strengths()


@pytest.mark.parametrize("form", [name for name in FORMS if name.startswith("loss")])
def test_a_penalty_in_the_loss_makes_no_zero(strengths, form):
    assert strengths[form].zeros == 0
    assert abs(strengths[form].share - 1) <= 0.02
    assert 1e-6 < strengths[form].excess < 1e-3


@pytest.mark.parametrize("form", ["prox, momentum", "latent, momentum"])
def test_a_step_of_lr_under_momentum_solves_a_tenth(strengths, form):
    assert abs(strengths[form].share - 0.1) <= 1e-3
    assert strengths[form].zeros == 0


@pytest.mark.parametrize("form", ["prox, Adam", "sign, Adam", "latent, Adam"])
def test_a_step_of_lr_under_adam_solves_half_a_hundredth(strengths, form):
    assert 0.003 <= strengths[form].share <= 0.005
    assert strengths[form].excess > 0.02


@pytest.mark.parametrize("form", ["prox, SGD", *(n for n in FORMS if n.startswith("attached"))])
def test_the_optimizers_own_metric_solves_what_is_asked(strengths, form):
    assert abs(strengths[form].share - 1) <= 1e-3
    assert strengths[form].support
    assert abs(strengths[form].excess) <= 1e-9


@pytest.fixture(scope="module")
def grokked():
    return grokking()


def test_without_decay_the_fit_does_not_generalise(grokked):
    assert grokked["none"].step is None
    assert grokked["none"].train > 0.99
    assert grokked["none"].held < 0.1


def test_decoupled_decay_generalises_and_sooner_the_stronger(grokked):
    assert grokked["decoupled 5"].step < grokked["decoupled 1"].step <= 600
    assert grokked["decoupled 1"].held > 0.99


def test_coupled_decay_does_not(grokked):
    assert grokked["coupled 1e-3"].step is None
    assert grokked["coupled 1e-3"].held < 0.1


def test_a_bound_at_the_starts_size_generalises_untuned(grokked):
    assert grokked["CPR at the start's size"].step <= 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_grokking_does_not_depend_on_the_seed(seed):
    found = grokking(seed=seed)
    passed = {name for name, run in found.items() if run.step is not None}
    assert passed == set(GROKKING) - {"none", "coupled 1e-3"}


@pytest.mark.slow
def test_patience_alone_does_not_generalise():
    assert grokking(only=("none",), steps=6000)["none"].held < 0.1


def test_weights_settle_where_the_formula_says():
    for measured, formula in equilibrium().values():
        assert abs(measured / formula - 1) <= 0.06


def test_the_risk_peaks_bare_and_falls_under_the_ridge():
    risks = double_descent()
    ridged = [ridge for _, ridge in risks.values()]
    assert ridged == sorted(ridged, reverse=True)
    assert risks[500][0] > 100 * risks[250][0]
    assert all(ridge < bare for bare, ridge in risks.values())


@pytest.fixture(scope="module")
def noisy():
    return noisy_lasso()


@pytest.mark.parametrize("optimizer", ["Adam", "Momentum", "SGD"])
def test_a_vote_finds_the_support_that_single_steps_miss(noisy, optimizer):
    assert noisy["drawn", optimizer].voted == 1.0
    assert noisy["diabetes", optimizer].voted >= 0.9
    assert noisy["diabetes", optimizer].voted > noisy["diabetes", optimizer].last
    assert optimizer != "SGD" or noisy["drawn", optimizer].last < 0.8


def test_a_network_finds_the_five_true_inputs_of_fifty():
    found = friedman()
    assert found.kept == (0, 1, 2, 3, 4)
    assert found.refit >= 0.92
    assert found.dense < 0.75
    assert found.shrunk < found.refit
