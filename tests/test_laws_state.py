"""State-space layers: HiPPO from its defining projection, S4D from HiPPO, time steps by quadrature."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from pondera.core import laws
from tests import oracle

EPS = oracle.ulp(np.float64)
W = {"seed": 0, "name": "w", "dtype": "float64"}


def legs(size):
    return laws.hippo_legs_state().draw((size, size), **W)


def projection(power: int, size: int) -> np.ndarray:
    """Coefficients of s^power on [0, 1] in the orthonormal Legendre polynomials √(2n+1)·P_n(2s − 1)."""
    node, weight = np.polynomial.legendre.leggauss(64)
    basis = np.polynomial.legendre.legvander(node, size - 1) * np.sqrt(2 * np.arange(size) + 1)
    return (weight / 2 * ((node + 1) / 2) ** power) @ basis


@pytest.mark.parametrize("size", [1, 2, 12])
def test_legs_is_the_matrix_that_projects_onto_legendre_polynomials(size):
    """The memory c(t) of f(s) = s^m is t^m·c(1), so that t·c′ = A·c + B·f reads m·c = A·c + B."""
    entries, vector = legs(size), laws.hippo_legs_input().draw((size,), **W)
    for power in range(size):
        memory = projection(power, size)
        left = entries @ memory + vector
        np.testing.assert_allclose(left, power * memory, rtol=0, atol=64 * size**2 * EPS)


@pytest.mark.parametrize("shape", [(9, 9), (3, 9, 9)])
def test_the_std_of_legs_is_that_of_its_entries(shape):
    law = laws.hippo_legs_state()
    assert law.std(shape) == pytest.approx(law.draw(shape, **W).std(), rel=64 * EPS)
    assert law.std((0, 0)) == 0


def test_copies_fill_the_axes_before():
    for law, shape in ((laws.hippo_legs_state(), (2, 3, 5, 5)), (laws.s4d_inv(), (4, 5))):
        made = law.draw(shape, **W)
        one = law.draw(shape[-2:] if len(shape) == 4 else shape[-1:], **W)
        np.testing.assert_array_equal(made, np.broadcast_to(one, shape))


def test_diagonal_states_are_those_of_the_paper():
    count = np.arange(8)
    lin = laws.s4d_lin(part="whole").draw((8,), seed=0, name="w", dtype="complex128")
    np.testing.assert_allclose(lin, -0.5 + 1j * math.pi * count, rtol=2 * EPS)
    inv = laws.s4d_inv(part="whole").draw((8,), seed=0, name="w", dtype="complex128")
    np.testing.assert_allclose(inv.imag, 16 / math.pi * (16 / (2 * count + 1) - 1), rtol=8 * EPS)
    np.testing.assert_array_equal(inv.real, -0.5)
    for law, whole in ((laws.s4d_lin(), lin), (laws.s4d_inv(), inv)):
        np.testing.assert_array_equal(law.draw((8,), **W), whole.imag)
    log = laws.s4d_real().draw((8,), **W)
    np.testing.assert_allclose(
        -np.exp(log), laws.s4d_real(form="plain").draw((8,), **W), rtol=8 * EPS
    )


def test_real_states_are_the_eigenvalues_of_legs():
    plain = laws.s4d_real(form="plain").draw((20,), **W)
    np.testing.assert_array_equal(plain, np.diagonal(legs(20)))  # triangular: its diagonal


def test_inverse_frequencies_are_near_those_of_legs():
    """A + P·Pᵀ is normal, with eigenvalues −½ ± i·frequency."""
    size = 64
    root = np.sqrt(np.arange(size) + 0.5)
    found = np.linalg.eigvals(legs(size) + np.outer(root, root))
    np.testing.assert_allclose(found.real, -0.5, rtol=size**2 * EPS)
    theirs = np.sort(found.imag[found.imag > 0])[::-1]
    ours = laws.s4d_inv().draw((size // 2,), **W)
    low = 1 - ours / theirs
    assert 0.015 < low[0] < 0.016  # as documented
    assert 0.215 < low.max() < 0.225


# --- time steps ---


def softplus(x):
    return np.logaddexp(0, x)


@pytest.mark.parametrize(("low", "high"), [(0.001, 0.1), (1e-6, 50.0), (1.0, 1.0)])
def test_softplus_undoes_its_inverse(low, high):
    made = laws.softplus_time_steps(low=low, high=high, floor=0.0).draw((4000,), **W)
    plain = laws.log_uniform(low=low, high=high).draw((4000,), **W)
    np.testing.assert_allclose(softplus(made), plain, rtol=64 * EPS)
    assert plain.min() >= low
    assert plain.max() <= high


def test_steps_below_the_floor_are_raised_to_it():
    law = laws.softplus_time_steps(low=1e-5, high=1e-3, floor=1e-4)
    made = softplus(law.draw((20_000,), **W))
    assert made.min() == pytest.approx(1e-4, rel=64 * EPS)
    raised = np.mean(made <= 1e-4 * (1 + 64 * EPS))  # half of them
    assert raised == pytest.approx(1 / 2, abs=oracle.STANDARD_ERRORS / math.sqrt(4 * 20_000))
    assert law.std(()) == pytest.approx(law.draw((200_000,), **W).std(), rel=1 / 100)


@pytest.mark.parametrize("floor", [0.0, 1e-4, 0.01, 0.1])
def test_the_std_of_softplus_steps_is_their_integral(floor):
    first, last = math.log(0.001), math.log(0.1)

    def number(u):
        return math.log(math.expm1(max(math.exp(u), floor)))

    kink = [min(max(first, math.log(floor)), last)] if floor else None
    mean, second = (
        integrate.quad(lambda u, k=k: number(u) ** k, first, last, points=kink)[0] / (last - first)
        for k in (1, 2)
    )
    promised = laws.softplus_time_steps(floor=floor).std((3,))
    assert promised**2 == pytest.approx(second - mean**2, rel=1 / 10**8, abs=1 / 10**8)


def test_log_steps_are_the_logarithm_of_the_same_steps():
    logs = laws.log_time_steps().draw((500,), **W)
    plain = laws.log_uniform(low=0.001, high=0.1).draw((500,), **W)
    np.testing.assert_allclose(np.exp(logs), plain, rtol=8 * EPS)


@pytest.mark.parametrize(("low", "high"), [(1.0, 16.0), (1.0, 1.0005), (3.0, 3.0), (1e-3, 1e3)])
def test_stds_on_a_logarithmic_scale_are_those_of_scipy(low, high):
    near = {"rel": 1 / 10**5}  # below a ratio of 1.001 both are taken as uniform
    spread = high - low
    plain = stats.loguniform(low, high).std() if spread > 0.01 else spread / math.sqrt(12)
    assert laws.log_uniform(low=low, high=high).std(()) == pytest.approx(plain, **near)

    def log_std() -> float:
        moments = [
            integrate.quad(lambda x, k=k: (math.log(x) - math.log(low)) ** k, low, high)[0] / spread
            for k in (1, 2)
        ]
        return math.sqrt(moments[1] - moments[0] ** 2)

    made = laws.mamba2_decay(low=low, high=high).std(())
    # near a ratio of 1 the logarithm is the number over its mean
    expected = log_std() if spread > 0.01 else spread / math.sqrt(12) / ((low + high) / 2)
    assert made == pytest.approx(expected, **near)


def test_mamba2_decays_are_logarithms_of_uniform_rates():
    rates = np.exp(laws.mamba2_decay().draw((5000,), **W))
    assert oracle.distance(rates, stats.uniform(1, 15).cdf) < oracle.distance_limit(5000)
