"""True fans, against what a draw measures: a weight of variance 1/fan_in keeps the variance of white input."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tests.trace_cases import Net, fans, sites, weight

CONVOLUTIONS = {
    "depthwise": (nn.Conv2d(64, 64, 3, groups=64), (9, 9)),
    "grouped": (nn.Conv2d(64, 128, 3, groups=4), (144, 288)),
    "transposed with stride": (nn.ConvTranspose2d(64, 256, 4, 2), (256, 4096)),
    "transposed": (nn.ConvTranspose2d(8, 16, 3), (72, 144)),
    "transposed, grouped": (nn.ConvTranspose2d(8, 6, 4, 2, groups=2), (16, 48)),
    "dilated": (nn.Conv2d(8, 16, 3, dilation=2), (72, 144)),
    "separable": (nn.Conv2d(8, 16, (1, 5)), (40, 80)),
    "multiplied": (nn.Conv2d(8, 32, 3, groups=8), (9, 36)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_true_fans_of_convolutions(name):
    conv, expected = CONVOLUTIONS[name]
    assert fans(conv, torch.randn(1, conv.in_channels, 9, 9))["weight"] == expected
    site = sites(conv, torch.randn(1, conv.in_channels, 9, 9))["weight"]
    assert (site.groups, site.transposed) == (conv.groups, conv.transposed)
    assert site.in_axes == ((0,) if conv.transposed else (1,))
    assert site.spatial_axes == (2, 3)


@pytest.mark.parametrize("dims", [1, 3])
def test_true_fans_of_convolutions_of_other_dimensions(dims):
    conv = getattr(nn, f"ConvTranspose{dims}d")(8, 4, 4, 2)
    assert fans(conv, torch.randn(1, 8, *[5] * dims))["weight"] == (8 * 2**dims, 4 * 4**dims)


CELLS = {
    "lstm": (
        nn.LSTM(8, 16, 2, bidirectional=True, proj_size=4),
        "input forget cell output".split(),
    ),
    "gru": (nn.GRU(8, 16, 2), "reset update new".split()),
    "rnn": (nn.RNN(8, 16), [""]),
}


@pytest.mark.parametrize("name", CELLS)
def test_true_fans_per_gate(name):
    layer, gates = CELLS[name]
    found = sites(layer, torch.randn(5, 2, 8))
    for leaf, role in (("ih", "recurrent input"), ("hh", "recurrent hidden")):
        site = found[f"weight_{leaf}_l0"]
        assert [part.label for part in site.parts] == gates
        assert [part.offset for part in site.parts] == [(16 * k, 0) for k in range(len(gates))]
        assert {(p.role, p.shape, p.fan_in, p.fan_out) for p in site.parts} == {
            (role, (16, site.shape[1]), site.shape[1], 16)
        }
    assert [part.label for part in found["bias_hh_l0"].parts] == gates
    assert {s.role for s in found.values()} <= {
        "recurrent input", "recurrent hidden", "recurrent bias", "dense"
    }  # fmt: skip


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_true_fans_of_cells(kind):
    site = sites(Net(lambda s, x: s.c(x)[0], c=kind(8, 16)), torch.randn(2, 8))["c.weight_hh"]
    assert {(p.role, p.fan_in, p.fan_out) for p in site.parts} == {("recurrent hidden", 16, 16)}
    assert len(site.parts) == site.shape[0] // 16


def test_attention_vectors_of_a_graph_network():
    def run(s, x, near):
        h = s.w(x).view(-1, 8, 64)
        logits = F.leaky_relu((h * s.source).sum(-1)[None] + (h * s.target).sum(-1)[:, None], 0.2)
        mixed = torch.einsum("ijh,jhd->ihd", (logits + near[..., None]).softmax(1), h)
        return mixed.flatten(1)

    model = Net(
        run, w=nn.Linear(16, 512, bias=False), source=weight(1, 8, 64), target=weight(1, 8, 64)
    )
    found = sites(model, torch.randn(5, 16), torch.zeros(5, 5))
    for name in ("source", "target"):
        part = found[name].parts[0]
        assert (part.fan_in, part.fan_out, found[name].in_axes) == (64, 1, (2,))
        assert found[name].batch_axes == (1,)


def test_several_parameters_in_one_flat_one():
    def run(s, x):
        hidden = F.linear(x, s.flat[:128].view(16, 8), s.flat[128:144]).relu()
        return F.linear(hidden, s.flat[144:176].view(2, 16))

    site = sites(Net(run, flat=weight(176)), torch.randn(3, 8))["flat"]
    assert [(p.role, p.offset, p.shape, p.fan_in) for p in site.parts] == [
        ("dense", (0,), (128,), 8), ("bias", (128,), (16,), None), ("dense", (144,), (32,), 16)
    ]  # fmt: skip


def test_parameters_that_lie_in_one_buffer_are_not_mixed_up():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    flat, at = torch.randn(sum(p.numel() for p in model.parameters())), 0
    for parameter in model.parameters():
        parameter.data = flat[at : at + parameter.numel()].view(parameter.shape)
        at += parameter.numel()
    assert fans(model, torch.randn(3, 8)) == {"0.weight": (8, 16), "2.weight": (16, 2)}


def test_weights_of_one_element():
    assert sites(nn.Linear(1, 1), torch.randn(3, 1))["weight"].in_axes == (1,)
    assert fans(nn.Conv2d(1, 1, 1), torch.randn(1, 1, 4, 4)) == {"weight": (1, 1)}


# --- the oracle: white input, drawn weights, measured variance ---

WHITE = {
    "dense": (nn.Linear(12, 5, bias=False), (64, 12)),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6, bias=False), (1, 6, 12, 12)),
    "grouped": (nn.Conv2d(8, 12, 3, groups=4, bias=False), (1, 8, 12, 12)),
    "dilated": (nn.Conv1d(4, 6, 3, dilation=3, bias=False), (1, 4, 40)),
    "strided": (nn.Conv2d(4, 6, 3, 2, bias=False), (1, 4, 15, 15)),
    "transposed": (nn.ConvTranspose2d(6, 5, 4, 2, 3, bias=False), (1, 6, 9, 9)),
    "transposed, grouped": (nn.ConvTranspose1d(6, 4, 6, 3, 5, groups=2, bias=False), (1, 6, 20)),
    "bilinear": (nn.Bilinear(6, 7, 5, bias=False), (64, 6), (64, 7)),
    "einsum": (Net(lambda s, x: torch.einsum("bi,hio->bho", x, s.w), w=weight(3, 7, 4)), (64, 7)),
    "stacked": (Net(lambda s, x: torch.einsum("bei,eoi->beo", x, s.w), w=weight(5, 4, 9)), (64, 5, 9)),
    "inner product": (Net(lambda s, x: (x * s.w).sum(-1), w=weight(1, 3, 9)), (64, 3, 9)),
    "unfolded": (Net(lambda s, x: s.w.flatten(1) @ F.unfold(x, 3), w=weight(4, 2, 3, 3)), (1, 2, 9, 9)),
    "two axes": (Net(lambda s, x: torch.einsum("bthk,hkd->btd", x, s.w), w=weight(3, 4, 5)), (2, 8, 3, 4)),
    "vmap": (Net(lambda s, x: torch.vmap(lambda w: x @ w)(s.w), w=weight(3, 8, 4)), (16, 8)),
}  # fmt: skip
DRAWS = 400


@pytest.mark.parametrize("name", WHITE)
def test_variance_of_one_over_fan_in_is_kept(name):
    model, *shapes = WHITE[name]
    ((parameter, (fan_in, _)),) = fans(model, *(torch.randn(*shape) for shape in shapes)).items()
    generator = torch.Generator().manual_seed(7)
    tensor, squares = model.get_parameter(parameter), []
    for _ in range(DRAWS):
        drawn = torch.randn(tensor.shape, generator=generator) / fan_in**0.5
        entering = [torch.randn(shape, generator=generator) for shape in shapes]
        with torch.no_grad():
            tensor.copy_(drawn)
            squares.append(float(model(*entering).square().mean()))
    error = np.std(squares, ddof=1) / DRAWS**0.5
    assert abs(np.mean(squares) - 1.0) < 4.5 * error
    assert error < 1 / 40  # small enough to tell half a fan from a whole one
