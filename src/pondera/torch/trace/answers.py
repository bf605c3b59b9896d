"""What is said where a pass without numbers asks for them: each answer is remembered with its place."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    unset_fake_temporarily,
)

from pondera.torch.flow import tensors_of
from pondera.torch.trace.numbers import Numbers


class Answers:
    """Runs operations, and answers those whose result depends on numbers that are not there.

    Args:
        truth: what a condition is said to be.
        period: integers count up and begin again at 0 behind so many.
        start: the first integer.
        numbers: what is known nevertheless.
    """

    def __init__(
        self,
        *,
        truth: bool = True,
        period: int = 2,
        start: int = 0,
        numbers: Numbers | None = None,
    ) -> None:
        self._truth, self._period = truth, period
        self.next, self._numbers = start, numbers
        self.path = lambda: ""
        self.given: list[str] = []

    def answered(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operation's own result, or an answer."""
        if name == "_grouped_mm" and is_fake(args[0]):
            return _grouped(args[0], args[1])  # whose own check wants bfloat16
        if name == "split_with_sizes" and self.given:
            args = (args[0], _shares(args[0], args[1], *args[2:]), *args[2:])
        real = self._numbers.computed(func, args, kwargs) if self._numbers else None
        if real is not None and not isinstance(real, (torch.Tensor, tuple, list)):
            return real
        try:
            result = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            result = _like(real) if real is not None else self._answer(func, name, args, kwargs)
            if real is None:
                self.given.append(f"{name} in {self.path() or 'the model'}")
        if real is not None and self._numbers:
            for stand, numbers in zip(tensors_of(result), tensors_of(real), strict=False):
                self._numbers.learn(stand, numbers)
        return result

    def _answer(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in ("_local_scalar_dense", "is_nonzero", "equal", "allclose", "item"):
            return self._number(args[0].dtype if name == "_local_scalar_dense" else torch.bool)
        if name in ("nonzero", "argwhere"):
            entering = args[0]
            return entering.new_empty((max(1, entering.numel()), entering.dim()), dtype=torch.long)
        if name == "masked_select":
            return args[0].new_empty((torch.broadcast_tensors(args[0], args[1])[0].numel(),))
        if name == "index":
            return _indexed(args[0], args[1])
        if name == "repeat_interleave":
            return args[0].new_empty((args[0].numel(),), dtype=torch.long)
        if name in ("_unique2", "unique_dim", "unique_consecutive", "_unique"):
            return _unique(args[0], len(func._schema.returns))
        if name == "_pack_padded_sequence":
            rows, steps = _packed(args[0], batch_first=args[2])
            if self._numbers:
                batch = rows.shape[0] // steps.shape[0]
                with unset_fake_temporarily():
                    self._numbers.learn(steps, torch.full(steps.shape, batch))
            return rows, steps
        if name == "bincount":
            return args[0].new_empty((max(1, int(kwargs.get("minlength", 1))),), dtype=torch.long)
        return func(*args, **kwargs)

    def _number(self, dtype: torch.dtype) -> Any:
        """Conditions are as told; numbers count up, so that choices differ from call to call."""
        if dtype == torch.bool:
            return self._truth
        if dtype.is_floating_point:
            return 1.0
        self.next += 1
        return (self.next - 1) % self._period


def _grouped(rows: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    if rows.dim() == 2 and matrices.dim() == 3:
        return rows.new_empty((rows.shape[0], matrices.shape[2]))
    return torch.matmul(rows, matrices)


def _shares(whole: torch.Tensor, sizes: list[int], place: int = 0) -> list[int]:
    """Sizes that were made of answers: even ones, if they do not add up to the whole."""
    length = whole.shape[place]
    if not sizes or sum(sizes) == length:
        return sizes
    share = length // len(sizes)
    return [share] * (len(sizes) - 1) + [length - share * (len(sizes) - 1)]


def _like(real: Any) -> Any:
    """Stand-ins of the same shapes."""
    if isinstance(real, torch.Tensor):
        return torch.empty(tuple(real.shape), dtype=real.dtype)
    return type(real)(_like(entry) for entry in real)


def _packed(padded: torch.Tensor, *, batch_first: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences that are all as long as the longest."""
    steps, batch = padded.shape[1 if batch_first else 0], padded.shape[0 if batch_first else 1]
    rows = padded.new_empty((steps * batch, *padded.shape[2:]))
    return rows, torch.empty((steps,), dtype=torch.long)


def padded(
    rows: torch.Tensor, steps: torch.Tensor, *, batch_first: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Packed sequences side by side again, all as long as the longest."""
    length = steps.shape[0]
    batch = rows.shape[0] // length
    shape = (batch, length) if batch_first else (length, batch)
    return rows.new_empty((*shape, *rows.shape[1:])), torch.empty((batch,), dtype=torch.long)


def _indexed(entering: torch.Tensor, places: list[torch.Tensor | None]) -> torch.Tensor:
    """The result of indexing by masks, were they true everywhere."""
    if not any(p is not None and p.dtype in (torch.bool, torch.uint8) for p in places):
        raise NotImplementedError("an index without a mask depends on numbers")
    full = list[torch.Tensor | None]()
    for place in places:
        if place is not None and place.dtype in (torch.bool, torch.uint8):
            size = prod(place.shape)
            full += [place.new_empty((size,), dtype=torch.long) for _ in place.shape]
        else:
            full.append(place)
    return torch.ops.aten.index.Tensor(entering, full)


def _unique(entering: torch.Tensor, results: int) -> Any:
    flat = entering.new_empty((max(1, entering.numel()),))
    counts = [entering.new_empty((max(1, entering.numel()),), dtype=torch.long)] * (results - 1)
    return (flat, *counts)


def is_fake(tensor: torch.Tensor) -> bool:
    """Whether a tensor has no numbers."""
    return isinstance(tensor, FakeTensor) or tensor.is_meta
