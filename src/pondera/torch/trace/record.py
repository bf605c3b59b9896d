"""A dispatch mode that writes down each operation of a pass as it reaches PyTorch's dispatcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

import torch
from torch._decomp import decomposition_table
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from pondera.model.axes import Dims, fresh_dims, parameter_dims
from pondera.model.trace import Kind, Operation, Value
from pondera.torch.flow import share_memory, tensors_of
from pondera.torch.trace import names
from pondera.torch.trace.answers import Answers
from pondera.torch.trace.calls import Call, with_defaults
from pondera.torch.trace.devices import Devices
from pondera.torch.trace.moves import moved
from pondera.torch.trace.products import Found, picks_rows, product_of
from pondera.torch.trace.slots import over_of, slots_of
from pondera.torch.trace.views import broadcast, viewed

_DEEPEST: Final = 2048  # operations; a chain of in-place writes beyond is cut

Watcher = Callable[
    [Operation, list[torch.Tensor], torch.Tensor], None
]  # product, its inputs, its output


def _nobody(operation: Operation, parts: list[torch.Tensor], output: torch.Tensor) -> None:
    """Watches nothing."""


class Recorder(TorchDispatchMode):
    """Values and operations of what runs inside.

    Args:
        parameters: name → the tensor that stands for it.
        given: the model's input tensors.
        answers: what to say where the pass asks for numbers.
        path: gives the path of the module that runs at present.
    """

    def __init__(
        self,
        parameters: Mapping[str, torch.Tensor],
        given: Iterable[torch.Tensor],
        answers: Answers,
        path: Callable[[], str],
    ) -> None:
        super().__init__()
        self.values: list[Value] = []
        self.operations: list[Operation] = []
        self._held: dict[int, tuple[torch.Tensor, int]] = {}  # the tensor is held: ids are reused
        self._memory: dict[int, list[torch.Tensor]] = {}
        self._answers, self._path, self._devices = answers, path, Devices()
        self.silent = False
        self.watcher: Watcher = (
            _nobody  # called behind every product, before anything else reads its output
        )
        for name, tensor in parameters.items():
            dims = parameter_dims(name, tensor.shape)
            self._new(tensor, dims, parameter=name, parameters=frozenset({name}))
        for tensor in given:
            self._new(tensor, given=True, live=True)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        args, kwargs = self._devices.moved(args, kwargs or {})
        name = names.plain_name(func)
        apart = None if self.silent else _taken_apart(func, name)
        if apart is not None:
            with self:
                return apart(*args, **kwargs)
        result = self._answers.answered(func, name, args, kwargs)
        outputs = list(tensors_of(result))
        if self.silent or name in names.SILENT or not outputs:
            return result
        self._record(func, name, with_defaults(func, args, kwargs), outputs)
        return result

    def number_of(self, tensor: torch.Tensor) -> int:
        """Number of the value that a tensor is; a constant if it was not seen before."""
        held = self._held.get(id(tensor))
        if held:
            return held[1]
        return self._new(tensor, constant=_constant(tensor)).number

    def where(self) -> str:
        """Path of the module that runs, or of the last that did."""
        return self._path() or next((o.path for o in reversed(self.operations) if o.path), "")

    def note(
        self,
        kind: Kind,
        label: str,
        inputs: Sequence[torch.Tensor],
        outputs: Sequence[torch.Tensor],
        *,
        slots: tuple[str, ...] = (),
    ) -> None:
        """Write an operation down that is not one of the dispatcher's."""
        entering = tuple(self.number_of(tensor) for tensor in inputs)
        fresh = [fresh_dims(tensor.shape) for tensor in outputs]
        self._add(Operation(-1, kind, label, entering, (), slots=slots), outputs, fresh)

    def _record(
        self, func: Any, name: str, args: tuple[Any, ...], outputs: list[torch.Tensor]
    ) -> None:
        parts = list(tensors_of(args))
        numbers = tuple(self.number_of(part) for part in parts)
        if name in names.CREATED:
            for output in outputs:
                self._new(output, constant=_filled(name, args))
            return
        values = [self.values[number] for number in numbers]
        found = product_of(name, args, values, [tuple(o.shape) for o in outputs], parts)
        operation, dims = self._described(func, name, args, values, outputs, found)
        picked = found is None and picks_rows(name, args, values)  # an expert's weight, not a row
        self._add(replace(operation, inputs=numbers), outputs, dims, dead=picked)
        if found is not None:
            self.watcher(self.operations[-1], parts, outputs[0])

    def _described(
        self,
        func: Any,
        name: str,
        args: tuple[Any, ...],
        values: list[Value],
        outputs: list[torch.Tensor],
        found: Found | None,
    ) -> tuple[Operation, list[Dims]]:
        """The operation, without numbers, and the dimensions of what it makes."""
        shapes = [tuple(output.shape) for output in outputs]
        if found is not None:
            made = Operation(-1, found.kind, name, (), (), product=found.product)
            return made, [found.dims, *[fresh_dims(shape) for shape in shapes[1:]]]
        kind = names.kind_of(func, name, len(values))
        over = over_of(kind, name, args, len(values[0].shape) if values else 0)
        made = Operation(-1, kind, name, (), (), slots=slots_of(name, args), over=over)
        if kind == "view":
            return made, viewed(name, values[0].dims, args, shapes)
        if kind in ("pointwise", "combine"):
            label = "selu" if name == "elu" and args[2] != 1 else name
            return replace(made, label=label, call=Call(func, args)), [
                broadcast([v.dims for v in values], s) for s in shapes
            ]
        if name.startswith("_scaled_dot_product"):
            mixed = (*values[0].dims[:-1], *values[2].dims[-1:])
            return made, [_kept(mixed, shape) for shape in shapes]
        if kind == "move":
            return made, [moved(name, values, args, shape) for shape in shapes]
        return made, [_kept(values[0].dims if values else (), shape) for shape in shapes]

    def _add(
        self,
        operation: Operation,
        outputs: Sequence[torch.Tensor],
        dims: Sequence[Dims],
        *,
        dead: bool = False,
    ) -> None:
        number = len(self.operations)
        entering = [self.values[number] for number in operation.inputs]
        live = any(value.live for value in entering) and not dead
        made_of = frozenset[str]() if live else frozenset(n for v in entering for n in v.parameters)
        written = [output for output in outputs if id(output) in self._held]
        same = entering[0].constant if operation.kind == "view" else None
        known = {"maker": number, "live": live, "parameters": made_of, "constant": same}
        made = [self._new(o, d, **known).number for o, d in zip(outputs, dims, strict=True)]
        entry = replace(operation, number=number, outputs=tuple(made), path=self._path())
        self.operations.append(entry)
        for output in written:
            self._overwritten(output, made[0])

    def _new(
        self,
        tensor: torch.Tensor,
        dims: Dims | None = None,
        **known: Any,
    ) -> Value:
        shape = tuple(int(size) for size in tensor.shape)
        integer = not (tensor.is_floating_point() or tensor.is_complex())
        dims = fresh_dims(shape) if dims is None else dims
        value = Value(len(self.values), shape, dims, integer=integer, **known)
        self.values.append(value)
        self._held[id(tensor)] = (tensor, value.number)
        key = _memory_of(tensor)
        if key is not None:
            self._memory.setdefault(key, []).append(tensor)
        return value

    def _overwritten(self, written: torch.Tensor, number: int) -> None:
        """What shares memory with a tensor that was written into holds what was written, too."""
        key = _memory_of(written)
        seen = self._memory.get(key, []) if key is not None else []
        for tensor in {id(t): t for t in seen if t is not written}.values():
            if not share_memory(tensor, written) and not isinstance(tensor, FakeTensor):
                continue
            before = self._held[id(tensor)][1]
            inputs, place = (before, number), len(self.operations)
            live = self.values[before].live or self.values[number].live
            value = self._new(tensor, self.values[before].dims, maker=place, live=live)
            self.operations.append(
                Operation(place, "move", "written", inputs, (value.number,), self._path())
            )


@cache
def _taken_apart(func: Any, name: str) -> Callable[..., Any] | None:
    """What an operation does in simpler ones, where that tells more than its name."""
    if name in names.WRITTEN_OUT:
        return decomposition_table.get(func)
    if func.namespace != "aten" or name in names.SILENT:
        return None
    composite = torch._C.DispatchKey.CompositeImplicitAutograd
    return func.decompose if func.has_kernel_for_dispatch_key(composite) else None


def _kept(dims: Dims, shape: tuple[int, ...]) -> Dims:
    """Dimensions of an input, where the result has as many of the same length."""
    if len(dims) != len(shape):
        return fresh_dims(shape)
    fresh = fresh_dims(shape)
    sizes = [_size(dim) for dim in dims]
    return tuple(d if s == n else f for d, s, n, f in zip(dims, sizes, shape, fresh, strict=True))


def _size(dim: Any) -> int:
    product = 1
    for factor in dim:
        product *= factor.size
    return product


def _filled(name: str, args: tuple[Any, ...]) -> float | None:
    if name in ("full", "full_like", "new_full"):
        fill = args[2] if name == "new_full" else args[1]
        return float(fill) if isinstance(fill, (bool, int, float)) else None
    if name == "scalar_tensor":
        return float(args[0])
    return names.FILLED.get(name)


def _constant(tensor: torch.Tensor) -> float | None:
    """The number that a tensor of one element holds, where it can be read."""
    known = tensor.constant if isinstance(tensor, FakeTensor) else tensor
    if known is None or known.numel() != 1 or known.is_meta or known.is_complex():
        return None
    try:
        return float(known.detach().cpu().double())
    except RuntimeError:  # of a wrapper that has no numbers
        return None


def _memory_of(tensor: torch.Tensor) -> int | None:
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):
        return None
