"""Small models of every construction that a trace must see through, built where they are used."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from pondera.model.roles import roles_of
from pondera.model.sites import Anatomy, Site
from pondera.torch.trace import trace


class Net(nn.Module):
    """A module of parts, with its forward as a function of itself and the inputs."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, nn.ModuleList(part) if isinstance(part, list) else part)

    def forward(self, *args, **kwargs):
        return self.run(self, *args, **kwargs)


def weight(*shape: int, dtype=None) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, dtype=dtype))


def anatomy(model: nn.Module, *example, **options) -> Anatomy:
    return roles_of(trace(model, example, **options))


def sites(model: nn.Module, *example, **options) -> dict[str, Site]:
    return {site.name: site for site in anatomy(model, *example, **options).sites}


def roles(model: nn.Module, *example) -> dict[str, str]:
    """Name → the roles of its parts, biases and norms left out."""
    quiet = {"bias", "norm scale", "norm shift"}
    found = {n: [part.role for part in s.parts] for n, s in sites(model, *example).items()}
    return {name: "/".join(parts) for name, parts in found.items() if not set(parts) <= quiet}


def fans(model: nn.Module, *example) -> dict[str, tuple[int | None, int | None]]:
    """Name → fans of the first part, where there are any."""
    found = {name: site.parts[0] for name, site in sites(model, *example).items()}
    return {n: (p.fan_in, p.fan_out) for n, p in found.items() if p.fan_in is not None}


def attend(q, k, v, heads: int = 4, written: bool = False):
    """Attention over the last but one dimension, fused or written out."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    if written:
        mixed = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
    else:
        mixed = F.scaled_dot_product_attention(q, k, v)
    return mixed.transpose(1, 2).flatten(2)


def gated(x, gate, up, down):
    """A gated branch."""
    return down(F.silu(gate(x)) * up(x))


def linears(**shapes: tuple[int, int]) -> dict[str, nn.Linear]:
    return {name: nn.Linear(*shape) for name, shape in shapes.items()}
