"""What happens around each step of an optimizer: before it, behind it, and where a closure is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import torch

from pondera.core.errors import DomainError
from pondera.torch.bounds import low, share
from pondera.torch.bounds.entries import KEY, STEPS, Bounded, bounded
from pondera.torch.bounds.metric import CARRIED, metric_of, own_step
from pondera.torch.bounds.newton import Newton

Hooked = tuple[tuple[Any, ...], dict[str, Any]]
_STEPPING: Final = torch.optim.Optimizer.profile_hook_step(lambda self: None).__code__


class Engine:
    """Acts around the steps of one optimizer; all that must survive lies in the optimizer itself."""

    def __init__(self) -> None:
        self._book: tuple[Any, list[Bounded]] = (None, [])
        self._live: list[Bounded] = []
        self._newton: Newton | None = None
        self._closure: Callable[[], Any] | None = None
        self.held: list[dict[str, Any]] = []  # bounds of the param groups while a checkpoint is loaded
        self.watchers: list[Callable[[Bounded], None]] = []  # called for each entry behind its step

    def entries(self, optimizer: torch.optim.Optimizer) -> list[Bounded]:
        """Every parameter under a bound, at its present strength."""
        groups = optimizer.param_groups
        sign = [(id(group), id(group.get(KEY)), len(group["params"])) for group in groups]
        if self._book[0] != sign:
            self._book = sign, [entry for group in groups for entry in bounded(group)]
        for entry in self._book[1]:
            entry.at_present()
        return self._book[1]

    def forget(self) -> None:
        """Read the configuration anew at the next step: it was changed in place."""
        self._book = (None, [])

    @torch._disable_dynamo
    def before(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Hooked | None:
        """Step pre-hook: decay, and the gradient that the optimizer is to see."""
        if _is_nested(optimizer):
            return None
        self._repair(optimizer)
        closure = args[1] if len(args) > 1 else kwargs.get("closure")  # args[0] is the optimizer
        entries = self.entries(optimizer)
        if closure is None or not entries:
            self._prepare(optimizer, entries)
            return None
        self._closure = closure
        if own_step(optimizer) == "LBFGS.step":
            self._newton = Newton(optimizer, entries)
        rest = {k: v for k, v in kwargs.items() if k != "closure"}
        return (args[0], self._wrapped(optimizer, entries, closure), *args[2:]), rest

    @torch._disable_dynamo
    def after(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Step post-hook: the proximal step, or what the way asks for."""
        if _is_nested(optimizer):
            return
        skipped = _is_skipped(optimizer)
        with torch.no_grad():
            if self._newton is not None and self._closure is not None:
                self._newton.finish(_evaluator(self._closure))
                self._live = [e for e in self._book[1] if e.parameter.grad is not None]
            elif not skipped:
                self._share(optimizer)
            for entry in () if skipped else self._live:
                for watcher in self.watchers:
                    watcher(entry)
        self._end(optimizer)
        for group in optimizer.param_groups:
            if KEY in group and not skipped:
                group[STEPS] = group.get(STEPS, 0) + 1

    def _share(self, optimizer: torch.optim.Optimizer) -> None:
        for entry in self._live:
            if entry.carried is not None:
                optimizer.state[entry.parameter][CARRIED] = entry.carried
        share.take(optimizer, metric_of(optimizer), self._live)

    def _prepare(self, optimizer: torch.optim.Optimizer, entries: list[Bounded]) -> None:
        """Find what has a gradient, keep what is needed, and set pseudo-gradients."""
        live = [entry for entry in entries if entry.parameter.grad is not None]
        for entry in live:
            _need_dense(entry)
        self._live = live
        metric = metric_of(optimizer)
        with torch.no_grad():
            for entry in live:
                if entry.is_low:
                    low.enter(optimizer, entry)
                if entry.weights is None and share.needs_weights(entry):
                    entry.weights = entry.acting.detach().clone()
            for entry in [e for e in live if metric and metric.carry and e.way == "metric"]:
                entry.carried = metric.carry(entry.group, optimizer.state.get(entry.parameter, {}))
            decaying = [e for e in live if e.way == "decay" and not e.decayed]
            if decaying and not _is_skipped(optimizer):
                for entry in decaying:
                    share.decay(entry)
            sided = [e for e in live if e.way in ("orthant", "projection")]
            factor = _loss_factor(optimizer) if sided else 1.0
            for entry in sided:
                _show(entry, factor)

    def _wrapped(
        self, optimizer: torch.optim.Optimizer, entries: list[Bounded], closure: Callable[[], Any]
    ) -> Callable[[], Any]:
        """The closure, with each gradient it computes made the one to be seen."""

        def seen() -> Any:
            with torch.no_grad():
                self._restore(optimizer)
            loss = closure()
            if self._newton is not None:
                with torch.no_grad():
                    for entry in entries:
                        _need_dense(entry)
                    return self._newton.seen(loss)
            self._prepare(optimizer, entries)
            extra = sum(share.size(entry) for entry in self._live if entry.way == "orthant")
            return loss if loss is None or not extra else loss + extra

        return seen

    def _restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Put the caller's parameters and gradients back."""
        for entry in self._live:
            if entry.is_low:
                low.leave(optimizer, entry)
            elif entry.gradient is not None:
                entry.parameter.grad = entry.gradient
            entry.gradient = None

    def _end(self, optimizer: torch.optim.Optimizer) -> None:
        with torch.no_grad():
            self._restore(optimizer)
            for entry in self._live:
                if entry.acting is not entry.parameter:
                    low.keep_rest(optimizer, entry)
                entry.settle()
        self._live, self._newton, self._closure = [], None, None

    def _repair(self, optimizer: torch.optim.Optimizer) -> None:
        """Put back what a step left that was broken off by an error."""
        for entry in self._live:
            if entry.acting is not entry.parameter:
                low.drop(optimizer, entry)
            elif entry.shown is not None and entry.gradient is not None:
                pseudo, version = entry.shown
                if entry.parameter.grad is pseudo and pseudo._version == version:
                    entry.parameter.grad = entry.gradient  # else the caller has a new one
            entry.settle()
        self._live, self._newton, self._closure = [], None, None


def _show(entry: Bounded, factor: float) -> None:
    """Let the optimizer see the gradient of loss + penalty instead, times the loss's factor."""
    entry.gradient, seen = entry.parameter.grad, entry.acting.grad
    if seen is None:
        raise AssertionError("an entry without a gradient does not take part")
    sign = -factor if entry.group.get("maximize") else factor
    entry.acting.grad = shown = share.pseudo_gradient(entry, seen, sign)
    entry.shown = (shown, shown._version)


def _evaluator(closure: Callable[[], Any]) -> Callable[[], float]:
    def evaluate() -> float:
        with torch.enable_grad():
            return float(closure())

    return evaluate


def _need_dense(entry: Bounded) -> None:
    gradient = entry.parameter.grad
    if gradient is not None and gradient.layout != torch.strided:
        raise DomainError(
            f"regularize: {entry.name!r} needs a dense gradient; got layout={gradient.layout}. Build the "
            "embedding with sparse=False, or leave it out of the patterns."
        )


def _is_nested(optimizer: torch.optim.Optimizer) -> bool:
    """Whether this is a parent's step inside its subclass's: both run the hooks."""
    steps = sum("step" in base.__dict__ for base in type(optimizer).__mro__)
    if steps < 3:  # Optimizer's own, and one more
        return False
    frame, depth = sys._getframe(1), 0
    while frame is not None:
        depth += frame.f_code is _STEPPING and frame.f_locals.get("self") is optimizer
        frame = frame.f_back
    return depth > 1


def _loss_factor(optimizer: torch.optim.Optimizer) -> float:
    factor = getattr(optimizer, "grad_scale", None)
    return 1.0 if factor is None else float(factor)


def _is_skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a gradient scaler found infinities: a fused optimizer then runs its hooks, but not its step."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and float(found) > 0
