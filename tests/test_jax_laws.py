"""Every law in JAX: element-wise ones to the bit, matrices to their rounding (tier "ulp"); what is refused."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax.numpy as jnp

import pondera.jax as pj
import pondera.numpy as pn
from pondera.core import laws
from pondera.core.bits import name_hash
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import AbstractMatrix
from pondera.jax import numbers, stream
from tests import law_cases, oracle
from tests.test_jax import STREAM, mode, same

FACTORIES = sorted(
    name
    for name, factory in vars(laws).items()
    if inspect.isfunction(factory) and name not in ("constant", "truncated_std")
)


@pytest.mark.parametrize("name", law_cases.ALL)
def test_every_law_is_drawn_as_in_core(name):
    case = law_cases.ALL[name]
    made = pj.weight(case.law, case.shape, **STREAM, **case.axes._asdict())
    expected = case.law.draw(case.shape, case.axes, **STREAM)
    if isinstance(case.law, AbstractMatrix):
        close = {"rtol": oracle.ulp(np.float32), "atol": 8 * oracle.ulp(np.float32)}
        np.testing.assert_allclose(np.asarray(made), expected, **close)
    else:
        assert same(made, expected)


@pytest.mark.parametrize("name", FACTORIES)
def test_every_law_has_a_name_here(name):
    assert getattr(pj, name).__name__ == name
    assert inspect.getdoc(getattr(laws, name)) in inspect.getdoc(getattr(pj, name))


def test_scalars_of_jax_are_numbers():
    made = pj.truncated_normal((6, 10), std=jnp.float32(0.25), cut=jnp.asarray(1.5), **STREAM)
    assert same(made, pn.truncated_normal((6, 10), std=0.25, cut=1.5, **STREAM))
    offset, expected = (jnp.int32(2), 3), pn.normal((6, 10), std=0.1, **STREAM)[2:4, 3:8]
    assert same(pj.normal((6, 10), std=0.1, offset=offset, size=(2, 5), **STREAM), expected)


def test_names_take_their_law_s_options():
    made = pj.he_normal((6, 10), slope=0.3, fan="out", in_axes=(1,), out_axes=(0,), **STREAM)
    axes = {"in_axes": (1,), "out_axes": (0,)}
    assert same(made, pn.he_normal((6, 10), slope=0.3, fan="out", **axes, **STREAM))
    with pytest.raises(TypeError, match="slop"):
        pj.he_normal((6, 10), slop=0.3, **STREAM)


MATRICES = {
    "orthogonal": laws.orthogonal(gain=1.5),
    "first": laws.mirrored_orthogonal(block="first"),
    "hidden": laws.mirrored_orthogonal(gain=0.7),
    "last": laws.mirrored_orthogonal(block="last"),
}


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("dtype", numbers.DTYPES)
@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (3, 3, 16, 8), (1, 2)], ids=str)
def test_matrices_are_numpy_s_to_their_rounding(kind, dtype, shape):
    law = MATRICES[kind]
    if shape == (1, 2) and kind != "orthogonal":
        shape = (2, 2)
    with mode(dtype):
        made = np.asarray(pj.weight(law, shape, dtype=dtype, **STREAM))
    expected = law.draw(shape, dtype="complex128" if "complex" in dtype else "float64", **STREAM)
    step = float(jnp.finfo(made.dtype).eps)
    assert made.dtype == jnp.dtype(dtype)
    wide = made.astype(expected.dtype)
    np.testing.assert_allclose(wide, expected, rtol=step, atol=8 * step)


def test_orthogonal_matrices_are_mapped_over_seeds():
    drawn = jax.jit(jax.vmap(lambda s: pj.orthogonal((96, 64), seed=s, name="w")))(jnp.arange(3))
    for seed, q in enumerate(np.asarray(drawn)):
        expected = pn.orthogonal((96, 64), seed=seed, name="w")
        np.testing.assert_allclose(q, expected, rtol=0, atol=8 * oracle.ulp(np.float32))
        error = np.abs(q.T.astype(np.float64) @ q - np.eye(64)).max()
        assert error <= 8 * oracle.ulp(np.float32)


def test_a_slice_of_a_matrix_is_that_of_the_whole():
    whole = np.asarray(pj.orthogonal((12, 8), **STREAM))
    assert same(pj.orthogonal((12, 8), offset=(3, 2), size=(4, 5), **STREAM), whole[3:7, 2:7])


# --- what is refused ---

VECTOR = {"std": 1.0, **STREAM}
MESSAGES = {
    "dtype": (
        lambda: pj.normal((3,), dtype="int32", **VECTOR),
        "draw: dtype must be one of bfloat16, complex128, complex64, float16, float32, float64; got "
        "dtype='int32'. Cast afterwards.",
    ),
    "narrow mode": (
        lambda: pj.normal((3,), dtype=np.float64, **VECTOR),
        "draw: dtype='float64' needs JAX's 64-bit mode, which is off. Call "
        "jax.config.update('jax_enable_x64', True) first, or draw in 32 bits.",
    ),
    "seeds": (
        lambda: pj.normal((3,), std=1.0, seed=jnp.arange(3), name="w"),
        "draw: a seed of JAX is an integer scalar, or a key of two uint32 words; got shape=(3,), "
        "dtype=int32. Pass one seed; map over several with jax.vmap.",
    ),
    "negative": (
        lambda: pj.normal((3,), std=1.0, seed=jnp.int32(-1), name="w"),
        "draw: a seed is an integer with 0 <= seed < 2**64; got seed=-1. Pass such an integer.",
    ),
    "traced seed": (
        lambda: jax.jit(lambda s: pj.unit_rows((3, 4), seed=s, name="w"))(3),
        "draw: unit_rows is made on the host and needs a seed that is known before tracing; got a "
        "traced seed for 'w'. Draw outside jit and vmap, or pass an integer.",
    ),
    "traced option": (
        lambda: jax.jit(lambda std: pj.normal((3,), std=std, **STREAM))(0.1),
        "draw: normal needs options that are known before tracing; got a traced std. Pass a number, or "
        "draw with 1 and multiply.",
    ),
    "traced offset": (
        lambda: jax.jit(lambda i: pj.orthogonal((3, 4), offset=(i, 0), size=(1, 4), **STREAM))(1),
        "draw: orthogonal is made whole and needs an offset that is known before tracing; got a "
        "traced offset for 'encoder.0.weight'. Draw outside jit and vmap, or pass an integer.",
    ),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_are_as_written(kind):
    call, says = MESSAGES[kind]
    with pytest.raises(DomainError) as fault:
        call()
    assert str(fault.value) == says


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"seed": -1}, DomainError),
        ({"seed": 2**64}, DomainError),
        ({"seed": 1.5}, DomainError),
        ({"seed": True}, DomainError),
        ({"name": ""}, DomainError),
        ({"dtype": "no such"}, DomainError),
        ({"std": float("nan")}, DomainError),
        ({"offset": (9,), "size": (9,)}, ShapeError),
    ],
    ids=str,
)
def test_what_numpy_refuses_is_refused(wrong, error):
    for normal in (pn.normal, pj.normal):
        with pytest.raises(error):
            normal((10,), **{"std": 1.0, **STREAM, **wrong})


def test_the_name_is_hashed_as_everywhere():
    low, high = stream.stream_of(0, "w", tag="imag").name
    assert int(low) | int(high) << 32 == name_hash("w", tag="imag")


def test_without_jax_the_error_says_how_to_install_it():
    program = "import sys; sys.modules['jax'] = None\nimport pondera\npondera.jax"
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "pondera.core.errors.MissingFramework: pondera.jax needs JAX, which is not installed. "
        "Run: pip install 'pondera[jax]'"
    )
