"""Models as their users write them, each with the gains that its weights must get."""

import warnings
from math import sqrt

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils import parametrizations

import pondera

RELU, GELU, SILU, TANH = (pondera.gain(name) for name in ("relu", "gelu", "silu", "tanh"))
LEAKY = sqrt(2 / (1 + 0.2**2))  # He et al. 2015, eq. 15
PRELU = sqrt(2 / (1 + 0.25**2))


class Written(nn.Module):
    """A model whose forward pass is one function of it and its input."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def chain(activation, *, depth=2, width=16):
    """Dense layers with an activation between them."""
    layers = [nn.Linear(8, width)]
    for _ in range(depth - 1):
        layers += [activation(), nn.Linear(width, width)]
    return nn.Sequential(*layers)


def rows_8():
    return torch.linspace(-1, 1, 32).reshape(4, 8)


def images():
    return torch.linspace(-1, 1, 4 * 3 * 8 * 8).reshape(4, 3, 8, 8)


def tokens():
    return torch.arange(24).reshape(4, 6) % 20


def sequences():
    return torch.linspace(-1, 1, 80).reshape(2, 5, 8)


def between(function, **more):
    """Two dense layers a and b with a written function between them."""
    return lambda: Written(
        lambda m, x: m.b(function(m.a(x))), a=nn.Linear(8, 16), b=nn.Linear(16, 4), **more
    )


def written(function, **parts):
    """A model of parts that are made anew at each call."""
    return lambda: Written(function, **{name: make() for name, make in parts.items()})


def matrix(*shape):
    return lambda: nn.Parameter(torch.zeros(shape))


def dense(inputs, outputs):
    return lambda: nn.Linear(inputs, outputs)


def packed_gate(m, x):
    left, right = m.a(x).chunk(2, -1)
    return m.b(F.silu(left) * right)


def residual(m, x):
    h = m.a(x)
    h = h + m.c(F.relu(h))
    return m.b(F.relu(h))


def residual_in_place(m, x):
    h = m.a(x)
    h += m.c(F.relu(h))
    return m.b(h)


def written_over(m, x):
    h = m.a(x).tanh()
    h[:, 0] = 0
    return m.b(h)


def view_written_over(m, x):
    h = m.a(x).tanh()
    h.view(-1).relu_()
    return m.b(h)


def centred(m, x):
    h = m.a(x)
    return m.b(h - h.mean(-1, keepdim=True))


def tanh_in_place(m, x):
    h = m.a(x)
    gate = torch.sigmoid(h)
    return m.b(h.tanh_() * gate)


def by_hand(m, x):
    return torch.relu(x @ m.W + m.c) @ m.V + m.d


def added(m, x):
    return torch.addmm(m.c, x, m.W).tanh() @ m.V


def attending(m, x):
    return m.b(m.m(x, x, x)[0])


def functional(m, x):
    return F.linear(F.silu(F.linear(x, m.W, m.c)), m.V, m.d)


def energy(m, x):
    x = x.requires_grad_()
    return torch.autograd.grad(m.b(F.silu(m.a(x))).sum(), x, create_graph=True)[0]


def tied():
    first, second = nn.Linear(16, 16), nn.Linear(16, 16)
    second.weight = first.weight
    return nn.Sequential(nn.Linear(8, 16), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(16, 4))


def old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 16)), nn.ReLU(), nn.Linear(16, 4))


def lazy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        convolution, norm = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()
        return nn.Sequential(convolution, norm, nn.ReLU(), nn.Flatten(), nn.LazyLinear(4))


def deep_network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=4), nn.GELU(), nn.Conv2d(8, 8, 1, groups=8), nn.SiLU(),
        nn.ConvTranspose2d(8, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip


AB, ABC = {"a": dense(8, 16), "b": dense(16, 4)}, {"c": dense(16, 16)}
FED = "b.weight"
# name → build, example, name → gain (None: left as it was)
MODELS = {
    "F.relu": (between(F.relu), rows_8, {"a.weight": 1, FED: RELU}),
    "torch.relu": (between(torch.relu), rows_8, {FED: RELU}),
    "tensor.relu": (between(lambda h: h.relu()), rows_8, {FED: RELU}),
    "clamp in place": (between(lambda h: h.clamp_(min=0)), rows_8, {FED: RELU}),
    "maximum": (between(lambda h: torch.maximum(h, torch.zeros_like(h))), rows_8, {FED: RELU}),
    "a mask": (between(lambda h: h * (h > 0)), rows_8, {FED: RELU}),
    "where": (between(lambda h: torch.where(h > 0, h, 0.2 * h)), rows_8, {FED: LEAKY}),
    "silu by hand": (between(lambda h: h * torch.sigmoid(h)), rows_8, {FED: SILU}),
    "gelu by hand": (between(lambda h: h / 2 * (1 + torch.erf(h / sqrt(2)))), rows_8, {FED: GELU}),
    "a factor": (between(lambda h: 2 * torch.tanh(h)), rows_8, {FED: TANH / 2}),
    "a buffer": (between(lambda h: h.tanh() * torch.full((16,), 2.0)), rows_8, {FED: TANH / 2}),
    "leaky": (lambda: chain(lambda: nn.LeakyReLU(0.2)), rows_8, {"2.weight": LEAKY}),
    "prelu": (lambda: chain(nn.PReLU), rows_8, {"1.weight": None, "2.weight": PRELU}),
    "prelu of 16": (lambda: chain(lambda: nn.PReLU(16)), rows_8, {"2.weight": PRELU}),
    "relu in place": (lambda: chain(lambda: nn.ReLU(inplace=True)), rows_8, {"2.weight": RELU}),
    "dropout": (between(lambda h: F.dropout(F.relu(h), training=False)), rows_8, {FED: RELU}),
    "noise": (between(lambda h: h + torch.randn(16)), rows_8, {FED: 1}),
    "tanh in place": (
        written(tanh_in_place, **AB),
        rows_8,
        {FED: pondera.torch.gain(lambda z: z.tanh() * z.sigmoid())},
    ),
    "glu": (lambda: nn.Sequential(nn.Linear(8, 16), nn.GLU(), nn.Linear(8, 4)), rows_8, {"2.weight": 1}),
    "packed gate": (written(packed_gate, a=dense(8, 32), b=dense(16, 4)), rows_8, {FED: 1}),
    "two inputs": (
        written(lambda m, x, y: m.a(x * y), **AB),
        lambda: (rows_8(), rows_8()),
        {"a.weight": 1},
    ),
    "scaled input": (written(lambda m, x: m.b(m.a(x / 255).relu()), **AB), rows_8, {"a.weight": 1}),
    "centred": (written(centred, **AB), rows_8, {FED: 1}),
    "residual": (written(residual, **AB, **ABC), rows_8, {"c.weight": RELU, FED: RELU}),
    "residual in place": (written(residual_in_place, **AB, **ABC), rows_8, {FED: 1}),
    "written over": (written(written_over, **AB), rows_8, {FED: 1}),
    "a view written over": (written(view_written_over, **AB), rows_8, {FED: 1}),
    "a trained factor": (
        written(lambda m, x: m.b(m.a(x).relu() * m.k), k=matrix(1), **AB),
        rows_8,
        {"k": None, FED: 1},
    ),
    "energy": (written(energy, a=dense(8, 16), b=dense(16, 1)), rows_8, {FED: SILU}),
    "by hand": (
        written(by_hand, W=matrix(8, 16), c=matrix(16), V=matrix(16, 4), d=matrix(4)),
        rows_8,
        {"W": 1, "V": RELU},
    ),
    "transposed by hand": (
        written(lambda m, x: F.relu(x @ m.W.t()) @ m.V.T, W=matrix(16, 8), V=matrix(4, 16)),
        rows_8,
        {"W": 1, "V": RELU},
    ),
    "addmm": (
        written(added, W=matrix(8, 16), c=matrix(16), V=matrix(16, 4)),
        rows_8,
        {"W": 1, "V": TANH},
    ),
    "functional": (
        written(functional, W=matrix(16, 8), c=matrix(16), V=matrix(4, 16), d=matrix(4)),
        rows_8,
        {"W": 1, "V": SILU},
    ),
    "experts and a vector": (
        written(lambda m, x: m.b((x @ m.W).sum(0)) @ m.v, W=matrix(5, 8, 16), v=matrix(4), b=dense(16, 4)),
        rows_8,
        {"W": None, "v": None, FED: 1},
    ),
    "tied": (tied, rows_8, {"1.weight": 1, "5.weight": RELU}),
    "network": (
        deep_network,
        images,
        {"0.weight": 1, "4.weight": RELU, "6.weight": GELU, "8.weight": None, "12.weight": RELU},
    ),
    "attention": (
        written(attending, m=lambda: nn.MultiheadAttention(8, 2, batch_first=True), b=dense(8, 4)),
        sequences,
        {"m.in_proj_weight": None, "m.out_proj.weight": None, FED: 1},
    ),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        sequences,
        {"self_attn.in_proj_weight": None, "linear1.weight": 1, "linear2.weight": RELU},
    ),
    "lstm": (
        written(lambda m, x: m.b(m.m(x)[0]), m=lambda: nn.LSTM(8, 6), b=dense(6, 4)),
        sequences,
        {"m.weight_hh_l0": None, FED: 1},
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 4)),
        tokens,
        {"0.weight": None, "1.weight": 1},
    ),
    "keywords": (
        written(lambda m, *, inputs, mask=None: m.b(m.a(inputs["x"][0]).relu()), **AB),
        lambda: {"inputs": {"x": [rows_8()]}},
        {"a.weight": 1, FED: RELU},
    ),
    "lazy": (lazy, images, {"0.weight": 1, "4.weight": RELU}),
    "weight norm": (
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 16)), nn.ReLU(), nn.Linear(16, 4)),
        rows_8,
        {"0.parametrizations.weight.original1": None, "0.bias": None, "2.weight": RELU},
    ),
    "old weight norm": (old_weight_norm, rows_8, {"0.weight_v": None, "2.weight": RELU}),
}  # fmt: skip
