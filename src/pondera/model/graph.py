"""What a network is, in no framework's terms: which weights it uses, in which order, fed by what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["bias", "conv", "dense", "norm scale", "norm shift", "other", "unused"]
Source = Literal["input", "lookup", "mixed", "norm", "weight"]


@dataclass(frozen=True)
class Feed:
    """What reaches a weight: a source, then a pointwise function of it.

    Args:
        source: "input" (the model's own), "weight" (another weight's output), "norm" (a normalisation),
            "lookup" (an embedding), "mixed" (several values mixed, or an operation without a rule).
        use: index of the weight use that is the source, if source is "weight".
        activation: float64 array → float64 array between source and weight; None if there is none.
        label: what to call the activation in print, such as "relu".
        exact: nothing but the activation lies between: no pooling, no padding, no rearranged features.
    """

    source: Source
    use: int | None = None
    activation: Callable[[Any], Any] | None = None
    label: str = ""
    exact: bool = True


@dataclass(frozen=True)
class Use:
    """One use of a weight, in forward order.

    Args:
        name: the parameter's name.
        role: "dense" or "conv".
        shape: the stored shape.
        in_axes: axes summed over.
        out_axes: axes produced.
        groups: groups of a convolution, 1 otherwise.
        feed: what reaches it.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    in_axes: tuple[int, ...]
    out_axes: tuple[int, ...]
    feed: Feed
    groups: int = 1


@dataclass(frozen=True)
class Network:
    """What one forward pass showed.

    Args:
        uses: every use of a dense or convolutional weight, in order.
        others: name → role of every other parameter.
        shapes: name → shape of every parameter.
        last: what the model returns, as a feed of an imagined next weight.
        lookups: names of the parameters that rows were looked up in.
        frozen: names of the parameters that will not be trained.
    """

    uses: tuple[Use, ...]
    others: dict[str, Role]
    shapes: dict[str, tuple[int, ...]]
    last: Feed
    lookups: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the used weights that are trained, each once, in the order of first use."""
        names = dict.fromkeys(use.name for use in self.uses)
        return tuple(name for name in names if name not in self.frozen)
