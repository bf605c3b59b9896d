"""Gains against a published table, SciPy's quadrature and derivatives written out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from pondera.core.activations import ACTIVATIONS
from pondera.core.errors import DomainError
from pondera.core.gains import gain, odd_slope
from tests import oracle

ACCURACY = 1e-9  # documented, relative
STEEP_ACCURACY = 1e-11  # documented, relative, times the slope
PHI, DENSITY, SIGMOID = stats.norm.cdf, stats.norm.pdf, special.expit
SELU_SLOPE, SELU_GAIN = 1.6732632423543772, 1.0507009873554805

# second moment, forward gain, backward gain at N(0, 1), as printed
PUBLISHED = """
relu          .5         1.4142136  1.4142136
leaky .2      .52        1.3867505  1.3867505
gelu          .42522148  1.5335304  1.4811144
gelu_tanh     .42519371  1.5335805  1.4811681
silu          .35577552  1.6765325  1.6233203
mish          .45234219  1.4868476  1.4447552
softplus      .92124591  1.0418668  1.8462285
tanh          .39429449  1.5925374  1.4674136
sigmoid       .29337904  1.8462285  4.7226
elu           .64494542  1.2451983  1.2234286
selu          1          1          .9660258
relu_squared  1.5        .8164966   .7071068
hardswish     .33156737  1.7366572  1.6700764
sin           .43233236  1.5208666  1.3272506
"""


def _mish_slope(z):
    gate = np.tanh(np.logaddexp(0, z))
    return gate + z * (1 - gate**2) * SIGMOID(z)


def _gelu_tanh_slope(z):
    factor = math.sqrt(2 / math.pi)
    gate = np.tanh(factor * (z + 0.044715 * z**3))
    return (1 + gate) / 2 + z * (1 - gate**2) * factor * (1 + 3 * 0.044715 * z**2) / 2


# derivative and kinks of each activation
SLOPES = {
    "elu": (lambda z: 1.0 if z > 0 else math.exp(z), (0,)),
    "gelu": (lambda z: PHI(z) + z * DENSITY(z), ()),
    "gelu_tanh": (_gelu_tanh_slope, ()),
    "hardswish": (lambda z: (2 * z + 3) / 6 if abs(z) < 3 else z > 0, (-3, 3)),
    "hardtanh": (lambda z: abs(z) < 1, (-1, 1)),
    "identity": (lambda z: 1.0, ()),
    "leaky_relu": (lambda z: 1.0 if z > 0 else 0.01, (0,)),
    "mish": (_mish_slope, ()),
    "relu": (lambda z: z > 0, (0,)),
    "relu6": (lambda z: 0 < z < 6, (0, 6)),
    "relu_squared": (lambda z: 2 * max(z, 0), (0,)),
    "selu": (lambda z: SELU_GAIN * (1 if z > 0 else SELU_SLOPE * math.exp(z)), (0,)),
    "sigmoid": (lambda z: SIGMOID(z) * SIGMOID(-z), ()),
    "silu": (lambda z: SIGMOID(z) * (1 + z * SIGMOID(-z)), ()),
    "sin": (math.cos, ()),
    "softplus": (SIGMOID, ()),
    "tanh": (lambda z: 1 / math.cosh(z) ** 2, ()),
}
each = pytest.mark.parametrize("name", ACTIVATIONS)


def activation(name: str):
    return (lambda z: np.where(z > 0, z, 0.2 * z)) if name == "leaky .2" else name


@pytest.mark.parametrize("row", PUBLISHED.strip().splitlines(), ids=lambda row: row[:12].strip())
def test_gains_match_the_published_table(row):
    name, moment, forward, backward = row.rsplit(maxsplit=3)
    f = activation(name)
    made = (gain(f) ** -2, gain(f), gain(f, direction="backward"))
    for number, printed in zip(made, (moment, forward, backward), strict=True):
        last_digit = 10.0 ** -len(printed.partition(".")[2])
        assert abs(number - float(printed)) <= 0.5 * last_digit + ACCURACY * number


@each
@pytest.mark.parametrize("std", [0.5, 1.0, 2.3])
def test_forward_gain_is_the_expectation_by_scipy(name, std):
    f = ACTIVATIONS[name]
    moment = oracle.expectation(
        lambda z: float(f(np.array([z]))[0]) ** 2, std=std, kinks=SLOPES[name][1]
    )
    assert gain(name, std=std) == pytest.approx(std / math.sqrt(moment), rel=ACCURACY)


@each
@pytest.mark.parametrize("std", [0.5, 1.0, 2.3])
def test_backward_gain_is_the_expectation_of_the_derivative(name, std):
    slope, kinks = SLOPES[name]
    moment = oracle.expectation(lambda z: float(slope(z)) ** 2, std=std, kinks=kinks)
    made = gain(name, direction="backward", std=std)
    assert made == pytest.approx(1 / math.sqrt(moment), rel=ACCURACY)


@pytest.mark.parametrize("place", [math.sqrt(2) / 3, -math.pi / 7, 2.5, 1e-3, -1e-5, 3e-8])
def test_a_kink_may_lie_anywhere(place):
    def f(z):
        return np.maximum(z - place, 0)

    forward = oracle.expectation(lambda z: max(z - place, 0) ** 2, kinks=(place,))
    assert gain(f) == pytest.approx(forward**-0.5, rel=ACCURACY)
    backward = 1 / math.sqrt(stats.norm.sf(place))
    assert gain(f, direction="backward") == pytest.approx(backward, rel=ACCURACY)


@pytest.mark.parametrize("place", [0.0, 0.5, math.sqrt(2) / 3])
def test_a_jump_has_a_forward_gain_and_no_backward_gain(place):
    def step(z):
        return (z > place).astype(float)

    assert gain(step) == pytest.approx(stats.norm.sf(place) ** -0.5, rel=ACCURACY)
    with pytest.raises(DomainError, match=f"which jumps near {place:.6g}"):
        gain(step, direction="backward")


@given(slope=st.floats(-3, 3), factor=st.floats(1e-3, 1e3))
def test_gain_of_leaky_relu_is_in_closed_form(slope, factor):
    def f(z):
        return factor * np.where(z > 0, z, slope * z)

    exact = math.sqrt(2 / (1 + slope**2)) / factor
    for direction in ("forward", "backward"):
        assert gain(f, direction=direction) == pytest.approx(exact, rel=ACCURACY)


@pytest.mark.parametrize("steepness", [30.0, 1e3, 1e5])
def test_a_steep_slope_is_no_jump(steepness):
    def ramp(z):
        return np.clip(steepness * z, -1, 1)

    reach = 1 / steepness
    share = stats.norm.cdf(reach) - stats.norm.cdf(-reach)
    backward = 1 / (steepness * math.sqrt(share))
    made = gain(ramp, direction="backward")
    assert made == pytest.approx(backward, rel=ACCURACY + STEEP_ACCURACY * steepness)


def test_a_leak_of_zero_is_relu():
    assert gain(lambda z: np.where(z > 0, z, 0.0 * z)) == gain("relu")


@given(std=st.floats(1e-3, 1e3))
def test_gain_of_a_homogeneous_function_does_not_depend_on_the_std(std):
    assert gain("relu", std=std) == pytest.approx(math.sqrt(2), rel=ACCURACY)


def test_only_the_relu_family_keeps_signal_and_gradient_at_once():
    both = {n for n in ACTIVATIONS if abs(gain(n) / gain(n, direction="backward") - 1) < ACCURACY}
    assert both == {"identity", "leaky_relu", "relu", "relu6"}  # 6 lies 6 standard deviations out


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda z: z + np.random.default_rng(0).normal(size=z.shape), "smooth between a few kinks"),
        (lambda z: np.tanh(z.astype(np.float32)).astype(float), "smooth between a few kinks"),
        (lambda z: z[:-1], "returned shape"),
        (lambda z: np.log(z), "numbers that are not finite"),
        (lambda z: 0 * z, "lets nothing through"),
        (lambda z: z.no_such, "raised AttributeError"),
    ],
    ids=["noise", "float32", "shape", "nan", "zero", "fault"],
)
def test_functions_without_a_gain_are_refused(f, says):
    with pytest.raises(DomainError, match=says):
        gain(f)


def test_a_constant_has_a_forward_gain_alone():
    assert gain(np.ones_like) == pytest.approx(1, rel=ACCURACY)
    with pytest.raises(DomainError, match="backward second moment is 0"):
        gain(np.ones_like, direction="backward")


@pytest.mark.parametrize("std", [0.0, -1.0, math.inf, math.nan])
def test_a_std_without_a_law_is_refused(std):
    with pytest.raises(DomainError, match="needs 0 < std < inf"):
        gain("relu", std=std)


MIRRORED = {
    "gelu": 1,
    "gelu_tanh": 1,
    "hardswish": 1,
    "identity": 2,
    "leaky_relu": 1.01,
    "relu": 1,
    "silu": 1,
    "softplus": 1,
}


@each
def test_odd_slope_finds_the_activations_that_can_be_mirrored(name):
    assert odd_slope(name) == MIRRORED.get(name)


@given(c=st.floats(0.01, 100), size=st.floats(1e-3, 1.0))
def test_odd_slope_is_not_taken_in_by_a_small_departure(c, size):
    assert odd_slope(lambda z: c * np.maximum(z, 0)) == pytest.approx(c, rel=ACCURACY)
    assert odd_slope(lambda z: c * (np.maximum(z, 0) + size * np.tanh(z))) is None
    assert odd_slope(lambda z: c * np.abs(z)) is None  # even: a slope of 0 passes nothing on
