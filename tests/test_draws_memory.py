"""Fills of what has no memory of its own or none at all, and of numbers at the edge, tier "exact"."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import pondera.torch as pt
from pondera import kernel
from pondera.core import laws
from pondera.core.errors import DomainError
from pondera.core.laws.base import Axes
from tests.test_draws_fills import LAWS, STREAM, by_core, each_dtype, level  # noqa: F401

# --- memory that is not there, or is another's ---


def freed(shape, view=lambda tensor: tensor):
    tensor = view(torch.empty(shape))
    tensor.untyped_storage().resize_(0)
    return tensor


@pytest.mark.parametrize(
    "make",
    [
        lambda: freed((4, 5)),
        lambda: freed((4, 5), lambda tensor: tensor[1:]),
        lambda: freed((4, 5), torch.t),
        lambda: freed((300, 500)),
        lambda: torch._efficientzerotensor((4, 5)),
    ],
)
@pytest.mark.parametrize("law", ["normal", "rows"])
def test_a_tensor_without_memory_is_refused(make, law):
    with pytest.raises(DomainError, match="has no memory"):
        pt.fill_(make(), LAWS[law], **STREAM)


def test_a_freed_storage_without_elements_is_filled():
    assert pt.normal_(freed((0, 5)), std=1.0, **STREAM).shape == (0, 5)


@pytest.mark.parametrize("law", ["normal", "rows"])
def test_the_kernel_writes_no_element_to_address_0(law):
    place = {"shape": (4, 5), "offset": None, "size": None}
    weight = kernel.weight_of(LAWS[law], Axes(None, None), **place, **STREAM)
    with pytest.raises(DomainError, match="has no memory"):
        kernel.write(0, None, weight, "float32")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # jvp's own
@each_dtype
def test_tensors_of_torch_func_are_filled(dtype):
    expected = by_core(LAWS["normal"], (4, 5), dtype)

    def product(x):
        made = torch.empty_like(x)
        pt.fill_(made, LAWS["normal"], **STREAM)
        return (made * x).abs().sum(), made

    x = torch.ones((4, 5), dtype=dtype)
    if not dtype.is_complex:
        _, made = torch.func.grad(product, has_aux=True)(x)
        assert torch.equal(made, expected)
    _, _, made = torch.func.jvp(product, (x,), (x,), has_aux=True)
    assert torch.equal(made, expected)
    assert torch.equal(torch.func.functionalize(product)(x)[1], expected)


# --- numbers at the edge ---


def test_a_constant_of_negative_zero_is_zero(level):  # noqa: F811
    laws_of_zero = (
        laws.constant(-0.0),
        laws.uniform(low=-0.0, high=-0.0),
        laws.normal(std=0.0, mean=-0.0),
    )
    for law in laws_of_zero:
        assert not torch.signbit(pt.fill_(torch.empty(4, 5), law, **STREAM)).any()


def test_a_tiled_identity_may_be_a_slice_of_a_huge_tensor():
    shape, law = (2**33, 2**30), laws.tiled_identity(noise=0.0)
    place = {"offset": (2**33 - 3, 2**30 - 3), "size": (3, 3)}
    np.testing.assert_array_equal(law.block(shape, Axes((1,), (0,)), **place, **STREAM), np.eye(3))
