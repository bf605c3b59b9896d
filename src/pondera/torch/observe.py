"""One forward pass, watched: which weight is used when, and what pointwise function feeds it.

A function mode sees each operation once, as the model calls it. A tensor is followed as a pointwise
function of its origin (the input, a weight's output, a normalisation …); the function is kept as a
closure, so that an activation written out by hand gives its gain like a named one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pondera.core.laws.base import Axes
from pondera.model.graph import Feed, Network, Role, Source, Use
from pondera.torch.fill import LAYOUT

Pointwise = Callable[[torch.Tensor], torch.Tensor]
Watcher = Callable[[int, Use, torch.Tensor, torch.Tensor], None]  # index, use, input, output

_DENSE: Final = ("linear",)
_PRODUCT: Final = ("__matmul__", "matmul", "mm")  # x @ W: stored (in, out)
_SUM: Final = ("__add__", "__radd__", "add")
_CONV: Final = ("conv1d", "conv2d", "conv3d")
_NORMS: Final = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
_KEEP: Final = frozenset(
    "clone contiguous detach dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout "
    "flatten float double half bfloat16 to type reshape view view_as squeeze unsqueeze identity requires_grad_ "
    "permute transpose t movedim swapaxes unflatten ravel __getitem__ chunk split unbind".split()
)
_POOLS: Final = frozenset(
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d mean amax pad".split()
)
_POINTWISE: Final = frozenset(
    "relu relu_ relu6 gelu silu mish tanh tanh_ sigmoid sigmoid_ elu elu_ selu selu_ celu leaky_relu "
    "leaky_relu_ hardswish hardtanh hardtanh_ hardsigmoid softplus softsign tanhshrink softshrink hardshrink "
    "logsigmoid threshold sin cos exp erf abs square sqrt pow clamp clamp_min clamp_max clip minimum maximum "
    "where neg log1p expm1 arctan atan mul add sub div true_divide __mul__ __rmul__ __add__ __radd__ __sub__ "
    "__rsub__ __truediv__ __pow__ __neg__ __abs__".split()
)
_NORM_MODULES: Final = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class _Flow:
    """A tensor as a pointwise function of its origin."""

    source: Source
    use: int | None = None
    function: Pointwise | None = None
    label: str = ""
    exact: bool = True

    def feed(self) -> Feed:
        function = self.function
        as_array = None if function is None else _on_arrays(function)
        return Feed(self.source, self.use, as_array, self.label, self.exact)


@dataclass(frozen=True)
class _Slot:
    """The place of a tensor in a recorded call: the pointwise function that makes it from the origin."""

    function: Pointwise | None


_MIXED: Final = _Flow("mixed", exact=False)


class Watch(TorchFunctionMode):
    """Records the uses of a model's weights while it runs."""

    def __init__(self, model: nn.Module, inputs: Iterable[Any], watcher: Watcher | None = None):
        super().__init__()
        self.uses: list[Use] = []
        self.biases: set[str] = set()
        self._names = {id(p): name for name, p in model.named_parameters(remove_duplicate=False)}
        self._flows: dict[
            int, tuple[torch.Tensor, _Flow]
        ] = {}  # the tensor is held: ids are reused
        self._watcher = watcher
        for tensor in _tensors(inputs):
            self._set(tensor, _Flow("input"))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        before = [self.flow(tensor) for tensor in _tensors(args[:1])]
        result = func(*args, **kwargs)
        if name in _DENSE or name in _CONV:
            given = dict(zip(("input", "weight"), args, strict=False)) | kwargs
            groups = _groups(args, kwargs) if name in _CONV else 1
            role: Role = "conv" if name in _CONV else "dense"
            self._weight(role, given["input"], given["weight"], LAYOUT, groups, result)
        elif name in _PRODUCT and len(args) == 2:
            self._weight("dense", args[0], args[1], Axes((0,), (1,)), 1, result)
        elif name in _SUM and self._adds_bias(args, result):
            pass
        elif name in _NORMS:
            self._set(result, _Flow("norm"))
        elif name == "embedding":
            self._set(result, _Flow("lookup"))
        elif name in _KEEP or name in _POOLS:
            self._keep(before, result, exact=name in _KEEP)
        elif name in _POINTWISE:
            self._pointwise(func, name, args, kwargs, result, before)
        return result

    def flow(self, tensor: torch.Tensor) -> _Flow:
        """Where a tensor comes from; mixed if that was not seen."""
        held = self._flows.get(id(tensor))
        return held[1] if held else _MIXED

    def _set(self, tensor: Any, flow: _Flow) -> None:
        for part in _tensors([tensor]):
            self._flows[id(part)] = (part, flow)

    def _keep(self, before: list[_Flow], result: Any, *, exact: bool) -> None:
        if before:
            self._set(result, replace(before[0], exact=before[0].exact and exact))

    def _weight(
        self,
        role: Role,
        entering: torch.Tensor,
        weight: torch.Tensor,
        axes: Axes,
        groups: int,
        result: torch.Tensor,
    ) -> None:
        known = self._names.get(id(weight))
        if known is None:  # computed on the way (weight norm, a cast): not a parameter to draw
            self._set(result, _MIXED)
            return
        inward, outward = tuple(axes.in_axes or ()), tuple(axes.out_axes or ())
        feed = self.flow(entering).feed()
        self.uses.append(Use(known, role, tuple(weight.shape), inward, outward, feed, groups))
        index = len(self.uses) - 1
        self._set(result, _Flow("weight", use=index))
        if self._watcher:
            self._watcher(index, self.uses[index], entering, result)

    def _adds_bias(self, args: tuple[Any, ...], result: Any) -> bool:
        """Whether this sum adds a parameter of one axis to a weight's output."""
        names = [self._names.get(id(part)) for part in args]
        if len(args) != 2 or (names[0] is None) == (names[1] is None):
            return False
        other, bias = (args[1], 0) if names[0] else (args[0], 1)
        flow = self.flow(other) if isinstance(other, torch.Tensor) else _MIXED
        if flow.source != "weight" or flow.function is not None or args[bias].ndim != 1:
            return False
        self.biases.add(names[bias] or "")
        self._set(result, flow)
        return True

    def _pointwise(
        self,
        func: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: torch.Tensor,
        before: list[_Flow],
    ) -> None:
        parts = list(_tensors([args, kwargs]))
        flows = [
            before[0] if k == 0 and before else self.flow(part) for k, part in enumerate(parts)
        ]
        origins = {(flow.source, flow.use) for flow in flows}
        if len(origins) != 1 or flows[0].source == "mixed":
            self._set(result, _MIXED)
            return
        slots = {id(part): _Slot(flow.function) for part, flow in zip(parts, flows, strict=True)}
        frozen = [slots.get(id(entry), entry) for entry in args]  # keeps no activation alive
        named = {key: slots.get(id(entry), entry) for key, entry in kwargs.items()}
        function = _replay(
            func, frozen, {**named, **({"inplace": False} if "inplace" in named else {})}
        )
        inner = flows[0].label
        label = name.strip("_") if not inner else f"{inner}, {name.strip('_')}"
        exact = all(flow.exact for flow in flows)
        self._set(result, replace(flows[0], function=function, label=label, exact=exact))


def observe(model: nn.Module, example: Any, watcher: Watcher | None = None) -> Network:
    """What one forward pass of the model on an example shows.

    Args:
        model: any module; run in the mode it is in.
        example: tuple (positional), dict (keyword arguments) or the one input.
        watcher: called at each weight use with (index, use, input, output).

    Returns:
        The network.
    """
    args, kwargs = call_arguments(example)
    with Watch(model, [args, kwargs], watcher) as watch:
        output = model(*args, **kwargs)
    first = next(iter(_tensors([output])), None)
    last = _MIXED if first is None else watch.flow(first)
    named = dict(model.named_parameters())
    used = {use.name for use in watch.uses}
    roles = {name: role for name, role in _other_roles(model, used).items() if name not in used}
    roles |= dict.fromkeys(watch.biases - used, "bias")
    shapes = {name: tuple(p.shape) for name, p in named.items()}
    return Network(tuple(watch.uses), roles, shapes, last.feed())


def call_arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and keyword arguments."""
    if isinstance(example, dict):
        return (), example
    return (tuple(example), {}) if isinstance(example, tuple) else ((example,), {})


def _other_roles(model: nn.Module, used: set[str]) -> dict[str, Role]:
    """Roles by module type, for what is not summed over."""
    roles = dict[str, Role]()
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        norm = isinstance(module, _NORM_MODULES)
        for leaf, _ in module.named_parameters(recurse=False):
            name = prefix + leaf
            if norm:
                roles[name] = "norm scale" if leaf == "weight" else "norm shift"
            elif leaf == "bias" and f"{prefix}weight" in used:
                roles[name] = "bias"
            else:
                roles[name] = "other"
    return roles


def _tensors(tree: Any) -> Iterable[torch.Tensor]:
    """All tensors of nested tuples, lists and dicts, in order."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for entry in tree.values():
            yield from _tensors(entry)
    elif isinstance(tree, (list, tuple)):
        for entry in tree:
            yield from _tensors(entry)


def _replay(func: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Pointwise:
    """A recorded call as a function of its origin."""

    def function(z: torch.Tensor) -> torch.Tensor:
        def at(entry: Any) -> Any:
            if not isinstance(entry, _Slot):
                return entry
            return z if entry.function is None else entry.function(z)

        with torch.no_grad():
            return func(*(at(entry) for entry in args), **{k: at(v) for k, v in kwargs.items()})

    return function


def _groups(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    return int(kwargs.get("groups", args[6] if len(args) > 6 else 1))


def _on_arrays(function: Pointwise) -> Callable[[Any], Any]:
    """The function on float64 NumPy arrays; a copy, as some activations work in place."""
    return lambda z: function(torch.from_numpy(z.copy())).numpy()
