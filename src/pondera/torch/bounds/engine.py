"""What happens around each step of an optimizer: before it, behind it, and where a closure is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch

from pondera.core.errors import DomainError
from pondera.torch.bounds import fused, low, share
from pondera.torch.bounds.book import Book, signed
from pondera.torch.bounds.entries import KEY, STEPS, Bounded
from pondera.torch.bounds.metric import own_step
from pondera.torch.bounds.newton import Newton

Hooked = tuple[tuple[Any, ...], dict[str, Any]]
_STEPPING: Final = torch.optim.Optimizer.profile_hook_step(lambda self: None).__code__


class Engine:
    """Acts around the steps of one optimizer; all that must survive lies in the optimizer itself."""

    def __init__(self) -> None:
        self._book: Book | None = None
        self._live: list[Bounded] = []
        self._newton: Newton | None = None
        self._closure: Callable[[], Any] | None = None
        self.held: list[
            dict[str, Any]
        ] = []  # bounds of the param groups while a checkpoint is loaded
        self.watchers: list[Callable[[Bounded], None]] = []  # called for each entry behind its step

    def book(self, optimizer: torch.optim.Optimizer) -> Book:
        """Every parameter under a bound, at its present strength."""
        if self._book is None or self._book.sign != signed(optimizer):
            self._book = Book(optimizer)
        for entry in self._book.scheduled:
            entry.at_present()
        return self._book

    def forget(self) -> None:
        """Read the configuration anew at the next step: it was changed in place."""
        self._book = None

    @torch._disable_dynamo
    def before(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Hooked | None:
        """Step pre-hook: decay, and the gradient that the optimizer is to see."""
        if _is_nested(optimizer):
            return None
        self._repair(optimizer)
        closure = args[1] if len(args) > 1 else kwargs.get("closure")  # args[0] is the optimizer
        book = self.book(optimizer)
        if not book.entries:
            return None
        if closure is not None and own_step(optimizer) == "LBFGS.step":
            self._newton = Newton(optimizer, book.entries)
        else:
            self._prepare(optimizer, book)  # also for an optimizer that ignores its closure
        if closure is None and not book.fused:
            return None
        self._closure = closure
        called = partial(self._fuse, optimizer, book)  # by the step, behind every other pre-hook
        if closure is not None:
            called = self._wrapped(optimizer, book, closure)
        rest = {k: v for k, v in kwargs.items() if k != "closure"}
        return (args[0], called, *args[2:]), rest

    @torch._disable_dynamo
    @torch.no_grad()
    def _fuse(self, optimizer: torch.optim.Optimizer, book: Book) -> None:
        """Let the kernel step what it can, and the optimizer see no gradient of that."""
        asked = [e for e in self._live if id(e) in book.fused]
        if book.metric is None or not asked or _is_skipped(optimizer):
            return
        for entry in fused.take(optimizer, asked, book.metric):
            entry.gradient, entry.parameter.grad = entry.parameter.grad, None

    @torch._disable_dynamo
    def after(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Step post-hook: the proximal step, or what the way asks for."""
        if _is_nested(optimizer) or self._book is None:
            return
        skipped = _is_skipped(optimizer)
        with torch.no_grad():
            if self._newton is not None and self._closure is not None:
                self._newton.finish(_evaluator(self._closure))
                self._live = [e for e in self._book.entries if e.parameter.grad is not None]
            elif not skipped:
                self._share(optimizer, self._book)
            for watcher in () if skipped else self.watchers:
                for entry in self._live:
                    watcher(entry)
            self._restore(optimizer)
            for entry in self._live:
                if entry.acting is not entry.parameter:
                    low.keep_rest(optimizer, entry)
        self._settle()
        for group in optimizer.param_groups:
            if KEY in group and not skipped:
                group[STEPS] = group.get(STEPS, 0) + 1

    def _share(self, optimizer: torch.optim.Optimizer, book: Book) -> None:
        if book.lots is not None and book.metric is not None:
            joint = [e for e in self._live if id(e) in book.joint]
            book.lots.take(optimizer, joint)
            for entry in [e for e in self._live if id(e) in book.single and not e.fused]:
                share.proximal(entry, book.metric, optimizer)
        for entry in self._live if book.beside else ():
            if id(entry) in book.beside:
                share.beside(entry, optimizer)
        for entry in self._live if book.shrinking else ():
            if id(entry) in book.shrinking:
                share.flush(entry, optimizer)

    def _prepare(self, optimizer: torch.optim.Optimizer, book: Book) -> None:
        """Find what has a gradient, keep what is needed, and set pseudo-gradients."""
        live = [entry for entry in book.entries if entry.parameter.grad is not None]
        for entry in live:
            _need_dense(entry)
        self._live = live
        with torch.no_grad():
            for entry in live if book.low else ():
                if id(entry) in book.low:
                    low.enter(optimizer, entry)
            for entry in live if book.kept else ():
                if id(entry) in book.kept and entry.weights is None:
                    entry.weights = entry.acting.detach().clone()
            self._carry(optimizer, book)
            for entry in [e for e in live if id(e) in book.decaying]:
                if not _is_skipped(optimizer):
                    share.decay(entry)
            sided = [e for e in live if id(e) in book.sided]
            factor = _loss_factor(optimizer) if sided else 1.0
            for entry in sided:
                _show(entry, factor)

    def _carry(self, optimizer: torch.optim.Optimizer, book: Book) -> None:
        if book.lots is None or book.metric is None or book.metric.carry is None:
            return
        book.lots.carry(optimizer, [e for e in self._live if id(e) in book.joint])
        for entry in [e for e in self._live if id(e) in book.single]:
            state = optimizer.state.get(entry.acting, {})
            entry.carried = book.metric.carry(entry.group, state)

    def _wrapped(
        self, optimizer: torch.optim.Optimizer, book: Book, closure: Callable[[], Any]
    ) -> Callable[[], Any]:
        """The closure, with each gradient it computes made the one to be seen."""
        called = False

        def seen() -> Any:
            nonlocal called
            with torch.no_grad():
                self._restore(optimizer)
            if not called:  # gradients from before the step are none of this step's
                for entry in self._live:
                    entry.weights = entry.pseudo = entry.slope = None
            called = True
            loss = closure()
            if self._newton is not None:
                for entry in book.entries:
                    _need_dense(entry)
                with torch.no_grad():
                    return self._newton.seen(loss)
            self._prepare(optimizer, book)
            self._fuse(optimizer, book)
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

    def _settle(self) -> None:
        for entry in self._live:
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
            elif entry.fused and entry.parameter.grad is None:
                entry.parameter.grad = entry.gradient
        self._settle()


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
            return float(closure().detach())

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
