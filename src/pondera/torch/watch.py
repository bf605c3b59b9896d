"""A function mode that sees each operation of a forward pass once, as the model calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pondera.core.laws.base import Axes
from pondera.model.graph import Source, Use
from pondera.torch.fill import LAYOUT
from pondera.torch.flow import (
    ALIGNED,
    MOVED,
    POINTWISE,
    RESHAPED,
    TRANSPOSED,
    Flow,
    Replay,
    Slot,
    constant_of,
    joined_label,
    leaves_as_it_was,
    plain_name,
    rearranged_exactly,
    share_memory,
    tensors_of,
    version_of,
)

Watcher = Callable[[int, Use, torch.Tensor, torch.Tensor], None]  # index, use, input, output

_STORED: Final = Axes((0,), (1,))  # of x @ W
_CONV: Final = ("conv1d", "conv2d", "conv3d")
_SUM: Final = ("add", "iadd", "radd")
_JOIN: Final = ("cat", "concat", "concatenate", "hstack", "stack")
_NORMS: Final = ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm")
_LOOKUPS: Final = ("embedding", "embedding_bag")
_OF_CONV: Final = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
# of what multiplies by a weight: PyTorch's own names of the arguments → ours
_ARGUMENTS: Final = MappingProxyType[str, Mapping[str, str]](
    {
        "addmm": {"input": "bias", "mat1": "input", "mat2": "weight"},
        "linear": {"input": "input", "weight": "weight", "bias": "bias"},
        "matmul": {"input": "input", "other": "weight"},
        "mm": {"input": "input", "mat2": "weight"},
        **{convolution: {name: name for name in _OF_CONV} for convolution in _CONV},
    }
)


class _Weight(NamedTuple):
    """A parameter, or one of its casts and transposes."""

    tensor: torch.Tensor  # held: ids are reused
    name: str
    flipped: bool


class Watch(TorchFunctionMode):
    """Records the uses of a model's weights while it runs."""

    def __init__(
        self, model: nn.Module, inputs: Iterable[Any], watcher: Watcher | None = None
    ) -> None:
        super().__init__()
        self.uses: list[Use] = []
        self.biases: set[str] = set()
        self.lookups: set[str] = set()
        self.reached: set[str] = set()
        self._weights = {id(p): _Weight(p, name, False) for name, p in model.named_parameters()}
        self._flows: dict[int, tuple[torch.Tensor, Flow]] = {}  # the tensor is held: ids are reused
        self._numbers = count()
        self._watcher = watcher
        for tensor in tensors_of(inputs):
            self._begin(tensor, "input")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        parts = list(tensors_of([args, kwargs]))
        flows = [self._flow(part) for part in parts]
        versions = [version_of(part) for part in parts]
        result = func(*args, **kwargs)
        for part, version in zip(parts, versions, strict=True):
            if id(part) in self._flows and version_of(part) != version:
                self._overwritten(part)
        self._record(func, args, kwargs, parts, flows, result)
        return result

    def flow(self, tensor: torch.Tensor) -> Flow:
        """Where a tensor comes from; mixed if that was not seen."""
        return self._flow(tensor) or self._new("mixed")

    def _record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: list[torch.Tensor],
        flows: list[Flow | None],
        result: Any,
    ) -> None:
        """The flow of a call's result."""
        name = plain_name(func)
        outputs = list(tensors_of(result))
        if outputs:
            self.reached |= {self._weights[id(p)].name for p in parts if id(p) in self._weights}
        if name in _ARGUMENTS and self._product(name, args, kwargs, parts, flows, result):
            return
        if name in _LOOKUPS:
            self.lookups |= {self._weights[id(p)].name for p in parts if id(p) in self._weights}
            self._begin(result, "lookup")
        elif not any(flows):
            self._alias(name, parts, outputs)
        elif name in _NORMS:
            self._begin(result, "norm")
        elif name in ALIGNED | RESHAPED | TRANSPOSED | MOVED and flows[0]:
            for output in outputs:
                self._set(output, self._kept(name, flows[0], parts[0], output))
        elif name in _JOIN:
            self._set(result, self._joined(flows))
        elif name not in _SUM or not self._adds_bias(parts, flows, result):
            flow = self._pointwise(func, args, kwargs, parts, flows) if name in POINTWISE else None
            for output in outputs:
                self._set(output, flow or self._new("mixed"))

    def _flow(self, tensor: torch.Tensor) -> Flow | None:
        held = self._flows.get(id(tensor))
        return held[1] if held else None

    def _set(self, tensor: torch.Tensor, flow: Flow) -> None:
        self._flows[id(tensor)] = (tensor, flow)

    def _new(self, source: Source, *, use: int | None = None) -> Flow:
        return Flow(source, next(self._numbers), next(self._numbers), use=use)

    def _begin(self, result: Any, source: Source) -> None:
        for tensor in tensors_of(result):
            self._set(tensor, self._new(source))

    def _overwritten(self, written: torch.Tensor) -> None:
        """Whatever shares memory with a tensor that was written into is not what it was."""
        for held, _ in list(self._flows.values()):
            if held is written or share_memory(held, written):
                self._set(held, self._new("mixed"))

    def _kept(self, name: str, flow: Flow, before: torch.Tensor, after: torch.Tensor) -> Flow:
        if name in ALIGNED or after is before:
            return flow
        exact = flow.exact and rearranged_exactly(name, before, after)
        return replace(flow, place=next(self._numbers), exact=exact)

    def _joined(self, flows: list[Flow | None]) -> Flow:
        """Several side by side: one activation of all of them is still that activation."""
        fresh, labels = self._new("mixed"), {flow.label if flow else "" for flow in flows}
        if len(labels) > 1 or not flows[0]:
            return fresh
        return replace(fresh, function=flows[0].function, label=flows[0].label, exact=False)

    def _alias(self, name: str, parts: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """A weight's cast or transpose is still that weight; all else made of constants is constant."""
        weight = self._weights.get(id(parts[0])) if parts else None
        if weight is None or len(outputs) != 1 or outputs[0] is parts[0]:
            return
        flips = name in TRANSPOSED and outputs[0].ndim == 2
        if flips or name in ALIGNED:
            known = _Weight(outputs[0], weight.name, weight.flipped != flips)
            self._weights[id(outputs[0])] = known

    def _product(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: list[torch.Tensor],
        flows: list[Flow | None],
        result: torch.Tensor,
    ) -> bool:
        """Records the use of a weight; False where the call uses none that can be drawn."""
        ours = _ARGUMENTS[name]
        given = dict(zip(ours.values(), args, strict=False))
        given |= {ours[key]: entry for key, entry in kwargs.items() if key in ours}
        weight, entering = self._weights.get(id(given.get("weight"))), given.get("input")
        is_conv = name in _CONV
        if weight is None or entering is None or (is_conv and weight.flipped):
            return False
        shape = tuple(weight.tensor.shape[::-1] if weight.flipped else weight.tensor.shape)
        if not is_conv and len(shape) != 2:
            return False
        bias = self._weights.get(id(given.get("bias")))
        self.biases |= {bias.name} if bias and bias.tensor.ndim == 1 else set()
        stored_out_in = is_conv or (name == "linear") != weight.flipped
        inward, outward = LAYOUT if stored_out_in else _STORED
        fed = next((f for p, f in zip(parts, flows, strict=True) if p is entering), None)
        feed, role = (fed or self._new("mixed")).feed(), ("conv" if is_conv else "dense")
        groups = int(given.get("groups", 1))
        use = Use(weight.name, role, shape, tuple(inward or ()), tuple(outward or ()), feed, groups)
        self.uses.append(use)
        self._set(result, self._new("weight", use=len(self.uses) - 1))
        if self._watcher:
            self._watcher(len(self.uses) - 1, use, entering, result)
        return True

    def _adds_bias(
        self, parts: list[torch.Tensor], flows: list[Flow | None], result: torch.Tensor
    ) -> bool:
        """Whether this sum adds a parameter of one axis to a weight's output."""
        if len(parts) != 2 or (flows[0] is None) == (flows[1] is None):
            return False
        flow, other = (flows[0], parts[1]) if flows[0] else (flows[1], parts[0])
        bias = self._weights.get(id(other))
        if flow is None or bias is None or other.ndim != 1:
            return False
        if flow.source != "weight" or flow.function is not None:
            return False
        self.biases.add(bias.name)
        self._set(result, flow)
        return True

    def _pointwise(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: list[torch.Tensor],
        flows: list[Flow | None],
    ) -> Flow | None:
        """The result as a function of the one origin of all parts; None if there are several."""
        name = plain_name(func)
        seen = [flow for flow in flows if flow]
        first = seen[0]
        if any((f.origin, f.place) != (first.origin, first.place) for f in seen):
            return None
        frozen = dict[int, Any]()
        for part, flow in zip(parts, flows, strict=True):
            constant = constant_of(part, slope=name == "prelu") if flow is None else None
            if flow is None and constant is None:
                return None
            frozen[id(part)] = Slot(flow.function) if flow else constant
        if leaves_as_it_was(name, first, len(seen)):
            return first
        function = Replay(
            func,
            [frozen.get(id(entry), entry) for entry in args],  # keeps no activation alive
            {key: frozen.get(id(entry), entry) for key, entry in kwargs.items()},
        )
        label = joined_label(max((flow.label for flow in seen), key=len), name)
        exact = all(flow.exact for flow in seen)
        return replace(first, function=function, label=label, exact=exact)
