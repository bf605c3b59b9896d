"""Whole models, tier "exact": each weight by the activation that feeds it, or left with a reason."""

import random
from math import sqrt

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from threadpoolctl import threadpool_limits
from torch import nn

import pondera
import pondera.numpy as pn
from pondera.core.errors import DomainError, ShapeError
from pondera.torch.perceptron import perceptron
from tests.models import MODELS, Written, chain, images, rows_8, tied, tokens

GAIN_LIMIT = 1e-9  # of pondera.gain, as its docstring states
TORCH_AXES = {"in_axes": (1,), "out_axes": (0,)}


def initialized(model, example=None, **options):
    """Rows by name."""
    given = rows_8() if example is None else example
    return {row.name: row for row in pondera.initialize(model, given, **options)}


def snapshot(model):
    """Whatever must not move when an error is raised."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return state, [module.training for module in model.modules()]


def unmoved(before, model):
    state, modes = before
    now, modes_now = snapshot(model)
    return modes == modes_now and all(torch.equal(state[name], now[name]) for name in state)


# --- the gain of what feeds a weight ---


@pytest.mark.parametrize(("build", "example", "expected"), MODELS.values(), ids=MODELS)
def test_each_weight_gets_the_gain_of_what_feeds_it(build, example, expected):
    """Expected: name → gain, or None where the weight is left as it was."""
    rows = initialized(build(), example())
    assert set(expected) <= set(rows)
    for name, wanted in expected.items():
        row = rows[name]
        if wanted is None:
            assert row.law is None
            assert row.why.startswith("left as ")
        else:
            assert row.gain == pytest.approx(wanted, rel=GAIN_LIMIT)
            assert row.law.name == "orthogonal"


def test_a_row_says_why():
    rows = initialized(chain(nn.GELU))
    assert rows["0.weight"].why == "exact gain 1, fed by the input"
    assert rows["2.weight"].why == "exact gain 1.53353, fed by gelu of the layer before"
    assert rows["2.bias"].why == "0: a bias of a weight that the scheme draws"


def test_a_long_activation_is_called_by_its_ends():
    def forward(m, x):
        h = m.first(x)
        for _ in range(25):  # 2²⁵ calls if the function were walked as a tree
            h = h + torch.sin(h) / 10
        return m.second(h)

    model = Written(forward, first=nn.Linear(8, 16), second=nn.Linear(16, 4))
    assert initialized(model)["second.weight"].why.endswith(
        "fed by sin, …, add of the layer before"
    )


def test_a_weight_of_several_uses_says_so():
    shared = nn.Linear(16, 16)
    row = initialized(nn.Sequential(nn.Linear(8, 16), shared, nn.ReLU(), shared))["1.weight"]
    assert row.why.endswith("; the first of its 2 uses")
    table, head = nn.Embedding(20, 8), nn.Linear(8, 20)
    head.weight = table.weight
    row = initialized(nn.Sequential(table, nn.Linear(8, 8), nn.Tanh(), head), tokens())["0.weight"]
    assert row.why.endswith("; rows are looked up in it too")


def test_grouped_convolutions_have_the_fans_of_one_group():
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 128, 3, groups=4))
    row = initialized(model, images(), scheme="he")["2.weight"]
    assert (row.fan_in, row.fan_out) == (144, 288)
    assert row.std == pytest.approx(sqrt(2 / 144), rel=GAIN_LIMIT)
    row = initialized(model, images(), scheme="glorot")["2.weight"]
    assert row.std == pytest.approx(sqrt(2 / (144 + 288)), rel=GAIN_LIMIT)


# --- the numbers ---


@pytest.mark.parametrize("scheme", ["glorot", "he", "lecun", "orthogonal", "mirrored"])
def test_weights_are_numpys_of_the_same_name(scheme):
    model = chain(nn.ReLU)
    rows = initialized(model, scheme=scheme, seed=7)
    for name, parameter in model.named_parameters():
        drawn = pn.weight(rows[name].law, parameter.shape, seed=7, name=name, **TORCH_AXES)
        assert torch.equal(parameter.detach(), torch.from_numpy(drawn))


def test_a_weight_depends_on_seed_name_and_shape_alone():
    shallow, deep = chain(nn.ReLU, depth=2), chain(nn.ReLU, depth=5)
    initialized(shallow, seed=1)
    torch.manual_seed(99)
    initialized(deep, seed=1)
    assert torch.equal(shallow[0].weight, deep[0].weight)
    assert torch.equal(shallow[2].weight, deep[2].weight)
    assert not torch.equal(deep[2].weight, deep[4].weight)
    initialized(deep, seed=2)
    assert not torch.equal(shallow[0].weight, deep[0].weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_dtypes_hold_the_same_weights_rounded(dtype):
    plain, other = chain(nn.GELU), chain(nn.GELU).to(dtype)
    initialized(plain)
    initialized(other, rows_8().to(dtype))
    drawn = pn.orthogonal(
        (16, 8), gain=sqrt(2), seed=0, name="0.weight", dtype="float64", **TORCH_AXES
    )
    wanted = torch.from_numpy(drawn)
    wanted = wanted if dtype == torch.float64 else wanted.float()
    assert torch.equal(other[0].weight, wanted.to(dtype))
    assert torch.equal(other[0].weight.float(), plain[0].weight.to(dtype).float())


def test_a_compiled_model_is_seen_as_it_is_written():
    model = torch.compile(chain(nn.ReLU), backend="eager")
    assert initialized(model)["_orig_mod.2.weight"].gain == pytest.approx(sqrt(2), rel=GAIN_LIMIT)


# --- what is left alone ---


def test_frozen_parameters_are_left():
    model = chain(nn.ReLU)
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    rows = initialized(model)
    assert rows["0.weight"].law is rows["0.bias"].law is None
    assert rows["0.weight"].why == "left as it was: frozen, it will not be trained"
    assert torch.equal(before, model[0].weight)
    with pytest.raises(DomainError, match="needs a dense or convolutional weight that is trained"):
        initialized(model.requires_grad_(False))


def test_a_chain_with_frozen_parameters_is_not_mirrored():
    model = chain(nn.ReLU)
    model[0].requires_grad_(False)
    with pytest.raises(DomainError, match=r"^mirrored: .*, and 2 frozen parameters\."):
        initialized(model, scheme="mirrored")


def test_a_weight_that_is_not_used_says_so():
    model = Written(lambda m, x: m.used(x), used=nn.Linear(8, 4), spare=nn.Linear(4, 4))
    row = initialized(model)["spare.weight"]
    assert (row.role, row.law) == ("unused", None)
    assert row.why == "left as it was: the forward pass was not seen to use it"


class Restless(nn.Module):
    """Moves whatever can be moved: modes, buffers, its input and every global generator."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 4)
        self.register_buffer("mean", torch.zeros(16))
        self.register_buffer("variance", torch.ones(16))
        self.register_buffer("calls", torch.zeros(()))
        self.norm.eval()  # of a model that trains: modes differ inside

    def forward(self, x):
        self.calls = self.calls + 1
        x.add_(torch.randn(8) + float(np.random.standard_normal()) + random.random())
        self.train()
        h = nn.functional.batch_norm(self.first(x), self.mean, self.variance, training=True)
        return self.last(nn.functional.dropout(self.norm(h), training=True))


def test_modes_buffers_generators_and_the_example_stay_as_they_are():
    model, example = Restless(), rows_8()
    example_before, state, modes = example.clone(), *snapshot(model)
    generators = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    rows = initialized(model, example)
    assert torch.equal(example, example_before)
    assert [module.training for module in model.modules()] == modes
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, state[name])
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state()[1], generators[1])
    assert random.getstate() == generators[2]
    assert rows["first.weight"].law is not None


# --- errors ---


def fails_late(m, x):
    m.norm(m.first(x))
    raise RuntimeError("first line\nsecond line")


BROKEN = {
    "a forward pass that raises": (
        lambda: Written(fails_late, first=nn.Linear(8, 4), norm=nn.BatchNorm1d(4)),
        {},
        DomainError,
        "initialize: the model must accept the example; Written raised RuntimeError: first line. Pass "
        "a batch as the model's forward takes it.",
    ),
    "no weight": (
        lambda: nn.Sequential(nn.BatchNorm1d(8)),
        {},
        DomainError,
        "initialize: found no dense or convolutional weight in the forward pass; got 2 parameters. "
        "Draw them one by one with pondera.torch.fill_.",
    ),
    "an unknown scheme": (
        lambda: chain(nn.ReLU),
        {"scheme": "orthogonl"},
        DomainError,
        "initialize: unknown scheme 'orthogonl'; did you mean 'orthogonal'? Known: glorot, he, lecun, "
        "mirrored, orthogonal.",
    ),
    "a seed out of range": (
        lambda: chain(nn.ReLU),
        {"seed": -1},
        DomainError,
        "0.weight (torch, shape=(16, 8)): ",
    ),
    "an activation that is not finite": (
        lambda: Written(lambda m, x: m.b(m.a(x).log()), a=nn.Linear(8, 4), b=nn.Linear(4, 2)),
        {},
        DomainError,
        "b.weight: gain: an activation maps a float64 NumPy array to one of its shape; got "
        "activation='log', which returned numbers that are not finite. ",
    ),
    "an activation that is zero": (
        lambda: Written(lambda m, x: m.b(m.a(x) * 0), a=nn.Linear(8, 4), b=nn.Linear(4, 2)),
        {},
        DomainError,
        "b.weight: gain: the activation lets nothing through; got activation='mul', ",
    ),
    "a weight on the meta device": (
        lambda: chain(nn.ReLU).to("meta"),
        {},
        DomainError,
        "initialize: '0.weight' lies on the meta device and has no memory to fill. Call "
        "module.to_empty(device=…) first.",
    ),
}


@pytest.mark.parametrize(("build", "options", "kind", "said"), BROKEN.values(), ids=BROKEN)
def test_an_error_leaves_the_model_unchanged(build, options, kind, said):
    model = build()
    meta = any(p.is_meta for p in model.parameters())
    before = None if meta else snapshot(model)
    with pytest.raises(kind) as caught:
        initialized(model, **options)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert before is None or unmoved(before, model)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_an_empty_weight_is_named():
    with pytest.raises(
        ShapeError, match=r"^0\.weight: fans: every axis needs a size of at least 1"
    ):
        initialized(nn.Sequential(nn.Linear(8, 0), nn.Linear(0, 4)))


@pytest.mark.parametrize("candidate", [None, nn.Linear, {"weight": 1}, "model"], ids=repr)
def test_what_is_no_model_is_told_so(candidate):
    with pytest.raises(DomainError, match=r"^model: needs a torch\.nn\.Module; got "):
        pondera.initialize(candidate, rows_8())


# --- mirrored chains, measured by hooks of the test's own ---


def levels(model, width):
    """RMS of each layer's output, and of the gradient with respect to it, on random input."""
    signal, gradient = [], []

    def watch(_module, _inputs, output):
        signal.append(float(output.detach().double().square().mean().sqrt()))
        output.register_hook(lambda g: gradient.append(float(g.double().square().mean().sqrt())))

    for module in model:
        if isinstance(module, nn.Linear):
            module.register_forward_hook(watch)
    generator = torch.Generator().manual_seed(0)
    output = model(torch.randn(64, width, generator=generator))
    (output * torch.randn(64, width, generator=generator)).sum().backward()
    assert len(signal) == len(gradient) == sum(isinstance(m, nn.Linear) for m in model)
    return signal, gradient


def spread(numbers):
    return max(numbers) / min(numbers)


def deep(activation, width, scheme):
    model = perceptron(200, width=width, inputs=width, outputs=width, activation=activation)
    with threadpool_limits(1):  # small matrices: more threads only wait for one another
        initialized(model, torch.zeros(2, width), scheme=scheme)
        return levels(model, width)


@pytest.mark.parametrize("width", [64, 256])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.SiLU])
def test_mirrored_layers_keep_signal_and_gradient_level_through_200_layers(activation, width):
    signal, gradient = deep(activation, width, "mirrored")
    assert spread(signal) <= 1.01
    assert spread(gradient) <= 1.25


@pytest.mark.parametrize("activation", [nn.GELU, nn.SiLU])
def test_the_exact_gain_alone_does_not_keep_them_level(activation):
    signal, gradient = deep(activation, 64, "orthogonal")
    assert spread(signal) > 2
    assert spread(gradient) > 2


def rearranged(m, x):
    return m.b(m.a(x.view(4, 4, 2)).relu().flatten(1))


REFUSED = {
    "tanh": (lambda: chain(nn.Tanh), rows_8, "2.weight, fed by tanh"),
    "a convolution": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)),
        images,
        "0.weight, a convolution",
    ),
    "a residual": (
        MODELS["residual"][0],
        rows_8,
        "b.weight, fed by relu of several values mixed and not by an activation of the layer before alone",
    ),
    "an odd width": (lambda: chain(nn.ReLU, width=15), rows_8, "0.weight, of odd width 15"),
    "one layer": (lambda: nn.Sequential(nn.Linear(8, 4)), rows_8, "0.weight, the only layer"),
    "features that are moved": (
        lambda: Written(rearranged, a=nn.Linear(2, 16), b=nn.Linear(64, 4)),
        rows_8,
        "b.weight, fed by relu of the layer before and not by an activation of the layer before alone",
    ),
    "one half of a chunk": (
        lambda: Written(
            lambda m, x: m.b(m.a(x).relu().chunk(2, -1)[0]), a=nn.Linear(8, 32), b=nn.Linear(16, 4)
        ),
        rows_8,
        "b.weight, fed by relu of the layer before and not by an activation of the layer before alone",
    ),
    "a layer used twice": (tied, rows_8, "1.weight, which is used more than once"),
    "a normalisation": (
        lambda: nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 4)),
        rows_8,
        "3.weight, fed by relu of a normalisation and not by an activation of the layer before alone",
    ),
    "more behind the last": (
        lambda: nn.Sequential(*chain(nn.ReLU), nn.Softmax(-1)),
        rows_8,
        "2.weight, whose output is not what the model returns",
    ),
}


@pytest.mark.parametrize(("build", "example", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_mirrored_chain_is_refused_with_the_reason(build, example, reason):
    model = build()
    before = snapshot(model)
    with pytest.raises(DomainError) as caught:
        initialized(model, example(), scheme="mirrored")
    assert str(caught.value) == (
        "mirrored: needs one chain of dense layers with f(u) − f(−u) = c·u between them; got "
        f"{reason}. Use scheme='orthogonal'."
    )
    assert unmoved(before, model)


def test_a_regression_that_squeezes_its_output_is_mirrored():
    model = Written(
        lambda m, x: m.b(m.a(x).relu()).squeeze(-1), a=nn.Linear(8, 16), b=nn.Linear(16, 1)
    )
    rows = initialized(model, scheme="mirrored")
    assert [rows[name].law.position for name in ("a.weight", "b.weight")] == ["first", "last"]
