"""A tensor followed through a forward pass: as a pointwise function of what it comes from.

The function is kept as recorded calls, so that an activation written out by hand gives its gain like a
named one. Two tensors are elements of one function only where they come from the same place of the same
origin: the two halves of a chunk are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from pondera.model.graph import Feed, Source

Pointwise = Callable[[torch.Tensor], torch.Tensor]

# names without the underscores around them: relu_ and __add__ are relu and add
ALIGNED: Final = frozenset(
    "alpha_dropout bfloat16 clone contiguous data detach double dropout dropout1d dropout2d dropout3d "
    "feature_alpha_dropout float half identity requires_grad to type type_as".split()
)
RESHAPED: Final = frozenset(
    "flatten ravel reshape squeeze unflatten unsqueeze view view_as".split()
)
TRANSPOSED: Final = frozenset("T mT permute swapaxes swapdims t transpose".split())
MOVED: Final = frozenset(
    "H adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d amax avg_pool1d avg_pool2d avg_pool3d chunk expand "
    "expand_as flip getitem index_select interpolate max_pool1d max_pool2d max_pool3d mean moveaxis "
    "movedim narrow pad pixel_shuffle pixel_unshuffle repeat roll select split unbind upsample".split()
)
AFFINE: Final = frozenset(
    "add div iadd idiv imul isub itruediv mul neg radd rmul rsub sub true_divide truediv".split()
)
POINTWISE: Final = AFFINE | frozenset(
    "abs arctan atan celu clamp clamp_max clamp_min clip cos cosh elu erf erfc exp exp2 expit expm1 "
    "full_like ge gelu gt hardshrink hardsigmoid hardswish hardtanh invert ipow le leaky_relu lerp log "
    "log1p log_sigmoid logaddexp logsigmoid lt masked_fill maximum minimum mish ones_like pow prelu rdiv "
    "reciprocal relu relu6 rpow rrelu rsqrt rtruediv selu sigmoid sign silu sin sinh softplus softshrink "
    "softsign sqrt square tan tanh tanhshrink threshold where zeros_like".split()
)
_KNOWN_SPREAD: Final = ("norm", "weight")  # RMS near 1; of all else it is unknown


@dataclass(frozen=True)
class Flow:
    """A tensor as a pointwise function of its origin.

    Args:
        source: what the origin is.
        origin: number of the tensor that the function begins with.
        place: number of the arrangement: flows of equal origin and place belong element to element.
        use: index of the weight use that is the origin, if it is one.
        function: of the origin; None if the tensor is the origin itself, perhaps rearranged.
        label: what to call the function in print.
        exact: nothing lies between that mixes or moves the features.
    """

    source: Source
    origin: int
    place: int
    use: int | None = None
    function: Pointwise | None = None
    label: str = ""
    exact: bool = True

    def feed(self) -> Feed:
        """The flow as what reaches a weight."""
        function = self.function
        as_array = None if function is None else _on_arrays(function)
        return Feed(self.source, self.use, as_array, self.label, self.exact)


def plain_name(func: Callable[..., Any]) -> str:
    """A torch function's name: no underscores around it, a property by its own name."""
    name = getattr(func, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", "")
    return name.strip("_").removeprefix("special_")


def joined_label(inner: str, name: str) -> str:
    """What to call a function of a function; long chains by their ends.

    >>> joined_label("sigmoid", "mul"), joined_label("exp, add, log", "tanh")
    ('sigmoid, mul', 'exp, …, tanh')
    """
    if not inner:
        return name
    long = inner.count(", ") > 1
    return f"{inner.split(', ')[0]}, …, {name}" if long else f"{inner}, {name}"


def tensors_of(tree: Any) -> Iterable[torch.Tensor]:
    """All tensors of nested tuples, lists and dicts, in order."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for entry in tree.values():
            yield from tensors_of(entry)
    elif isinstance(tree, (list, tuple)):
        for entry in tree:
            yield from tensors_of(entry)


def cloned(tree: Any) -> Any:
    """The same with copies of its tensors: a model may work in place."""
    if isinstance(tree, torch.Tensor):
        return tree.clone()
    if type(tree) in (list, tuple):
        return type(tree)(cloned(entry) for entry in tree)
    return {key: cloned(entry) for key, entry in tree.items()} if type(tree) is dict else tree


def version_of(tensor: torch.Tensor) -> int:
    """How often the tensor's memory was written into."""
    try:
        return tensor._version
    except RuntimeError:  # made in inference mode: not counted
        return 0


def share_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether the two are views of one memory."""
    try:
        return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse, or without memory
        return False


def rearranged_exactly(name: str, before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether every sample's features stand as they stood."""
    if name in ("squeeze", "unsqueeze"):
        return True
    return name in RESHAPED and before.shape[-1:] == after.shape[-1:]


def leaves_as_it_was(name: str, flow: Flow, parts: int) -> bool:
    """Whether a call only shifts or stretches what has an unknown spread anyway.

    The gain undoes what an activation does to a known spread. Undoing `x / 255` or `(a + b) / 2`
    would undo what the model's author did on purpose.
    """
    unknown = flow.source not in _KNOWN_SPREAD and flow.function is None
    return unknown and name in AFFINE and parts == 1


def constant_of(tensor: torch.Tensor, *, slope: bool) -> torch.Tensor | None:
    """A tensor that no input reaches as one number, or None if it is none or will be trained.

    Args:
        tensor: a buffer, a literal or a parameter.
        slope: it is the slope of a PReLU: taken as it is now although it will be trained.
    """
    if tensor.numel() == 0 or (tensor.requires_grad and not slope):
        return None
    first = tensor.detach().reshape(-1)[0]
    try:
        equal = bool((tensor == first).all())
    except RuntimeError:  # numbers that cannot be read now, as inside vmap
        equal = False
    if not equal:
        return None
    return first.cpu().double() if first.is_floating_point() else first.cpu()


class Replay:
    """A recorded call as a function of its origin.

    Args:
        func: the torch function.
        args: its arguments, flows' tensors replaced by `Slot`s.
        kwargs: likewise.
    """

    def __init__(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        self._func = func
        self._args = args
        self._kwargs = {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        if self._last is None or self._last[0] is not z:  # a graph is walked once, not as a tree
            args = [_at(entry, z) for entry in self._args]
            kwargs = {key: _at(entry, z) for key, entry in self._kwargs.items()}
            with torch.no_grad():
                self._last = (z, self._func(*args, **kwargs))
        return self._last[1]


@dataclass(frozen=True)
class Slot:
    """The place of a flow's tensor in a recorded call."""

    function: Pointwise | None


def _at(entry: Any, z: torch.Tensor) -> Any:
    """An argument for this origin; a copy, as the call may write into it."""
    if not isinstance(entry, Slot):
        return entry
    return (z if entry.function is None else entry.function(z)).clone()


def _on_arrays(function: Pointwise) -> Callable[[Any], Any]:
    """The function on float64 NumPy arrays."""
    return lambda z: function(torch.from_numpy(z.copy())).numpy()
