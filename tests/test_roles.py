"""What each parameter is: its role and its place in the network."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.trace_cases import Net, anatomy, attend, gated, linears, roles, sites, weight

X, TOKENS = torch.randn(3, 16), torch.randn(2, 5, 16)
PACKED = "query/key/value"


# --- attention ---


@pytest.mark.parametrize("written", [False, True])
def test_separate_projections_of_attention(written):
    model = Net(
        lambda s, x: x + s.o(attend(s.q(x), s.k(x), s.v(x), written=written)),
        **linears(q=(16, 16), k=(16, 16), v=(16, 16), o=(16, 16)),
    )
    named = {"q": "query", "k": "key", "v": "value", "o": "attention out"}
    assert roles(model, TOKENS) == {f"{name}.weight": role for name, role in named.items()}


def by_chunk(s, x):
    return s.o(attend(*s.qkv(x).chunk(3, -1)))


def by_view(s, x):
    q, k, v = s.qkv(x).view(2, 5, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
    return s.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 5, 16))


def by_slice(s, x):
    w = s.qkv.weight
    return s.o(attend(x @ w[:16].T, F.linear(x, w[16:32]), F.linear(x, w[32:])))


def key_first(s, x):
    k, q, v = s.qkv(x).split(16, -1)
    return s.o(attend(q, k, v))


@pytest.mark.parametrize("way", [by_chunk, by_view, by_slice, key_first])
def test_packed_projections_are_told_apart(way):
    site = sites(Net(way, **linears(qkv=(16, 48), o=(16, 16))), TOKENS)["qkv.weight"]
    named = ("key", "query", "value") if way is key_first else ("query", "key", "value")
    assert tuple(part.role for part in site.parts) == named
    assert [part.offset for part in site.parts] == [(0, 0), (16, 0), (32, 0)]
    assert {(part.shape, part.fan_in, part.fan_out) for part in site.parts} == {((16, 16), 16, 16)}


def test_grouped_queries_have_blocks_of_their_own_size():
    def run(s, x):
        q, k, v = s.qkv(x).split([16, 8, 8], -1)
        q, k, v = (t.unflatten(-1, (-1, 4)).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return s.o(mixed.transpose(1, 2).flatten(2))

    site = sites(Net(run, **linears(qkv=(16, 32), o=(16, 16))), TOKENS)["qkv.weight"]
    assert [(p.role, p.shape[0], p.fan_out) for p in site.parts] == [
        ("query", 16, 16), ("key", 8, 8), ("value", 8, 8)
    ]  # fmt: skip


def test_heads_that_interleave_are_said_to():
    def run(s, x):
        q, k, v = (t.transpose(1, 2) for t in s.qkv(x).view(2, 5, 4, 3, 4).unbind(3))
        return s.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 5, 16))

    site = sites(Net(run, **linears(qkv=(16, 48), o=(16, 16))), TOKENS)["qkv.weight"]
    assert [(p.role, p.label, p.fan_in, p.fan_out) for p in site.parts] == [
        ("query", "query, key, value, by head", 16, 16)
    ]


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("cross", [True, False])
def test_multi_head_attention_of_torch(weights, cross):
    def run(s, x, y):
        return s.m(x, y if cross else x, y if cross else x, need_weights=weights)[0]

    model = Net(run, m=nn.MultiheadAttention(16, 4, add_bias_kv=True))
    found = roles(model, TOKENS, torch.randn(2, 5, 16))
    assert found["m.in_proj_weight"] == PACKED
    assert found["m.out_proj.weight"] == "attention out"
    assert found["m.bias_k"] == "token"


def test_multi_head_attention_of_other_widths():
    model = Net(lambda s, x, y: s.m(x, y, y)[0], m=nn.MultiheadAttention(16, 4, kdim=8, vdim=6))
    model.run = lambda s, x, y, z: s.m(x, y, z)[0]
    example = TOKENS, torch.randn(2, 5, 8), torch.randn(2, 5, 6)
    found = {n: s.parts[0] for n, s in sites(model, *example).items() if n.endswith("proj_weight")}
    assert {n[2]: (p.role, p.fan_in) for n, p in found.items()} == {
        "q": ("query", 16), "k": ("key", 8), "v": ("value", 6)
    }  # fmt: skip


@pytest.mark.parametrize("first", [True, False])
def test_transformer_layers_of_torch_write_to_one_stream(first):
    layer = nn.TransformerEncoderLayer(16, 4, 32, norm_first=first, batch_first=True)
    found = anatomy(nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), TOKENS)
    writers = [
        (s.role, s.writer.place, s.writer.count) for s in found.sites if s.writer and s.in_axes
    ]
    assert writers == [
        (r, 2 * k + j, 6) for k in range(3) for j, r in enumerate(("attention out", "down"))
    ]
    assert (found.streams, found.normalised) == (1, True)


def test_learned_queries_are_tokens_behind_a_query_weight():
    def run(s, x):
        k, v = s.kv(x).chunk(2, -1)
        return s.o(attend(s.q(s.latents.expand(2, -1, -1)), k, v, written=True))

    model = Net(run, latents=weight(1, 4, 16), **linears(q=(16, 16), kv=(16, 32), o=(16, 16)))
    assert roles(model, TOKENS) == {
        "latents": "token", "q.weight": "query", "kv.weight": "key/value", "o.weight": "attention out"
    }  # fmt: skip


# --- branches, gates, experts ---


def test_a_gated_branch():
    parts = linears(gate=(16, 32), up=(16, 32), down=(32, 16))
    found = sites(Net(lambda s, x: x + gated(x, s.gate, s.up, s.down), **parts), X)
    assert {n.split(".")[0]: s.role for n, s in found.items() if s.in_axes} == {
        name: name for name in parts
    }
    assert (found["gate.weight"].follow.label, found["down.weight"].feed.label) == ("silu", "silu")
    z = np.linspace(-2.0, 2.0, 5)
    assert np.allclose(found["down.weight"].feed.gate(z), z / (1 + np.exp(-z)))


@pytest.mark.parametrize(
    ("cut", "expected"),
    [(lambda t: (t[0], F.gelu(t[1])), "up/gate"), (lambda t: (F.silu(t[0]), t[1]), "gate/up")],
)
def test_packed_gates_are_told_apart(cut, expected):
    def run(s, x):
        one, other = cut(s.both(x).chunk(2, -1))
        return x + s.down(one * other)

    site = sites(Net(run, **linears(both=(16, 64), down=(32, 16))), X)["both.weight"]
    assert "/".join(part.role for part in site.parts) == expected
    assert [(p.offset, p.fan_in, p.fan_out) for p in site.parts] == [
        ((0, 0), 16, 32),
        ((32, 0), 16, 32),
    ]
    assert (
        roles(nn.Sequential(nn.Linear(8, 32), nn.GLU()), torch.randn(2, 8))["0.weight"] == "up/gate"
    )


def test_excitation_gates_its_own_flow_and_that_is_no_up():
    def run(s, x):
        h = s.conv(x)
        return s.head(
            (h * s.b(F.relu(s.a(h.mean((2, 3))))).sigmoid()[..., None, None]).mean((2, 3))
        )

    model = Net(run, conv=nn.Conv2d(3, 8, 3), **linears(a=(8, 2), b=(2, 8), head=(8, 2)))
    found = roles(model, torch.randn(2, 3, 8, 8))
    assert (found["conv.weight"], found["b.weight"]) == ("convolution", "gate")


def experts_by_einsum(s, x):
    chosen, places = s.r(x).softmax(-1).topk(2)
    h = F.silu(torch.einsum("td,efd->tef", x, s.gate)) * torch.einsum("td,efd->tef", x, s.up)
    y = torch.einsum("tef,edf->ted", h, s.down)
    y = torch.gather(y, 1, places.unsqueeze(-1).expand(-1, -1, 16))
    return x + (y * chosen.unsqueeze(-1)).sum(1)


def experts_by_bmm(s, x):
    rows = x.unsqueeze(0).expand(4, -1, -1)
    h = F.silu(rows @ s.gate.mT) * (rows @ s.up.mT)
    return x + torch.einsum("etd,te->td", h @ s.down.mT, s.r(x).softmax(-1))


def experts_by_choice(s, x):
    k = s.r(x).softmax(-1).argmax(-1)
    h = F.silu(torch.einsum("td,tfd->tf", x, s.gate[k])) * torch.einsum("td,tfd->tf", x, s.up[k])
    return x + torch.einsum("tf,tdf->td", h, s.down[k])


@pytest.mark.parametrize("way", [experts_by_einsum, experts_by_bmm, experts_by_choice])
def test_stacked_experts_have_the_fans_of_one(way):
    parts = {"gate": weight(4, 32, 16), "up": weight(4, 32, 16), "down": weight(4, 16, 32)}
    found = sites(Net(way, r=nn.Linear(16, 4), **parts), X)
    assert found["r.weight"].role == "router"
    for name, fans in (("gate", (16, 32)), ("up", (16, 32)), ("down", (32, 16))):
        part = found[name].parts[0]
        assert (part.fan_in, part.fan_out, found[name].batch_axes) == (*fans, (0,)), name
    assert [found[name].role for name in ("gate", "up")] == ["gate", "up"]


def test_adapters_beside_a_weight_and_inside_one():
    beside = Net(lambda s, x: s.w(x) + s.b(s.a(x)) * 2, **linears(w=(16, 24), a=(16, 4), b=(4, 24)))
    inside = Net(
        lambda s, x: F.linear(x, s.w + s.b @ s.a),
        w=weight(24, 16),
        a=weight(4, 16),
        b=weight(24, 4),
    )
    for model, tail in ((beside, ".weight"), (inside, "")):
        found = sites(model, X)
        adapter = [found[name + tail].parts[0] for name in "ab"]
        assert [p.role for p in adapter] == ["adapter down", "adapter up"]
        assert [(p.fan_in, p.fan_out) for p in adapter] == [(16, 4), (4, 24)]
        assert found["w" + tail].role == "head"
    assert anatomy(beside, X).streams == 0


def test_adapters_hide_no_attention():
    def run(s, x):
        return x + s.o(attend(s.q(x) + s.b(s.a(x)), s.k(x), s.v(x)))

    parts = linears(q=(16, 16), k=(16, 16), v=(16, 16), o=(16, 16), a=(16, 2), b=(2, 16))
    found = roles(Net(run, **parts), TOKENS)
    assert (found["q.weight"], found["a.weight"]) == ("query", "adapter down")


# --- streams ---


def test_parallel_branches_are_two_writers_of_one_stream():
    def run(s, x):
        h = s.n(x)
        return s.h(x + s.o(attend(s.q(h), s.k(h), s.v(h))) + s.d(F.gelu(s.u(h))))

    parts = linears(
        q=(16, 16), k=(16, 16), v=(16, 16), o=(16, 16), u=(16, 64), d=(64, 16), h=(16, 4)
    )
    found = anatomy(Net(run, n=nn.LayerNorm(16), **parts), TOKENS)
    assert found.streams == 1
    assert [found[f"{n}.weight"].writer.place for n in "od"] == [0, 1]
    assert found["h.weight"].role == "head"


class Block(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.c1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.b1, self.b2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.c2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(width_in, width, 1, stride) if width_in != width else nn.Identity()

    def forward(self, x):
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))) + self.short(x))


def test_residual_blocks_are_written_by_their_last_convolution():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Block(8, 8, 1), Block(8, 16, 2), Block(16, 16, 1))
    found = anatomy(model, torch.randn(2, 3, 16, 16))
    writers = {s.name: s.writer.count for s in found.sites if s.writer and s.role == "convolution"}
    assert writers == {"1.c2.weight": 1, "2.c2.weight": 2, "3.c2.weight": 2}
    assert found["1.b2.weight"].writer == found["1.c2.weight"].writer
    assert found["1.b2.weight"].feed.weight == "1.c2.weight"
    assert found["1.b1.weight"].writer is None


@pytest.mark.parametrize("shape", [(), (1,), (8,)])
def test_scales_of_branches_are_layer_scales(shape):
    def run(s, x):
        x = x + s.g * s.b(F.gelu(s.a(x)))
        return x + s.d(F.gelu(s.c(x))) * s.h

    parts = linears(a=(8, 16), b=(16, 8), c=(8, 16), d=(16, 8))
    found = sites(Net(run, g=weight(*shape), h=weight(*shape), **parts), torch.randn(2, 8))
    assert (found["g"].role, found["h"].role) == ("layer scale", "layer scale")
    assert (found["b.weight"].scaled_by, found["d.weight"].scaled_by) == ("g", "h")
    assert [found[f"{n}.weight"].role for n in "abcd"] == ["up", "down", "up", "down"]


def test_joined_features_are_no_stream():
    def run(s, x):
        a = F.relu(s.d1(x))
        return s.o(torch.cat([F.relu(s.u(F.relu(s.m(a)))), a], 1))

    parts = {
        n: nn.Conv2d(i, o, 3, 1, 1)
        for n, (i, o) in {"d1": (3, 8), "m": (8, 8), "u": (8, 8), "o": (16, 2)}.items()
    }
    found = anatomy(Net(run, **parts), torch.randn(1, 3, 8, 8))
    assert found.streams == 0
    assert found["o.weight"].role == "head"
    assert (found["o.weight"].feed.label, found["o.weight"].feed.exact) == ("relu", False)


def test_modulation_of_norms_is_said_to_follow():
    def run(s, x, c):
        shift, stretch, gate = s.ada(F.silu(c))[:, None].chunk(3, -1)
        return x + gate * s.d(F.gelu(s.u(s.n(x) * (1 + stretch) + shift)))

    parts = linears(ada=(8, 48), u=(16, 32), d=(32, 16))
    found = sites(
        Net(run, n=nn.LayerNorm(16, elementwise_affine=False), **parts), TOKENS, torch.randn(2, 8)
    )
    assert (found["ada.weight"].follow.target, found["ada.weight"].follow.label) == (
        "norm",
        "modulation",
    )
    assert found["u.weight"].feed.source == "norm"
    assert found["d.weight"].writer.count == 1
