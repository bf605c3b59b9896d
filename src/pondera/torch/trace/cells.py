"""Recurrent layers seen whole, before they fall apart into steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

from pondera.torch.flow import tensors_of
from pondera.torch.trace.answers import padded
from pondera.torch.trace.record import Recorder

_CELLS: Final = frozenset(
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell".split()
)

_PADDED: Final = "_pad_packed_sequence"


class Cells(TorchFunctionMode):
    """Notes each recurrent layer as one operation.

    Args:
        recorder: what it is noted in.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__format__" and isinstance(args[0], FakeTensor) and not args[0].dim():
            return format(args[0].item(), args[1])  # a number in a text, as in a module's name
        if self._recorder.silent or name not in (*_CELLS, _PADDED):
            return func(*args, **(kwargs or {}))
        self._recorder.silent = True
        try:
            result = _result(func, name, args, kwargs or {})
        finally:
            self._recorder.silent = False
        kind = "move" if name == _PADDED else "recurrent"
        inputs, outputs = list(tensors_of(args)), list(tensors_of(result))
        self._recorder.note(kind, name, inputs, outputs)
        return result


def _result(
    func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    if name.endswith("_cell") or not isinstance(args[0], FakeTensor):
        return func(*args, **kwargs)
    return padded(args[0], args[1], batch_first=args[2]) if name == _PADDED else _unrun(args)


def _unrun(args: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """What a layer returns, without its steps: as many operations as the sequence is long."""
    packed = isinstance(args[1], torch.Tensor) and not args[1].is_floating_point()
    entering, begin = args[0], args[2 if packed else 1]
    states = list(begin) if isinstance(begin, (list, tuple)) else [begin]
    directions = 2 if args[8 if packed else 7] else 1
    made = entering.new_empty((*entering.shape[:-1], states[0].shape[-1] * directions))
    return made, *(state.new_empty(state.shape) for state in states)
