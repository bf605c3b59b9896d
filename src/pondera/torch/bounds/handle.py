"""What the caller keeps: the report, the distance from the optimum, other strengths, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import AbstractPenalty
from pondera.torch.bounds import low
from pondera.torch.bounds.checks import chosen, need_fit
from pondera.torch.bounds.engine import Engine
from pondera.torch.bounds.entries import KEY, STEPS, Bounded, way_of
from pondera.torch.bounds.fused import need
from pondera.torch.bounds.plain import Bound, as_plain, placed_like
from pondera.torch.bounds.report import BoundsReport, loss_gradient, row_of
from pondera.torch.bounds.support import Support, identify


class Handle:
    """The bounds of one optimizer that one call attached, or all that a checkpoint brought."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, engine: Engine, parameters: list[torch.Tensor]
    ) -> None:
        self._optimizer = optimizer
        self._engine = engine
        wanted = {id(parameter) for parameter in parameters}
        self._mine = {  # by place: a parameter may be replaced by another, or by a wider copy for a step
            (k, place)
            for k, group in enumerate(optimizer.param_groups)
            for place, parameter in enumerate(group["params"])
            if id(parameter) in wanted
        }

    def report(self, *, steps_per_epoch: int | None = None) -> BoundsReport:
        """How the bounded parameters stand.

        Args:
            steps_per_epoch: to tell timescales in epochs, ≥ 1.

        Returns:
            The report; `print` shows a table.

        Raises:
            DomainError: steps_per_epoch below 1.
        """
        if steps_per_epoch is not None and not steps_per_epoch >= 1:
            raise DomainError(
                f"report: needs steps_per_epoch >= 1; got steps_per_epoch={steps_per_epoch!r}. Count the "
                "optimizer steps of one epoch."
            )
        entries = self._entries()
        rows = tuple(row_of(entry, self._optimizer, steps_per_epoch) for entry in entries)
        return BoundsReport(
            rows, max((e.group[STEPS] - e.plain.get("start", 0) for e in entries), default=0)
        )

    def gap(self) -> dict[str, torch.Tensor]:
        """Distance of each parameter's last gradient to the optimality of loss + penalty.

        A `weight_decay` that the optimizer adds to the gradient counts as part of the loss, `maximize` as a
        minus.

        Returns:
            Parameter name → distances (see `AbstractPenalty.gap`); parameters without gradient, and bounds that
            are no penalties, are left out.
        """
        found = dict[str, torch.Tensor]()
        with torch.no_grad():
            for entry in self._entries():
                gradient = loss_gradient(entry, self._optimizer)
                if isinstance(entry.bound, AbstractPenalty) and gradient is not None:
                    w = entry.parameter.detach()
                    w, gradient = (w.float(), gradient.float()) if entry.is_low else (w, gradient)
                    found[entry.name] = entry.bound.gap(w, gradient, xp=torch)
        return found

    def replace(self, bounds: Mapping[str, Bound], /) -> None:
        """Go on with other bounds on some of the parameters: the next point of a path, a new strength.

        Weights, the optimizer's state and schedules stay as they are; zeros may come back.

        Args:
            bounds: name pattern → bound, for parameters of this handle.

        Raises:
            As `regularize`; nothing is changed then.
        """
        if not isinstance(bounds, Mapping) or not bounds:
            raise DomainError(
                "replace: needs a mapping of name pattern → bound with at least one entry; got "
                f"{bounds!r}. Pass one such as {{'*.weight': L1(1e-4)}}."
            )
        entries = {entry.name: entry for entry in self._entries()}
        changes = list[tuple[Bounded, Bound, str, str]]()
        named = {name: entry.parameter for name, entry in entries.items()}
        for name, (parameter, bound) in chosen(bounds, named, named).items():
            need_fit(name, parameter, bound, self._optimizer)
            way, why = way_of(bound, self._optimizer)
            entry = entries[name]
            changed = replace(entry, base=bound, bound=bound, plain={**entry.plain, "way": way})
            need(changed, self._optimizer)
            changes.append((entry, bound, way, why))
        plains = [as_plain(placed_like(bound, entry.parameter)) for entry, bound, *_ in changes]
        for (entry, _, way, why), plain in zip(changes, plains, strict=True):
            entry.plain.update(bound=plain, way=way, why=why)
        self._engine.forget()

    def detach(self) -> None:
        """Take the bounds off; weights and the optimizer's own state stay as they are."""
        mine = self._entries()
        low.narrow(self._optimizer, mine)
        for entry in mine:
            entry.group[KEY][entry.place] = None
            for key in [k for k in self._optimizer.state.get(entry.parameter, {}) if _ours(k)]:
                del self._optimizer.state[entry.parameter][key]
        for group in self._optimizer.param_groups:
            if KEY in group and not any(group[KEY]):
                del group[KEY], group[STEPS]
        self._engine.forget()

    def identify(
        self, train: Callable[[], Any], /, *, vote: int = 10, refit: int = 5, share: float = 0.9
    ) -> Support:
        """Find the zeros under mini-batch noise, freeze them, and refit the rest without shrinkage.

        A single step's zeros flicker: threshold and noise both scale with the learning rate. But a weight that
        belongs to the support keeps its sign (a group its direction) from step to step, and noise does not.

        Args:
            train: runs one epoch of the caller's own training with this optimizer.
            vote: epochs whose every step is counted, ≥ 1; train until the loss is level first.
            refit: epochs without the penalties, zeros frozen; 0 for none.
            share: a weight is kept if the mean of its sign (of a group's unit vector), 0 counted as 0, is
                longer than this, in [0, 1).

        Returns:
            What was kept. The bounds stay attached, frozen; call detach() to let go of them. Bounds that make
            no zeros stay in force.

        Raises:
            DomainError: a count or the share out of range, no penalty that makes zeros, or no step taken
                by `train`.
        """
        return identify(
            self._optimizer,
            self._engine,
            self._entries,
            train,
            vote=vote,
            refit=refit,
            share=share,
        )

    def _entries(self) -> list[Bounded]:
        entries = self._engine.book(self._optimizer).entries
        number = {id(group): k for k, group in enumerate(self._optimizer.param_groups)}
        return [entry for entry in entries if (number[id(entry.group)], entry.place) in self._mine]


def _ours(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(f"{KEY}_")
