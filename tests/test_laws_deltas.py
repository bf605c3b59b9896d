"""Delta-orthogonal convolutions: the norm through a real convolution with circular padding."""

import math

import numpy as np
import pytest

from pondera.core import laws
from pondera.core.errors import ShapeError
from pondera.core.orthogonal import mirrored_matrix, orthogonal_matrix
from tests import oracle
from tests.law_cases import TORCH

EPS = oracle.ulp(np.float64)
W = {"seed": 0, "name": "w", "dtype": "float64"}
FIELDS = [(3,), (4,), (3, 5), (3, 3, 3), (1, 1), (2, 3)]
every = pytest.mark.parametrize("field", FIELDS, ids=str)


def convolved(image, kernel):
    """image (…, in), kernel (field…, in, out) → (…, out); the edges wrap around."""
    out = 0
    for tap in np.ndindex(kernel.shape[:-2]):
        shift = [n // 2 - t for t, n in zip(tap, kernel.shape, strict=False)]
        out = out + np.roll(image, shift, axis=tuple(range(len(shift)))) @ kernel[tap]
    return out


def image_of(field, channels):
    return np.random.default_rng(0).standard_normal((*(n + 4 for n in field), channels))


@every
@pytest.mark.parametrize("outputs", [6, 9])
def test_delta_orthogonal_convolutions_keep_every_norm(field, outputs):
    kernel = laws.delta_orthogonal(gain=1.5).draw((*field, 6, outputs), **W)
    image = image_of(field, 6)
    kept = np.linalg.norm(convolved(image, kernel)) / np.linalg.norm(image)
    assert kept == pytest.approx(1.5, rel=64 * EPS)
    plain = laws.orthogonal(gain=1.5).draw((*field, 6, outputs), **W)
    if math.prod(field) > 1:  # the flattened kernel does not
        assert abs(np.linalg.norm(convolved(image, plain)) / np.linalg.norm(image) - 1.5) > 0.01


@every
def test_only_the_middle_tap_is_not_zero(field):
    kernel = laws.delta_orthogonal().draw((*field, 4, 6), **W)
    middle = tuple((n - 1) // 2 for n in field)
    np.testing.assert_array_equal(kernel[middle].T, orthogonal_matrix(6, 4, seed=0, name="w"))
    kernel[middle] = 0
    assert not kernel.any()


@every
def test_delta_orthogonal_is_that_of_jax_in_its_zeros(field):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    shape = (*field, 4, 6)
    theirs = np.asarray(jax.nn.initializers.delta_orthogonal()(jax.random.key(0), shape))
    np.testing.assert_array_equal(laws.delta_orthogonal().draw(shape, **W) != 0, theirs != 0)


@every
def test_stored_orders_turn_the_same_kernel(field):
    for law in (laws.delta_orthogonal(), laws.mirrored_delta_orthogonal()):
        stored = law.draw((*field, 4, 6), **W)
        turned = law.draw((6, 4, *field), TORCH, **W)
        np.testing.assert_array_equal(np.moveaxis(turned, (0, 1), (-1, -2)), stored)


def test_fewer_outputs_drop_directions():
    kernel = laws.delta_orthogonal().draw((3, 8, 5), **W)
    np.testing.assert_allclose(kernel[1].T @ kernel[1], np.eye(5), atol=32 * EPS)


def test_mirrored_kernels_hold_the_mirrored_matrix():
    for block, shape in (("first", (3, 3, 8)), ("hidden", (3, 6, 8)), ("last", (3, 6, 4))):
        kernel = laws.mirrored_delta_orthogonal(block=block, gain=2.0).draw(shape, **W)
        expected = 2 * mirrored_matrix(shape[2], shape[1], block=block, seed=0, name="w")
        np.testing.assert_array_equal(kernel[1].T, expected)


@pytest.mark.parametrize("field", [(3,), (3, 3), (1, 3, 3)], ids=str)
def test_a_mirrored_chain_of_convolutions_keeps_every_norm(field):
    """ReLU behind each layer but the last: relu(u) − relu(−u) = u."""
    channels, depth = 5, 6
    image = signal = image_of(field, channels)
    for layer in range(depth):
        block = "first" if layer == 0 else "last" if layer == depth - 1 else "hidden"
        wide = channels if block == "last" else 2 * channels
        shape = (*field, channels if block == "first" else 2 * channels, wide)
        law = laws.mirrored_delta_orthogonal(block=block)
        kernel = law.draw(shape, seed=0, name=f"{layer}", dtype="float64")
        signal = convolved(signal if layer == 0 else np.maximum(signal, 0), kernel)
    assert np.linalg.norm(signal) == pytest.approx(np.linalg.norm(image), rel=256 * EPS)


def test_odd_channels_are_refused_where_they_are_mirrored():
    with pytest.raises(ShapeError, match="a hidden layer needs an even number of outputs; got 5"):
        laws.mirrored_delta_orthogonal().draw((3, 4, 5), **W)
