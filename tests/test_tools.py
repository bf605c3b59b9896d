"""Every message of the core and of its NumPy and PyTorch fronts, compared whole.

One entry per way to go wrong: call, class, text. `test_house.py` holds the table complete.
"""

import numpy as np
import pytest

import pondera.numpy as pn
from pondera.core import bits, laws, orthogonal
from pondera.core.draw import draw
from pondera.core.errors import DomainError, MissingFramework, ShapeError, missing, placed, unknown
from pondera.core.fans import fans
from pondera.core.gains import gain
from pondera.core.laws.base import Axes
from pondera.core.recipes import normal_recipe, truncated_recipe, uniform_recipe
from pondera.model import dispatch

NAMED = {"seed": 0, "name": "w"}


class Shown:
    """An activation whose repr does not change from run to run."""

    def __init__(self, function):
        self.function = function

    def __call__(self, z):
        return self.function(z)

    def __repr__(self):
        return "<f>"


def _draw(dtype="float32", recipe=None, **stream):
    return draw(0, 3, recipe=recipe or normal_recipe(1.0), dtype=dtype, **{**NAMED, **stream})


def _gain(function, **options):
    return gain(Shown(function), **options)


def _torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def _filled(make):
    import pondera.torch as pt

    return pt.he_normal_(make(_torch()), **NAMED)


def _made(**options):
    import pondera.torch as pt

    return pt.normal((3, -1), std=1.0, **options, **NAMED)


def _raise(error):
    raise error


ACTIVATIONS = (
    "elu, gelu, gelu_tanh, hardswish, hardtanh, identity, leaky_relu, mish, relu, relu6, relu_squared, "
    "selu, sigmoid, silu, sin, softplus, tanh"
)
POINTWISE = (
    "gain: an activation maps a float64 NumPy array to one of its shape; got activation=<f>, which "
)

MESSAGES = [
    # bits
    (
        lambda: bits.name_hash(""),
        DomainError,
        "draw: a name is a non-empty string without NUL; got name=''. Pass the parameter's name, such "
        "as name='encoder.0.weight'.",
    ),
    (
        lambda: bits.stream_key(-1),
        DomainError,
        "draw: a seed is an integer with 0 <= seed < 2**64; got seed=-1. Pass such an integer.",
    ),
    (
        lambda: bits.words(2**64, 1, **NAMED),
        DomainError,
        "draw: needs 0 <= start and start + count <= 2**64; got start=18446744073709551616, count=1. "
        "Draw inside the tensor.",
    ),
    # draw
    (
        lambda: _draw("bfloat16"),
        DomainError,
        "draw: dtype must be one of complex128, complex64, float16, float32, float64; got "
        "dtype='bfloat16'. Cast afterwards.",
    ),
    (
        lambda: _draw("complex64", uniform_recipe(0.0, 1.0)),
        DomainError,
        "draw: a complex draw is centred at 0; got a mean or an interval off zero. Add the mean to the "
        "result.",
    ),
    # recipes, through the laws
    (
        lambda: laws.uniform(low=1.0, high=0.0),
        DomainError,
        "uniform: needs finite low <= high; got low=1.0, high=0.0. Swap the bounds?",
    ),
    (
        lambda: laws.normal(std=-0.1),
        DomainError,
        "normal: needs 0 <= std < inf; got std=-0.1. Pass such a number.",
    ),
    (
        lambda: laws.normal(std=1e-9, mean=1.0),
        DomainError,
        "normal: needs a finite mean with abs(mean) < 2**24 * std; got mean=1.0, std=1e-09. Use a "
        "constant: float32 cannot tell the draws apart.",
    ),
    (
        lambda: laws.truncated_normal(std=1.0, cut=1e-4),
        DomainError,
        "truncated_normal: the cuts must keep at least 2**-12 of the mass; got lower=-0.0001, "
        "upper=0.0001, which keep 7.98e-05. Widen them.",
    ),
    (
        lambda: truncated_recipe(1.0, lower=2.0, upper=-2.0),
        DomainError,
        "truncated_normal: needs lower < upper; got lower=2.0, upper=-2.0. Swap the cuts?",
    ),
    # fans
    (
        lambda: fans((64,)),
        ShapeError,
        "fans: a weight needs at least 2 axes; got shape=(64,). For a bias or norm scale use law='zeros' "
        "or 'ones', or pass in_axes= and out_axes=.",
    ),
    (
        lambda: fans((3, 4), in_axes=(0,)),
        ShapeError,
        "fans: in_axes and out_axes go together; got in_axes=(0,), out_axes=None. Pass both or neither.",
    ),
    (
        lambda: fans((3, 4), in_axes=(0,), out_axes=(-2,)),
        ShapeError,
        "fans: an axis is in or out, once; got in_axes=(0,), out_axes=(-2,) for shape=(3, 4). Name each "
        "axis once.",
    ),
    (
        lambda: fans((3, 0)),
        ShapeError,
        "fans: every axis needs a size of at least 1; got shape=(3, 0). An empty weight has no fans: "
        "leave it out.",
    ),
    (
        lambda: fans((3, 4), in_axes=(2,), out_axes=(0,)),
        ShapeError,
        "fans: axes of shape=(3, 4) run from -2 to 1; got axis=2. Name an axis that exists.",
    ),
    # gains
    (
        lambda: gain("rellu"),
        DomainError,
        f"gain: unknown activation 'rellu'; did you mean 'relu'? Known: {ACTIVATIONS}.",
    ),
    (
        lambda: gain("relu", direction="up"),
        DomainError,
        "gain: unknown direction 'up'; Known: backward, forward.",
    ),
    (
        lambda: gain("relu", std=0.0),
        DomainError,
        "gain: needs 0 < std < inf; got std=0.0. Pass such a number.",
    ),
    (
        lambda: _gain(np.sign, direction="backward"),
        DomainError,
        "gain: a backward gain needs a continuous activation; got activation=<f>, which jumps near 0. "
        "Use direction='forward'.",
    ),
    (
        lambda: _gain(np.zeros_like),
        DomainError,
        "gain: the activation lets nothing through; got activation=<f>, whose forward second moment is "
        "0. Check the function.",
    ),
    (
        lambda: _gain(lambda z: np.random.default_rng(0).normal(size=z.shape)),
        DomainError,
        "gain: needs an activation that is smooth between a few kinks; got activation=<f>, which is "
        "rough everywhere. Compute it in float64, without noise.",
    ),
    (
        lambda: _gain(lambda z: z.relu()),
        DomainError,
        POINTWISE
        + "raised AttributeError: 'numpy.ndarray' object has no attribute 'relu'. For a PyTorch "
        "function use pondera.torch.gain.",
    ),
    (
        lambda: _gain(lambda z: z[:5]),
        DomainError,
        POINTWISE
        + "returned shape (5,). Pass a pointwise function that is finite up to 12 standard "
        "deviations.",
    ),
    (
        lambda: _gain(np.log),
        DomainError,
        POINTWISE
        + "returned numbers that are not finite. Pass a pointwise function that is finite up to "
        "12 standard deviations.",
    ),
    # laws
    (
        lambda: laws.truncated_std(0.0),
        DomainError,
        "truncated_std: needs 0 < cut < inf; got cut=0.0. For no truncation draw with normal() instead.",
    ),
    (
        lambda: laws.glorot_normal(gain=-1.0),
        DomainError,
        "laws: glorot_normal needs 0 < gain < inf; got gain=-1.0. Use gain=1.0.",
    ),
    (
        lambda: laws.orthogonal(gain=0.0),
        DomainError,
        "laws: orthogonal needs 0 < gain < inf; got gain=0.0. Use gain=1.0.",
    ),
    (
        lambda: laws.variance_scaling(fan="avg"),
        DomainError,
        "laws: unknown fan 'avg'; did you mean 'average'? Known: average, geometric, in, out.",
    ),
    (
        lambda: laws.variance_scaling(distribution="normel"),
        DomainError,
        "laws: unknown distribution 'normel'; did you mean 'normal'? Known: normal, truncated_normal, "
        "uniform.",
    ),
    (
        lambda: laws.he_normal(activation="tanh"),
        DomainError,
        "laws: he_normal assumes an activation that zeroes half its input; got activation='tanh'. Use "
        "glorot_uniform, or pass gain=.",
    ),
    (
        lambda: laws.he_uniform(slope=float("nan")),
        DomainError,
        "laws: he_uniform needs a finite slope; got slope=nan. Use slope=0.0.",
    ),
    (
        lambda: laws.he_normal().std((64,)),
        ShapeError,
        "he_normal: fans: a weight needs at least 2 axes; got shape=(64,). For a bias or norm scale use "
        "law='zeros' or 'ones', or pass in_axes= and out_axes=.",
    ),
    (
        lambda: laws.zeros().draw((3, -1), **NAMED),
        ShapeError,
        "draw: a shape is a sequence of integers of at least 0; got shape=(3, -1). Pass a tuple, such as "
        "(256, 128).",
    ),
    # orthogonal
    (
        lambda: orthogonal.orthogonal_matrix(0, 3, **NAMED),
        ShapeError,
        "orthogonal: needs at least one row and one column; got rows=0, columns=3. An empty weight needs "
        "no law.",
    ),
    (
        lambda: laws.mirrored_orthogonal(block="frist"),
        DomainError,
        "mirrored_orthogonal: unknown block 'frist'; did you mean 'first'? Known: first, hidden, last.",
    ),
    (
        lambda: laws.mirrored_orthogonal().std((5, 4), Axes((1,), (0,))),
        ShapeError,
        "mirrored_orthogonal: a hidden layer needs an even number of outputs; got 5. Use an even width, "
        "or another law for this layer.",
    ),
    # errors
    (
        lambda: _raise(placed("encoder.0.weight (torch, shape=(64,))", ShapeError("fans: …"))),
        ShapeError,
        "encoder.0.weight (torch, shape=(64,)): fans: …",
    ),
    (
        lambda: _raise(unknown("laws", "law", "qqq", ["zeros", "he_normal"])),
        DomainError,
        "laws: unknown law 'qqq'; Known: he_normal, zeros.",
    ),
    (
        lambda: _raise(missing("pondera.torch", "PyTorch", "torch")),
        MissingFramework,
        "pondera.torch needs PyTorch, which is not installed. Run: pip install 'pondera[torch]'",
    ),
    # numpy
    (
        lambda: pn.squared_error_gradient(np.zeros(5), np.zeros((5, 1))),
        ShapeError,
        "squared error: target and prediction need one shape that is not empty; got target.shape=(5,), "
        "prediction.shape=(5, 1). Reshape one: NumPy would broadcast them.",
    ),
    # torch
    (
        lambda: _filled(lambda torch: [1.0]),
        DomainError,
        "fill_: needs a torch.Tensor; got list. Pass a tensor.",
    ),
    (
        lambda: _filled(lambda torch: torch.ones(3, 4, dtype=torch.int32)),
        DomainError,
        "fill_: 'w' needs a floating point or complex dtype of at least 16 bits; got dtype=torch.int32. "
        "Draw in float32 and convert.",
    ),
    (
        lambda: _filled(lambda torch: torch.ones(1, 4).expand(3, 4)),
        DomainError,
        "fill_: 'w' overlaps itself (an expanded tensor); got strides (0, 1). Fill tensor.clone(), or the "
        "tensor it was expanded from.",
    ),
    (
        lambda: _torch() and _made(),
        ShapeError,
        "draw: a shape is a sequence of integers of at least 0; got shape=(3, -1). Pass a tuple, such as "
        "(256, 128).",
    ),
    # the fronts
    (
        lambda: pn.normal((3,), std=1.0, dtype="float64", out=np.zeros(3, np.float32), **NAMED),
        DomainError,
        "draw: dtype must be that of out, or be left out; got dtype='float64', out.dtype='float32'. "
        "Leave it out.",
    ),
    # dispatch
    (
        lambda: dispatch.adapter_of([1.0]),
        DomainError,
        "model: needs a torch.nn.Module; got list. Pass the model itself, not its class or its weights.",
    ),
]


@pytest.mark.parametrize(
    ("call", "error", "text"), MESSAGES, ids=[text[:40] for *_, text in MESSAGES]
)
def test_messages_are_as_written(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
    assert type(caught.value) is error


def test_a_missing_framework_says_how_to_install_it(monkeypatch):
    import importlib

    def absent(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingFramework) as caught:
        dispatch.adapter_by_name("torch")
    assert str(caught.value) == str(missing("pondera.torch", "PyTorch", "torch"))
