"""What feeds and follows each weight, and what the parameters are that are no weights."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

from tests.trace_cases import Net, anatomy, linears, roles, sites, weight

X, TOKENS, IDS = torch.randn(3, 16), torch.randn(2, 5, 16), torch.zeros(2, 5, dtype=torch.long)

# --- what feeds and follows ---


def tanh_gelu(z):
    return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


ACTIVATIONS = {
    "relu": (F.relu, lambda z: np.maximum(z, 0)),
    "gelu": (lambda x: F.gelu(x, approximate="tanh"), tanh_gelu),
    "pow": (lambda x: F.relu(x).square(), lambda z: np.maximum(z, 0) ** 2),
    "where": (lambda x: torch.where(x > 0, x, 0.1 * x), lambda z: np.where(z > 0, z, 0.1 * z)),
    "maximum": (lambda x: torch.maximum(x, torch.zeros(())), lambda z: np.maximum(z, 0)),
    "selu": (F.selu, lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(z))),
    "sin": (lambda x: torch.sin(30 * x), lambda z: np.sin(30 * z)),
    "prelu": (nn.PReLU(), lambda z: np.where(z > 0, z, 0.25 * z)),
    "mul": (lambda x: x * torch.sigmoid(1.702 * x), lambda z: z / (1 + np.exp(-1.702 * z))),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activation_between_two_weights_is_known_as_a_function(name):
    torch_form, numpy_form = ACTIVATIONS[name]
    model = Net(lambda s, x: s.b(torch_form(s.a(x))), **linears(a=(16, 32), b=(32, 2)))
    if isinstance(torch_form, nn.Module):
        model.activation = torch_form
    found = sites(model, X)
    feed, follow = found["b.weight"].feed, found["a.weight"].follow
    assert (feed.source, feed.weight, feed.exact, follow.target) == (
        "weight",
        "a.weight",
        True,
        "activation",
    )
    assert name in feed.label
    z = np.linspace(-3, 3, 11)
    assert np.allclose(feed.activation(z), numpy_form(z))


def test_pooled_and_joined_features_are_not_exact():
    conv = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )
    feed = sites(conv, torch.randn(1, 3, 8, 8))["4.weight"].feed
    assert (feed.label, feed.exact) == ("relu", False)


def test_heads_of_every_kind():
    for end in (nn.Identity(), nn.Sigmoid(), nn.Softmax(-1), nn.LogSoftmax(-1)):
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2), end)
        assert roles(model, torch.randn(3, 8))["2.weight"] == "head"
    tied = Net(
        lambda s, x: F.linear(F.relu(s.l(s.e(x))), s.e.weight),
        e=nn.Embedding(20, 8),
        l=nn.Linear(8, 8),
    )
    site = sites(tied, IDS)["e.weight"]
    assert (site.role, site.tied_head, site.parts[0].fan_in, site.uses) == ("embedding", True, 8, 2)


def test_ties_go_by_one_name():
    model = Net(lambda s, x: s.h(s.e(x)), e=nn.Embedding(20, 8), h=nn.Linear(8, 20, bias=False))
    model.h.weight = model.e.weight
    assert sites(model, IDS)["e.weight"].ties == ("h.weight",)
    assert [s.name for s in anatomy(model, IDS).sites] == ["e.weight"]


# --- small parameters ---


class Normed(nn.Module):
    def __init__(self, form, start: float = 1.0):
        super().__init__()
        self.form, self.w, self.b = form, nn.Parameter(torch.full((16,), start)), weight(16)

    def forward(self, x):
        return self.form(self, x)


def root(x):
    return torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def centred(x):
    return x - x.mean(-1, keepdim=True)


NORMS = {
    "plain": (lambda s, x: s.w * (x * root(x)) + s.b, 1.0),
    "one plus": (lambda s, x: x * root(x) * (1 + s.w) + s.b, 0.0),
    "in float": (lambda s, x: s.w * (x.double() * root(x.double())).to(x.dtype) + s.b, 1.0),
    "scale first": (
        lambda s, x: s.w * centred(x) / torch.sqrt(x.var(-1, keepdim=True) + 1e-5) + s.b,
        1.0,
    ),
    "by length": (lambda s, x: F.normalize(x, dim=-1) * 4 * s.w + s.b, 1.0),
    "std": (lambda s, x: s.w * centred(x) / (x.std(-1, keepdim=True) + 1e-6) + s.b, 1.0),
    "layer": (lambda s, x: F.layer_norm(x, (16,), s.w, s.b), 1.0),
    "rms one plus": (lambda s, x: F.rms_norm(x, (16,), 1 + s.w) + s.b, 0.0),
}


@pytest.mark.parametrize("name", NORMS)
def test_scale_and_shift_of_norms_and_their_neutral_values(name):
    form, neutral = NORMS[name]
    found = sites(nn.Sequential(nn.Linear(16, 16), Normed(form), nn.Linear(16, 2)), X)
    assert (found["1.w"].role, found["1.w"].neutral) == ("norm scale", neutral)
    assert (found["1.b"].role, found["1.b"].neutral) == ("norm shift", 0.0)
    assert found["2.weight"].feed.source == "norm"
    assert found["0.weight"].follow.target == "norm"


def test_tokens_positions_and_position_biases():
    def run(s, x):
        h = s.p(x).flatten(2).transpose(1, 2)
        h = torch.where(torch.zeros(2, 16, 1, dtype=torch.bool), s.mask, h)
        h = torch.cat([s.cls.expand(2, -1, -1), h], 1) + s.pos
        logits = (s.q(h) @ s.k(h).mT) / 4 + s.table[s.places].permute(2, 0, 1)
        return s.h((logits.softmax(-1) @ s.v(h))[:, 0])

    model = Net(
        run, p=nn.Conv2d(3, 16, 4, 4), mask=weight(1, 1, 16), cls=weight(1, 1, 16), pos=weight(1, 17, 16),
        table=weight(49, 1), **linears(q=(16, 16), k=(16, 16), v=(16, 16), h=(16, 3)),
    )  # fmt: skip
    model.register_buffer("places", torch.zeros(17, 17, dtype=torch.long))
    found = roles(model, torch.randn(2, 3, 16, 16))
    small = {name: found[name] for name in ("mask", "cls", "pos", "table")}
    assert small == {"mask": "token", "cls": "token", "pos": "position", "table": "position bias"}


def test_tables_by_input_and_by_place():
    def run(s, x):
        return s.h(s.t(x) + s.p(torch.arange(x.shape[1])) + s.bag(x)[:, None] + s.raw[x])

    model = Net(
        run,
        t=nn.Embedding(20, 8),
        p=nn.Embedding(9, 8),
        bag=nn.EmbeddingBag(20, 8),
        raw=weight(20, 8),
        h=nn.Linear(8, 3),
    )
    found = roles(model, IDS)
    tables = [found[name] for name in ("t.weight", "p.weight", "bag.weight", "raw")]
    assert tables == ["embedding", "position", "embedding", "embedding"]


def test_lengths_of_normed_weights_are_scales_of_theirs():
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(8, 16)),
        nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(16, 2)),
    )
    found = sites(model, torch.randn(3, 8))
    length, direction = (found[f"0.parametrizations.weight.original{k}"] for k in (0, 1))
    assert (length.role, direction.role, direction.parts[0].fan_in) == ("scale", "dense", 8)
    assert length.fixed_by == direction.fixed_by == "weight norm"
    assert found["2.parametrizations.weight.original"].fixed_by == "spectral norm"


def mamba(s, x):
    u, z = s.into(x).chunk(2, -1)
    u = F.silu(s.conv(u.mT)[..., :5]).mT
    dt, b, c = s.x_proj(u).split([2, 4, 4], -1)
    dt, rates = F.softplus(s.dt_proj(dt)), -torch.exp(s.A_log)
    h, outputs = torch.zeros(2, 32, 4), []
    for t in range(5):
        h = h * torch.exp(dt[:, t, :, None] * rates) + (dt * u)[:, t, :, None] * b[:, t, None]
        outputs.append((h * c[:, t, None]).sum(-1))
    return x + s.out((torch.stack(outputs, 1) + u * s.D) * F.silu(z))


def test_a_state_space_layer():
    parts = linears(into=(16, 64), x_proj=(32, 10), dt_proj=(2, 32), out=(32, 16))
    conv = nn.Conv1d(32, 32, 4, groups=32, padding=3)
    found = anatomy(Net(mamba, conv=conv, A_log=weight(32, 4), D=weight(32), **parts), TOKENS)
    named = {
        "A_log": "state",
        "D": "skip",
        "dt_proj.weight": "time step weight",
        "dt_proj.bias": "time step",
    }
    assert {name: found[name].role for name in named} == named
    assert (found.streams, found["out.weight"].writer.count) == (1, 1)
    assert found["conv.weight"].parts[0].fan_in == 4


def splines(x, knots, order: int = 3):
    x = x.unsqueeze(-1)
    basis = ((x >= knots[:, :-1]) & (x < knots[:, 1:])).to(x.dtype)
    for p in range(1, order + 1):
        left = (x - knots[:, : -(p + 1)]) / (knots[:, p:-1] - knots[:, : -(p + 1)])
        right = (knots[:, p + 1 :] - x) / (knots[:, p + 1 :] - knots[:, 1:-p])
        basis = left * basis[..., :-1] + right * basis[..., 1:]
    return basis


def test_spline_coefficients_are_told_by_the_knots():
    def run(s, x):
        return F.linear(F.silu(x), s.base) + F.linear(
            splines(x, s.knots).flatten(1), s.coefficients.flatten(1)
        )

    model = Net(run, base=weight(4, 8), coefficients=weight(4, 8, 8))
    model.register_buffer("knots", torch.arange(-3, 9).float().expand(8, -1).contiguous())
    found = sites(model, torch.randn(3, 8))
    assert (found["coefficients"].role, found["base"].role) == ("spline", "dense")
    assert found["coefficients"].in_axes == (1, 2)


def test_the_temperature_of_a_contrastive_head_is_a_scale():
    def run(s, x, y):
        return s.t.exp() * F.normalize(s.a(x), dim=-1) @ F.normalize(s.b(y), dim=-1).mT

    found = sites(Net(run, t=weight(), **linears(a=(16, 8), b=(16, 8))), X, X)
    assert (found["t"].role, found["t"].neutral) == ("scale", 0.0)
