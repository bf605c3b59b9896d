"""Orthogonal and mirrored matrices: exact lengths (ulp) and Haar's moments (separating)."""

import itertools
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
from pondera.kernel import library, pool, products
from pondera.kernel.library import LEVELS
from pondera.kernel.products import MEANS
from tests import oracle
from tests.kernel_levels import running_at
from tests.test_house_laws import law_of
from tests.test_kernel_library import in_a_process

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


def test_a_product_is_taken_in_place():
    rng = np.random.default_rng(0)
    rest, left, right = (rng.standard_normal(shape) for shape in ((5, 4), (5, 3), (3, 4)))
    expected = eval(law_of(module.subtract_product), {"rest": rest, "left": left, "right": right})
    module.subtract_product(rest, left, right)
    np.testing.assert_array_equal(rest, expected)


HAAR = [  # size, matrices, how they are made: small ones in one panel, larger ones in two
    pytest.param(6, 6000, "float64", id="6"),
    pytest.param(16, 8000, "float64", id="16"),
    pytest.param(16, 8000, "float32", id="16 float32"),
    pytest.param(64, 6000, "float32", id="64 float32"),
]


@pytest.mark.parametrize(("n", "count", "dtype"), HAAR)
def test_orthogonal_matrices_have_haar_moments(monkeypatch, n, count, dtype):
    """Against exact moments of O(n): entries, pairs of entries, traces of powers, determinant."""
    monkeypatch.setattr(module, "_EXACT", 0)
    given_ = {"name": "w", "dtype": dtype, "means": MEANS}
    q = np.array([orthogonal_matrix(n, n, seed=k, **given_) for k in range(count)], np.float64)
    square = q @ q
    traces = [np.trace(power, axis1=1, axis2=2) for power in (q, square, square @ q)]
    crossed = 1 / ((n - 1) * n * (n + 2))
    moments = {  # what is averaged, and its expectation under Haar's measure
        "entries": (q, 0),
        "entries⁴": (q**4, 3 / (n * (n + 2))),
        "neighbours": (q[:, :, :-1] ** 2 * q[:, :, 1:] ** 2, 1 / (n * (n + 2))),
        "crossed": (q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2, (n + 1) * crossed),
        "four": (q[:, 0, 0] * q[:, 0, 1] * q[:, 1, 0] * q[:, 1, 1], -crossed),
        "determinant": (np.linalg.det(q), 0),
        "trace": (traces[0], 0),
        "trace²": (traces[0] ** 2, 1),
        "trace⁴": (traces[0] ** 4, 3),
        "trace⁶": (traces[0] ** 6, 15),
        "trace of Q²": (traces[1], 1),
        "trace² of Q²": (traces[1] ** 2, 3),
        "trace² of Q³": (traces[2] ** 2, 3),
    }
    for name, (sample, expected) in moments.items():
        error = sample.std(axis=0) / math.sqrt(count)
        far = np.abs(sample.mean(axis=0) - expected) / error
        assert far.max() < oracle.STANDARD_ERRORS, (name, far.max())


# --- float32, by whatever multiplies ---

MOST = 1e-6  # promised of float32, at any size here
level = running_at(LEVELS)


def error_in(dtype, rows, columns):
    q = orthogonal_matrix(rows, columns, seed=0, name="w", dtype=dtype, means=MEANS)
    assert q.dtype == dtype
    return gram_error(q.astype(np.float64))


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (7, 5), (128, 128), (300, 1000), (1024, 1024)]
)
def test_float32_matrices_are_orthonormal(monkeypatch, level, rows, columns):
    monkeypatch.setattr(module, "_EXACT", 0)
    assert error_in("float32", rows, columns) <= MOST


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(4096, 1024), (4096, 4096)])
def test_large_float32_matrices_are_orthonormal(rows, columns):
    assert error_in("float32", rows, columns) <= MOST


def test_small_float32_matrices_are_float64_ones_rounded_once(level):
    for rows, columns in ((256, 256), (65536, 1), (3, 700)):
        made = orthogonal_matrix(rows, columns, seed=0, name="w", dtype="float32", means=MEANS)
        exact = orthogonal_matrix(rows, columns, seed=0, name="w").astype(np.float32)
        np.testing.assert_array_equal(made, exact)


def test_float32_and_float64_matrices_are_the_same_to_rounding(level):
    """Also across levels: the normals are equal, and so are the signs."""
    made = orthogonal_matrix(300, 260, seed=0, name="w", dtype="float32", means=MEANS)
    exact = orthogonal_matrix(300, 260, seed=0, name="w")
    assert np.abs(made - exact).max() <= 300 * oracle.ulp(np.float32)


def test_products_are_those_of_numpy_to_rounding_and_equal_at_every_level(monkeypatch):
    """Whatever cuts the product up: threads, instruction set, borders of tiles, a turned factor."""
    monkeypatch.setattr(products, "_WORTH", 0)
    monkeypatch.setattr(products, "_SPLIT", 0)
    rng = np.random.default_rng(0)
    for m, k, n in ((1, 1, 1), (6, 256, 16), (15, 257, 33), (224, 300, 70), (300, 40, 1100)):
        right, room = (rng.standard_normal(s).astype(np.float32) for s in ((k, n), (m, n + 3)))
        for left in (rng.standard_normal((m, k)), rng.standard_normal((k, m)).T):
            left = left.astype(np.float32, order="K")
            exact = room.astype(np.float64)
            exact[:, :n] -= left.astype(np.float64) @ right
            found = set()
            for wanted, threads in itertools.product(LEVELS, (1, 3)):
                if wanted in ("avx2", "avx512") and wanted in here():
                    monkeypatch.setenv(library.VARIABLE, wanted)
                    library.running.cache_clear()
                    pool.use_threads(threads)
                    made = room.copy()
                    products.subtract(made[:, :n], left, right)
                    found.add(made.tobytes())
                    size = np.abs(left).astype(np.float64) @ np.abs(right) + np.abs(room[:, :n])
                    limit = (k + 2) * oracle.ulp(np.float32) * size
                    assert (np.abs(made - exact)[:, :n] <= limit).all()
                    assert (made[:, n:] == room[:, n:]).all()
            assert len(found) <= 1
    library.running.cache_clear()
    pool.use_threads(None)


def test_weights_are_computed_in_their_own_precision():
    for dtype, eps in (("float32", 1e-6), ("float64", EPS * 8 * math.sqrt(96))):
        for law in (laws.orthogonal(), laws.delta_orthogonal()):
            shape = (96, 64) if law.name == "orthogonal" else (1, 96, 64)
            made = law.draw(shape, seed=0, name="w", dtype=dtype).reshape(96, 64)
            assert EPS < gram_error(made.astype(np.float64)) <= eps
            for complexes in {"float32": ["complex64"], "float64": ["complex128"]}[dtype]:
                other = law.draw(shape, seed=0, name="w", dtype=complexes)
                np.testing.assert_array_equal(other.reshape(96, 64), made)
        stated = eval(law_of(module.precision_of), {"dtype": dtype})
        assert module.precision_of(dtype) == stated == dtype


def here():
    return library.levels(library._load(library.PLACE)[0])


def test_matrices_do_not_depend_on_the_number_of_threads():
    """Ours do not by construction; NumPy's float64 products of the panels did not where this was run."""
    program = """
        import hashlib
        from pondera.core.orthogonal import orthogonal_matrix
        from pondera.kernel import use_threads
        from pondera.kernel.products import MEANS
        use_threads({threads})
        q = orthogonal_matrix(700, 600, seed=0, name="w", dtype="float32", means=MEANS)
        print(hashlib.sha256(q.tobytes()).hexdigest())
    """
    made = {in_a_process(program.format(threads=n), OPENBLAS_NUM_THREADS=str(n)) for n in (1, 2, 3)}
    assert len(made) == 1
    assert next(iter(made))[1] == ""


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
