"""One pass of a model on tensors without numbers, as a graph."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily

from pondera.core.errors import DomainError, ShapeError
from pondera.model.trace import Graph
from pondera.torch.keep import modes_kept, seeded
from pondera.torch.observe import uncompiled
from pondera.torch.trace.answers import Answers
from pondera.torch.trace.cells import Cells
from pondera.torch.trace.conversions import exchanged
from pondera.torch.trace.fakes import Stand, copies, faked_example, stand_ins
from pondera.torch.trace.kept import attributes_kept, quiet
from pondera.torch.trace.numbers import Numbers
from pondera.torch.trace.paths import module_paths
from pondera.torch.trace.record import Recorder
from pondera.torch.trace.result import graph_of
from pondera.torch.trace.trees import leaves


class _Pass(NamedTuple):
    """How a pass is run: what it is told where it asks for numbers, and in which mode."""

    truth: bool = True
    period: int = 2
    start: int = 0
    training: bool = False
    counted: bool = False  # whether the example's own integers are known


_MANY: Final = 1 << 20  # more than there are experts
_TRIES: Final = 64  # passes, at most, that go on counting where the last one stopped

# what else is tried while parameters stay unseen; integers choose among experts, branches, layers
_FURTHER: Final = (
    _Pass(),
    _Pass(truth=False),
    *(_Pass(period=period) for period in (_MANY, 8, 4, 3, 1)),
    _Pass(training=True),
)


def trace(model: nn.Module, example: Any, *, execute: bool = False) -> Graph:
    """What one forward pass does, without numbers.

    The pass runs in evaluation mode. Where it asks for numbers it is answered; what stays unseen is
    looked for in further passes with other answers, and in training mode.

    Args:
        model: any module; neither changed, moved, run on data nor re-seeded.
        example: tuple (positional), mapping (keyword arguments) or the one input: tensors, or `Input`s.
        execute: run in earnest on the CPU instead, where the pass depends on numbers.

    Returns:
        The graph; its `further` are the passes that saw parameters which it did not.

    Raises:
        DomainError: the model does not accept the example, or has parameters without a shape.
    """
    first = _tried(model, example, _Pass(counted=True), execute=execute)
    graphs, asked = [first.graph] if first.graph else [], first.answered
    if first.graph is None and execute:
        raise first.fault
    for place, way in enumerate(() if execute else _FURTHER):
        if _complete(graphs):
            break
        if asked or (way.training if graphs else place == 0):
            asked |= _further(model, example, way, graphs)
    if not graphs:
        raise first.fault
    return replace(graphs[0], further=tuple(graphs[1:]))


def _complete(graphs: list[Graph]) -> bool:
    """Whether every parameter was seen in some pass."""
    return bool(graphs) and set[str]().union(*(g.used for g in graphs)).issuperset(graphs[0].shapes)


def _further(model: nn.Module, example: Any, way: _Pass, graphs: list[Graph]) -> bool:
    """Add the graph of another pass, if it sees more; go on counting while that helps. Whether it was asked."""
    asked = False
    for _ in range(_TRIES if way.period == _MANY else 1):
        outcome = _tried(model, example, way, execute=False)
        asked |= outcome.answered
        seen = set[str]().union(*(graph.used for graph in graphs))
        graph = outcome.graph or (outcome.begun if graphs else None)  # what ran before an error
        if graph is None or graph.used <= seen:
            break
        graphs.append(graph)
        way = way._replace(start=outcome.next)
        if _complete(graphs):
            break
    return asked


class _Outcome(NamedTuple):
    """Of a pass: its graph, or what ran of it and why it ended; whether numbers were asked for, the next."""

    graph: Graph | None
    begun: Graph
    fault: DomainError
    answered: bool
    next: int


def _tried(model: nn.Module, example: Any, way: _Pass, *, execute: bool) -> _Outcome:
    """One pass; the model is as before behind."""
    numbers = Numbers()
    answers = Answers(truth=way.truth, period=way.period, start=way.start, numbers=numbers)
    with ExitStack() as kept:
        before = modes_kept(model), attributes_kept(model), seeded(None)
        for state in (*before, uncompiled(), quiet(), torch.enable_grad()):
            kept.enter_context(state)
        model.train(way.training)
        stand = copies(model) if execute else stand_ins(model)
        if stand.mode:
            kept.enter_context(stand.mode)
        faked = faked_example(example, stand.mode)
        if way.counted and stand.mode:
            _learned(numbers, faked, example)
        args, kwargs = _arguments(faked)
        answers.path = kept.enter_context(module_paths(model))
        recorder = Recorder(stand.parameters, leaves([args, kwargs]), answers, answers.path)
        try:
            output = _run(model, stand, recorder, args, kwargs)
        except (DomainError, ShapeError):
            raise
        except Exception as fault:
            refused = _refused(model, recorder, fault, execute=execute)
            refused.__cause__ = fault
            begun = graph_of(model, recorder, [], answers.given)
            return _Outcome(None, begun, refused, bool(answers.given), answers.next)
        returned = [recorder.number_of(tensor) for tensor in leaves(output)]
    graph = graph_of(model, recorder, returned, answers.given)
    return _Outcome(graph, graph, DomainError(""), bool(answers.given), answers.next)


def _learned(numbers: Numbers, faked: Any, example: Any) -> None:
    """The example's own integers are known: sizes, lengths, masks."""
    for stand, real in zip(leaves(faked), leaves(example, inputs=True), strict=True):
        if isinstance(real, torch.Tensor) and not isinstance(real, FakeTensor):
            with unset_fake_temporarily():
                numbers.learn(stand, real.detach().cpu().clone() if not real.is_meta else real)


class _Whole(nn.Module):
    """A model inside another: scripted ones take stand-ins only so."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)


def _run(
    model: nn.Module,
    stand: Stand,
    recorder: Recorder,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    tensors = {f"model.{name}": tensor for name, tensor in stand.tensors.items()}
    with exchanged(), recorder, Cells(recorder):
        return torch.func.functional_call(_Whole(model), tensors, args, kwargs)


def _refused(
    model: nn.Module, recorder: Recorder, fault: Exception, *, execute: bool
) -> DomainError:
    told = (str(fault).strip().splitlines() or [""])[0].rstrip(".")
    hint = "" if execute else ", or execute=True to run it on the CPU if it depends on numbers"
    return DomainError(
        f"plan: the model must accept the example; {type(model).__name__} raised "
        f"{type(fault).__name__}: {told} (in {recorder.where() or 'its forward'}). "
        f"Pass a batch as the model's forward takes it{hint}."
    )


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and keyword arguments."""
    if isinstance(example, Mapping):
        return (), dict(example.items())
    if isinstance(example, tuple) and not hasattr(example, "_fields"):
        return tuple(example), {}
    return (example,), {}
