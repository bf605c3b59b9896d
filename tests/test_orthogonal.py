"""Orthogonal and mirrored matrices: exact lengths (ulp) and Haar's moments (separating)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pondera.core import laws
from pondera.core import orthogonal as module
from pondera.core.activations import ACTIVATIONS
from pondera.core.errors import DomainError, ShapeError
from pondera.core.gains import odd_slope
from pondera.core.laws.base import Axes
from pondera.core.orthogonal import mirrored_matrix, mirrored_shape, orthogonal_matrix
from tests import oracle

EPS = oracle.ulp(np.float64)
sizes = st.integers(1, 150)


def gram_error(q) -> float:
    """max |QᵀQ − I| over the shorter side."""
    tall = q if q.shape[0] >= q.shape[1] else q.T
    return float(np.abs(tall.T @ tall - np.eye(tall.shape[1])).max())


@given(rows=sizes, columns=sizes)
def test_rows_or_columns_are_orthonormal(rows, columns):
    q = orthogonal_matrix(rows, columns, seed=0, name="w")
    assert q.shape == (rows, columns)
    assert gram_error(q) <= 8 * EPS * math.sqrt(max(rows, columns))


def test_large_matrices_are_orthonormal_across_their_blocks():
    q = orthogonal_matrix(500, 300, seed=0, name="w")
    assert gram_error(q) <= 8 * EPS * math.sqrt(500)


def test_a_wide_matrix_is_a_tall_one_turned():
    tall = orthogonal_matrix(70, 30, seed=2, name="w")
    np.testing.assert_array_equal(orthogonal_matrix(30, 70, seed=2, name="w"), tall.T)


def test_the_product_of_reflections_is_the_factor_of_its_normals():
    """Householder's vectors, one at a time and without blocks."""
    tall, narrow = 90, 80
    trapezoid = np.tril(np.random.default_rng(0).standard_normal((tall, narrow)))
    product = np.eye(tall)
    for column in range(narrow):
        x = trapezoid[:, column].copy()
        x[column] += math.copysign(np.linalg.norm(x), x[column])
        product -= np.outer(product @ x, x) * (2 / (x @ x))
    signs = -np.where(np.diagonal(trapezoid) < 0, -1, 1)
    made = module._product_of_reflections(trapezoid)
    np.testing.assert_allclose(made, product[:, :narrow] * signs, rtol=0, atol=tall * EPS)


def test_orthogonal_matrices_have_haar_moments():
    n, count = 6, 6000
    q = np.array([orthogonal_matrix(n, n, seed=k, name="w") for k in range(count)])
    trace = np.trace(q, axis1=1, axis2=2)
    turned = np.trace(q @ q, axis1=1, axis2=2)
    moments = {  # what is averaged, and its expectation under Haar's measure
        "entries": (q, 0),
        "entries⁴": (q**4, 3 / (n * (n + 2))),
        "neighbours": (q[:, :, :-1] ** 2 * q[:, :, 1:] ** 2, 1 / (n * (n + 2))),
        "crossed": (q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2, (n + 1) / ((n - 1) * n * (n + 2))),
        "determinant": (np.linalg.det(q), 0),
        "trace": (trace, 0),
        "trace²": (trace**2, 1),
        "trace of Q²": (turned, 1),
    }
    for name, (sample, expected) in moments.items():
        error = sample.std(axis=0) / math.sqrt(count)
        far = np.abs(sample.mean(axis=0) - expected) / error
        assert far.max() < oracle.STANDARD_ERRORS, (name, far)


def test_a_normal_of_zero_leaves_an_orthogonal_matrix():
    """A lone normal is exactly 0 once in 3e7 draws: the last column of a square matrix is one."""
    trapezoid = np.tril(np.random.default_rng(0).standard_normal((5, 5)))
    trapezoid[-1, -1] = 0.0
    assert gram_error(module._product_of_reflections(trapezoid)) <= 8 * EPS * math.sqrt(5)


@pytest.mark.parametrize("name", ["gelu", "hardswish", "leaky_relu", "relu", "silu", "softplus"])
def test_mirrored_chain_is_a_product_of_orthogonal_matrices(name):
    f, c = ACTIVATIONS[name], odd_slope(name)
    width, depth = 24, 7
    x = np.random.default_rng(0).standard_normal((width // 2, 5))
    signal, straight = x, x
    for layer in range(depth):
        block = "first" if layer == 0 else "last" if layer == depth - 1 else "hidden"
        shape = (width // 2 if block == "last" else width, width // 2 if layer == 0 else width)
        given_ = {"seed": 0, "name": f"layers.{layer}"}
        w = mirrored_matrix(*shape, block=block, **given_)
        signal = w @ (f(signal) / c if layer else signal)
        straight = orthogonal_matrix(width // 2, width // 2, **given_) @ straight
    np.testing.assert_allclose(signal, straight, rtol=0, atol=depth * width * EPS * np.abs(x).max())


@pytest.mark.parametrize("block", module.BLOCKS)
def test_mirrored_blocks_are_those_of_the_paper(block):
    q = orthogonal_matrix(6, 4, seed=0, name="w") * math.sqrt(6 / 4)
    blocks = {"first": [[q], [-q]], "hidden": [[q, -q], [-q, q]], "last": [[q, -q]]}
    expected = np.block(blocks[block])
    made = mirrored_matrix(*expected.shape, block=block, seed=0, name="w")
    np.testing.assert_array_equal(made, expected)


@given(high=st.integers(1, 40), wide=st.integers(1, 40))
def test_widening_keeps_the_rms_and_narrowing_keeps_it_on_average(high, wide):
    w = mirrored_matrix(2 * high, wide, block="first", seed=0, name="w")
    q = w[:high]
    kept = np.linalg.svd(q, compute_uv=False) ** 2 / (high / wide)  # of each direction kept
    expected = np.ones(wide) if high >= wide else np.full(high, wide / high)
    np.testing.assert_allclose(kept, expected, rtol=64 * EPS)
    assert np.mean(q**2) * wide == pytest.approx(1, rel=64 * EPS)


def test_a_convolution_is_orthogonal_as_outputs_by_all_else():
    stored = laws.orthogonal(gain=2.0).draw((3, 3, 4, 50), seed=0, name="w", dtype="float64")
    rows = stored.reshape(36, 50)
    assert gram_error(rows / 2) <= 8 * EPS * math.sqrt(50)
    turned = laws.orthogonal(gain=2.0).draw(
        (50, 4, 3, 3), Axes((1,), (0,)), seed=0, name="w", dtype="float64"
    )
    assert gram_error(turned.reshape(50, 36) / 2) <= 8 * EPS * math.sqrt(50)


def test_the_stored_order_turns_the_same_matrix():
    one = laws.orthogonal().draw((30, 70), seed=0, name="w", dtype="float64")
    other = laws.orthogonal().draw((70, 30), Axes((1,), (0,)), seed=0, name="w", dtype="float64")
    np.testing.assert_array_equal(one, other.T)


@pytest.mark.parametrize(
    ("rows", "columns", "block", "side"),
    [
        (5, 4, "first", "outputs"),
        (5, 4, "hidden", "outputs"),
        (4, 5, "hidden", "inputs"),
        (4, 1, "hidden", "inputs"),
        (4, 5, "last", "inputs"),
    ],
)
def test_odd_widths_are_refused(rows, columns, block, side):
    law = laws.mirrored_orthogonal(block=block)
    for attempt in (
        lambda: mirrored_shape(rows, columns, block=block),
        lambda: mirrored_matrix(rows, columns, block=block, seed=0, name="w"),
        lambda: law.std((rows, columns), Axes((1,), (0,))),
        lambda: law.draw((rows, columns), Axes((1,), (0,)), seed=0, name="w"),
    ):
        with pytest.raises(ShapeError, match=f"a {block} layer needs an even number of {side}"):
            attempt()


def test_unknown_blocks_and_empty_matrices_are_refused():
    with pytest.raises(DomainError, match="did you mean 'first'"):
        laws.mirrored_orthogonal(block="frist")
    with pytest.raises(ShapeError, match="at least one row"):
        orthogonal_matrix(0, 3, seed=0, name="w")
