"""What each parameter is in its network, and what surrounds it: what the schemes decide by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from pondera.model.trace import Owner

Role = Literal[
    "adapter down",  # LoRA A and kin
    "adapter up",  # LoRA B and kin
    "attention out",
    "bias",
    "convolution",
    "dense",
    "down",  # of a gated or plain MLP whose up is known
    "embedding",
    "gate",
    "head",
    "key",
    "layer scale",
    "norm scale",
    "norm shift",
    "other",
    "position",
    "position bias",
    "query",
    "recurrent bias",
    "recurrent hidden",
    "recurrent input",
    "router",
    "scale",  # a temperature, slope or other multiplier
    "skip",  # D of a state-space layer
    "spline",
    "state",  # A of a state-space layer, as log
    "time step",  # bias of the step of a state-space layer
    "time step weight",
    "token",  # a learned vector put among the inputs
    "unused",
    "up",
    "value",
]
Source = Literal["attention", "gated", "input", "lookup", "mixed", "norm", "stream", "weight"]
Target = Literal[
    "activation", "attention", "gate", "mixed", "norm", "output", "softmax", "stream", "weight"
]


@dataclass(frozen=True)
class Feed:
    """What reaches a weight: a source, then a pointwise function of it.

    Args:
        source: "input" (the model's own), "weight" (another weight's output), "norm" (a normalisation),
            "lookup" (an embedding), "attention" (values mixed by attention), "gated" (a product of two
            flows), "stream" (a residual sum), "mixed" (anything else).
        weight: name of the parameter whose output is the source, "" if the source is none.
        activation: float64 array → float64 array between source and weight; None if there is none.
        label: what to call the activation in print, such as "relu"; of "gated", that of the gate.
        exact: nothing but the activation lies between: no pooling, no padding, no rearranged features.
        gate: of "gated", the gate's activation as a function of arrays; None if it has none.
    """

    source: Source = "mixed"
    weight: str = ""
    activation: Callable[[Any], Any] | None = None
    label: str = ""
    exact: bool = True
    gate: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Follow:
    """Where a weight's output goes first.

    Args:
        target: "activation", "gate" (multiplied with another flow), "stream" (added to a residual
            stream), "softmax", "attention" (as query, key or value), "norm", "weight" (another weight,
            directly), "output" (what the model returns), or "mixed".
        label: the activation's name in print.
        activation: the activation, as a function of float64 arrays.
    """

    target: Target = "mixed"
    label: str = ""
    activation: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Writer:
    """A weight's place among those that write to one residual stream.

    Args:
        stream: number of the stream.
        place: 0 for the first writer.
        count: how many writers the stream has.
        blocks: how many writers there are per block of the model; 2 where attention and MLP alternate.
    """

    stream: int
    place: int
    count: int
    blocks: int = 1


@dataclass(frozen=True)
class Part:
    """One block of a parameter that has a role of its own; most parameters have one.

    Args:
        role: what it is.
        offset: its first index per axis of the stored tensor.
        shape: its lengths.
        fan_in: inputs summed over per output, None where there are none.
        fan_out: outputs fed per input.
        label: which of several it is, such as "forget" of an LSTM's gates.
    """

    role: Role
    offset: tuple[int, ...]
    shape: tuple[int, ...]
    fan_in: int | None = None
    fan_out: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Site:
    """What a parameter is, and what surrounds it.

    Args:
        name: its name; further names of a tied one are in `ties`.
        shape: the stored shape.
        owner: the module that holds it.
        parts: its blocks, in order along one axis; one part if it is not packed.
        in_axes: axes summed over.
        out_axes: axes produced.
        batch_axes: axes along which whole weights are stacked, as experts are.
        spatial_axes: axes that a convolution slides.
        groups: groups of a convolution.
        stride: of a convolution.
        transposed: whether the convolution is transposed.
        feed: what reaches it.
        follow: where its output goes.
        depth: 0 for the first weight used.
        writer: its place on a residual stream, None if it writes to none directly.
        scaled_by: name of the layer scale between it and the stream, "" if there is none.
        neutral: the value at which a scale or shift does nothing; 0 for a norm that multiplies by 1 + w.
        uses: how often it is used.
        ties: its other names.
        tied_head: whether an embedding is the output head, too.
        trained: whether it will be trained.
        fixed_by: what else it is combined with before its use, such as "weight_norm"; "" for nothing.
        why: how its role is known, in words.
    """

    name: str
    shape: tuple[int, ...]
    owner: Owner
    parts: tuple[Part, ...]
    in_axes: tuple[int, ...] = ()
    out_axes: tuple[int, ...] = ()
    batch_axes: tuple[int, ...] = ()
    spatial_axes: tuple[int, ...] = ()
    groups: int = 1
    stride: tuple[int, ...] = ()
    transposed: bool = False
    feed: Feed = field(default_factory=Feed)
    follow: Follow = field(default_factory=Follow)
    depth: int = 0
    writer: Writer | None = None
    scaled_by: str = ""
    neutral: float | None = None
    uses: int = 1
    ties: tuple[str, ...] = ()
    tied_head: bool = False
    trained: bool = True
    fixed_by: str = ""
    why: str = ""

    @property
    def role(self) -> Role:
        """The role of the parameter's first part."""
        return self.parts[0].role

    @property
    def roles(self) -> tuple[Role, ...]:
        """The different roles of its parts, in order."""
        return tuple(dict.fromkeys(part.role for part in self.parts))

    @property
    def packed(self) -> bool:
        """Whether several weights lie in the one parameter."""
        return len(self.parts) > 1

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class Anatomy:
    """All parameters of a network, and what is known of it as a whole.

    Args:
        sites: in the model's order.
        normalised: whether normalisations stand between the weights.
        depth: how many weights a signal passes on its longest way.
        streams: number of residual streams.
        answered: where the pass depended on numbers and was given answers.
        unseen: names of parameters of branches that were not taken.
    """

    sites: tuple[Site, ...]
    normalised: bool
    depth: int
    streams: int
    answered: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Site:
        return next(site for site in self.sites if site.name == name)
