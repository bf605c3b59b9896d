"""Fills of PyTorch tensors, tier "exact": the bits of the NumPy adapter, wherever they are put."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import pondera.numpy as pn
import pondera.torch as pt
from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError
from tests.test_numpy import NAMES, OPTIONS

DTYPES = {
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
}
TORCH_AXES = {"in_axes": (1,), "out_axes": (0,)}
STREAM = {"seed": 2**63 + 5, "name": "encoder.0.weight"}
each = pytest.mark.parametrize("name", NAMES)


def by_numpy(name, shape, dtype="float32", **axes):
    drawn = getattr(pn, name)(shape, dtype=dtype, **OPTIONS.get(name, {}), **STREAM, **axes)
    return torch.from_numpy(drawn)


def filled(name, tensor, **axes):
    return getattr(pt, f"{name}_")(tensor, **OPTIONS.get(name, {}), **STREAM, **axes)


def real(name, dtype) -> bool:
    """A uniform off zero has no complex form."""
    return not (dtype.startswith("complex") and name == "uniform")


@each
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6, 10), (8, 4, 3, 3)], ids=str)
def test_numpy_and_torch_draw_equal_bits(name, dtype, shape):
    tensor = torch.empty(shape, dtype=DTYPES[dtype])
    if not real(name, dtype):
        with pytest.raises(DomainError, match="centred at 0"):
            filled(name, tensor)
        return
    assert filled(name, tensor) is tensor
    assert torch.equal(tensor, by_numpy(name, shape, dtype, **TORCH_AXES))


def test_the_default_axes_are_those_of_pytorch_layers():
    """The terms that one output of a real layer sums over."""
    for layer in (torch.nn.Linear(700, 30), torch.nn.Conv2d(12, 40, 3)):
        torch.nn.init.ones_(layer.weight)
        image = torch.ones((1, 700) if layer.weight.ndim == 2 else (1, 12, 3, 3))
        with torch.no_grad():
            fan_in = round(float((layer(image).flatten(1) - layer.bias)[0, 0]))
        law = laws.lecun_normal()
        assert law.std(layer.weight.shape, pt.fill.LAYOUT) == fan_in**-0.5
        other = torch.empty_like(layer.weight)
        pt.fill_(other, law, in_axes=(1,), out_axes=(0,), **STREAM)
        pt.lecun_normal_(layer.weight, **STREAM)
        assert torch.equal(layer.weight, other)


def test_other_axes_may_be_named():
    stored = filled("he_normal", torch.empty(6, 10), in_axes=(0,), out_axes=(1,))
    assert torch.equal(stored, by_numpy("he_normal", (6, 10)))


@each
def test_bfloat16_is_float32_rounded_once_to_nearest_even(name):
    tensor = filled(name, torch.empty(60, 50, dtype=torch.bfloat16))
    bits = by_numpy(name, (60, 50), **TORCH_AXES).numpy().view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    np.testing.assert_array_equal(tensor.view(torch.int16).numpy().view(np.uint16), rounded)


@pytest.mark.parametrize(
    "view",
    [
        lambda: torch.empty(10, 6).t(),
        lambda: torch.empty(12, 20)[::2, ::2],
        lambda: torch.empty(7, 11)[1:, 1:],
        lambda: torch.empty(2, 6, 10)[1],
        lambda: torch.nn.Parameter(torch.empty(6, 10)),
        lambda: torch.nn.Linear(10, 6).weight,
    ],
    ids=["turned", "strided", "inner", "slice", "parameter", "layer"],
)
def test_any_view_is_filled_in_place(view):
    tensor = view()
    strides, grad = tensor.stride(), tensor.requires_grad
    assert filled("he_normal", tensor) is tensor
    assert torch.equal(tensor.detach(), by_numpy("he_normal", (6, 10), **TORCH_AXES))
    assert (tensor.stride(), tensor.requires_grad) == (strides, grad)
    assert tensor.is_leaf
    assert tensor.grad_fn is None


def test_a_view_leaves_what_lies_between_untouched():
    whole = torch.full((12, 20), 7.0)
    filled("he_normal", whole[::2, ::2])
    assert (whole[1::2] == 7).all()
    assert (whole[:, 1::2] == 7).all()


REFUSED = {
    "int": (lambda: torch.ones(3, 4, dtype=torch.int32), DomainError, "floating point or complex"),
    "float8": (
        lambda: torch.ones(3, 4).to(torch.float8_e4m3fn),
        DomainError,
        "at least 16 bits",
    ),
    "expanded": (lambda: torch.ones(1, 4).expand(3, 4), DomainError, "overlaps itself"),
    "vector": (lambda: torch.ones(3), ShapeError, "axes of shape"),
    "empty": (lambda: torch.ones(3, 0), ShapeError, "size of at least 1"),
    "array": (lambda: np.ones((3, 4)), DomainError, "needs a torch.Tensor"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_tensors_that_cannot_be_filled_are_refused_and_untouched(kind):
    make, error, says = REFUSED[kind]
    tensor = make()
    with pytest.raises(error, match=says):
        filled("he_normal", tensor)
    if kind != "array":
        assert (tensor.float() == 1).all()


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"name": ""}, {"name": None}], ids=str)
def test_a_tensor_is_untouched_by_a_draw_that_fails(wrong):
    tensor = torch.ones(3, 4)
    with pytest.raises(DomainError):
        pt.he_normal_(tensor, **{**STREAM, **wrong})
    assert (tensor == 1).all()


def test_a_tensor_without_elements_is_filled():
    assert pt.normal_(torch.empty(0, 3), std=1.0, **STREAM).shape == (0, 3)
    assert pt.normal_(torch.empty(()), std=1.0, **STREAM).shape == ()


def test_no_global_generator_is_read_or_moved():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = filled("he_normal", torch.empty(6, 10))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    torch.manual_seed(1)
    assert torch.equal(filled("he_normal", torch.empty(6, 10)), first)


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated_normal"])
def test_new_tensors_hold_the_same_draw(name):
    made = getattr(pt, name)((6, 10), dtype=torch.float64, **OPTIONS[name], **STREAM)
    assert torch.equal(made, by_numpy(name, (6, 10), "float64", **TORCH_AXES))
    assert getattr(pt, name)((3,), **OPTIONS[name], **STREAM).dtype == torch.get_default_dtype()
    with pytest.raises(ShapeError, match="a shape is a sequence of integers"):
        getattr(pt, name)((3, -1), **OPTIONS[name], **STREAM)


def test_functions_carry_the_name_and_law_they_fill_by():
    assert pt.he_normal_.__name__ == "he_normal_"
    assert "He et al. 2015" in pt.he_uniform_.__doc__
    assert (pt.normal.__name__, pt.normal_.__name__) == ("normal", "normal_")


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (torch.nn.GELU(), "gelu"),
        (torch.nn.ReLU(inplace=True), "relu"),
        (torch.nn.functional.silu, "silu"),
        (torch.tanh, "tanh"),
        ("selu", "selu"),
    ],
    ids=["GELU", "ReLU", "silu", "tanh", "name"],
)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_gains_of_pytorch_activations_are_those_of_the_names(activation, name, direction):
    from pondera.core.gains import gain
    from tests.test_gains import ACCURACY

    made = pt.gain(activation, direction=direction, std=1.5)
    assert made == pytest.approx(gain(name, direction=direction, std=1.5), rel=ACCURACY)


def test_a_gain_that_fails_names_the_module():
    with pytest.raises(DomainError, match=r"activation=Softmax\(dim=0\)"):
        pt.gain(torch.nn.Softmax(dim=0))


@pytest.mark.parametrize("scheme", ["glorot", "he", "lecun", "orthogonal"])
def test_a_scheme_zeroes_biases_and_makes_norms_pass_what_they_normalise(scheme):
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    pt.initialize(model, torch.ones(2, 6), scheme=scheme)
    for shift in (model[0].bias, model[1].bias, model[3].bias):
        assert (shift == 0).all()
    assert (model[1].weight == 1).all()
    assert model[0].weight.unique().numel() > 8
