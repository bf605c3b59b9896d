"""One pass of a model on tensors without numbers, as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

from pondera.core.errors import DomainError, ShapeError
from pondera.model.trace import Graph, Owner
from pondera.torch.flow import tensors_of
from pondera.torch.keep import modes_kept, seeded
from pondera.torch.observe import call_arguments, uncompiled
from pondera.torch.trace.answers import Answers
from pondera.torch.trace.fakes import Stand, copies, faked_example, stand_ins
from pondera.torch.trace.record import Recorder

_CELLS = (
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
    "lstm_cell",
    "gru_cell",
    "rnn_tanh_cell",
    "rnn_relu_cell",
)


def trace(model: nn.Module, example: Any, *, execute: bool = False, truth: bool = True) -> Graph:
    """What one forward pass does, in evaluation mode, without numbers.

    Args:
        model: any module; neither changed, moved, run on data nor re-seeded.
        example: tuple (positional), dict (keyword arguments) or the one input: tensors, or `Input`s.
        execute: run in earnest on the CPU instead, where the pass depends on numbers.
        truth: what conditions on numbers are said to be.

    Returns:
        The graph.

    Raises:
        DomainError: the model does not accept the example.
    """
    answers = Answers(truth=truth)
    with modes_kept(model), seeded(None), torch.enable_grad(), uncompiled():
        model.eval()
        stand = copies(model) if execute else stand_ins(model)
        with ExitStack() as stack:
            if stand.mode:
                stack.enter_context(stand.mode)
            args, kwargs = call_arguments(faked_example(example, stand.mode))
            where = stack.enter_context(_paths(model))
            recorder = Recorder(stand.parameters, tensors_of([args, kwargs]), answers, where)
            answers.path = where
            output = _run(model, stand, recorder, args, kwargs, execute=execute)
        returned = [recorder.number_of(tensor) for tensor in tensors_of(_plain(output))]
    return _graph(model, recorder, returned, answers.given)


def _run(
    model: nn.Module,
    stand: Stand,
    recorder: Recorder,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    execute: bool,
) -> Any:
    try:
        with recorder, _Cells(recorder):
            return torch.func.functional_call(model, stand.tensors, args, kwargs)
    except (DomainError, ShapeError):
        raise
    except Exception as fault:
        told = (str(fault).strip().splitlines() or [""])[0].rstrip(".")
        hint = "" if execute else ", or execute=True to run it on the CPU if it depends on numbers"
        raise DomainError(
            f"plan: the model must accept the example; {type(model).__name__} raised "
            f"{type(fault).__name__}: {told} (in {recorder.where() or 'its forward'}). "
            f"Pass a batch as the model's forward takes it{hint}."
        ) from fault


def _plain(output: Any) -> Any:
    """An output of the classes of other libraries as lists and dicts."""
    if isinstance(output, torch.Tensor) or output is None:
        return output
    if hasattr(output, "to_tuple"):
        return _plain(output.to_tuple())
    if isinstance(output, dict):
        return {key: _plain(entry) for key, entry in output.items()}
    if isinstance(output, (list, tuple)):
        return [_plain(entry) for entry in output]
    if hasattr(output, "__dict__"):
        return [_plain(entry) for entry in vars(output).values()]
    return output


class _Cells(TorchFunctionMode):
    """Sees recurrent layers whole, before they fall apart into steps."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name not in _CELLS or self._recorder.silent:
            return func(*args, **(kwargs or {}))
        self._recorder.silent = True
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self._recorder.silent = False
        inputs, outputs = list(tensors_of(args)), list(tensors_of(result))
        self._recorder.note("recurrent", name, inputs, outputs)
        return result


@contextmanager
def _paths(model: nn.Module) -> Iterator[Callable[[], str]]:
    """A function that tells the path of the module that runs; by hooks that are taken off behind."""
    names = {id(module): path for path, module in model.named_modules(remove_duplicate=True)}
    running = list[str]()

    def enter(module: nn.Module, _: Any) -> None:
        running.append(names.get(id(module), running[-1] if running else ""))

    def leave(module: nn.Module, _: Any, output: Any) -> None:
        if running:
            running.pop()

    handles = [
        hooks.register_module_forward_pre_hook(enter),
        hooks.register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield lambda: running[-1] if running else ""
    finally:
        for handle in handles:
            handle.remove()


def _graph(model: nn.Module, recorder: Recorder, returned: list[int], answered: list[str]) -> Graph:
    parameters = dict(model.named_parameters())
    first = {id(p): name for name, p in parameters.items()}
    owners, ties = dict[str, Owner](), dict[str, str]()
    for path, module in model.named_modules(remove_duplicate=False):
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            full, name = f"{path}.{leaf}" if path else leaf, first[id(parameter)]
            if full == name:
                owners[name] = Owner(path, type(module).__name__, leaf)
            else:
                ties[full] = name
    return Graph(
        values=tuple(recorder.values),
        operations=tuple(recorder.operations),
        shapes={name: tuple(p.shape) for name, p in parameters.items()},
        owners={name: owners[name] for name in parameters},
        outputs=tuple(returned),
        frozen=frozenset(name for name, p in parameters.items() if not p.requires_grad),
        ties=ties,
        integers=frozenset(
            n for n, p in parameters.items() if not (p.is_floating_point() or p.is_complex())
        ),
        answered=tuple(dict.fromkeys(answered)),
    )
