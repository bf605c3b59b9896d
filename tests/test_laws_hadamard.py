"""Randomised Hadamard products: SciPy's matrix, exact orthogonality, every row alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from pondera.core import laws
from pondera.core.draw import DTYPES
from pondera.core.errors import ShapeError
from pondera.core.hadamard import hadamard_rows, hadamard_unit, need_order, walsh_transform
from tests import oracle
from tests.law_cases import TORCH

W = {"seed": 0, "name": "w"}


@pytest.mark.parametrize("order", [1, 2, 8, 64, 128, 512])
def test_the_transform_is_that_of_scipys_matrix(order):
    rows = np.random.default_rng(0).integers(-1000, 1000, (3, order)).astype(float)
    np.testing.assert_array_equal(walsh_transform(rows), rows @ hadamard(order))


@pytest.mark.parametrize("order", [4096, 8192])  # of two and of three factors
def test_the_transform_of_an_axis_is_a_row_of_scipys_matrix(order):
    chosen = np.array([0, 1, 63, 64, 1000, 4095])
    units = np.zeros((chosen.size, order))
    units[np.arange(chosen.size), chosen] = 1
    expected = hadamard(order, dtype=np.int8)[chosen]
    np.testing.assert_array_equal(walsh_transform(units), expected)


def spelled(order: int, products: int) -> np.ndarray:
    """H·D₁ ⋯ H·D_p by SciPy's matrix and the words one at a time."""
    made = np.eye(order, dtype=np.int64)
    for p in range(products):
        signs = [1 - 2 * (oracle.spelled_word(order * p + j, **W) & 1) for j in range(order)]
        made = made @ hadamard(order) * signs
    return made


@pytest.mark.parametrize("order", [1, 2, 4, 32, 128])
@pytest.mark.parametrize("products", [1, 2, 3])
def test_hadamard_rows_are_exactly_orthogonal(order, products):
    made = hadamard_rows(np.arange(order), order, products=products, **W)
    np.testing.assert_array_equal(made, spelled(order, products))
    np.testing.assert_array_equal(made @ made.T, order**products * np.eye(order))
    unit = hadamard_unit(order, products, 3.0)
    assert unit == pytest.approx(3 / math.sqrt(order) ** products, rel=4 * oracle.ulp(np.float64))


@given(
    power=st.integers(0, 7),
    short=st.integers(1, 20),
    products=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    tall=st.booleans(),
)
def test_hadamard_weights_are_orthogonal_in_every_dtype(power, short, products, dtype, tall):
    order, short = 2**power, min(short, 2**power)
    tall = tall or short == order  # a square weight counts as tall, as in `orthogonal`
    shape = (order, short) if tall else (short, order)
    made = laws.hadamard_orthogonal(gain=2.0, products=products).draw(
        shape, TORCH, dtype=dtype, **W
    )
    exact = np.sqrt(float(order)) ** -products * spelled(order, products)[:short] * 2
    near = {"float16": "float16", "float32": "float32", "complex64": "float32"}.get(
        dtype, "float64"
    )
    allowed = 4 * oracle.ulp(near)
    np.testing.assert_allclose(made.T if tall else made, exact, rtol=allowed, atol=0)
    gram = (made.T if tall else made).astype(complex)
    np.testing.assert_allclose(gram @ gram.T.conj() / 4, np.eye(short), rtol=0, atol=4 * allowed)


def test_where_the_factor_is_a_power_of_two_float32_is_exact():
    """Order 256: entries are integers over 2¹², so that even the Gram matrix has no error."""
    made = laws.hadamard_orthogonal().draw((256, 256), **W).astype(np.float64)
    np.testing.assert_array_equal(made @ made.T, np.eye(256))


def test_a_float32_weight_of_4096_is_exact_in_its_integers():
    rows = laws.hadamard_orthogonal().block(
        (4096, 4096), TORCH, offset=(4000, 0), size=(9, 4096), **W
    )
    exact = rows.astype(np.float64)
    np.testing.assert_array_equal(exact * 2.0**18, np.round(exact * 2.0**18))
    np.testing.assert_array_equal(exact @ exact.T, np.eye(9))


def test_the_entries_of_three_products_look_normal_and_of_one_do_not():
    order = 512
    kurtosis = {}
    for products in (1, 2, 3):
        law = laws.hadamard_orthogonal(products=products)
        made = law.draw((order, order), dtype="float64", **W) * math.sqrt(order)
        kurtosis[products] = float(np.mean(made**4))
    haar = 3 * order / (order + 2)
    error = math.sqrt(96 / order**2)  # the fourth moment of a normal has variance 96
    assert kurtosis[1] == pytest.approx(1, rel=8 * oracle.ulp(np.float64))  # all of one size
    assert abs(kurtosis[3] - haar) < 10 * error  # rows share their signs: a wide margin


def test_a_tall_weight_is_a_wide_one_turned():
    law = laws.hadamard_orthogonal()
    tall = law.draw((64, 20), TORCH, **W)
    np.testing.assert_array_equal(law.draw((20, 64), TORCH, **W), tall.T)
    np.testing.assert_array_equal(law.draw((20, 64), **W), tall.T)


@pytest.mark.parametrize("order", [0, 3, 12, 1000, 2**27])
def test_only_powers_of_two_are_drawn(order):
    with pytest.raises(ShapeError, match="the longer side must be a power of two"):
        need_order(order)
    if 0 < order < 2000:
        for ask in (
            laws.hadamard_orthogonal().std,
            lambda s: laws.hadamard_orthogonal().draw(s, **W),
        ):
            with pytest.raises(ShapeError, match="hadamard_orthogonal: the longer side must be"):
                ask((order, 2))
